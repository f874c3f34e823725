//! The words that GitHub Actions reads in a log: groups, annotations, and the
//! way to keep it from obeying what a container printed.

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

/// The text with nothing in it obeyed. The token is one that nobody who wrote
/// the text can know.
pub(super) fn verbatim(text: &str, token: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("::stop-commands::{token}\n{text}{end}::{token}::")
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
    fn what_a_container_printed_stands_between_tokens() {
        assert_eq!(
            verbatim("::set-output name=x::y\n", "t0"),
            "::stop-commands::t0\n::set-output name=x::y\n::t0::"
        );
    }
}
