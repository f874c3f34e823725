-- Cannot run in a transaction. That is seen in the statement itself and needs
-- no header. Orders can be written while it runs.
CREATE INDEX CONCURRENTLY orders_customer ON orders (customer);
