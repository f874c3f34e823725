//! What the files that are not merged yet would do to a database in use, by
//! the lint, graded without any database. What was merged stays as it is, so
//! remarks on it would help nobody.

use std::collections::HashSet;

use crate::migrate::files::MigrationFile;
use crate::migrate::lint::{self, Facts, Pending};
use crate::migrate::sql::{Mode, Script};
use crate::model::complaint::{Complaint, Rule, Weight};
use crate::model::project::Safety;
use crate::model::risk::{Grade, Remark};
use crate::ports::Dialect;

use super::texts;
use super::{Base, Read};

/// `blocking`: how the environment grades statements that block traffic.
#[must_use]
pub fn new_files(read: &Read, base: &Base, dialect: Dialect, blocking: Safety) -> Vec<Complaint> {
    let merged: HashSet<&str> = [&base.merged, &base.newest]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let new: Vec<(&MigrationFile, Script, Mode)> = read
        .folder
        .files
        .iter()
        .filter(|file| !merged.contains(file.name.as_str()))
        .filter_map(|file| {
            let script = file.script(dialect);
            let (mode, problems) = texts::judge(file, &script);
            problems.is_empty().then_some((file, script, mode))
        })
        .collect();
    let pending: Vec<Pending<'_>> = new
        .iter()
        .map(|(file, script, mode)| Pending {
            shown: &file.shown,
            script,
            mode,
        })
        .collect();
    let facts = Facts::default();
    let heavy = lint::weigh(&pending, facts.server(dialect));
    let forecasts = lint::lint(&pending, &heavy, &facts);
    let remarks = forecasts.iter().flat_map(|forecast| &forecast.remarks);
    remarks
        .filter(|remark| remark.stands())
        .filter_map(|remark| complaint(remark, blocking))
        .collect()
}

fn complaint(remark: &Remark, blocking: Safety) -> Option<Complaint> {
    let weight = match (remark.grade, blocking) {
        (_, Safety::Off) | (Grade::Harmless, _) => return None,
        (Grade::Caution, Safety::Warn | Safety::Approve | Safety::Block) => Weight::Note,
        (Grade::Blocking, Safety::Warn | Safety::Approve) => Weight::Warning,
        (Grade::Blocking, Safety::Block) => Weight::Violation,
    };
    let rule = Rule::Lint(remark.rule.clone());
    let what = format!("`{}`: {}", remark.statement, remark.why);
    let complaint = Complaint::new(weight, rule, &remark.file, what).at(remark.line, remark.column);
    Some(match &remark.help {
        Some(help) => complaint.hint(help),
        None => complaint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::{Order, of};
    use crate::migrate::policy::Dialects;
    use crate::ports::{Content, FolderEntry};

    fn found(blocking: Safety, merged: &[&str]) -> Vec<(Weight, String)> {
        let entry = |name: &str, text: &str| FolderEntry {
            name: name.to_owned(),
            content: Content::File(text.as_bytes().to_vec()),
        };
        let folder = of(
            vec![
                entry("1_a.sql", "CREATE INDEX a ON notes (a);"),
                entry("2_b.sql", "\nCREATE INDEX b ON notes (b);"),
            ],
            "db",
            Order::Text,
            None,
        );
        let dialects = Dialects::Known(Dialect::Postgres);
        let read = Read {
            texts: folder
                .files
                .iter()
                .map(|file| dialects.read(file))
                .collect(),
            folder,
            ledger: None,
        };
        let base = Base {
            merged: merged.iter().map(ToString::to_string).collect(),
            ..Base::default()
        };
        new_files(&read, &base, Dialect::Postgres, blocking)
            .iter()
            .map(|complaint| (complaint.weight, complaint.place()))
            .collect()
    }

    #[test]
    fn only_new_files_are_remarked_on_and_the_environment_says_how_much_it_weighs() {
        let at = "db/2_b.sql:2:1".to_owned();
        let warned = found(Safety::Warn, &["1_a.sql"]);
        assert_eq!(warned, [(Weight::Warning, at.clone())]);
        let blocked = found(Safety::Block, &["1_a.sql"]);
        assert_eq!(blocked, [(Weight::Violation, at)]);
        assert_eq!(found(Safety::Off, &["1_a.sql"]), []);
        assert_eq!(found(Safety::Warn, &[]).len(), 2);
    }
}
