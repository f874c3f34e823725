-- Additive: the old code does not know the column and leaves it empty.
ALTER TABLE orders ADD COLUMN total_cents bigint;
