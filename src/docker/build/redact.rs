//! Takes secret values out of what a build prints. A build that echoes its
//! secret must not bring it into our logs.

use crate::model::secret::Secret;

/// Shorter values would blacken ordinary words.
const SHORTEST: usize = 4;

/// Replaces the values that it knows by `[secret]`.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// The longest first, so that no part of one stays.
    values: Vec<String>,
}

impl Redactor {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut values = vec![];
        for secret in secrets {
            // Logs come line by line, so each line of a key stands for itself.
            let whole = std::iter::once(secret.reveal());
            values.extend(
                whole
                    .chain(secret.reveal().lines())
                    .map(str::trim)
                    .filter(|value| value.len() >= SHORTEST)
                    .map(str::to_owned),
            );
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "[secret]");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_lines_are_taken_out() {
        let secrets = [
            Secret::new("hunter2"),
            Secret::new("-----KEY-----\nabcdef\n-----END-----\n"),
            Secret::new("abc"),
        ];
        let redactor = Redactor::new(&secrets);
        assert_eq!(redactor.clean("token=hunter2!"), "token=[secret]!");
        assert_eq!(redactor.clean("abcdef"), "[secret]");
        assert_eq!(
            redactor.clean("abc stays: it is too short"),
            "abc stays: it is too short"
        );
    }
}
