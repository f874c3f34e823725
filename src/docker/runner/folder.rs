//! Reading a folder of an image: a container is made of it, never started, and
//! what lies there comes out as an archive.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use futures_util::TryStreamExt;
use serde::Deserialize;

use super::body::Purpose;
use super::{Runner, container_path, life};
use crate::docker::client::{Call, Engine, fault, status};
use crate::model::container::ContainerSpec;
use crate::model::fault::Fault;
use crate::ports::{Content, FolderEntry};

/// More than any folder of migrations holds: it is kept in memory.
const LARGEST: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    working_dir: String,
}

impl Runner {
    pub(super) async fn read_folder(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        folder: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault> {
        let id = self.create_afresh(engine, spec, Purpose::Job).await?;
        let read = read(engine, spec, &id, folder).await;
        let removed = life::remove(engine, &id).await;
        let read = read?;
        removed?;
        Ok(read)
    }
}

async fn read(
    engine: &Engine,
    spec: &ContainerSpec,
    id: &str,
    folder: &str,
) -> Result<Option<Vec<FolderEntry>>, Fault> {
    let cannot = |error| {
        let what = format!("cannot read `{folder}` in the image {}", spec.image);
        fault(engine.host(), what, error)
    };
    let made: Made = engine
        .json(Call::get(container_path(id, "/json")))
        .await
        .map_err(cannot)?;
    let path = Path::new("/").join(made.config.working_dir).join(folder);
    // The dot makes the engine follow a link.
    let path = format!("{}/.", path.display());
    let call = Call::get(container_path(id, "/archive")).query("path", path);
    let mut pieces = match engine.bytes(call).await {
        Ok(pieces) => pieces,
        Err(error) if status(&error) == Some(404) => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let mut archive = vec![];
    while let Some(piece) = pieces.try_next().await.map_err(cannot)? {
        archive.extend_from_slice(&piece);
        if archive.len() > LARGEST {
            return Err(Fault::config(format!(
                "`{folder}` in the image {} holds more than {} MiB",
                spec.image,
                LARGEST >> 20
            ))
            .hint("check `migrations.path` in the configuration"));
        }
    }
    let entries = unpack(&archive).map_err(|error| {
        Fault::failed(format!("the archive of `{folder}` cannot be read")).caused_by(&error)
    })?;
    Ok(Some(entries))
}

/// The top two levels of an archive whose first entry is the folder itself.
fn unpack(archive: &[u8]) -> std::io::Result<Vec<FolderEntry>> {
    let mut found = vec![];
    let mut root: Option<PathBuf> = None;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = plain(&entry.path()?);
        let Some(root) = &root else {
            root = Some(path);
            continue;
        };
        let Ok(inside) = path.strip_prefix(root) else {
            continue;
        };
        let parts: Vec<_> = inside
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        if parts.is_empty() || parts.len() > 2 {
            continue;
        }
        let name = parts.join("/");
        let kind = entry.header().entry_type();
        let content = if kind.is_dir() {
            Content::Folder
        } else if kind.is_file() {
            let mut bytes = vec![];
            entry.read_to_end(&mut bytes)?;
            Content::File(bytes)
        } else {
            Content::Other
        };
        found.push(FolderEntry { name, content });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Without leading and inner dots.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(root: &str) -> Vec<u8> {
        let mut archive = tar::Builder::new(vec![]);
        let mut add = |path: String, kind, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, bytes).unwrap();
        };
        add(format!("{root}/"), tar::EntryType::Directory, b"");
        add(format!("{root}/b.sql"), tar::EntryType::Regular, b"two");
        add(format!("{root}/old/"), tar::EntryType::Directory, b"");
        add(format!("{root}/old/c.sql"), tar::EntryType::Regular, b"old");
        add(format!("{root}/old/er/"), tar::EntryType::Directory, b"");
        add(
            format!("{root}/old/er/d.sql"),
            tar::EntryType::Regular,
            b"no",
        );
        add(format!("{root}/a.sql"), tar::EntryType::Regular, b"one");
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_folder_and_its_folders_are_read_however_the_engine_names_its_root() {
        for root in ["migrations", "."] {
            let entry = |name: &str, content| FolderEntry {
                name: name.to_owned(),
                content,
            };
            assert_eq!(
                unpack(&archive(root)).unwrap(),
                [
                    entry("a.sql", Content::File(b"one".to_vec())),
                    entry("b.sql", Content::File(b"two".to_vec())),
                    entry("old", Content::Folder),
                    entry("old/c.sql", Content::File(b"old".to_vec())),
                    entry("old/er", Content::Folder),
                ],
                "{root}"
            );
        }
    }
}
