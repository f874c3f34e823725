//! A plan's id: the hash of what it would change, without times.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The first twelve hexadecimal digits of the SHA-256 of `essence` as JSON.
/// The caller hands in what the plan would change and leaves out whatever
/// names a moment: the new release's id, and what is made from it.
#[must_use]
pub fn plan_id<T: Serialize>(essence: &T) -> String {
    let text = serde_json::to_string(essence).unwrap_or_default();
    Sha256::digest(text.as_bytes())
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
