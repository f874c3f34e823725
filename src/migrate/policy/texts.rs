//! The text of a file: whether anything in it runs, and whether it can. The
//! dialect is not always known.

use crate::migrate::files::MigrationFile;
use crate::migrate::sql::{self, Mode, Problem, Script, Wish};
use crate::model::complaint::{Complaint, Rule, Weight};
use crate::ports::Dialect;

/// The dialects that a text may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialects {
    Known(Dialect),
    Unknown,
}

impl Dialects {
    fn all(&self) -> &[Dialect] {
        match self {
            Dialects::Known(dialect) => std::slice::from_ref(dialect),
            Dialects::Unknown => &[Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite],
        }
    }

    /// A file as the dialect reads it that understands it best; of several the
    /// first.
    #[must_use]
    pub fn read(&self, file: &MigrationFile) -> Text {
        let (first, others) = match self {
            Dialects::Known(dialect) => (*dialect, &[][..]),
            Dialects::Unknown => (Dialect::Postgres, &[Dialect::Mysql, Dialect::Sqlite][..]),
        };
        let mut best = Text::of(file, first);
        for dialect in others {
            if best.amiss() == Amiss::Nothing {
                break;
            }
            let text = Text::of(file, *dialect);
            if text.amiss() < best.amiss() {
                best = text;
            }
        }
        best
    }

    /// The hashes of a file's tokens, one for each dialect.
    #[must_use]
    pub fn normalised(&self, file: &MigrationFile) -> Vec<String> {
        let all = self.all().iter();
        all.map(|dialect| file.script(*dialect).normalised())
            .collect()
    }

    /// The two differ in comments and layout alone, whatever the dialect.
    #[must_use]
    pub fn same(&self, before: &str, now: &str) -> bool {
        let before = before.trim_start_matches('\u{feff}');
        self.of_text(before) == self.of_text(now)
    }

    fn of_text(&self, text: &str) -> Vec<String> {
        let all = self.all().iter();
        all.map(|dialect| sql::read(*dialect, text).normalised())
            .collect()
    }
}

/// What is kept of a file's text: the script itself is large.
#[derive(Debug, Clone)]
pub struct Text {
    /// There is a statement in it.
    pub runs: bool,
    /// The dialect that it was read as.
    pub dialect: Dialect,
    /// Why it cannot run, or may not.
    pub problems: Vec<Complaint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Amiss {
    Nothing,
    /// The parser was lost: its grammar may be what lacks something.
    NotUnderstood,
    NothingToRun,
    CannotRun,
}

impl Text {
    fn of(file: &MigrationFile, dialect: Dialect) -> Self {
        let script = file.script(dialect);
        let (_, mut problems) = judge(file, &script);
        if problems.is_empty() {
            let doubts = script.doubts.iter().take(1);
            problems.extend(doubts.map(|doubt| {
                let complaint = complaint(Weight::Warning, file, &script, doubt);
                complaint.hint("the server has the last word: prove it with `stagecraft migrate check --apply`")
            }));
        }
        Self {
            runs: !script.statements.is_empty(),
            dialect,
            problems,
        }
    }

