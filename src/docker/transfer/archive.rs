//! An image as an engine writes it out: a tar archive in one of two layouts,
//! of which only the places of its parts are read. No bytes of layers are
//! held in memory.
//!
//! Engines with a graph driver have no manifest of their own, so one is made:
//! the same image gives the same bytes, hence the same digest. Engines with
//! the containerd store write their own manifest out, and the image's id is
//! its digest: that one travels as it is.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;

use super::manifest;
use super::pin::{Pin, digest_of};
use crate::docker::dockerignore::clean;
use crate::model::image::Digest;

/// No configuration or manifest is anywhere near this long.
const LONGEST_DOCUMENT: u64 = 32 << 20;

/// An archive and what can be asked of it.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    pub(super) pin: Pin,
    /// The manifest that was made for it, where it holds none.
    made: Option<Vec<u8>>,
    blobs: HashMap<Digest, Part>,
}

/// A part of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Archive {
    /// `id` is the image's id in the engine that wrote the archive.
    pub(super) fn open(path: &Path, id: &Digest) -> io::Result<Self> {
        let file = File::open(path)?;
        let parts = parts(&file)?;
        let index: Vec<Saved> = document(&file, parts.get("manifest.json"), "manifest.json")?;
        let [saved] = &index[..] else {
            return Err(damaged("it does not hold one image"));
        };
        let config = bytes(&file, parts.get(&saved.config), &saved.config)?;
        let pin = Pin {
            digest: id.clone(),
            config: digest_of(&config),
        };
        let mut archive = Self {
            file,
            pin,
            made: None,
            blobs: stored_blobs(&parts),
        };
        // The id is the configuration's digest, or that of a manifest.
        if archive.pin.config != *id && archive.blobs.contains_key(id) {
            return Ok(archive);
        }
        if archive.pin.config != *id {
            return Err(damaged("it holds another image"));
        }
        archive.make_manifest(&parts, saved, &config)?;
        Ok(archive)
    }

    /// The manifest of that digest, and its type.
    pub(super) fn manifest(&self, digest: &Digest) -> io::Result<Option<(String, Vec<u8>)>> {
        if let Some(made) = &self.made {
            let asked_for = *digest == self.pin.digest;
            return Ok(asked_for.then(|| (manifest::MADE.to_owned(), made.clone())));
        }
        let Some(part) = self.blobs.get(digest) else {
            return Ok(None);
        };
        let bytes = bytes(&self.file, Some(part), digest.as_str())?;
        let media_type = manifest::type_of(&bytes)?;
        Ok(Some((media_type, bytes)))
    }

    pub(super) fn blob(&self, digest: &Digest) -> Option<Part> {
        self.blobs.get(digest).copied()
    }

    /// Fills as much of `buffer` as the part has from `offset` on.
    pub(super) fn read(&self, part: Part, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = part.size.saturating_sub(offset);
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.file
            .read_exact_at(&mut buffer[..wanted], part.offset + offset)?;
        Ok(wanted)
    }

    /// The whole archive.
    pub(super) fn whole(&self) -> io::Result<Part> {
        Ok(Part {
            offset: 0,
            size: self.file.metadata()?.len(),
        })
    }

    fn make_manifest(
        &mut self,
        parts: &HashMap<String, Part>,
        saved: &Saved,
        config: &[u8],
    ) -> io::Result<()> {
        let diff_ids = manifest::layers_of(config)?;
        if diff_ids.len() != saved.layers.len() {
            return Err(damaged("its layers are not those of its configuration"));
        }
        let mut layers = vec![];
        for (diff_id, path) in diff_ids.into_iter().zip(&saved.layers) {
            let part = parts.get(path);
            let part = part.ok_or_else(|| damaged("a layer is missing"))?;
            self.blobs.insert(diff_id.clone(), *part);
            layers.push((diff_id, part.size));
        }
        let config = parts[&saved.config];
        self.blobs.insert(self.pin.config.clone(), config);
        let made = manifest::of((self.pin.config.clone(), config.size), layers)?;
        self.pin.digest = digest_of(&made);
        self.made = Some(made);
        Ok(())
    }
}

/// An entry of `manifest.json`, which both layouts have.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    layers: Vec<String>,
}

/// Where each file of the archive lies. A layer that occurs twice is written
/// once, and linked the second time.
fn parts(file: &File) -> io::Result<HashMap<String, Part>> {
    let mut parts = HashMap::new();
    let mut links = vec![];
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let part = Part {
                offset: entry.raw_file_position(),
                size: entry.size(),
            };
            parts.insert(path, part);
        } else if let (true, Some(target)) =
            (kind.is_symlink() || kind.is_hard_link(), entry.link_name()?)
        {
            let folder = match path.rsplit_once('/') {
                Some((folder, _)) if kind.is_symlink() => folder.to_owned(),
                _ => String::new(),
            };
            links.push((path, clean(&format!("{folder}/{}", target.display()))));
        }
    }
    for (path, target) in links {
        if let Some(part) = parts.get(&target).copied() {
            parts.insert(path, part);
        }
    }
    Ok(parts)
}

fn stored_blobs(parts: &HashMap<String, Part>) -> HashMap<Digest, Part> {
    parts
        .iter()
        .filter_map(|(path, part)| {
            let hex = path.strip_prefix("blobs/sha256/")?;
            Some((format!("sha256:{hex}").parse().ok()?, *part))
        })
        .collect()
}

