-- Additive: code of version 1 never names the column and goes on working.
ALTER TABLE notes ADD COLUMN author TEXT;
