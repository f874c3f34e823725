//! The Docker client's store: `config.json`, its `auths`, `credsStore` and
//! `credHelpers`. Read-only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use crate::model::fault::Fault;
use crate::model::secret::Secret;

use super::Credentials;

/// A helper may ask its user to unlock a keychain.
const HELPER_PATIENCE: Duration = Duration::from_secs(60);

/// See the module's own words.
#[derive(Debug, Clone)]
pub struct DockerStore {
    file: Option<PathBuf>,
}

impl DockerStore {
    /// `$DOCKER_CONFIG`, else `~/.docker`.
    #[must_use]
    pub fn of_user() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
        Self {
            file: folder.map(|folder| folder.join("config.json")),
        }
    }

    #[must_use]
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self {
            file: Some(file.into()),
        }
    }

    /// # Errors
    /// An unreadable file, a failing helper.
    pub(super) async fn find(&self, registry: &str) -> Result<Option<Credentials>, Fault> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let text = match tokio::fs::read(file).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(
                    Fault::config(format!("cannot read `{}`", file.display())).caused_by(&error)
                );
            }
        };
        let config: ConfigFile = serde_json::from_slice(&text).map_err(|error| {
            // Its text may quote the file; its place may not.
            Fault::config(format!("cannot read `{}`", file.display())).because(format!(
                "it is not the JSON that the Docker client writes (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        match config.helper(registry) {
            Some(helper) => ask(helper, registry).await,
            None => config.filed(registry, file),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: HashMap<String, Filed>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Filed {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl ConfigFile {
    fn helper(&self, registry: &str) -> Option<&str> {
        self.cred_helpers
            .get(registry)
            .or(self.creds_store.as_ref())
            .map(String::as_str)
            .filter(|helper| !helper.is_empty())
    }

    fn filed(&self, registry: &str, file: &Path) -> Result<Option<Credentials>, Fault> {
        let Some(filed) = self.auths.get(registry).or_else(|| {
            self.auths
                .iter()
                .find(|(key, _)| host_of(key) == host_of(registry))
                .map(|(_, filed)| filed)
        }) else {
            return Ok(None);
        };
        if !filed.identitytoken.is_empty() {
            return Ok(Some(Credentials::Token(Secret::new(&filed.identitytoken))));
        }
        if filed.auth.is_empty() {
            let known = !filed.username.is_empty();
            return Ok(known.then(|| Credentials::Password {
                username: filed.username.clone(),
                password: Secret::new(&filed.password),
            }));
        }
        let (username, password) = decode(&filed.auth).ok_or_else(|| {
            Fault::config(format!(
                "the login for `{registry}` in `{}` cannot be read",
                file.display()
            ))
            .hint(format!("log in again: `docker login {registry}`"))
        })?;
        Ok(Some(Credentials::Password { username, password }))
    }
}

/// Old entries are filed under a whole address.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn decode(auth: &str) -> Option<(String, Secret)> {
    let lenient = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = String::from_utf8(lenient.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((
        username.to_owned(),
        Secret::new(password.trim_end_matches('\0')),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    username: String,
    secret: String,
}

/// `docker-credential-<helper> get`, the registry on its standard input.
async fn ask(helper: &str, registry: &str) -> Result<Option<Credentials>, Fault> {
    let program = format!("docker-credential-{helper}");
    let failed = |cause: &dyn std::error::Error| {
        Fault::config(format!(
            "the credential helper `{program}` cannot be asked for `{registry}`"
        ))
        .caused_by(cause)
        .hint(format!(
            "put `{program}` on PATH, or name the login in stagecraft.yml: \
             `registry_username_env` and `registry_password_env`"
        ))
    };
    let work = async {
        let mut child = tokio::process::Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // One that does not read its input may still answer.
            let _ = input.write_all(registry.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_PATIENCE, work).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(elapsed) => return Err(failed(&elapsed)),
    };
    if !output.status.success() {
        // Helpers say on standard output why they failed.
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said.contains("not found") {
            return Ok(None);
        }
        return Err(failed(&std::io::Error::other(format!(
            "it ended with {}: {said}",
            output.status
        ))));
    }
    let given: Given = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(&std::io::Error::other("its answer is not JSON")))?;
    Ok(Some(if given.username == "<token>" {
        Credentials::Token(Secret::new(given.secret))
    } else {
        Credentials::Password {
            username: given.username,
            password: Secret::new(given.secret),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn find(config: &str, registry: &str) -> Result<Option<Credentials>, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        DockerStore::at(file).find(registry).await
    }

    fn login(username: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password {
            username: username.into(),
            password: Secret::new(password),
        })
    }

    #[tokio::test]
    async fn a_login_is_found_by_host_however_it_was_filed() {
        // ci:p:w
        let config = r#"{"auths": {"https://ghcr.io/v1/": {"auth": "Y2k6cDp3"}, "other": {}}}"#;
        assert_eq!(find(config, "ghcr.io").await.unwrap(), login("ci", "p:w"));
        assert_eq!(find(config, "other").await.unwrap(), None);
        assert_eq!(find(config, "quay.io").await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_store_is_no_login_and_a_damaged_one_is_an_error_that_quotes_nothing() {
        assert_eq!(
            DockerStore::at("/nonexistent/x").find("a").await.unwrap(),
            None
        );
        let fault = find(r#"{"auths": "hunter2"}"#, "a").await.unwrap_err();
        assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    }

    #[tokio::test]
    async fn a_missing_helper_is_named_with_the_way_out() {
        let config = r#"{"credHelpers": {"ghcr.io": "stagecraft-none"}, "auths": {}}"#;
        let fault = find(config, "ghcr.io").await.unwrap_err();
        assert!(fault.what.contains("docker-credential-stagecraft-none"));
        assert!(fault.hints[0].contains("registry_username_env"));
        // Another registry does not need it.
        assert_eq!(find(config, "quay.io").await.unwrap(), None);
    }
}
