//! What an engine says of an image, and references in parts. Imports `model`.

use serde::{Deserialize, Deserializer};

use super::client::{Call, Engine, fault, status};
use crate::model::fault::Fault;
use crate::model::image::Digest;

/// An image of one engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Stored {
    #[serde(rename = "Id")]
    pub(super) id: Digest,
    #[serde(rename = "RepoDigests", default, deserialize_with = "or_empty")]
    pub(super) repo_digests: Vec<String>,
    #[serde(rename = "Size", default)]
    pub(super) size: u64,
}

/// Older engines write `null` for an empty list.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The image that `name` (a reference or an id) stands for; `None` when the
/// engine has none of that name.
pub(super) async fn find(engine: &Engine, name: &str) -> Result<Option<Stored>, Fault> {
    match engine.json(Call::get(format!("/images/{name}/json"))).await {
        Ok(stored) => Ok(Some(stored)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(fault(
            engine.host(),
            format!("cannot look for the image `{name}`"),
            error,
        )),
    }
}

/// Takes the name `reference` away. One that is gone is fine, and so is one
/// that a container needs: the engine keeps it.
pub(super) async fn forget(engine: &Engine, reference: &str) -> Result<(), Fault> {
    match engine
        .done(Call::delete(format!("/images/{reference}")))
        .await
    {
        Ok(()) => Ok(()),
        Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
        Err(error) => Err(fault(
            engine.host(),
            format!("cannot forget the image `{reference}`"),
            error,
        )),
    }
}

/// Gives the image `name` the further name `reference`.
pub(super) async fn tag(engine: &Engine, name: &str, reference: &str) -> Result<(), Fault> {
    let parts = Reference::parse(reference);
    let call = Call::post(format!("/images/{name}/tag"))
        .query("repo", parts.repository)
        .query("tag", parts.tag.unwrap_or_else(|| "latest".to_owned()));
    engine
        .done(call)
        .await
        .map_err(|error| fault(engine.host(), format!("cannot tag `{reference}`"), error))
}

/// `repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    /// As written; the registry is the judge of it.
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        Self {
            repository: repository.to_owned(),
            tag,
            digest,
        }
    }

    /// The name to ask by: by digest where there is one.
    pub(super) fn asked(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => format!("{}:latest", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_keeps_a_port_apart_from_a_tag() {
        let asked = |text: &str| Reference::parse(text).asked();
        assert_eq!(asked("busybox"), "busybox:latest");
        assert_eq!(asked("10.0.0.1:5000/shop"), "10.0.0.1:5000/shop:latest");
        assert_eq!(asked("10.0.0.1:5000/shop:1"), "10.0.0.1:5000/shop:1");
        let both = Reference::parse("ghcr.io/acme/shop:1@sha256:ab");
        assert_eq!(both.repository, "ghcr.io/acme/shop");
        assert_eq!(both.tag.as_deref(), Some("1"));
        assert_eq!(both.asked(), "ghcr.io/acme/shop@sha256:ab");
    }

    #[test]
    fn an_engine_that_writes_null_for_no_digests_is_understood() {
        let id = format!("sha256:{}", "a".repeat(64));
        let json = format!(r#"{{"Id":"{id}","RepoDigests":null,"Size":7}}"#);
        let stored: Stored = serde_json::from_str(&json).unwrap();
        assert!(stored.repo_digests.is_empty());
    }
}
