CREATE INDEX daily_sales_total ON daily_sales (total_cents);
