//! `releases.json`: the lock as a type, durable writes, the versioned format, merging of histories. Imports `ports`, `model`.
