//! The whole of loading, seen from outside.

mod example;
mod problems;
mod resolved;
mod robust;

use std::ffi::OsString;
use std::path::PathBuf;

use super::load::{Loaded, check_all_with, load_with};
use super::{Engines, Look, Problems};
use crate::model::project::EngineNeeds;

/// A configuration in a folder of its own.
pub(super) struct Case {
    folder: tempfile::TempDir,
}

pub(super) fn engines() -> Engines {
    let needs = |path, connection| EngineNeeds { path, connection };
    Engines::new([
        ("raw", needs(true, true)),
        ("prisma", needs(true, true)),
        ("drizzle", needs(true, true)),
        ("knex", needs(true, true)),
        ("node-pg-migrate", needs(true, true)),
        ("command", needs(false, false)),
        ("app", needs(false, false)),
    ])
}

fn variables(name: &str) -> Option<OsString> {
    match name {
        "PORT" => Some("8123".into()),
        "WORD" => Some("word".into()),
        "DB_PASSWORD" => Some("hunter2".into()),
        _ => None,
    }
}

/// The smallest file that is right, to add to.
pub(super) const SMALL: &str = "\
version: 1
project: { name: shop }
roles:
  web: { port: 3000 }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

impl Case {
    pub(super) fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("stagecraft.yml"), text).expect("a file");
        Self { folder }
    }

    /// [`SMALL`] and more top-level keys.
    pub(super) fn small_with(text: &str) -> Self {
        Self::new(format!("{SMALL}{text}"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("stagecraft.yml")
    }

    pub(super) fn load(&self, environment: &str) -> Result<Loaded, Problems> {
        load_with(&self.path(), Some(environment), &engines(), &variables)
    }

    #[track_caller]
    pub(super) fn loaded(&self, environment: &str) -> Loaded {
        match self.load(environment) {
            Ok(loaded) => loaded,
            Err(problems) => panic!("{}", problems.render(Look::Plain)),
        }
    }

    /// All problems of all environments, plainly, with the folder left out.
    #[track_caller]
    pub(super) fn problems(&self) -> String {
        match check_all_with(&self.path(), &engines(), &variables) {
            Ok(_) => panic!("nothing is wrong"),
            Err(problems) => self.plain(&problems),
        }
    }

    pub(super) fn plain(&self, problems: &Problems) -> String {
        let folder = format!("{}/", self.folder.path().display());
        problems.render(Look::Plain).replace(&folder, "")
    }

    /// The warnings' messages.
    #[track_caller]
    pub(super) fn warnings(&self, environment: &str) -> Vec<String> {
        let loaded = self.loaded(environment);
        let list = loaded.warnings.list().iter();
        list.map(|problem| problem.message.clone()).collect()
    }
}
