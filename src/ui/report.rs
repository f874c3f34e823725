//! A fault as people and as programs read it: what failed, why, where the
//! world stands, what to do next. The order and the shape are a contract.

use serde_json::{Value, json};

use crate::model::fault::{Fault, FaultKind};

use super::style::Style;
use super::words::printable;

/// For people. Wraps at `width`, never inside backticks and never a line that
/// is evidence.
#[must_use]
pub fn text(fault: &Fault, style: Style, width: Option<usize>) -> String {
    let heading = format!("{}:", status(fault.kind));
    let mut paragraphs = vec![(style.bad(&heading), heading.as_str(), fault.what.clone())];
    for cause in &fault.causes {
        let word = "  caused by:";
        paragraphs.push((style.bad(word), word, cause.clone()));
    }
    let mut text = String::new();
    for (painted, word, rest) in paragraphs {
        text += &paragraph(&painted, word, &rest, width);
    }
    for evidence in &fault.evidence {
        text += &format!("\n  {}\n", style.bold(&printable(&evidence.title)));
        for line in evidence.lines.iter().flat_map(|line| line.lines()) {
            text += &format!("    {}", printable(line));
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    let mut after = String::new();
    if !fault.state.is_empty() {
        after += &paragraph(
            &style.bold("state:"),
            "state:",
            &fault.state.join("; "),
            width,
        );
    }
    for hint in distinct(&fault.hints) {
        after += &paragraph(&style.hint("hint:"), "hint:", hint, width);
    }
    if !after.is_empty() {
        text.push('\n');
        text += &after;
    }
    text
}

/// For programs: the one document of a run that failed.
#[must_use]
pub fn document(fault: &Fault, exit_code: u8) -> Value {
    json!({
        "status": status(fault.kind),
        "error": {
            "kind": fault.kind,
            "what": fault.what,
            "causes": fault.causes,
            "evidence": fault.evidence,
            "state": fault.state,
            "hints": distinct(&fault.hints),
        },
        "exit_code": exit_code,
    })
}

/// Who says no to a question has not met an error.
fn status(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Cancelled => "cancelled",
        FaultKind::Config
        | FaultKind::Locked
        | FaultKind::Refused
        | FaultKind::Unreachable
        | FaultKind::Failed
        | FaultKind::UndoFailed
        | FaultKind::Interrupted
        | FaultKind::Internal => "error",
    }
}

fn distinct(hints: &[String]) -> Vec<&String> {
    let mut seen: Vec<&String> = vec![];
    for hint in hints {
        if !seen.contains(&hint) {
            seen.push(hint);
        }
    }
    seen
}

/// A word, its text, and the text's further lines under it.
fn paragraph(painted: &str, word: &str, text: &str, width: Option<usize>) -> String {
    let indent = " ".repeat(word.chars().count() + 1);
    let room = width
        .map_or(usize::MAX, |width| width.saturating_sub(indent.len()))
        .max(20);
    let text = printable(text);
    let mut lines = text.lines().flat_map(|line| wrap(line, room));
    let mut out = format!("{painted} {}\n", lines.next().unwrap_or_default());
    for line in lines {
        out += &format!("{indent}{line}");
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

fn wrap(line: &str, room: usize) -> Vec<String> {
    if line.chars().count() <= room {
        return vec![line.to_owned()];
    }
    let mut lines = vec![];
    let mut current = String::new();
    for word in unbreakable(line) {
        let length = current.chars().count() + 1 + word.chars().count();
        if !current.is_empty() && length > room {
            lines.push(std::mem::take(&mut current));
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current += &word;
    }
    lines.push(current);
    lines
}

/// The words of a line; what stands between backticks is one word, so that a
/// command can be copied.
fn unbreakable(line: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    let mut open = false;
    for piece in line.split(' ') {
        match words.last_mut() {
            Some(last) if open => {
                last.push(' ');
                last.push_str(piece);
            }
            Some(_) | None => words.push(piece.to_owned()),
        }
        if piece.matches('`').count() % 2 == 1 {
            open = !open;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> Fault {
        Fault::failed("pre-deploy migrations failed on `main`")
            .because("migration `0042_add_notes.sql` exited with status 3")
            .because("ERROR: column \"notes\" already exists\nLINE 1: alter table\n        ^")
            .showing(
                "last lines from app-migrate on 10.0.0.4",
                vec![
                    "applying 0042_add_notes.sql".to_owned(),
                    "\u{1b}[31mERROR: column \"notes\" already exists\u{1b}[0m".to_owned(),
                ],
            )
            .state("1 of 2 migrations applied")
            .state("nothing was rolled out")
            .state("rel-20260114-101502001 is still live")
            .hint("fix forward with a new migration, then run `stagecraft deploy --env prod`")
    }

    #[test]
    fn a_failure_says_what_why_where_the_world_stands_and_what_next() {
        insta::assert_snapshot!(text(&fault(), Style::Plain, None));
    }

    #[test]
    fn a_narrow_terminal_wraps_words_but_neither_commands_nor_evidence() {
        insta::assert_snapshot!(text(&fault(), Style::Plain, Some(44)));
    }

    #[test]
    fn a_bare_fault_is_one_line() {
        assert_eq!(
            text(&Fault::interrupted(), Style::Plain, None),
            "error: interrupted\n"
        );
    }

    #[test]
    fn a_hint_that_two_places_gave_is_printed_once() {
        let mut fault = Fault::refused("no");
        fault.hints = vec!["do this".into(), "do that".into(), "do this".into()];
        assert_eq!(
            text(&fault, Style::Plain, None),
            "error: no\n\nhint: do this\nhint: do that\n"
        );
        assert_eq!(
            document(&fault, 12)["error"]["hints"],
            json!(["do this", "do that"])
        );
    }

    #[test]
    fn programs_get_the_same_as_data() {
        let document = document(&fault(), 22);
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).expect("JSON"));
    }

    #[test]
    fn a_refused_answer_is_cancelled_not_an_error() {
        let fault = Fault::new(FaultKind::Cancelled, "nobody answered within 5 minutes");
        assert_eq!(
            text(&fault, Style::Plain, None),
            "cancelled: nobody answered within 5 minutes\n"
        );
        assert_eq!(document(&fault, 12)["status"], "cancelled");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let colored = text(&fault(), Style::Color, Some(60));
        assert_ne!(colored, text(&fault(), Style::Plain, Some(60)));
        assert_eq!(printable(&colored), text(&fault(), Style::Plain, Some(60)));
    }
}
