//! Health and schema probes over a host's connection. Imports `ports`, `model`.

mod ask;
mod fetch;
mod port;
mod prober;
#[cfg(test)]
mod test_support;

pub use prober::Prober;
