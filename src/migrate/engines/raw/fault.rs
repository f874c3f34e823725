//! A server's refusal as a fault: `file:line:column`, code, statement, and
//! what the server added. Imports `model`, `ports::SqlError`.

use crate::migrate::files::MigrationFile;
use crate::migrate::sql::{Place, Script};
use crate::migrate::words;
use crate::model::fault::{Fault, FaultKind};
use crate::model::project::MigrationSpec;
use crate::ports::{Dialect, SqlError, SqlErrorKind};

/// What was sent when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    Whole,
    Statement(usize),
}

pub(super) fn of(
    file: &MigrationFile,
    script: &Script,
    sent: Sent,
    error: &SqlError,
    spec: &MigrationSpec,
) -> Fault {
    let byte = byte(script, sent, error);
    let place = match byte {
        Some(byte) => format!("{}:{}", file.shown, script.place(byte)),
        None => file.shown.clone(),
    };
    let code = error.code.as_deref().map(|code| format!("{code} "));
    let said = format!("{}{}", code.unwrap_or_default(), error.message);
    let mut fault = match error.kind {
        SqlErrorKind::Statement => Fault::failed(format!("{place}: ERROR {said}")),
        SqlErrorKind::LockTimeout => Fault::failed(format!(
            "{place}: got no lock within {}, tried {}",
            words::duration(spec.lock_timeout),
            words::plural(spec.lock_retries as usize + 1, "time")
        )),
        SqlErrorKind::StatementTimeout => Fault::failed(format!(
            "{place}: the statement took longer than `statement_timeout` ({})",
            words::duration(spec.statement_timeout)
        ))
        .hint("raise `migrations.statement_timeout` when it needs longer"),
        SqlErrorKind::Cancelled => {
            Fault::new(FaultKind::Interrupted, format!("{place}: was cancelled"))
        }
        SqlErrorKind::ConnectionLost => {
            Fault::failed(format!("{place}: the connection was lost")).because(&error.message)
        }
    };
    if let Some(blocker) = &error.blocker {
        fault = fault.because(format!("blocked by {blocker}"));
    }
    if let Some(detail) = &error.detail {
        fault = fault.because(format!("detail: {detail}"));
    }
    if let Some(hint) = &error.hint {
        fault = fault.because(format!("the server suggests: {hint}"));
    }
    if let Some(context) = &error.context {
        fault = fault.because(format!(
            "in {}",
            context.lines().collect::<Vec<_>>().join("; ")
        ));
    }
    show_statement(fault, script, byte)
}

/// How many characters behind a file's text the semicolon stands at most that is
/// sent with it.
const ENDED_BY: usize = 2;

/// Where the error points, as a byte of the file's text.
fn byte(script: &Script, sent: Sent, error: &SqlError) -> Option<usize> {
    let characters = error
        .position
        .and_then(|position| usize::try_from(position).ok())
        .and_then(|position| position.checked_sub(1));
    let (start, text) = match sent {
        Sent::Statement(index) => {
            let statement = script.statements.get(index)?;
            (statement.range.start, script.slice(statement))
        }
        // MySQL's text was put together anew: positions would lie.
        Sent::Whole if script.dialect == Dialect::Mysql => (0, ""),
        Sent::Whole => (0, script.text.as_str()),
    };
    if let Some(characters) = characters
        && characters < text.chars().count()
    {
        return Some(start + Place::byte_of(text, characters));
    }
    // At the end of the text, of which the server says the semicolon behind it.
    let behind = characters.and_then(|at| at.checked_sub(text.chars().count()));
    if behind.is_some_and(|behind| behind <= ENDED_BY) && !text.trim().is_empty() {
        let last = text.trim_end().char_indices().next_back();
        return last.map(|(at, _)| start + at);
    }
    match sent {
        Sent::Statement(_) => Some(start),
        Sent::Whole => {
            let index = match error.statement {
                Some(index) => usize::try_from(index).ok()?,
                None if script.statements.len() == 1 => 0,
                None => return None,
            };
            script.statements.get(index).map(|s| s.range.start)
        }
    }
}

fn show_statement(fault: Fault, script: &Script, byte: Option<usize>) -> Fault {
    const LINES: usize = 20;
    const WIDTH: usize = 200;
    let Some(byte) = byte else { return fault };
    let index = script
        .statements
        .iter()
        .rposition(|s| s.range.start <= byte);
    let Some(index) = index else { return fault };
    let statement = &script.statements[index];
    let mut lines: Vec<String> = script
        .slice(statement)
        .lines()
        .take(LINES + 1)
        .map(|line| match line.char_indices().nth(WIDTH) {
            Some((cut, _)) => format!("{} …", &line[..cut]),
            None => line.to_owned(),
        })
        .collect();
    if lines.len() > LINES {
        lines[LINES] = "…".to_owned();
    }
    let title = format!(
        "statement {} of {}, line {}",
        index + 1,
        script.statements.len(),
        script.place(statement.range.start).line
    );
    fault.showing(title, lines)
}

