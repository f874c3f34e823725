//! dbmate: `<digits>_<name>.sql`, `-- migrate:up` and `-- migrate:down`.

use super::section::{self, Up, Wrong};
use super::{Beside, Label, Layout, Named, leading_number};

pub(super) struct Dbmate;

impl Layout for Dbmate {
    /// Versions are texts: `0001` and `1` are two of them.
    fn named(&self, name: &str) -> Named {
        let Some(stem) = name.strip_suffix(".sql") else {
            return Named::Other;
        };
        let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Named::Wrong("begins with no digits: dbmate does not see it".to_owned());
        }
        Named::Migration(Label {
            key: stem[..digits].to_owned(),
            order: (vec![], name.to_owned()),
            version: leading_number(stem).ok().flatten(),
            description: stem[digits..].trim_start_matches('_').to_owned(),
            when: 0,
        })
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let mut up = None;
        let mut down = None;
        for (index, line) in text.lines().enumerate() {
            let said = line.strip_prefix("--").map(str::trim_start);
            match said.and_then(|said| said.strip_prefix("migrate:")) {
                Some(rest) if begins(rest, "up") => {
                    if up.is_some() {
                        return Wrong::at(index, "`-- migrate:up` stands twice");
                    }
                    if down.is_some() {
                        return Wrong::at(index, "`-- migrate:up` stands behind `-- migrate:down`");
                    }
                    up = Some((index, line.contains("transaction:false")));
                }
                Some(rest) if begins(rest, "down") => down = down.or(Some(index)),
                _ if up.is_none() && down.is_none() && !section::idle(line) => {
                    return Wrong::at(index, "has a statement before `-- migrate:up`");
                }
                _ => {}
            }
        }
        let Some((_, apart)) = up else {
            return Wrong::at(0, "has no line `-- migrate:up`");
        };
        Ok(Up {
            text: section::lines(text, 0, down),
            apart: apart.then_some("`-- migrate:up transaction:false`"),
        })
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, _: &[u8]) -> String {
        String::new()
    }

    fn creates_with(&self) -> &'static str {
        "dbmate new NAME"
    }
}

fn begins(rest: &str, word: &str) -> bool {
    rest.strip_prefix(word)
        .is_some_and(|more| more.is_empty() || more.starts_with(char::is_whitespace))
}
