//! The only openssh: one connection a host, forwards, the environment lock. Imports `ports`, `model`.
