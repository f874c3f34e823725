//! A plan's id: the hash of what it would change, without times.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::model::release::ReleaseId;

/// The first twelve hexadecimal digits of the SHA-256 of `essence` as JSON.
/// The caller hands in what the plan would change. What it would make is named
/// after the new release, and that names a moment: `release` is left out
/// wherever it stands, so that the plan of a dry run is the one that is
/// approved later.
#[must_use]
pub fn plan_id<T: Serialize>(essence: &T, release: Option<&ReleaseId>) -> String {
    let mut text = serde_json::to_string(essence).unwrap_or_default();
    if let Some(release) = release {
        text = text.replace(release.as_str(), "");
    }
    Sha256::digest(text.as_bytes())
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_new_release_changes_nothing_and_everything_else_does() {
        let id = |release: &str, rest: &str| {
            let name = format!("shop-web-1-{release}");
            plan_id(&(name, rest), Some(&release.parse().expect("an id")))
        };
        let one = id("rel-20260101-000000001", "x");
        assert_eq!(one, id("rel-20260101-000000002", "x"));
        assert_ne!(one, id("rel-20260101-000000001", "y"));
        assert_eq!(one.len(), 12);
    }
}
