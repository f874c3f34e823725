//! Values that must never be shown: whatever a tool, container or database
//! prints passes through here on its way out.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::model::secret::Secret;

/// Shorter values stand in ordinary text by accident, and hiding those would
/// make output unreadable without protecting anything.
const SHORTEST: usize = 6;
const HIDDEN: &str = "[secret]";

/// Shared by everything that prints.
#[derive(Debug, Clone, Default)]
pub(super) struct Mask(Arc<RwLock<Vec<String>>>);

impl Mask {
    /// Hides the value from now on: as it is, as JSON writes it, and line by
    /// line where it has several.
    pub(super) fn hide(&self, secret: &Secret) {
        let value = secret.reveal();
        let quoted = Value::from(value).to_string();
        let escaped = quoted.trim_matches('"');
        let mut forms: Vec<&str> = vec![value, escaped];
        forms.extend(value.lines());
        let mut hidden = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms
            .into_iter()
            .map(str::trim)
            .filter(|form| form.len() >= SHORTEST)
        {
            if !hidden.iter().any(|known| known == form) {
                hidden.push(form.to_owned());
            }
        }
        // A value that holds another one goes first.
        hidden.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hidden = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = Cow::Borrowed(text);
        for form in hidden.iter() {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), HIDDEN));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_value_is_replaced_wherever_it_stands() {
        let mask = Mask::default();
        mask.hide(&Secret::new("pa\"ss word\nsecond line"));
        mask.hide(&Secret::new("abc"));
        let json = Value::from("pa\"ss word\nsecond line").to_string();
        assert_eq!(mask.apply(&json), "\"[secret]\"");
        assert_eq!(mask.apply("x pa\"ss word y"), "x [secret] y");
        assert_eq!(
            mask.apply("abc stays: too short to be told from text"),
            "abc stays: too short to be told from text"
        );
    }
}
