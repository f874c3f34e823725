//! Migrations: the migrator, the registry of engines, comparing files with the database. Imports `ports`, `model`.
