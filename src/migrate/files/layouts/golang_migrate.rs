//! golang-migrate: `<digits>_<name>.up.sql` and `.down.sql`.

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named, number_of, numbered};

pub(super) struct GolangMigrate;

impl Layout for GolangMigrate {
    fn named(&self, name: &str) -> Named {
        let stem = name.strip_suffix(".sql").unwrap_or_default();
        match (number_of(stem), stem.rsplit_once('.')) {
            (Some(_), Some((_, "down"))) => Named::Other,
            (Some((digits, rest)), Some((_, "up"))) => {
                numbered(digits, rest.strip_suffix(".up").unwrap_or(rest))
            }
            _ if name.ends_with(".sql") => Named::Wrong(
                "is not named `<digits>_<name>.up.sql`: golang-migrate does not see it".to_owned(),
            ),
            _ => Named::Other,
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

    fn checksum(&self, _: &Label, _: &[u8]) -> String {
        String::new()
    }

    fn creates_with(&self) -> &'static str {
        "migrate create -ext sql -dir FOLDER NAME"
    }
}
