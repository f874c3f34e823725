//! The manifest that is made for an image whose engine has none: layers
//! uncompressed, by the digests that the image's configuration names.

use std::io;

use serde::{Deserialize, Serialize};

use crate::model::image::Digest;

/// The type of a made manifest.
pub(super) const MADE: &str = "application/vnd.docker.distribution.manifest.v2+json";

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What a stored manifest is that does not say it.
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// The manifest of a configuration and its layers, each with its size. Equal
/// images give equal bytes.
pub(super) fn of(config: (Digest, u64), layers: Vec<(Digest, u64)>) -> io::Result<Vec<u8>> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: MADE,
        config: Descriptor::new(CONFIG, config),
        layers: layers
            .into_iter()
            .map(|layer| Descriptor::new(LAYER, layer))
            .collect(),
    };
    serde_json::to_vec(&manifest).map_err(io::Error::other)
}

/// The digests of the uncompressed layers, the lowest first.
pub(super) fn layers_of(config: &[u8]) -> io::Result<Vec<Digest>> {
    #[derive(Deserialize)]
    struct Config {
        rootfs: RootFs,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<Digest>,
    }
    let config: Config = serde_json::from_slice(config).map_err(io::Error::other)?;
    Ok(config.rootfs.diff_ids)
}

/// The type that a stored manifest says it has.
pub(super) fn type_of(manifest: &[u8]) -> io::Result<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let typed: Typed = serde_json::from_slice(manifest).map_err(io::Error::other)?;
    Ok(typed.media_type.unwrap_or_else(|| OCI.to_owned()))
}

/// The order of the fields is the order of the bytes, which the digest is of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

impl Descriptor {
    fn new(media_type: &'static str, (digest, size): (Digest, u64)) -> Self {
        Self {
            media_type,
            size,
            digest,
        }
    }
}
