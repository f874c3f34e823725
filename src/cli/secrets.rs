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
        if let Some(password) = password_of(value.reveal()) {
            (self.hide)(&password);
        }
        Ok(value)
    }
}

/// A connection URL's password, which a server may print by itself.
fn password_of(value: &str) -> Option<Secret> {
    let url = Url::parse(value).ok()?;
    url.password().map(Secret::new)
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

    #[test]
    fn the_password_of_a_url_is_a_secret_of_its_own() {
        let password = password_of("postgres://app:hunter22@db:5432/shop");
        assert_eq!(password.as_ref().map(Secret::reveal), Some("hunter22"));
        assert!(password_of("no url").is_none());
    }
}
