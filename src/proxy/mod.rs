//! The proxy on each host. Imports `ports`, `model`.
