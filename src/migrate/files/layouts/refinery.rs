//! refinery: `V<number>__<name>.sql`, or `U…` for one that may run behind later
//! ones; SipHash-1-3 of name, version and text.

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named};
use crate::migrate::siphash;

pub(super) struct Refinery;

impl Layout for Refinery {
    fn named(&self, name: &str) -> Named {
        let named = |suffix| parts(name.strip_suffix(suffix)?);
        if named(".rs").is_some() {
            return Named::Wrong("is code, which only refinery itself can run".to_owned());
        }
        if !name.ends_with(".sql") {
            return Named::Other;
        }
        match named(".sql") {
            Some((number, rest)) => Named::Migration(Label {
                key: number.to_string(),
                order: (vec![number.unsigned_abs()], String::new()),
                version: Some(number),
                description: rest.to_owned(),
                when: 0,
            }),
            None => Named::Wrong(
                "is not named `V<number>__<name>.sql`: refinery does not see it".to_owned(),
            ),
        }
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        Ok(Up::whole(text))
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    /// With versions of 32 bits, and of 64 bits, which refinery's feature
    /// `int8-versions` makes of them.
    fn checksum(&self, label: &Label, bytes: &[u8]) -> String {
        let version = label.version.unwrap_or_default();
        let sum = |version: &[u8]| {
            let mut hashed = label.description.clone().into_bytes();
            hashed.push(0xff);
            hashed.extend_from_slice(version);
            hashed.extend_from_slice(bytes);
            hashed.push(0xff);
            siphash::siphash13(&hashed)
        };
        let narrow = i32::try_from(version).map(|version| sum(&version.to_le_bytes()));
        let wide = sum(&version.to_le_bytes());
        match narrow {
            Ok(narrow) => format!("{narrow} {wide}"),
            Err(_) => wide.to_string(),
        }
    }

    fn creates_with(&self) -> &'static str {
        "$EDITOR V<number>__NAME.sql"
    }
}

fn parts(stem: &str) -> Option<(i64, &str)> {
    let rest = stem.strip_prefix(['V', 'U'])?;
    let (number, name) = rest.split_once("__")?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let fits = !name.is_empty() && name.chars().all(word);
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(())?;
    digits
        .then(|| number.parse().ok())
        .flatten()
        .map(|number| (number, name))
}
