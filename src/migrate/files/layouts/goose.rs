//! goose: `<digits>_<name>.sql`, `-- +goose Up` and `-- +goose Down`.

use super::section::{self, Up, Wrong};
use super::{Beside, Label, Layout, Named, number_of, numbered};

pub(super) struct Goose;

impl Layout for Goose {
    fn named(&self, name: &str) -> Named {
        if let Some(stem) = name.strip_suffix(".go") {
            return match number_of(stem) {
                Some(_) if !stem.ends_with("_test") => {
                    Named::Wrong("is code, which only goose itself can run".to_owned())
                }
                _ => Named::Other,
            };
        }
        let Some(stem) = name.strip_suffix(".sql") else {
            return Named::Other;
        };
        match number_of(stem) {
            Some((digits, rest)) if digits.bytes().any(|digit| digit != b'0') => {
                numbered(digits, rest)
            }
            _ => Named::Wrong("begins with no number above 0 and `_`, as goose wants".to_owned()),
        }
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let mut up = false;
        let mut down = None;
        let mut apart = None;
        let mut open = None;
        for (index, line) in text.lines().enumerate() {
            let said = line.strip_prefix("--").map(str::trim);
            let Some(said) = said.and_then(|said| said.strip_prefix("+goose")) else {
                if !up && !section::idle(line) {
                    return Wrong::at(index, "has a statement before `-- +goose Up`");
                }
                continue;
            };
            match said.trim().to_ascii_lowercase().as_str() {
                "up" if up => return Wrong::at(index, "`-- +goose Up` stands twice"),
                "up" => up = true,
                "down" if !up => {
                    return Wrong::at(index, "`-- +goose Down` stands before `-- +goose Up`");
                }
                "down" => down = down.or(Some(index)),
                "no transaction" => apart = Some("`-- +goose NO TRANSACTION`"),
                "statementbegin" if open.is_none() => open = Some(index),
                "statementend" if open.is_some() => open = None,
                "envsubst off" => {}
                "envsubst on" => {
                    return Wrong::at(
                        index,
                        "has variables of the environment put into its SQL (`-- +goose ENVSUBST ON`), which is not done here: write the values into the file",
                    );
                }
                other => {
                    return Wrong::at(index, format!("`+goose {other}` has no meaning here"));
                }
            }
        }
        if !up {
            return Wrong::at(0, "has no line `-- +goose Up`");
        }
        if let Some(index) = open {
            return Wrong::at(index, "`-- +goose StatementBegin` has no `StatementEnd`");
        }
        Ok(Up {
            text: section::lines(text, 0, down),
            apart,
        })
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, _: &[u8]) -> String {
        String::new()
    }

    fn creates_with(&self) -> &'static str {
        "goose create NAME sql"
    }
}
