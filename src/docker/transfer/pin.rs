//! The names by which a carried image is known: the digest of the manifest
//! that travels, and the digest of its configuration.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::image::Digest;

/// See the module's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    /// The image id on hosts with the containerd store.
    pub(super) digest: Digest,
    /// The image id on hosts with a graph driver.
    pub(super) config: Digest,
}

impl Pin {
    /// Where nothing travels, the engine's own id says it all.
    pub(super) fn of_one_engine(id: &Digest) -> Self {
        Self {
            digest: id.clone(),
            config: id.clone(),
        }
    }
}

pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    format!("sha256:{:x}", Sha256::digest(bytes))
        .parse()
        .expect("a SHA-256 in hexadecimal is a digest")
}