fn bytes(file: &File, part: Option<&Part>, name: &str) -> io::Result<Vec<u8>> {
    let part = part.ok_or_else(|| damaged(&format!("`{name}` is missing")))?;
    if part.size > LONGEST_DOCUMENT {
        return Err(damaged(&format!("`{name}` is too long")));
    }
    let mut bytes = vec![0; usize::try_from(part.size).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, part.offset)?;
    Ok(bytes)
}

fn document<T: for<'de> Deserialize<'de>>(
    file: &File,
    part: Option<&Part>,
    name: &str,
) -> io::Result<T> {
    serde_json::from_slice(&bytes(file, part, name)?).map_err(io::Error::other)
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive of the image is damaged: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER_ONE: &[u8] = b"the first layer";
    const LAYER_TWO: &[u8] = b"the second one";

    enum Entry<'a> {
        File(&'a str, &'a [u8]),
        Link(&'a str, &'a str),
    }

    fn tar(entries: &[Entry<'_>]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.as_file());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match entry {
                Entry::File(path, bytes) => {
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, path, *bytes).unwrap();
                }
                Entry::Link(path, target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    builder.append_link(&mut header, path, target).unwrap();
                }
            }
        }
        builder.finish().unwrap();
        drop(builder);
        file
    }

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest_of(layer)).collect();
        serde_json::to_vec(&serde_json::json!({ "rootfs": { "diff_ids": diff_ids } })).unwrap()
    }

    fn text(archive: &Archive, digest: &Digest) -> Vec<u8> {
        let part = archive.blob(digest).unwrap();
        let mut buffer = vec![0; 1000];
        let read = archive.read(part, 0, &mut buffer).unwrap();
        buffer.truncate(read);
        buffer
    }

    #[test]
    fn the_older_layout_gets_a_manifest_with_layers_by_their_uncompressed_digests() {
        let config = config(&[LAYER_ONE, LAYER_TWO, LAYER_ONE]);
        let id = digest_of(&config);
        let index = br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar","d/layer.tar"]}]"#;
        let file = tar(&[
            Entry::File("a/layer.tar", LAYER_ONE),
            Entry::File("b/layer.tar", LAYER_TWO),
            Entry::Link("d/layer.tar", "../a/layer.tar"),
            Entry::File("c.json", &config),
            Entry::File("manifest.json", index),
        ]);
        let archive = Archive::open(file.path(), &id).unwrap();
        assert_eq!(archive.pin.config, id);
        let (media_type, made) = archive.manifest(&archive.pin.digest).unwrap().unwrap();
        assert_eq!(media_type, manifest::MADE);
        assert_eq!(digest_of(&made), archive.pin.digest);
        let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
        let layers = made["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 3);
        assert_eq!(layers[0], layers[2]);
        assert_eq!(layers[1]["digest"], digest_of(LAYER_TWO).as_str());
        assert_eq!(layers[1]["size"], LAYER_TWO.len());
        assert_eq!(text(&archive, &digest_of(LAYER_TWO)), LAYER_TWO);
        assert_eq!(text(&archive, &id), config);
    }

    #[test]
    fn the_newer_layout_of_a_graph_driver_gives_the_same_manifest() {
        let config = config(&[LAYER_ONE]);
        let id = digest_of(&config);
        let path = |digest: &Digest| digest.as_str().replace("sha256:", "blobs/sha256/");
        let (config_path, layer_path) = (path(&id), path(&digest_of(LAYER_ONE)));
        let index = format!(r#"[{{"Config":"{config_path}","Layers":["{layer_path}"]}}]"#);
        let newer = tar(&[
            Entry::File(&layer_path, LAYER_ONE),
            Entry::File(&config_path, &config),
            Entry::File("manifest.json", index.as_bytes()),
        ]);
        let older = tar(&[
            Entry::File("x.json", &config),
            Entry::File("a/layer.tar", LAYER_ONE),
            Entry::File(
                "manifest.json",
                br#"[{"Config":"x.json","Layers":["a/layer.tar"]}]"#,
            ),
        ]);
        let newer = Archive::open(newer.path(), &id).unwrap();
        let older = Archive::open(older.path(), &id).unwrap();
        assert_eq!(newer.pin, older.pin);
    }

    #[test]
    fn an_image_that_has_a_manifest_travels_with_it() {
        let config = config(&[LAYER_ONE]);
        let manifest = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        let id = digest_of(manifest);
        let path = |digest: &Digest| digest.as_str().replace("sha256:", "blobs/sha256/");
        let config_path = path(&digest_of(&config));
        let index = format!(r#"[{{"Config":"{config_path}","Layers":[]}}]"#);
        let file = tar(&[
            Entry::File(&path(&id), manifest),
            Entry::File(&config_path, &config),
            Entry::File("manifest.json", index.as_bytes()),
        ]);
        let archive = Archive::open(file.path(), &id).unwrap();
        assert_eq!(archive.pin.digest, id);
        assert_eq!(archive.pin.config, digest_of(&config));
        let (media_type, bytes) = archive.manifest(&id).unwrap().unwrap();
        assert_eq!(
            (media_type.as_str(), &bytes[..]),
            ("application/vnd.oci.image.manifest.v1+json", &manifest[..])
        );
    }

    #[test]
    fn an_archive_of_another_image_is_refused() {
        let config = config(&[]);
        let file = tar(&[
            Entry::File("c.json", &config),
            Entry::File("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#),
        ]);
        let error = Archive::open(file.path(), &digest_of(b"other")).unwrap_err();
        assert!(
            error.to_string().ends_with("it holds another image"),
            "{error}"
        );
    }
}
