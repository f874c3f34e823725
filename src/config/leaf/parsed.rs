//! Values with a form of their own: addresses, paths, names of variables,
//! shares of a fleet, volumes.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::{Batch, Volume};

use super::super::interpolate::is_name;
use super::super::read::{Read, Reader};
use super::super::tree::Node;
use super::leaf_schema;

/// Implements [`Read`] for what parses from text and says itself what is wrong.
macro_rules! parsed {
    ($type:ty) => {
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let text = String::read(node, reader)?;
                match <$type>::from_str(&text) {
                    Ok(value) => Some(value),
                    Err(problem) => {
                        reader.found.error(node.at, problem.to_string());
                        None
                    }
                }
            }
        }
    };
}

parsed!(RoleName);

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Address(pub(in crate::config) HostAddress);

leaf_schema!(Address, "Address", { "type": "string", "minLength": 1 });
parsed!(Address);

impl FromStr for Address {
    type Err = crate::model::host::NotAnAddress;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Address)
    }
}

/// A file or folder, as written; relative to the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct PathText(pub(in crate::config) String);

leaf_schema!(PathText, "Path", { "type": "string", "minLength": 1 });
parsed!(PathText);

impl FromStr for PathText {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains('\0') {
            return Err("expected a path, found empty text");
        }
        Ok(PathText(text.to_owned()))
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::config) struct Variable(pub(in crate::config) String);

leaf_schema!(Variable, "Variable", { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" });
parsed!(Variable);

impl FromStr for Variable {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) {
            return Ok(Variable(text.to_owned()));
        }
        // A URL pasted here is a secret: it is not repeated.
        Err("expected the name of a variable (letters, digits, `_`), not its value".to_owned())
    }
}

/// Hosts in one step of a rolling rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct BatchSize(pub(in crate::config) Batch);

leaf_schema!(BatchSize, "Batch", { "anyOf": [
    { "type": "integer", "minimum": 1, "maximum": 65535 },
    { "type": "string", "pattern": "^([1-9][0-9]?|100)%$" },
] });

impl Read for BatchSize {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "a number of hosts such as `1`, or a share such as `50%`";
        let scalar = reader.scalar(node, expected)?;
        let batch = match scalar.text.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .map(Batch::Percent),
            None => scalar
                .text
                .parse()
                .ok()
                .filter(|hosts| *hosts > 0)
                .map(Batch::Hosts),
        };
        if batch.is_none() {
            reader.wrong_type(node, expected);
        }
        batch.map(BatchSize)
    }
}

/// `name:/path[:ro]` or `/folder:/path[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct VolumeText(pub(in crate::config) Volume);

leaf_schema!(VolumeText, "Volume", {
    "type": "string",
    "pattern": "^(/[^:]*|[A-Za-z0-9][A-Za-z0-9_.-]*):/[^:]*(:(ro|rw))?$",
});
parsed!(VolumeText);

impl FromStr for VolumeText {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (source, target) = (parts.next(), parts.next());
        let read_only = match (parts.next(), parts.next()) {
            (None, None) | (Some("rw"), None) => false,
            (Some("ro"), None) => true,
            _ => return Err("a volume is `name:/path`, or `name:/path:ro`"),
        };
        let (Some(source), Some(target)) = (source, target) else {
            return Err("a volume is `name:/path`, or `name:/path:ro`");
        };
        if !target.starts_with('/') {
            return Err("a volume's path in the container is absolute");
        }
        if source.starts_with(['.', '~']) {
            return Err("a host's folder is given by its absolute path");
        }
        let named = source.starts_with(|c: char| c.is_ascii_alphanumeric())
            && source
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !named && !source.starts_with('/') {
            return Err("a volume's name is letters, digits, `_`, `.` and `-`");
        }
        Ok(VolumeText(Volume {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_name_or_an_absolute_folder_and_where_it_goes() {
        let volume = |text: &str| text.parse::<VolumeText>().map(|volume| volume.0);
        let named = volume("data:/data:ro").expect("a volume");
        assert_eq!(
            (
                named.source.as_str(),
                named.target.as_str(),
                named.read_only
            ),
            ("data", "/data", true)
        );
        assert!(volume("/srv/x:/data").is_ok_and(|volume| !volume.read_only));
        for bad in [
            "data",
            "data:",
            "data:x",
            "./d:/d",
            "~/d:/d",
            ":/d",
            "a:/b:c",
            "a b:/c",
            "a:/b:ro:x",
        ] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }
}
