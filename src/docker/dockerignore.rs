//! Patterns of `.dockerignore`, with Docker's own semantics. Imports nothing.
//!
//! They are not gitignore's: a pattern is anchored at the context's root, a
//! pattern that matches a folder matches everything in it, and the last
//! pattern that matches decides. The order of the patterns is kept; `!` turns
//! one around.

use regex::Regex;

/// A list of patterns, compiled once and asked for every path of a walk.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    rules: Vec<Rule>,
}

/// Which of the patterns matched a path or one of its parents; handed down to
/// the entries of a folder, so that a path is compared once a pattern.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matched(Vec<bool>);

#[derive(Debug)]
struct Rule {
    negated: bool,
    regex: Regex,
    /// The folders before the first part with a wildcard: nothing outside of
    /// them can match.
    literal: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a pattern: {1}")]
pub(crate) struct BadPattern(String, &'static str);

impl Patterns {
    pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut rules = vec![];
        for line in lines {
            let line = line.trim();
            let (negated, text) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if line.is_empty() {
                continue;
            }
            if text.is_empty() {
                return Err(BadPattern(line.to_owned(), "nothing follows the `!`"));
            }
            let clean = clean(text);
            let regex = compile(&clean).map_err(|why| BadPattern(line.to_owned(), why))?;
            rules.push(Rule {
                negated,
                regex,
                literal: literal_folders(&clean),
            });
        }
        Ok(Self { rules })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the last pattern that matches `path` (relative, with `/`) or
    /// one of its parents is a plain one. `parent` is the answer for the
    /// folder that holds it.
    pub(crate) fn check(&self, path: &str, parent: &Matched) -> (bool, Matched) {
        let mut verdict = false;
        let mut matched = Vec::with_capacity(self.rules.len());
        for (index, rule) in self.rules.iter().enumerate() {
            let hit = parent.0.get(index).copied().unwrap_or(false) || rule.regex.is_match(path);
            if hit {
                verdict = !rule.negated;
            }
            matched.push(hit);
        }
        (verdict, Matched(matched))
    }

    /// Whether a plain pattern may match something inside the folder.
    pub(crate) fn may_match_below(&self, folder: &str) -> bool {
        self.reaches(folder, false)
    }

    /// Whether a `!` pattern may bring back something inside an excluded
    /// folder: if not, the folder need not be read.
    pub(crate) fn may_bring_back_below(&self, folder: &str) -> bool {
        self.reaches(folder, true)
    }

    fn reaches(&self, folder: &str, negated: bool) -> bool {
        self.rules.iter().any(|rule| {
            rule.negated == negated
                && rule
                    .literal
                    .iter()
                    .zip(folder.split('/'))
                    .all(|(a, b)| a == b)
        })
    }
}

/// The path without `.`, empty parts and leading `/`; `..` takes its parent.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

fn compile(pattern: &str) -> Result<Regex, &'static str> {
    let mut regex = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    // `**name` without any other wildcard means "ends with", which is wider
    // than `**/name`.
    if let Some(suffix) = pattern.strip_prefix("**")
        && !suffix.is_empty()
        && !suffix.starts_with('/')
        && !suffix.contains(['*', '?', '[', '\\'])
    {
        regex.push_str(".*");
        chars = suffix.chars().peekable();
    }
    while let Some(char) = chars.next() {
        match char {
            '*' if chars.peek() == Some(&'*') => {
                while chars.peek() == Some(&'*') {
                    chars.next();
                }
                if chars.peek() == Some(&'/') {
                    chars.next();
                }
                regex.push_str(if chars.peek().is_none() {
                    ".*"
                } else {
                    "(.*/)?"
                });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => class(&mut chars, &mut regex)?,
            '\\' => {
                let escaped = chars.next().ok_or("it ends with a backslash")?;
                regex.push_str(&regex::escape(&escaped.to_string()));
            }
            plain => regex.push_str(&regex::escape(&plain.to_string())),
        }
    }
    regex.push('$');
    Regex::new(&regex).map_err(|_| "its `[…]` is not a set of characters")
}

/// Copies a set of characters; what only Rust's sets give a meaning to is
/// escaped.
fn class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    regex: &mut String,
) -> Result<(), &'static str> {
    regex.push('[');
    if chars.peek() == Some(&'^') {
        chars.next();
        regex.push('^');
    }
    for char in chars.by_ref() {
        match char {
            ']' => {
                regex.push(']');
                return Ok(());
            }
            '[' | '&' | '~' | '^' => {
                regex.push('\\');
                regex.push(char);
            }
            char => regex.push(char),
        }
    }
    Err("its `[` is never closed")
}

