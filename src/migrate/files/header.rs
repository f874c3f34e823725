//! `-- stagecraft: key=value` lines at the head of a file. Imports nothing of
//! this crate. A directive that is not understood is refused: ignoring it
//! would run the file in another way than its author wanted.

use crate::migrate::sql::Wish;
use crate::migrate::words;

/// What a file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    pub transaction: Option<Wish>,
    /// It runs after the rollout.
    pub post: bool,
    pub compat: Option<Claim>,
    /// The words of another tool by which the file asked for `transaction`.
    pub said: Option<&'static str>,
}

/// What the author says about code of the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Additive,
    Breaking,
}

const KNOWN: [&str; 6] = [
    "transaction=off",
    "transaction=on",
    "phase=post",
    "phase=pre",
    "compat=additive",
    "compat=breaking",
];

impl Header {
    /// Reads the header; problems name the file and line.
    #[must_use]
    pub fn read(text: &str, shown: &str) -> (Self, Vec<String>) {
        let mut header = Self::default();
        let mut problems = vec![];
        let mut head = true;
        let mut comment = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
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
            let place = format!("`{shown}:{}`", index + 1);
            if !head {
                problems.push(format!(
                    "{place}: `-- stagecraft:` lines stand at the top of the file, before the first statement"
                ));
                continue;
            }
            for word in directives.split([' ', ',', '\t']).filter(|w| !w.is_empty()) {
                if !header.take(word) {
                    let near = words::nearest(word, KNOWN.into_iter());
                    problems.push(format!(
                        "{place}: unknown directive `{word}`; the nearest is `{}`",
                        near[0]
                    ));
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
            _ => return false,
        }
        true
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
        let text = "/* licence;\n   more */\n-- who: me\n\n--stagecraft: transaction=off, phase=post\n-- stagecraft: compat=additive\nselect 1;";
        let (header, problems) = Header::read(text, "f.sql");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            header,
            Header {
                transaction: Some(Wish::Apart),
                post: true,
                compat: Some(Claim::Additive),
                said: None,
            }
        );
    }

    #[test]
    fn an_unknown_directive_and_one_in_the_middle_are_refused_with_their_line() {
        let (_, problems) = Header::read("-- stagecraft: transaction=of\nselect 1;", "f.sql");
        assert_eq!(
            problems,
            ["`f.sql:1`: unknown directive `transaction=of`; the nearest is `transaction=off`"]
        );
        let (_, problems) = Header::read("select 1;\n-- stagecraft: phase=post", "f.sql");
        assert!(problems[0].starts_with("`f.sql:2`"));
    }
}
