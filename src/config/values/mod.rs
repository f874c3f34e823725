//! Secret values: the process environment, then `env_file`, then
//! `secrets_command`.
//!
//! The one place of `config` that imports `ports`, to implement
//! [`Connections`]: where secrets come from is said in the configuration.
//! Each source is asked at its first use and only once; an explicit empty
//! value is a value. No message holds a value, not even a part of one.

mod command;
mod dotenv;

use std::ffi::OsString;
use std::path::PathBuf;

use async_trait::async_trait;
use indexmap::IndexMap;
use tokio::sync::OnceCell;

use crate::model::fault::Fault;
use crate::model::project::{Environment, ImageSource};
use crate::model::secret::Secret;
use crate::ports::{Connections, Lookup};

/// What a source that was asked gave.
type Answer = Result<IndexMap<String, Secret>, Fault>;
type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The secret values of one environment.
pub struct Values {
    process: Box<Variables>,
    env_file: Option<PathBuf>,
    secrets_command: Option<Vec<String>>,
    root: PathBuf,
    /// Name → the keys of the configuration that name it.
    uses: IndexMap<String, Vec<String>>,
    file: OnceCell<Answer>,
    command: OnceCell<Answer>,
}

impl Values {
    /// Asks nothing yet.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self {
            process: Box::new(|name| std::env::var_os(name)),
            env_file: environment.env_file.clone(),
            secrets_command: environment.secrets_command.clone(),
            root: environment.root.clone(),
            uses: uses(environment),
            file: OnceCell::new(),
            command: OnceCell::new(),
        }
    }

    /// Several at once; all missing ones are named together.
    ///
    /// # Errors
    /// The same as [`Connections::get`].
    pub async fn all(&self, names: &[String]) -> Lookup {
        let mut values = IndexMap::new();
        let mut missing = Vec::new();
        for name in names {
            match self.look_up(name).await? {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => missing.push(name.as_str()),
            }
        }
        if missing.is_empty() {
            Ok(values)
        } else {
            Err(self.missing(&missing))
        }
    }

    async fn look_up(&self, name: &str) -> Result<Option<Secret>, Fault> {
        if let Some(value) = (self.process)(name) {
            let value = value.into_string().map_err(|_| {
                Fault::config(format!("the variable `{name}` does not hold UTF-8 text"))
            })?;
            return Ok(Some(Secret::new(value)));
        }
        if let Some(path) = &self.env_file {
            let answer = self.file.get_or_init(|| dotenv::read(path)).await;
            if let Some(value) = answer.as_ref().map_err(Clone::clone)?.get(name) {
                return Ok(Some(value.clone()));
            }
        }
        if let Some(words) = &self.secrets_command {
            let run = || command::run(words, &self.root);
            let answer = self.command.get_or_init(run).await;
            if let Some(value) = answer.as_ref().map_err(Clone::clone)?.get(name) {
                return Ok(Some(value.clone()));
            }
        }
        Ok(None)
    }

    fn missing(&self, names: &[&str]) -> Fault {
        let what = match names {
            [name] => format!("the secret `{name}` has no value"),
            _ => format!("{} secrets have no value", names.len()),
        };
        let mut fault = Fault::config(what);
        for name in names {
            if let Some(uses) = self.uses.get(*name) {
                fault = fault.because(format!("`{name}` is named by {}", uses.join(" and ")));
            } else if names.len() > 1 {
                fault = fault.because(format!("`{name}` is not set"));
            }
        }
        let mut sources = vec!["the environment of this command".to_owned()];
        if let Some(path) = &self.env_file {
            sources.push(format!("`{}`", path.display()));
        }
        if let Some(program) = self
            .secrets_command
            .as_ref()
            .and_then(|words| words.first())
        {
            sources.push(format!("the output of `{program}`"));
        }
        fault = fault.because(format!("looked in {}", sources.join(", then ")));
        let first = names.first().copied().unwrap_or("NAME");
        fault.hint(match (&self.env_file, &self.secrets_command) {
            (None, None) => format!(
                "set it: `export {first}=…`, or name an `env_file` or a `secrets_command` in stagecraft.yml"
            ),
            (Some(_), _) | (_, Some(_)) => format!(
                "set it: `export {first}=…`, or add it to one of these; an empty value counts as one"
            ),
        })
    }
}

#[async_trait]
impl Connections for Values {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        let value = self.look_up(name).await?;
        value.ok_or_else(|| self.missing(&[name]))
    }
}

