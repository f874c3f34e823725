//! Amounts of bytes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::read::{Read, Reader};
use super::super::tree::Node;
use super::leaf_schema;

/// An amount of bytes, such as `512KB`, `10MB` or `2GB`; each is 1024 of the
/// one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

leaf_schema!(Size, "Size", {
    "type": "string",
    "pattern": "^[0-9]+(B|KB|MB|GB)$",
});

impl Read for Size {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "an amount such as `512KB`, `10MB` or `2GB`";
        let scalar = reader.scalar(node, expected)?;
        let size = bytes(&scalar.text);
        if size.is_none() {
            reader.wrong_type(node, expected);
        }
        size.map(Size)
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    let size = number.parse::<u64>().ok()?.checked_mul(unit)?;
    // As much as the proxy can count.
    (size <= 1 << 50).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_whole_number_with_a_unit() {
        for (text, size) in [
            ("0B", Some(0)),
            ("512KB", Some(512 << 10)),
            ("10MB", Some(10 << 20)),
            ("2GB", Some(2 << 30)),
            ("10", None),
            ("10mb", None),
            ("1.5GB", None),
            ("GB", None),
            ("", None),
            ("99999999999GB", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
