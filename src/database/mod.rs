//! PostgreSQL, MySQL and SQLite: connecting by every route, sessions, locks. Imports `ports`, `model`.