/// Which keys of the configuration name each variable.
fn uses(environment: &Environment) -> IndexMap<String, Vec<String>> {
    let mut uses: IndexMap<String, Vec<String>> = IndexMap::new();
    let mut add = |name: &String, key: String| {
        uses.entry(name.clone())
            .or_default()
            .push(format!("`{key}`"));
    };
    for database in environment.databases.values() {
        let key = |key: &str| format!("databases.{}.{key}", database.name);
        for name in database.connection_env.iter() {
            add(name, key("connection_env"));
        }
        for name in database.direct_connection_env.iter() {
            add(name, key("direct_connection_env"));
        }
    }
    for name in &environment.env.secret {
        add(name, "env.secret".to_owned());
    }
    if let ImageSource::Build(build) = &environment.source {
        for name in &build.secrets {
            add(name, "build.secrets".to_owned());
        }
    }
    if let Some(registry) = &environment.registry {
        for name in registry.username_env.iter() {
            add(name, "project.registry_username_env".to_owned());
        }
        for name in registry.password_env.iter() {
            add(name, "project.registry_password_env".to_owned());
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sources {
        folder: tempfile::TempDir,
        values: Values,
    }

    /// A process environment, a dotenv file, a shell script.
    fn sources(
        process: &'static [(&str, &str)],
        file: Option<&str>,
        script: Option<&str>,
    ) -> Sources {
        let folder = tempfile::tempdir().expect("a folder");
        let env_file = file.map(|text| {
            let path = folder.path().join(".env");
            std::fs::write(&path, text).expect("a file");
            path
        });
        let values = Values {
            process: Box::new(|name| {
                let known = process.iter().find(|(key, _)| *key == name);
                known.map(|(_, value)| OsString::from(value))
            }),
            env_file,
            secrets_command: script.map(|script| ["sh", "-c", script].map(str::to_owned).to_vec()),
            root: folder.path().to_owned(),
            uses: IndexMap::from([(
                "DATABASE_URL".to_owned(),
                vec!["`databases.main.connection_env`".to_owned()],
            )]),
            file: OnceCell::new(),
            command: OnceCell::new(),
        };
        Sources { folder, values }
    }

    async fn get(sources: &Sources, name: &str) -> Result<String, Fault> {
        let value = sources.values.get(name).await?;
        Ok(value.reveal().to_owned())
    }

    #[tokio::test]
    async fn the_process_wins_over_the_file_and_the_file_over_the_command() {
        let sources = sources(
            &[("A", "process")],
            Some("A=file\nB=file\n"),
            Some("echo A=command; echo B=command; echo C=command"),
        );
        assert_eq!(get(&sources, "A").await.as_deref(), Ok("process"));
        assert_eq!(get(&sources, "B").await.as_deref(), Ok("file"));
        assert_eq!(get(&sources, "C").await.as_deref(), Ok("command"));
    }

    #[tokio::test]
    async fn an_explicit_empty_value_is_a_value() {
        let sources = sources(&[("A", "")], Some("A=file\nB=\n"), Some("echo B=command"));
        assert_eq!(get(&sources, "A").await.as_deref(), Ok(""));
        assert_eq!(get(&sources, "B").await.as_deref(), Ok(""));
    }

    #[tokio::test]
    async fn the_command_runs_once_however_many_ask() {
        let sources = sources(&[], None, Some("echo x >> runs; echo A=1; echo B=2"));
        let (a, b, c) = tokio::join!(
            get(&sources, "A"),
            get(&sources, "B"),
            get(&sources, "NONE")
        );
        assert_eq!((a.as_deref(), b.as_deref()), (Ok("1"), Ok("2")));
        assert!(c.is_err());
        let runs = std::fs::read_to_string(sources.folder.path().join("runs"));
        assert_eq!(runs.expect("the command ran"), "x\n");
    }

    #[tokio::test]
    async fn a_source_that_is_not_needed_is_not_asked() {
        let sources = sources(&[("A", "1")], None, Some("echo x > ran; exit 1"));
        assert_eq!(get(&sources, "A").await.as_deref(), Ok("1"));
        assert!(!sources.folder.path().join("ran").exists());
    }

    #[tokio::test]
    async fn a_missing_value_names_its_use_and_every_source() {
        let sources = sources(&[], Some("B=1\n"), Some("true"));
        let fault = get(&sources, "DATABASE_URL").await.expect_err("missing");
        assert_eq!(fault.kind, crate::model::fault::FaultKind::Config);
        let text = format!("{fault} {:?}", fault.hints);
        for part in [
            "`DATABASE_URL` has no value",
            "`databases.main.connection_env`",
            ".env`",
            "the output of `sh`",
            "export DATABASE_URL=",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn all_missing_values_are_named_together() {
        let sources = sources(&[("B", "1")], None, None);
        let names = ["A", "B", "C"].map(str::to_owned);
        let fault = sources.values.all(&names).await.expect_err("missing");
        assert_eq!(fault.what, "2 secrets have no value");
        let text = fault.to_string();
        assert!(
            text.contains("`A`") && text.contains("`C`") && !text.contains("`B`"),
            "{text}"
        );
    }
}
