//! The grammar of everything that is said, once.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// `1 migration`, `2 migrations`. The plural is the word with an `s`.
#[must_use]
pub fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        more => format!("{more} {word}s"),
    }
}

/// `a`, `a or b`, `a, b or c`, each in backticks.
pub fn or_list<I: IntoIterator<Item = S>, S: AsRef<str>>(words: I) -> String {
    list(words, "or")
}

/// `a`, `a and b`, `a, b and c`, each in backticks.
pub fn and_list<I: IntoIterator<Item = S>, S: AsRef<str>>(words: I) -> String {
    list(words, "and")
}

fn list<I: IntoIterator<Item = S>, S: AsRef<str>>(words: I, last: &str) -> String {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
    }
}

/// `340 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let tenths = (ms + 50) / 100;
    let seconds = (ms + 500) / 1000;
    if ms < 1000 {
        format!("{ms} ms")
    } else if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else if seconds < 3600 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        let minutes = (seconds + 30) / 60;
        format!("{} h {} min", minutes / 60, minutes % 60)
    }
}

/// Decimal, as the Docker client counts: `812 B`, `1.2 kB`, `34 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB"] {
        // The next unit begins where rounding would print 1000 of this one.
        if count < unit * 1000 - unit / 2 {
            return amount(count, unit, name);
        }
        unit *= 1000;
    }
    amount(count, unit, "TB")
}

fn amount(count: u64, unit: u64, name: &str) -> String {
    // In u128 because ten times the count may not fit.
    let (count, unit) = (u128::from(count), u128::from(unit));
    let tenths = (count * 10 + unit / 2) / unit;
    if unit == 1 || tenths >= 100 {
        format!("{} {name}", (count + unit / 2) / unit)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// How long ago: `just now`, `35 s ago`, `5 min ago`, `3 h ago`, `2 days ago`.
#[must_use]
pub fn relative(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    match seconds {
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => {
            let days = usize::try_from(seconds / 86_400).unwrap_or_default();
            format!("{} ago", plural(days, "day"))
        }
    }
}

/// `2026-01-14 10:15:02`, UTC; the reader is told so nearby.
#[must_use]
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Text of a container, database or tool without what a terminal would obey:
/// escape sequences and control characters.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => clean.push_str("  "),
            '\n' => clean.push('\n'),
            // They reorder or hide what stands around them.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // Control sequence: parameters, then one final letter.
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        // Operating system command: up to a bell or a string terminator.
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lists_read_as_sentences() {
        assert_eq!(plural(1, "host"), "1 host");
        assert_eq!(plural(0, "host"), "0 hosts");
        assert_eq!(or_list(["a"]), "`a`");
        assert_eq!(or_list(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(and_list(["a", "b"]), "`a` and `b`");
        assert_eq!(or_list::<_, &str>([]), "");
    }

    #[test]
    fn a_duration_has_the_precision_that_its_length_deserves() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (1_249, "1.2 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 0 s"),
            (185_000, "3 min 5 s"),
            (3_599_600, "1 h 0 min"),
            (7_800_000, "2 h 10 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn bytes_count_in_thousands() {
        for (count, text) in [
            (0, "0 B"),
            (812, "812 B"),
            (999, "999 B"),
            (1_234, "1.2 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (34_000_000, "34 MB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn a_time_is_told_from_now() {
        let now = Utc::now();
        for (seconds, text) in [
            (-40, "just now"),
            (35, "35 s ago"),
            (60, "1 min ago"),
            (7_300, "2 h ago"),
            (86_400, "1 day ago"),
            (200_000, "2 days ago"),
        ] {
            let then = now - chrono::Duration::seconds(seconds);
            assert_eq!(relative(then, now), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(
            printable("\u{1b}[31mred\u{1b}[0m\ttab\r\u{7}\u{1b}]0;title\u{7}end\u{202e}"),
            "red  tabend"
        );
        assert_eq!(printable("\u{1b}]8;;http://x\u{1b}\\link"), "link");
    }
}
