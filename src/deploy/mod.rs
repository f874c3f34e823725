//! The deployer, its journal, observing, resuming. Talks to `ports` only; imports `plan`, `ports`, `model`.
