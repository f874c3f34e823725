//! Diesel: `<version>_<name>/up.sql`. The version is the part before the first
//! underscore without its hyphens, compared as text.

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named};

pub(super) struct Diesel;

impl Layout for Diesel {
    fn named(&self, name: &str) -> Named {
        let (version, rest) = name.split_once('_').unwrap_or((name, ""));
        let key = version.replace('-', "");
        Named::Migration(Label {
            order: (vec![], key.clone()),
            version: key.parse().ok(),
            key,
            description: rest.to_owned(),
            when: 0,
        })
    }

    fn inside(&self) -> Option<&'static str> {
        Some("up.sql")
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        Ok(Up::whole(text))
    }

    fn beside(&self, name: &str) -> Option<Beside> {
        Some((format!("{name}/metadata.toml"), without_transaction))
    }

    fn checksum(&self, _: &Label, _: &[u8]) -> String {
        String::new()
    }

    fn creates_with(&self) -> &'static str {
        "diesel migration generate NAME"
    }
}

/// To Diesel, a `metadata.toml` that does not say true says false.
fn without_transaction(text: &str) -> Option<&'static str> {
    let says_true = text.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let pair = line
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()));
        pair == Some(("run_in_transaction", "true"))
    });
    (!says_true).then_some("`run_in_transaction = false` in metadata.toml")
}
