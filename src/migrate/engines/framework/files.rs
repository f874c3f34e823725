//! The folder of a framework's migrations: from the checkout, or out of the
//! image that is to run. Imports `ports`, `model`.

use std::path::Path;

use crate::migrate::engines::image;
use crate::migrate::files::shown;
use crate::migrate::hashing;
use crate::model::fault::Fault;
use crate::model::migration::Files;
use crate::model::project::MigrationSource;
use crate::ports::{Content, Cx, FolderEntry, ImageCheck, Job};

/// One migration of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct File {
    /// What the tool calls it.
    pub(in super::super) id: String,
    /// SHA-256 of its bytes.
    pub(in super::super) checksum: String,
    /// What the journal of Drizzle says.
    pub(in super::super) when: Option<i64>,
}

/// What a tool finds in its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Found {
    /// In running order.
    pub(in super::super) files: Vec<File>,
    /// Why they may not run as they are.
    pub(in super::super) problems: Vec<String>,
}

impl Found {
    pub(in super::super) fn add(&mut self, id: &str, bytes: &[u8]) {
        self.files.push(File {
            id: id.to_owned(),
            checksum: hashing::sha256(bytes),
            when: None,
        });
    }
}

/// What lies in the folder and in its folders, and whether it is what will
/// run; nothing while only an image that is not there has it.
pub(super) async fn entries(
    cx: &Cx,
    job: &Job<'_>,
) -> Result<Option<(Vec<FolderEntry>, Files)>, Fault> {
    let spec = &job.database.migrations;
    let shown = shown(spec);
    let Some(path) = &spec.path else {
        return Err(Fault::config(format!(
            "`databases.{}.migrations` has no `path`",
            job.database.name
        )));
    };
    Ok(match (spec.source, job.files) {
        (MigrationSource::Checkout, _) => Some((checkout(path, shown)?, Files::Final)),
        (MigrationSource::Image, Some(image)) => {
            match job.runner.has_image(cx, job.host, image).await? {
                ImageCheck::Absent => None,
                ImageCheck::Present => Some((image::read(cx, job, image).await?, Files::Final)),
            }
        }
        (MigrationSource::Image, None) if path.is_dir() => {
            Some((checkout(path, shown)?, Files::Provisional))
        }
        (MigrationSource::Image, None) => None,
    })
}

/// A folder of this machine, with its folders, one deep.
pub(super) fn checkout(folder: &Path, shown: &str) -> Result<Vec<FolderEntry>, Fault> {
    let mut found = vec![];
    look(folder, "", &mut found).map_err(|error| {
        Fault::config(format!("cannot read the migrations in `{shown}`"))
            .caused_by(&error)
            .hint("check `migrations.path` in the configuration")
    })?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn look(folder: &Path, above: &str, found: &mut Vec<FolderEntry>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{above}{name}");
        let content = if path.is_dir() {
            if above.is_empty() {
                look(&path, &format!("{name}/"), found)?;
            }
            Content::Folder
        } else if path.is_file() {
            Content::File(std::fs::read(&path)?)
        } else {
            Content::Other
        };
        found.push(FolderEntry { name, content });
    }
    Ok(())
}
