//! Health and schema probes over a host's connection. Imports `ports`, `model`.

mod get;
mod prober;

pub use prober::Prober;
