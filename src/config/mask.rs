//! Passwords inside URLs, which people paste where a name belongs: found, so
//! that nothing that shows a part of the file repeats them.

use std::ops::Range;

/// Where `scheme://user:password@host` has its password, for every URL of a
/// text.
pub(super) fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + "://".len();
        let blank = |c: char| c.is_whitespace() || "'\"`".contains(c);
        let length = text[start..].find(blank).unwrap_or(text.len() - start);
        let url = &text[start..start + length];
        ranges.extend(password(url).map(|range| start + range.start..start + range.end));
        from = start + length;
    }
    ranges
}

/// Within what follows the scheme.
fn password(url: &str) -> Option<Range<usize>> {
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    let colon = authority.find(':')?;
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let at = match authority.rfind('@') {
        Some(at) => at,
        // A password may hold a slash that somebody forgot to encode.
        None if !port(&authority[colon + 1..]) => url.rfind('@')?,
        None => return None,
    };
    (colon < at).then_some(colon + 1..at)
}

/// The text with each password replaced.
pub(super) fn without_passwords(text: &str, placeholder: &str) -> String {
    let mut shown = text.to_owned();
    for range in passwords(text).into_iter().rev() {
        shown.replace_range(range, placeholder);
    }
    shown
}

/// The text with each password starred out, every other byte in its place.
pub(super) fn starred(text: &str) -> String {
    let mut shown = text.to_owned();
    for range in passwords(text) {
        shown.replace_range(range.clone(), &"*".repeat(range.len()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_is_hidden_and_the_rest_is_kept() {
        for (url, shown) in [
            ("postgres://u:p@h:5432/d", "postgres://u:[x]@h:5432/d"),
            ("postgres://u:p/w@h/d", "postgres://u:[x]@h/d"),
            ("a://u:p:q@r@h b://:x@h", "a://u:[x]@h b://:[x]@h"),
            ("https://h:8080/x?y=a@b", "https://h:8080/x?y=a@b"),
            ("https://u@h/x", "https://u@h/x"),
            ("no url: a@b", "no url: a@b"),
            ("x://", "x://"),
        ] {
            assert_eq!(without_passwords(url, "[x]"), shown);
            assert_eq!(starred(url).len(), url.len());
        }
    }
}
