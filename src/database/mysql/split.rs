//! The statements of a script, as MySQL's own client would cut them: the
//! server refuses the empty ones that comments and last semicolons leave.

/// Every statement that is more than comments, without its semicolon.
pub(super) fn statements(script: &str) -> Vec<&str> {
    let bytes = script.as_bytes();
    let mut found = vec![];
    let (mut start, mut at, mut code) = (0, 0, false);
    while at < bytes.len() {
        let next = token_end(bytes, at);
        match bytes[at] {
            b';' => {
                if code {
                    found.push(script[start..at].trim());
                }
                (start, code) = (next, false);
            }
            _ if !blank(bytes, at) => code = true,
            _ => {}
        }
        at = next;
    }
    if code {
        found.push(script[start..].trim());
    }
    found
}

/// The first word of a statement, after its comments, in capitals.
pub(super) fn first_word(statement: &str) -> String {
    let bytes = statement.as_bytes();
    let mut at = 0;
    while at < bytes.len() && blank(bytes, at) {
        at = token_end(bytes, at);
    }
    statement[at..]
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect::<String>()
        .to_ascii_uppercase()
}

/// White space, or a comment that the server ignores.
fn blank(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_whitespace()
        || line_comment(bytes, at)
        || (bytes[at..].starts_with(b"/*")
            && !bytes[at..].starts_with(b"/*!")
            && !bytes[at..].starts_with(b"/*M!"))
}

/// `--` begins a comment only before white space.
fn line_comment(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'#'
        || (bytes[at..].starts_with(b"--")
            && bytes
                .get(at + 2)
                .is_none_or(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()))
}

/// Where the quotation, comment or single byte at `at` ends.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = match rest[0] {
        quote @ (b'\'' | b'"' | b'`') => quotation(rest, quote),
        _ if line_comment(bytes, at) => rest
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(rest.len(), |end| end + 1),
        b'/' if rest.starts_with(b"/*") => rest[2..]
            .windows(2)
            .position(|pair| pair == b"*/")
            .map_or(rest.len(), |end| end + 4),
        _ => 1,
    };
    at + length
}

fn quotation(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotations_and_comments_cut_nothing() {
        let script = "-- a; b\nINSERT INTO `a;b` VALUES ('it\\'s;', \"x;\", 'a''b;'); # c;\n\
                      /* d; */ UPDATE t SET é = 'é'; ; /*!40101 SET x = 1; */;\n-- end";
        assert_eq!(
            statements(script),
            [
                "-- a; b\nINSERT INTO `a;b` VALUES ('it\\'s;', \"x;\", 'a''b;')",
                "# c;\n/* d; */ UPDATE t SET é = 'é'",
                "/*!40101 SET x = 1; */",
            ]
        );
        assert_eq!(statements("SELECT 1--1"), ["SELECT 1--1"]);
        assert_eq!(statements("SELECT 'open"), ["SELECT 'open"]);
        assert!(statements("; -- nothing").is_empty());
    }

    #[test]
    fn a_statement_is_known_by_its_first_word() {
        assert_eq!(first_word("/* x */ -- y\n alter TABLE t"), "ALTER");
        assert_eq!(first_word("(SELECT 1)"), "");
    }
}
