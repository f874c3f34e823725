//! How the configuration says that a folder is read: whose layout it has.
//! Imports `model`.

use std::path::Path;

use serde::Deserialize;

use super::{Folder, Format, Order, entries, layouts, of, unmatched};
use crate::model::complaint::{Complaint, Rule};
use crate::model::fault::Fault;
use crate::model::project::MigrationSpec;
use crate::ports::{Content, FolderEntry};

/// The keys of `migrations.options` of whatever runs files in order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    order: Option<Order>,
    /// Whose layout the folder has.
    pub format: Option<Format>,
    pub table: Table,
}

/// Where a migration is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// In `stagecraft_migrations`.
    #[default]
    Stagecraft,
    /// There, and in the table of the tool that the layout is of, which counts.
    Native,
}

/// How a folder is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'a> {
    /// `None`: Stagecraft's own, unless it plainly is another tool's.
    pub format: Option<Format>,
    pub order: Order,
    pub pattern: Option<&'a str>,
}

impl Options {
    /// What the configuration asks for.
    ///
    /// # Errors
    /// Unknown options, or such as do not go together.
    pub fn of(spec: &MigrationSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(spec.options.clone());
        let options: Self =
            serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))?;
        let format = options.format.unwrap_or_default();
        if options.order.is_some() && format != Format::Raw {
            return Err(format!(
                "`options.order` has no meaning with `format: {}`: the tool has an order of its own",
                format.label()
            ));
        }
        if options.table == Table::Native && format == Format::Raw {
            return Err(
                "`options.table: native` needs `format`, the tool whose table it is".into(),
            );
        }
        Ok(options)
    }

    #[must_use]
    pub fn way<'a>(&self, spec: &'a MigrationSpec) -> Way<'a> {
        Way {
            format: self.format,
            order: self.order.unwrap_or_default(),
            pattern: spec.pattern.as_deref(),
        }
    }
}

impl Way<'_> {
    /// Reads a folder of this machine; `shown` is its name in messages.
    ///
    /// # Errors
    /// There is no such folder, or something in it cannot be read.
    pub fn read(&self, folder: &Path, shown: &str) -> Result<Folder, Fault> {
        let format = self.format.unwrap_or_default();
        Ok(self.of(all(folder, shown, format)?, shown))
    }

    /// What lies in a folder and in its folders, as migrations.
    #[must_use]
    pub fn of(&self, mut entries: Vec<FolderEntry>, shown: &str) -> Folder {
        let format = self.format.unwrap_or_default();
        if format != Format::Raw {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            let mut found = layouts::read(format, &entries, shown);
            let unmatched = unmatched(&found, self.pattern);
            found.problems.extend(unmatched);
            return found;
        }
        let another = match self.format {
            None => another(&entries, shown),
            Some(_) => None,
        };
        let mut found = of(entries, shown, self.order, self.pattern);
        if let Some(another) = another {
            found.problems = vec![another];
        }
        found
    }
}

/// Whether a folder plainly is another tool's, in words with the option to set.
#[must_use]
pub fn of_another_tool(folder: &Path, shown: &str) -> Option<String> {
    another(&all(folder, shown, Format::Raw).ok()?, shown).map(|problem| problem.to_string())
}

/// What lies in a folder, and in its folders.
fn all(folder: &Path, shown: &str, format: Format) -> Result<Vec<FolderEntry>, Fault> {
    let mut found = entries(folder, "", shown, format)?;
    let inner: Vec<String> = found
        .iter()
        .filter(|entry| entry.content == Content::Folder && !entry.name.starts_with('.'))
        .map(|entry| entry.name.clone())
        .collect();
    for name in inner {
        match entries(&folder.join(&name), &format!("{name}/"), shown, format) {
            Ok(inside) => found.extend(inside),
            // Nothing in there would run.
            Err(_) if format == Format::Raw => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Run as it is, such a folder would do what nobody meant.
fn another(entries: &[FolderEntry], shown: &str) -> Option<Complaint> {
    let (formats, why) = layouts::guess(entries)?;
    let names: Vec<&str> = formats.iter().map(|format| format.label()).collect();
    let options: Vec<String> = names
        .iter()
        .map(|name| format!("`options: {{ format: {name} }}`"))
        .collect();
    let what = format!("it looks like the folder of {} ({why})", names.join(" or "));
    Some(
        Complaint::violation(Rule::StrayFile, shown, what).hint(format!(
            "set {}, or `options: {{ format: raw }}` where its files are plain SQL all the same",
            options.join(" or ")
        )),
    )
}
