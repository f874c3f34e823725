//! Images, from what was built to what may run. Only a [`PinnedImage`] is
//! accepted by the steps after the push: what was built is what migrates and
//! what runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 hexadecimal digits")]
pub struct NotADigest(pub String);

impl Digest {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0["sha256:".len().."sha256:".len() + 12]
    }
}

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotADigest(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a build left in the builder's engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// The local reference, `stagecraft/<project>:<release id>`.
    pub reference: String,
    /// The image id in the builder's engine.
    pub id: Digest,
}

/// How an image reaches a host that lacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// Hosts pull it from the registry by digest.
    Registry,
    /// It travels over the host's connection, only the missing layers.
    Direct,
}

/// An image that is pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// The repository: the registry's, or `stagecraft/<project>` without one.
    pub repository: String,
    /// With a registry: the registry's digest (multi-platform: the index).
    /// Without: of the manifest written for the transfer; where builder and
    /// only host are one engine, that engine's image id.
    pub digest: Digest,
    /// The image id recorded where it was built or resolved (the digest of
    /// its configuration on engines with the graph driver store).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Digest>,
    pub carriage: Carriage,
    /// The local reference that keeps the image from being pruned.
    pub local_reference: String,
}

impl PinnedImage {
    /// `repository@sha256:…`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}
