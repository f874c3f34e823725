//! node-pg-migrate, its SQL files: `<time>_<name>.sql`, `-- Up Migration` and
//! `-- Down Migration`; without such a line the whole file goes up.

use super::section::{self, Up, Wrong};
use super::{Beside, Label, Layout, Named, number_of};

pub(super) struct NodePgMigrate;

impl Layout for NodePgMigrate {
    fn named(&self, name: &str) -> Named {
        let Some((stem, suffix)) = name.rsplit_once('.') else {
            return Named::Other;
        };
        if matches!(suffix, "js" | "ts" | "mjs" | "cjs" | "mts" | "cts") {
            return Named::Wrong("is code, which only node-pg-migrate itself can run".to_owned());
        }
        if suffix != "sql" {
            return Named::Other;
        }
        let number = number_of(stem).and_then(|(digits, rest)| Some((digits.parse().ok()?, rest)));
        let Some((number, rest)) = number else {
            return Named::Wrong(
                "begins with no number and `_`, as node-pg-migrate wants".to_owned(),
            );
        };
        let order = millis(number);
        Named::Migration(Label {
            key: stem.to_owned(),
            order: (vec![order], name.to_owned()),
            version: i64::try_from(number).ok(),
            description: rest.to_owned(),
            when: 0,
        })
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let find = |word: &str| text.lines().position(|line| marks(line, word));
        let text = match (find("up"), find("down")) {
            (None, _) => text.to_owned(),
            (Some(up), Some(down)) if up < down => section::lines(text, up, Some(down)),
            (Some(up), _) => section::lines(text, up, None),
        };
        Ok(Up::whole(&text))
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, _: &[u8]) -> String {
        String::new()
    }

    fn creates_with(&self) -> &'static str {
        "node-pg-migrate create NAME --migration-file-language sql"
    }
}

/// `--`, any dashes and blanks, the word, `migration`.
pub(super) fn marks(line: &str, word: &str) -> bool {
    let line = line.trim_start().to_ascii_lowercase();
    let Some(said) = line.strip_prefix("--") else {
        return false;
    };
    let said = said.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let rest = said.strip_prefix(word).unwrap_or_default();
    rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with("migration")
}

/// A time of 17 digits (`YYYYMMDDhhmmssSSS`) among those in milliseconds.
fn millis(number: u64) -> u64 {
    let text = number.to_string();
    if text.len() != 17 {
        return number;
    }
    let time = chrono::NaiveDateTime::parse_from_str(&text[..14], "%Y%m%d%H%M%S");
    let millis = time.map(|time| time.and_utc().timestamp_millis());
    millis
        .ok()
        .and_then(|millis| u64::try_from(millis).ok())
        .map_or(number, |millis| millis + number % 1000)
}
