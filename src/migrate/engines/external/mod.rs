//! External engines: executables `stagecraft-engine-<id>` on the search path,
//! asked by the protocol of [`protocol`], a process a call. Imports `ports`,
//! `model` and `migrate`'s pure parts.
//!
//! They run on this machine and open the database from here. The connection
//! URL reaches them in a variable of their process, never in its arguments,
//! and only where a call needs it. Stagecraft holds its own database lock
//! around them where it can open the database itself.

mod answer;
mod call;
mod plan;
pub mod protocol;
mod run;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, EngineNeeds, Environment};
use crate::model::secret::Secret;
use crate::ports::{Begun, Claim, Cx, Databases, Engine, Job};

use answer::Wrong;
use call::Caller;
use protocol::{Call, Description, PROTOCOL, Problems, Question, Subject};

/// What the name of such a program begins with.
const PREFIX: &str = "stagecraft-engine-";
/// For calls that open no connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a plan: a connection, and reading a small table.
const LOOKING: Duration = Duration::from_secs(60);

/// One program.
pub struct External {
    id: String,
    program: PathBuf,
    databases: Arc<dyn Databases>,
    described: OnceCell<Description>,
}

/// The programs on a search path, the first of each id; in order of their ids.
#[must_use]
pub fn discover(path: &OsStr, databases: &Arc<dyn Databases>) -> Vec<External> {
    let mut found: Vec<External> = vec![];
    for folder in std::env::split_paths(path) {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
                continue;
            };
            let program = folder.join(&name);
            let known = found.iter().any(|engine| engine.id == id);
            if !known && is_id(id) && is_executable(&program) {
                found.push(External::new(id, program, Arc::clone(databases)));
            }
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn is_id(id: &str) -> bool {
    let mut bytes = id.bytes();
    !id.is_empty()
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let about = std::fs::metadata(program);
    about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

impl External {
    #[must_use]
    pub fn new(id: &str, program: PathBuf, databases: Arc<dyn Databases>) -> Self {
        Self {
            id: id.to_owned(),
            // Calls are made in another folder.
            program: std::path::absolute(&program).unwrap_or(program),
            databases,
            described: OnceCell::new(),
        }
    }

    fn caller(&self, patience: Duration) -> Caller<'_> {
        Caller {
            program: &self.program,
            folder: None,
            url: None,
            patience,
            cx: None,
        }
    }

    /// Who it is; asked once.
    async fn described(&self) -> Result<&Description, Fault> {
        let ask = async {
            let question = question(Call::Describe, None);
            ask(&self.caller(PATIENCE), &question)
                .await
                .map_err(|wrong| wrong.fault(&self.name()))
        };
        self.described.get_or_try_init(|| ask).await
    }

    fn name(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
}

async fn ask<T: DeserializeOwned>(caller: &Caller<'_>, question: &Question) -> Result<T, Wrong> {
    let said = caller.call(question).await.map_err(Wrong::Broken)?;
    answer::read(caller, said)
}

fn question(call: Call, database: Option<Subject>) -> Question {
    Question {
        protocol: PROTOCOL,
        call,
        database,
        allow_out_of_order: false,
        migrations: vec![],
    }
}

/// The database as an engine is told of it, with as much time as it has.
fn subject(database: &DatabaseSpec, of: Option<&Environment>, patience: Duration) -> Subject {
    let spec = &database.migrations;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Subject {
        project: of.map(|of| of.project.to_string()).unwrap_or_default(),
        environment: of.map(|of| of.name.to_string()).unwrap_or_default(),
        name: database.name.to_string(),
        root: of.map(|of| of.root.clone()).unwrap_or_default(),
        path: spec.path.clone(),
        options: spec.options.clone(),
        release: None,
        lock_timeout_ms: millis(spec.lock_timeout),
        statement_timeout_ms: millis(spec.statement_timeout),
        timeout_ms: millis(patience),
    }
}

/// The URL of who migrates, where the database has one.
async fn url(job: &Job<'_>) -> Result<Option<Secret>, Fault> {
    let database = job.database;
    let named = database.direct_connection_env.as_ref();
    match named.or(database.connection_env.as_ref()) {
        Some(variable) => job.values.get(variable).await.map(Some),
        None => Ok(None),
    }
}

#[async_trait]
impl Engine for External {
    fn id(&self) -> &str {
        &self.id
    }

    /// What it needs it says itself when it is asked to validate: only the
    /// engines that a configuration names are ever started.
    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: false,
            connection: false,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        let described = match self.described().await {
            Ok(described) => described,
            Err(fault) => return vec![fault.to_string()],
        };
        let mut problems = vec![];
        if described.needs_path && database.migrations.path.is_none() {
            problems.push(format!("engine `{}` needs `migrations.path`", self.id));
        }
        if described.needs_connection && database.connection_env.is_none() {
            problems.push(format!(
                "engine `{}` needs `connection_env`, the variable that holds the database's URL",
                self.id
            ));
        }
        if !problems.is_empty() {
            return problems;
        }
        let question = question(Call::Validate, Some(subject(database, None, PATIENCE)));
        match ask::<Problems>(&self.caller(PATIENCE), &question).await {
            Ok(found) => found.problems,
            Err(wrong) => vec![wrong.fault(&self.name()).to_string()],
        }
    }

    fn creates(&self, _: &DatabaseSpec, _: &str) -> Option<Vec<String>> {
        None
    }

    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault> {
        plan::plan(self, cx, job, request).await
    }

    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        claim: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        run::begin(self, cx, job, plan, claim).await
    }
}

#[cfg(test)]
mod tests;
