//! What is said between Stagecraft and an external engine: one JSON document
//! each way, a process a call. Pure data; `protocol.schema.json` beside the
//! example is made of these types, and their doc comments are its words.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version that this Stagecraft speaks.
pub const PROTOCOL: u32 = 1;

/// The variable of the process that holds the connection URL.
pub const URL: &str = "STAGECRAFT_DATABASE_URL";

/// On standard input.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Question {
    /// 1.
    pub protocol: u32,
    pub call: Call,
    /// The database that is meant; absent in `describe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Subject>,
    /// In `plan`: out-of-order migrations are wanted, and no reason to refuse.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_out_of_order: bool,
    /// In `run`: the ids to apply, in this order, and no others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<String>,
}

/// What an engine is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Who are you? Answered with a `Description`.
    Describe,
    /// Are path, files and options right? Opens no connection. Answered with `Problems`.
    Validate,
    /// What is pending? Changes nothing. Answered with a `Plan`.
    Plan,
    /// Apply these. Answered with `Done`.
    Run,
}

/// A database as the configuration has it. Its connection URL is in the
/// variable `STAGECRAFT_DATABASE_URL`, in `plan` and `run` only.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Subject {
    pub project: String,
    pub environment: String,
    pub name: String,
    /// The folder of stagecraft.yml; also the process's working directory.
    pub root: PathBuf,
    /// `migrations.path`, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `migrations.options`, whole.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// In `run`: the release that it is done for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    pub lock_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    /// For the whole call: afterwards the process group is ended.
    pub timeout_ms: u64,
}

/// On standard output, and nothing else: a result or an error.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Answer {
    /// The version that the engine speaks.
    pub protocol: u32,
    /// What the call asked for: `Description`, `Problems`, `Plan` or `Done`.
    #[serde(default)]
    pub result: Option<serde_json::Value>,
    #[serde(default)]
    pub error: Option<Failure>,
}

/// The result of `describe`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Description {
    /// Of the engine itself, for messages.
    #[serde(default)]
    pub version: Option<String>,
    /// `migrations.path` must be given.
    #[serde(default)]
    pub needs_path: bool,
    /// `connection_env` must be given.
    #[serde(default)]
    pub needs_connection: bool,
}

/// The result of `validate`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Problems {
    /// Each a whole sentence fragment that names the key or file.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The result of `plan`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Plan {
    /// All migrations in running order, applied ones too.
    pub migrations: Vec<One>,
    /// Why nothing may run; none: it may.
    #[serde(default)]
    pub refusals: Vec<String>,
    /// The newest applied version, where versions are numbers.
    #[serde(default)]
    pub schema_version: Option<i64>,
}

/// One migration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct One {
    pub id: String,
    pub state: State,
    /// Of the file's bytes; the plan that was approved is compared by it.
    #[serde(default)]
    pub checksum: String,
    #[serde(default)]
    pub statements: u64,
    #[serde(default)]
    pub transactional: bool,
    /// It runs after the rollout instead of before it.
    #[serde(default)]
    pub post: bool,
    #[serde(default)]
    pub compat: Compatibility,
    /// When it was applied.
    #[serde(default)]
    pub at: Option<String>,
    /// Of an out-of-order one: the later one that is applied already.
    #[serde(default)]
    pub after: Option<String>,
    /// Of a failed one.
    #[serde(default)]
    pub error: Option<String>,
    /// Anything else worth knowing.
    #[serde(default)]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Applied,
    /// Applied, and its content is another one now.
    Edited,
    /// Applied, and not there any more.
    Missing,
    /// Pending, and a later one is applied.
    OutOfOrder,
    /// Begun and not finished.
    Failed,
}

/// Whether code of the release before can live with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    Additive,
    Breaking,
    #[default]
    Unknown,
}

/// The result of `run`: everything was applied.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Done {
    #[serde(default)]
    pub applied: Vec<Applied>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Applied {
    pub id: String,
    #[serde(default)]
    pub duration_ms: u64,
}

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Failure {
    pub class: Class,
    /// What failed; no secrets.
    pub message: String,
    /// The next command or step.
    #[serde(default)]
    pub hint: Option<String>,
    /// In `run`: the migration that failed.
    #[serde(default)]
    pub migration: Option<String>,
    /// In `run`: what was applied before it, and stays.
    #[serde(default)]
    pub applied: Vec<Applied>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Options, path or files are wrong: exit 10.
    InvalidConfig,
    /// It cannot do this: exit 12.
    Unsupported,
    /// A program or library of this machine is missing: exit 10.
    DependencyMissing,
    /// The database cannot be reached: exit 13, or that of the phase.
    ConnectionFailed,
    /// A migration failed: exit 22 or 24.
    MigrationFailed,
    /// A defect of the engine: exit 1.
    Internal,
}

/// All of it as one JSON Schema.
#[must_use]
pub fn schema() -> serde_json::Value {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is made")]
    struct EngineProtocol {
        question: Question,
        answer: Answer,
        describe: Description,
        validate: Problems,
        plan: Plan,
        run: Done,
    }
    schemars::schema_for!(EngineProtocol).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_beside_the_example_is_that_of_these_types() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/external-engine/protocol.schema.json"
        );
        let now = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &now).expect("written");
        }
        let written = std::fs::read_to_string(file).expect("the file is there");
        assert!(written == now, "run this test with UPDATE_SCHEMA=1");
    }
}
