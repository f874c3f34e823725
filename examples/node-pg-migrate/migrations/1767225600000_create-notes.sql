-- Up Migration
CREATE TABLE notes (
  id serial PRIMARY KEY,
  body text NOT NULL
);

-- Down Migration
DROP TABLE notes;
