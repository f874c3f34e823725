//! One module for each tool that can run migrations. Imports `ports`, `model`
//! and the parts of `migrate` beside it.

mod agreed;
pub mod app;
pub mod command;
mod container;
mod deadline;
pub mod drizzle;
pub mod external;
mod forecast;
mod framework;
mod image;
pub mod knex;
pub mod node_pg_migrate;
pub mod prisma;
pub mod raw;
mod tables;
