//! The files of a tool that are SQL, taken apart: weighed and judged as those
//! of engine `raw` are. What is code stays unread.

use std::collections::HashMap;

use crate::migrate::compat;
use crate::migrate::engines::forecast;
use crate::migrate::files::{MigrationFile, Order, Way};
use crate::migrate::sql::{Mode, Script};
use crate::model::compat::Compat;
use crate::model::migration::Migration;
use crate::ports::{Dialect, FolderEntry};

use super::{Found, Tool};

#[derive(Default)]
pub(super) struct Statements {
    files: Vec<MigrationFile>,
    scripts: Vec<Script>,
    modes: Vec<Mode>,
}

impl Statements {
    pub(super) fn of(
        tool: &dyn Tool,
        found: &Found,
        entries: &[FolderEntry],
        shown: &str,
        dialect: Dialect,
    ) -> Self {
        let Some(format) = tool.format() else {
            return Self::default();
        };
        let way = Way {
            format: Some(format),
            order: Order::default(),
            pattern: None,
        };
        let mut files = way.of(entries.to_vec(), shown).files;
        // The tool's own order, and none that it would not run.
        let ids = found.files.iter().map(|one| one.id.as_str());
        let places: HashMap<&str, usize> = ids.zip(0..).collect();
        let place = |file: &MigrationFile| places.get(file.tool.key.as_str()).copied();
        files.retain(|file| place(file).is_some());
        files.sort_by_key(place);
        let scripts: Vec<Script> = files.iter().map(|file| file.script(dialect)).collect();
        let modes = scripts.iter().map(|script| {
            // What cannot run is the tool's to say.
            script.mode(None).unwrap_or(Mode::Together)
        });
        Self {
            modes: modes.collect(),
            scripts,
            files,
        }
    }

    /// What older code makes of them, where that can be read.
    pub(super) fn judge(&self, migrations: &mut [Migration]) {
        let judged = compat::judge(&self.files, &self.scripts);
        let ids = self.files.iter().map(|file| file.tool.key.as_str());
        let judged: HashMap<&str, Compat> = ids.zip(judged).collect();
        for one in migrations {
            if let Some(compat) = judged.get(one.id.as_str()) {
                one.compat = Some(compat.clone());
            }
        }
    }

    pub(super) fn forecast(&self) -> Vec<forecast::File<'_>> {
        let files = self.files.iter().zip(&self.scripts).zip(&self.modes);
        let each = files.map(|((file, script), mode)| forecast::File {
            id: &file.tool.key,
            shown: &file.shown,
            script,
            mode,
        });
        each.collect()
    }
}
