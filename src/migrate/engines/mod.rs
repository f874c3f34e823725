//! One module for each tool that can run migrations. Imports `ports`, `model`
//! and the parts of `migrate` beside it.

mod agreed;
pub mod app;
pub mod command;
mod container;
mod deadline;
pub mod external;
mod image;
pub mod raw;
