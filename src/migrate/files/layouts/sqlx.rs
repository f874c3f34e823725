//! sqlx: `<digits>_<name>.sql`, or `.up.sql` with `.down.sql`; a first line
//! `-- no-transaction`; SHA-384 of the whole file.

use sha2::{Digest, Sha384};

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named, number_of, numbered};
use crate::migrate::hashing;

pub(super) struct Sqlx;

impl Layout for Sqlx {
    fn named(&self, name: &str) -> Named {
        let Some(stem) = name.strip_suffix(".sql") else {
            return Named::Other;
        };
        if stem.ends_with(".down") {
            return Named::Other;
        }
        let stem = stem.strip_suffix(".up").unwrap_or(stem);
        match number_of(stem) {
            Some((digits, rest)) => numbered(digits, &rest.replace('_', " ")),
            None => Named::Wrong("begins with no number and `_`, as sqlx wants".to_owned()),
        }
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let mut up = Up::whole(text);
        up.apart = text
            .starts_with("-- no-transaction")
            .then_some("`-- no-transaction`");
        Ok(up)
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, bytes: &[u8]) -> String {
        hashing::hex(&Sha384::digest(bytes))
    }

    fn creates_with(&self) -> &'static str {
        "sqlx migrate add NAME"
    }
}