    fn amiss(&self) -> Amiss {
        if self.problems.iter().any(Complaint::is_violation) {
            Amiss::CannotRun
        } else if !self.runs {
            Amiss::NothingToRun
        } else if self.problems.is_empty() {
            Amiss::Nothing
        } else {
            Amiss::NotUnderstood
        }
    }
}

/// How a text runs, and why it cannot.
#[must_use]
pub fn judge(file: &MigrationFile, script: &Script) -> (Mode, Vec<Complaint>) {
    let complaint = |problem: &Problem| complaint(Weight::Violation, file, script, problem);
    let mut found: Vec<Complaint> = script.problems.iter().map(complaint).collect();
    if let Some(rows) = file.header.batch {
        found.extend(unfit(file, script).as_ref().map(complaint));
        return (Mode::Batches(rows), found);
    }
    let (wish, said) = wish(file, script);
    let mode = match (script.mode(wish), said) {
        (Ok(Mode::Apart(_)), Some(said)) => Mode::Apart(said),
        (Ok(mode), _) => mode,
        (Err(problem), _) => {
            found.push(complaint(&problem));
            Mode::Together
        }
    };
    (mode, found)
}

/// What the file asks for, and in which words where they are another tool's.
fn wish(file: &MigrationFile, script: &Script) -> (Option<Wish>, Option<String>) {
    // Tools that add no transaction have files that bring their own.
    let own = !file.tool.key.is_empty() && script.has_transaction();
    match (file.header.transaction, file.header.said) {
        (Some(Wish::Apart), Some(said)) => {
            (Some(Wish::Apart), Some(format!("the file says {said}")))
        }
        (None, _) if own => {
            let said = "the file has a transaction of its own";
            (Some(Wish::Apart), Some(said.to_owned()))
        }
        (wish, _) => (wish, None),
    }
}

/// Why a file that asks for batches cannot have them.
fn unfit(file: &MigrationFile, script: &Script) -> Option<Problem> {
    if file.header.transaction == Some(Wish::Together) {
        return Some(Problem {
            at: 0,
            what: "`batch` commits after every batch: take `transaction=on` out".to_owned(),
        });
    }
    script.batch().err()
}

fn complaint(
    weight: Weight,
    file: &MigrationFile,
    script: &Script,
    problem: &Problem,
) -> Complaint {
    let place = script.place(problem.at);
    Complaint::new(weight, Rule::Sql, &file.shown, &problem.what).at(place.line, place.column)
}

/// A file that would be recorded as applied and did nothing.
pub(super) fn empty(file: &MigrationFile, text: &Text) -> Option<Complaint> {
    (!text.runs && text.problems.is_empty()).then(|| {
        Complaint::violation(Rule::Empty, &file.shown, "there is nothing to run in it")
            .on_line(1)
            .hint("write its statements, or remove it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::Header;

    fn file(text: &str) -> MigrationFile {
        MigrationFile {
            name: "1.sql".into(),
            shown: "db/1.sql".into(),
            text: text.into(),
            checksum: String::new(),
            version: Some(1),
            header: Header::default(),
            tool: crate::migrate::files::Tool::default(),
        }
    }

    #[test]
    fn a_text_that_can_never_run_is_named_with_line_and_column() {
        let open = file("select 1;\nselect 'open");
        let read = Dialects::Known(Dialect::Sqlite).read(&open);
        assert_eq!(read.problems.len(), 1, "{read:?}");
        assert!(read.problems[0].is_violation());
        assert_eq!(read.problems[0].place(), "db/1.sql:2:8");
        let nested = file("select 1;\nbegin;\nselect 2;");
        let read = Dialects::Unknown.read(&nested);
        assert!(read.problems[0].is_violation(), "{read:?}");
        assert_eq!(read.problems[0].place(), "db/1.sql:2:1");
    }

    #[test]
    fn what_the_parser_does_not_understand_is_a_warning() {
        let odd = file("select 1;\nfrobnicate the table;");
        let read = Dialects::Known(Dialect::Postgres).read(&odd);
        assert_eq!(read.problems.len(), 1, "{read:?}");
        assert_eq!(read.problems[0].weight, Weight::Warning);
        assert_eq!(read.problems[0].line, Some(2));
    }

    #[test]
    fn while_the_dialect_is_not_known_it_is_enough_that_one_can_run_it() {
        let backslash = file("select 'it\\'s';");
        assert_eq!(Dialects::Unknown.read(&backslash).problems, []);
        assert_eq!(Dialects::Unknown.read(&backslash).dialect, Dialect::Mysql);
        let known = Dialects::Known(Dialect::Postgres).read(&backslash);
        assert!(!known.problems.is_empty());
    }

    #[test]
    fn a_file_of_comments_has_nothing_to_run() {
        let nothing = file("-- later\n");
        let read = Dialects::Unknown.read(&nothing);
        let complaint = empty(&nothing, &read).expect("a complaint");
        assert_eq!(complaint.place(), "db/1.sql:1");
        let mysql_runs_it = file("/*! set names utf8 */;");
        assert!(Dialects::Unknown.read(&mysql_runs_it).runs);
        let something = file("select 1");
        assert_eq!(empty(&something, &Dialects::Unknown.read(&something)), None);
    }

    #[test]
    fn line_endings_and_comments_make_no_other_text() {
        let same = |a, b| Dialects::Unknown.same(a, b);
        assert!(same("select 1;\n", "-- licence\r\nselect 1;\r\n"));
        assert!(!same("select 1;", "select 2;"));
        // In one dialect a comment, in another a statement.
        assert!(!same("select 1", "select 1 # 2"));
    }
}