fn literal_folders(pattern: &str) -> Vec<String> {
    pattern
        .split('/')
        .take_while(|part| !part.contains(['*', '?', '[', '\\']))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(patterns: &[&str], path: &str) -> bool {
        let patterns = Patterns::parse(patterns.iter().copied()).expect("patterns");
        let mut matched = Matched::default();
        let mut verdict = false;
        let mut so_far = String::new();
        for part in path.split('/') {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            (verdict, matched) = patterns.check(&so_far, &matched);
        }
        verdict
    }

    #[test]
    fn a_pattern_is_anchored_and_takes_what_lies_below() {
        assert!(ignored(&["node_modules"], "node_modules/a/b.js"));
        assert!(!ignored(&["node_modules"], "web/node_modules/a.js"));
        assert!(ignored(&["/dist/"], "dist/x"));
        assert!(ignored(&["*/temp*"], "some/temporary.txt"));
        assert!(!ignored(&["*/temp*"], "some/deep/temp"));
        assert!(ignored(&["temp?"], "tempa"));
        assert!(!ignored(&["temp?"], "temp/a"));
    }

    #[test]
    fn two_stars_cross_folders() {
        for (pattern, path, expected) in [
            ("**/*.go", "a.go", true),
            ("**/*.go", "x/y/a.go", true),
            ("**/foo", "foo", true),
            ("**/foo", "a/foo/b", true),
            ("**/foo", "a/barfoo", false),
            ("**foo", "a/barfoo", true),
            ("a/**", "a/b/c", true),
            ("a/**", "ab", false),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("**", "anything/at/all", true),
        ] {
            assert_eq!(ignored(&[pattern], path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_match_decides_and_a_parent_counts_as_a_match() {
        assert!(!ignored(&["*.md", "!README.md"], "README.md"));
        assert!(ignored(
            &["*.md", "!README*.md", "README-secret.md"],
            "README-secret.md"
        ));
        assert!(!ignored(&["build", "!build/keep"], "build/keep/file"));
        assert!(ignored(&["build", "!build/keep"], "build/other"));
        assert!(ignored(&["!build/keep", "build"], "build/keep"));
    }

    #[test]
    fn characters_that_mean_something_to_regular_expressions_stand_for_themselves() {
        assert!(ignored(&["a+b(c).txt"], "a+b(c).txt"));
        assert!(!ignored(&["a.c"], "abc"));
        assert!(ignored(&["[a-c]x"], "bx"));
        assert!(!ignored(&["[^a-c]x"], "bx"));
        assert!(ignored(&[r"\*"], "*"));
        assert!(ignored(&["[&~[]x"], "&x"));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let bad = Patterns::parse(["a[b"]).expect_err("never closed");
        assert_eq!(
            bad.to_string(),
            "`a[b` is not a pattern: its `[` is never closed"
        );
        assert!(Patterns::parse(["!"]).is_err());
    }

    #[test]
    fn an_excluded_folder_is_read_only_where_something_may_come_back() {
        let patterns = Patterns::parse(["node_modules", "logs", "!logs/keep/*.txt"]).expect("ok");
        assert!(patterns.may_bring_back_below("logs"));
        assert!(patterns.may_bring_back_below("logs/keep"));
        assert!(!patterns.may_bring_back_below("logs/other"));
        assert!(!patterns.may_bring_back_below("node_modules"));
        let anywhere = Patterns::parse(["a", "!**/keep"]).expect("ok");
        assert!(anywhere.may_bring_back_below("a"));
    }
}
