//! Prisma Migrate: `<name>/migration.sql`, in order of the names; SHA-256 of
//! the whole file.

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named, leading_number};
use crate::migrate::hashing;

pub(super) struct Prisma;

impl Layout for Prisma {
    fn named(&self, name: &str) -> Named {
        Named::Migration(Label {
            key: name.to_owned(),
            order: (vec![], name.to_owned()),
            version: leading_number(name).ok().flatten(),
            description: String::new(),
            when: 0,
        })
    }

    fn inside(&self) -> Option<&'static str> {
        Some("migration.sql")
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        Ok(Up::whole(text))
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, bytes: &[u8]) -> String {
        hashing::sha256(bytes)
    }

    fn creates_with(&self) -> &'static str {
        "prisma migrate dev --create-only --name NAME"
    }
}
