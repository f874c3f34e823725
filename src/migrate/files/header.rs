//! `-- stagecraft: key=value` lines at the head of a file. Imports
//! `model::complaint`. A directive that is not understood is refused: ignoring it
//! would run the file in another way than its author wanted.

use crate::migrate::sql::Wish;
use crate::migrate::words;
use crate::model::complaint::{Complaint, Rule};

/// What a file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    pub transaction: Option<Wish>,
    /// It runs after the rollout.
    pub post: bool,
    pub compat: Option<Claim>,
    /// The words of another tool by which the file asked for `transaction`.
    pub said: Option<&'static str>,
    /// Its one statement runs for this many rows at a time.
    pub batch: Option<u64>,
}

/// What the author says about code of the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Additive,
    Breaking,
}

const KNOWN: [&str; 7] = [
    "transaction=off",
    "transaction=on",
    "phase=post",
    "phase=pre",
    "compat=additive",
    "compat=breaking",
    "batch=5000",
];

impl Header {
    /// Reads the header; problems name the file and line.
    #[must_use]
    pub fn read(text: &str, shown: &str) -> (Self, Vec<Complaint>) {
        let mut header = Self::default();
        let mut problems = vec![];
        let mut head = true;
        let mut comment = false;
        for (index, whole) in text.lines().enumerate() {
            let line = whole.trim();
            comment |= line.starts_with("/*") && !line.starts_with("/*!");
            if !line.is_empty() && !line.starts_with("--") && !comment {
                head = false;
            }
            // Text behind the end of a comment is a statement's.
            if let Some((_, rest)) = line.split_once("*/").filter(|_| comment) {
                comment = false;
                head &= rest.trim().is_empty();
            }
            let Some(directives) = directives(line) else {
                continue;
            };
            // What the lint is to leave alone may stand before any statement.
            if directives.trim_start().starts_with("ignore=") {
                continue;
            }
            let complaint = |word: &str, what: &str| {
                let column = whole.find(word).map_or(0, |at| whole[..at].chars().count());
                Complaint::violation(Rule::Directive, shown, what).at(index + 1, column + 1)
            };
            if !head {
                problems.push(complaint(
                    "--",
                    "`-- stagecraft:` lines stand at the top of the file, before the first statement",
                ));
                continue;
            }
            for word in directives.split([' ', ',', '\t']).filter(|w| !w.is_empty()) {
                if !header.take(word) {
                    let near = words::nearest(word, KNOWN.into_iter());
                    let what = format!("unknown directive `{word}`");
                    let nearest = format!("the nearest is `{}`", near[0]);
                    problems.push(complaint(word, &what).hint(nearest));
                }
            }
        }
        (header, problems)
    }

    fn take(&mut self, word: &str) -> bool {
        match word {
            "transaction=off" => self.transaction = Some(Wish::Apart),
            "transaction=on" => self.transaction = Some(Wish::Together),
            "phase=post" => self.post = true,
            "phase=pre" => self.post = false,
            "compat=additive" => self.compat = Some(Claim::Additive),
            "compat=breaking" => self.compat = Some(Claim::Breaking),
            other => return self.take_batch(other),
        }
        true
    }

    fn take_batch(&mut self, word: &str) -> bool {
        let rows = word
            .strip_prefix("batch=")
            .and_then(|rows| rows.parse().ok());
        self.batch = rows.filter(|rows| *rows > 0).or(self.batch);
        rows.is_some_and(|rows| rows > 0)
    }
}

fn directives(line: &str) -> Option<&str> {
    line.strip_prefix("--")?
        .trim_start()
        .strip_prefix("stagecraft:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_from_the_comments_at_the_top() {
        let text = "/* licence;\n   more */\n-- who: me\n\n--stagecraft: transaction=off, phase=post\n-- stagecraft: compat=additive batch=500\nselect 1;";
        let (header, problems) = Header::read(text, "f.sql");
        assert_eq!(problems, []);
        assert_eq!(
            header,
            Header {
                transaction: Some(Wish::Apart),
                post: true,
                compat: Some(Claim::Additive),
                said: None,
                batch: Some(500),
            }
        );
    }

    #[test]
    fn an_unknown_directive_and_one_in_the_middle_are_refused_with_their_line() {
        let (_, problems) = Header::read("-- stagecraft: transaction=of\nselect 1;", "f.sql");
        assert_eq!(
            problems[0].to_string(),
            "`f.sql:1:16`: unknown directive `transaction=of`; the nearest is `transaction=off`"
        );
        let (_, problems) = Header::read("-- stagecraft: batch=0\nselect 1;", "f.sql");
        assert!(
            problems[0]
                .to_string()
                .contains("`batch=0`; the nearest is `batch=5000`"),
            "{problems:?}"
        );
        assert_eq!(problems.len(), 1);
        let (_, problems) = Header::read("select 1;\n-- stagecraft: phase=post", "f.sql");
        assert_eq!(problems[0].place(), "f.sql:2:1");
    }
}
