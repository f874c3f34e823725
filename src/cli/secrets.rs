//! Secret values on their way to their users: each one that is read is hidden
//! from everything this command prints, whoever prints it.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::config::values::Values;
use crate::model::fault::Fault;
use crate::model::release::Release;
use crate::model::secret::Secret;
use crate::ports::Connections;
use crate::ui::Ui;

type Hider = Box<dyn Fn(&Secret) + Send + Sync>;

pub(crate) struct Hidden {
    values: Values,
    hide: Hider,
}

impl Hidden {
    pub(crate) fn new(values: Values, ui: &Ui) -> Self {
        Self {
            values,
            hide: Box::new(ui.hider()),
        }
    }
}

#[async_trait]
impl Connections for Hidden {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        let value = self.values.get(name).await?;
        (self.hide)(&value);
        for password in passwords_of(value.reveal()) {
            (self.hide)(&password);
        }
        Ok(value)
    }
}

/// A connection URL's password, which a server may print by itself: as the URL
/// has it, and as it is sent.
fn passwords_of(value: &str) -> Vec<Secret> {
    let url = Url::parse(value).ok();
    let Some(written) = url.as_ref().and_then(Url::password) else {
        return vec![];
    };
    let sent = decoded(written).filter(|sent| sent != written);
    std::iter::once(written.to_owned())
        .chain(sent)
        .map(Secret::new)
        .collect()
}

/// Without percent signs; nothing where the bytes are no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Takes every known secret out of a text.
pub(crate) type Masker = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A release's record without secrets: the reason of a failed phase may quote
/// what a container or database said.
pub(crate) fn without(mask: &Masker, release: &Release) -> Release {
    let mut release = release.clone();
    for record in release.phases.values_mut() {
        record.reason = record.reason.as_deref().map(|reason| mask(reason));
    }
    release
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C27: what is shown or kept has no secret in it.
    #[test]
    fn the_password_of_a_url_is_a_secret_of_its_own_in_both_spellings() {
        let passwords = |url: &str| -> Vec<String> {
            let found = passwords_of(url);
            found.iter().map(|one| one.reveal().to_owned()).collect()
        };
        assert_eq!(
            passwords("postgres://app:hunter22@db:5432/shop"),
            ["hunter22"]
        );
        assert_eq!(
            passwords("mysql://app:p%40ss%C3%A9@db/shop"),
            ["p%40ss%C3%A9", "p@ssé"]
        );
        assert!(passwords("no url").is_empty());
        assert_eq!(decoded("100%"), Some("100%".to_owned()));
    }
}
