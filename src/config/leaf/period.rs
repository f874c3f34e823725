//! Lengths of time.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::read::{Read, Reader};
use super::super::tree::{Kind, Node};
use super::leaf_schema;

/// A length of time, such as `30s`, `500ms` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Period(pub(in crate::config) Duration);

leaf_schema!(Period, "Period", {
    "type": ["string", "integer"],
    "pattern": "^(0|([0-9]+(ms|s|m|h|d))+)$",
    "maximum": 0,
    "minimum": 0,
});

impl Read for Period {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "a length of time such as `30s`, `500ms`, `5m` or `1h`";
        let scalar = reader.scalar(node, expected)?;
        let period = duration(&scalar.text);
        if period.is_none() {
            reader.wrong_type(node, expected);
            if matches!(scalar.kind(), Kind::Integer(_))
                && let Some(finding) = reader.found.errors.last_mut()
            {
                finding.help(format!("write the unit too, such as `{}s`", scalar.text));
            }
        }
        period.map(Period)
    }
}

/// Sums of whole numbers with a unit each; `0` needs none.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let amount = number.parse::<u64>().ok()?.checked_mul(milliseconds)?;
        total = total.checked_add(Duration::from_millis(amount))?;
        rest = tail;
    }
    // Longer than a year is a slip of the keyboard, and would overflow timers.
    (!text.is_empty() && total <= Duration::from_secs(366 * 86_400)).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_whole_numbers_with_units() {
        for (text, milliseconds) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("1h30m", Some(5_400_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("30 s", None),
            ("1y", None),
            ("99999999999999999999h", None),
            ("9999999h", None),
        ] {
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
