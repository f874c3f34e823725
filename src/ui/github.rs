//! The words that GitHub Actions reads in a log: groups, annotations, and the
//! way to keep it from obeying what a container printed.

use std::path::Path;

use crate::model::complaint::{Complaint, Weight};

/// Folds the lines that follow.
pub(super) fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

pub(super) const END_GROUP: &str = "::endgroup::";

pub(super) fn warning(text: &str) -> String {
    format!("::warning title=stagecraft::{}", data(text))
}

pub(super) fn error(text: &str) -> String {
    format!("::error title=stagecraft::{}", data(text))
}

/// A mark beside a line of a file, in the changes of a pull request.
pub(super) fn annotation(folder: &Path, complaint: &Complaint) -> String {
    let kind = match complaint.weight {
        Weight::Violation => "error",
        Weight::Warning => "warning",
        Weight::Note => "notice",
    };
    let file = folder.join(&complaint.file).display().to_string();
    let mut about = format!("file={}", property(&file));
    for (name, value) in [("line", complaint.line), ("col", complaint.column)] {
        about += &value.map_or_else(String::new, |value| format!(",{name}={value}"));
    }
    let title = property(&format!("stagecraft {}", complaint.rule.label()));
    let hint = complaint.hint.as_deref();
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    let text = data(&format!("{}{hint}", complaint.what));
    format!("::{kind} {about},title={title}::{text}")
}

/// The text with nothing in it obeyed. The token is one that nobody who wrote
/// the text can know.
pub(super) fn verbatim(text: &str, token: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("::stop-commands::{token}\n{text}{end}::{token}::")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_stays_one_line() {
        assert_eq!(
            warning("100 %\nsure"),
            "::warning title=stagecraft::100 %25%0Asure"
        );
    }

    #[test]
    fn a_complaint_stands_beside_its_line() {
        use crate::model::complaint::Rule;
        let complaint = Complaint::violation(Rule::Sql, "db/1,a.sql", "100 %: no");
        assert_eq!(
            annotation(Path::new("app"), &complaint.at(2, 7).hint("mend it")),
            "::error file=app/db/1%2Ca.sql,line=2,col=7,title=stagecraft sql::100 %25: no; mend it"
        );
    }

    #[test]
    fn what_a_container_printed_stands_between_tokens() {
        assert_eq!(
            verbatim("::set-output name=x::y\n", "t0"),
            "::stop-commands::t0\n::set-output name=x::y\n::t0::"
        );
    }
}