/// The very first migration makes what is there: mostly the database is older
/// than its record.
pub(super) fn there_already(fault: Fault, environment: &str, database: &str) -> Fault {
    match fault.what.contains("already exists") {
        true => fault.hint(format!(
            "where the database was made without Stagecraft, mark what it has as applied: `stagecraft migrate baseline --env {environment} --database {database} --to ID`"
        )),
        false => fault,
    }
}

/// The commands that a person needs after a failure.
pub(super) fn next_steps(fault: Fault, environment: &str, database: &str, shown: &str) -> Fault {
    let run = format!(
        "`stagecraft migrate run --env {environment} --database {database}` (the next deploy runs it too)"
    );
    match fault.kind {
        FaultKind::Interrupted => fault.hint(format!("to go on: {run}")),
        FaultKind::Config
        | FaultKind::Locked
        | FaultKind::Refused
        | FaultKind::Cancelled
        | FaultKind::Unreachable
        | FaultKind::Failed
        | FaultKind::UndoFailed
        | FaultKind::Internal => fault.hint(format!(
            "mend `{shown}`, or what was in its way, then run {run}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::Header;
    use crate::migrate::sql;
    use crate::migrate::test_support::spec;
    use std::path::Path;

    fn fault(text: &str, sent: Sent, error: &SqlError) -> Fault {
        let script = sql::read(Dialect::Postgres, text);
        let file = MigrationFile {
            name: "0042_x.sql".into(),
            shown: "db/0042_x.sql".into(),
            text: text.into(),
            checksum: String::new(),
            version: Some(42),
            header: Header::default(),
            tool: crate::migrate::files::Tool::default(),
        };
        of(&file, &script, sent, error, &spec(Path::new("db")))
    }

    const TEXT: &str = "-- é\nselect 1;\nselect *\nfrom nope;\n";

    #[test]
    fn an_error_points_at_file_line_and_column() {
        let position = TEXT.chars().position(|c| c == 'p').expect("there") as u64 - 1;
        let error = SqlError {
            message: "relation \"nope\" does not exist".into(),
            code: Some("42P01".into()),
            position: Some(position),
            ..SqlError::default()
        };
        let fault = fault(TEXT, Sent::Whole, &error);
        assert_eq!(
            fault.what,
            "db/0042_x.sql:4:6: ERROR 42P01 relation \"nope\" does not exist"
        );
        assert_eq!(fault.evidence[0].title, "statement 2 of 2, line 3");
        assert_eq!(fault.evidence[0].lines, ["select *", "from nope"]);
    }

    /// A semicolon that the file does not have is sent behind it.
    #[test]
    fn an_error_at_the_semicolon_behind_the_text_points_at_the_texts_end() {
        for behind in [1, 2, 3] {
            let error = SqlError {
                position: Some("create\n".len() as u64 + behind),
                ..SqlError::default()
            };
            let fault = fault("create\n", Sent::Whole, &error);
            assert!(fault.what.starts_with("db/0042_x.sql:1:6:"), "{fault}");
        }
    }

    #[test]
    fn a_first_migration_that_makes_what_is_there_is_told_of_a_baseline() {
        let fault = Fault::failed("db/1.sql:1:1: ERROR 42P07 relation \"a\" already exists");
        let hints = there_already(fault, "prod", "main").hints;
        assert!(
            hints[0].ends_with("`stagecraft migrate baseline --env prod --database main --to ID`"),
            "{hints:?}"
        );
        assert!(
            there_already(Fault::failed("no"), "prod", "main")
                .hints
                .is_empty()
        );
    }

    #[test]
    fn without_a_position_the_failing_statement_is_pointed_at() {
        let error = SqlError {
            statement: Some(1),
            ..SqlError::default()
        };
        let whole = fault(TEXT, Sent::Whole, &error);
        assert!(whole.what.starts_with("db/0042_x.sql:3:1:"), "{whole}");
        let one = fault(TEXT, Sent::Statement(1), &SqlError::default());
        assert!(one.what.starts_with("db/0042_x.sql:3:1:"), "{one}");
    }

    #[test]
    fn an_interrupted_file_has_nothing_to_mend() {
        let next = |fault: Fault| next_steps(fault, "prod", "main", "db/1.sql").hints;
        let again =
            "`stagecraft migrate run --env prod --database main` (the next deploy runs it too)";
        assert_eq!(next(Fault::interrupted()), [format!("to go on: {again}")]);
        assert_eq!(
            next(Fault::failed("no")),
            [format!(
                "mend `db/1.sql`, or what was in its way, then run {again}"
            )]
        );
    }

    #[test]
    fn giving_up_on_a_lock_names_the_blocker_and_the_tries() {
        let error = SqlError {
            kind: SqlErrorKind::LockTimeout,
            blocker: Some("pid 7 (psql): select 1".into()),
            ..SqlError::default()
        };
        let fault = fault(TEXT, Sent::Statement(0), &error);
        assert_eq!(
            fault.to_string(),
            "db/0042_x.sql:2:1: got no lock within 5s, tried 3 times: blocked by pid 7 (psql): select 1"
        );
    }
}
