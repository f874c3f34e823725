//! What lies in the folder and never runs. Only a check says so: it cannot
//! make a run wrong.

use crate::migrate::checksums;
use crate::migrate::files::Folder;
use crate::model::complaint::{Complaint, Rule};
use crate::model::project::MigrationSpec;

/// Keeps an empty folder in git.
const KEEP: &str = ".gitkeep";

pub(super) fn find(folder: &Folder, spec: &MigrationSpec) -> Vec<Complaint> {
    let shown = &folder.shown;
    let ledger = checksums::path(spec)
        .filter(|ledger| ledger.parent() == spec.path.as_deref())
        .and_then(|ledger| Some(ledger.file_name()?.to_str()?.to_owned()));
    let mut found: Vec<Complaint> = folder
        .strays
        .iter()
        .filter(|name| *name != KEEP && Some(*name) != ledger.as_ref())
        .map(|name| {
            Complaint::violation(
                Rule::StrayFile,
                format!("{shown}/{name}"),
                "only `.sql` files belong into the folder of migrations",
            )
            .hint("move it elsewhere, or remove it")
        })
        .collect();
    found.extend(folder.folders.iter().map(|name| {
        Complaint::violation(
            Rule::SubFolder,
            format!("{shown}/{name}"),
            "files in a sub-folder never run",
        )
        .hint(format!("move its `.sql` files into `{shown}` itself"))
    }));
    if folder.files.is_empty() {
        found.push(
            Complaint::violation(Rule::Empty, shown, "there is no migration").hint(
                "look whether `migrations.path` is right, or begin with `stagecraft migrate create NAME`",
            ),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::{Order, read};
    use crate::migrate::test_support::spec;

    /// C9, with its weakness: sub-folders are not ignored silently.
    #[test]
    fn whatever_is_no_migration_is_named_except_the_ledger_and_gitkeep() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in [
            ".gitkeep",
            "checksums.json",
            "README.md",
            ".1.sql.swp",
            "1_a.sql",
        ] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        std::fs::create_dir(dir.path().join("old")).expect("made");
        let folder = read(dir.path(), "db", Order::Text, None).expect("read");
        let found = find(&folder, &spec(dir.path()));
        let places: Vec<(String, &str)> =
            found.iter().map(|c| (c.place(), c.rule.label())).collect();
        assert_eq!(
            places,
            [
                ("db/.1.sql.swp".to_owned(), "stray-file"),
                ("db/README.md".to_owned(), "stray-file"),
                ("db/old".to_owned(), "sub-folder"),
            ]
        );
    }

    #[test]
    fn a_folder_without_any_migration_is_no_proof_of_anything() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = read(dir.path(), "db", Order::Text, None).expect("read");
        let found = find(&folder, &spec(dir.path()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule, Rule::Empty);
    }
}
