CREATE TABLE daily_sales (
  day date PRIMARY KEY,
  orders bigint NOT NULL,
  total_cents bigint NOT NULL
);
