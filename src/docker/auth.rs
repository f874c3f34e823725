//! Registry credentials: those the configuration names, else the Docker
//! client's own store. Shared by push and pull. Imports `ports` and `model`.
//!
//! Each registry is looked up once; a secret is revealed only in
//! [`Credentials::header`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::Mutex;

use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::ports::Connections;

mod store;

pub use store::DockerStore;

/// The header in which the engine takes the credentials of one registry.
pub const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// What the Docker client files the public hub under.
const HUB: &str = "https://index.docker.io/v1/";

/// A login at one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password {
        username: String,
        password: Secret,
    },
    /// An identity token from a credential helper.
    Token(Secret),
}

impl Credentials {
    /// The value of [`REGISTRY_AUTH`].
    ///
    /// Not bollard's own: that one writes the standard alphabet where the
    /// engine reads the URL-safe one, and the engine takes what it cannot read
    /// for no credentials at all.
    #[must_use]
    pub fn header(&self, registry: &str) -> HeaderValue {
        let json = match self {
            Self::Password { username, password } => serde_json::json!({
                "username": username,
                "password": password.reveal(),
                "serveraddress": registry,
            }),
            Self::Token(token) => serde_json::json!({
                "identitytoken": token.reveal(),
                "serveraddress": registry,
            }),
        };
        let mut value = HeaderValue::from_str(&URL_SAFE.encode(json.to_string()))
            .expect("base64 is made of visible ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[credentials]")
    }
}

/// Whose login is used where.
pub struct Auth {
    named: Option<Named>,
    store: DockerStore,
    known: Mutex<HashMap<String, Option<Credentials>>>,
}

/// Where the login for a registry comes from, for words about a refused one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginFrom {
    /// The variables of these names.
    Variables { username: String, password: String },
    /// The Docker client's own store, which may know none.
    Store,
}

/// `registry_username_env` and `registry_password_env`, for one registry.
struct Named {
    registry: String,
    values: Arc<dyn Connections>,
    username: String,
    password: String,
}

impl Auth {
    /// Only the Docker client's own store.
    #[must_use]
    pub fn of_docker() -> Self {
        Self::with_store(DockerStore::of_user())
    }

    #[must_use]
    pub fn with_store(store: DockerStore) -> Self {
        Self {
            named: None,
            store,
            known: Mutex::default(),
        }
    }

    /// For the registry of `repository` the values of these two names, read at
    /// first use; the store for every other registry.
    #[must_use]
    pub fn named(
        mut self,
        repository: &str,
        values: Arc<dyn Connections>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.named = Some(Named {
            registry: registry_of(repository).to_owned(),
            values,
            username: username.into(),
            password: password.into(),
        });
        self
    }

    /// The login for the registry that holds `repository` (a reference will
    /// do); `None` where nobody knows one.
    ///
    /// # Errors
    /// An unset variable, an unreadable store, a failing credential helper.
    pub async fn of(&self, repository: &str) -> Result<Option<Credentials>, Fault> {
        let registry = registry_of(repository);
        // Held while asking: a helper may put up a prompt, and one is enough.
        let mut known = self.known.lock().await;
        if let Some(credentials) = known.get(registry) {
            return Ok(credentials.clone());
        }
        let credentials = match &self.named {
            Some(named) if named.registry == registry => Some(Credentials::Password {
                username: named.values.get(&named.username).await?.reveal().to_owned(),
                password: named.values.get(&named.password).await?,
            }),
            _ => self.store.find(filed_under(registry)).await?,
        };
        known.insert(registry.to_owned(), credentials.clone());
        Ok(credentials)
    }

    #[must_use]
    pub fn login_from(&self, repository: &str) -> LoginFrom {
        match &self.named {
            Some(named) if named.registry == registry_of(repository) => LoginFrom::Variables {
                username: named.username.clone(),
                password: named.password.clone(),
            },
            _ => LoginFrom::Store,
        }
    }

    /// The header for requests about `repository`, where there is a login.
    ///
    /// # Errors
    /// As [`Auth::of`].
    pub async fn header(&self, repository: &str) -> Result<Option<HeaderValue>, Fault> {
        let registry = filed_under(registry_of(repository));
        let credentials = self.of(repository).await?;
        Ok(credentials.map(|credentials| credentials.header(registry)))
    }
}

/// The registry that a reference names: its first part when that looks like a
/// host, else the public hub.
#[must_use]
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => host,
        _ => "docker.io",
    }
}

fn filed_under(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB,
        registry => registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_the_first_part_that_looks_like_a_host() {
        let cases = [
            ("ghcr.io/acme/shop", "ghcr.io"),
            ("10.0.0.1:5000/shop@sha256:00", "10.0.0.1:5000"),
            ("localhost/shop", "localhost"),
            ("acme/shop:1", "docker.io"),
            ("busybox", "docker.io"),
        ];
        for (reference, registry) in cases {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[test]
    fn a_password_that_needs_the_url_safe_alphabet_reaches_the_engine_whole() {
        let credentials = Credentials::Password {
            username: "ci".into(),
            password: Secret::new("a??>>~~b"),
        };
        let header = credentials.header("ghcr.io");
        let text = header.to_str().unwrap();
        assert!(!text.contains(['+', '/']), "{text}");
        let json: serde_json::Value =
            serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
        assert_eq!(json["password"], "a??>>~~b");
    }

    #[test]
    fn credentials_do_not_print() {
        let credentials = Credentials::Token(Secret::new("tok"));
        let header = credentials.header("ghcr.io");
        assert_eq!(
            format!("{credentials:?} {header:?}"),
            "[credentials] Sensitive"
        );
    }
}
