//! `stagecraft.yml`: read → parse → check as written → merge → expand →
//! resolve, collecting every problem with its place. The only YAML.
//!
//! Imports `model`; [`values`] implements `ports::Connections` beside it, since
//! where secrets come from is said in this file and nowhere else.
//!
//! Invariant: [`load`] gives an environment exactly when nothing is wrong with
//! it, and no message holds the value of a secret.

mod engines;
mod file;
mod find;
mod interpolate;
mod leaf;
mod load;
mod mask;
mod merge;
mod parse;
mod problem;
mod read;
mod render;
mod resolve;
mod schema;
mod show;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod tree;
pub mod values;

pub use engines::{EngineId, Engines};
pub use find::find;
pub use interpolate::expand_text;
pub use load::{Loaded, Summary, check_all, environments, load};
pub use problem::{Problem, Problems};
pub use render::Look;
pub use schema::schema;
pub use show::{Shown, show};
pub use template::{FoundMigrations, Template, template};
