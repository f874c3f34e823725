//! One module for each tool that can run migrations. Imports `ports`, `model`
//! and the parts of `migrate` beside it.

pub mod command;
pub mod raw;
