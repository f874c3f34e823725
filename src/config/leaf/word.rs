//! Words of a closed list.

use super::super::problem::{nearest, or_list};
use super::super::read::{Read, Reader};
use super::super::tree::Node;

/// One of a closed list of words, as serde knows them.
fn word<T: for<'de> serde::Deserialize<'de>>(node: &Node, reader: &mut Reader<'_>) -> Option<T> {
    let scalar = reader.scalar(node, "a word")?;
    let deserializer = serde::de::value::StrDeserializer::<Choices>::new(&scalar.text);
    match T::deserialize(deserializer) {
        Ok(value) => Some(value),
        Err(Choices(words)) => {
            let expected = or_list(words.iter().copied());
            reader.wrong_type(node, &expected);
            if let (Some(finding), Some(near)) = (
                reader.found.errors.last_mut(),
                nearest(&scalar.text, words.iter().copied()),
            ) {
                finding.help(format!("did you mean `{near}`?"));
            }
            None
        }
    }
}

/// The words that would have been right, taken out of serde's own error so
/// that they are listed nowhere a second time.
#[derive(Debug)]
struct Choices(&'static [&'static str]);

impl std::fmt::Display for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&or_list(self.0.iter().copied()))
    }
}

impl std::error::Error for Choices {}

impl serde::de::Error for Choices {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Choices(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Choices(expected)
    }
}

/// Implements [`Read`] for the model's own closed enums.
macro_rules! words {
    ($($type:ident),+) => {
        $(
            impl Read for crate::model::project::$type {
                fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                    word(node, reader)
                }
            }
        )+
    };
}

words!(
    Mode,
    OnFailure,
    Strategy,
    Via,
    Safety,
    MigrationSource,
    MigrationStrategy
);
