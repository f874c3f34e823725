//! The `app` engine: the application owns its migrations. Nothing here opens a
//! database or reads SQL; what is pending is what the live release says at the
//! schema gate's endpoint, and `migrate run` asks it to migrate, on its
//! internal port. Imports `ports` and `model`.
//!
//! A deploy runs nothing of it: its strategy is `manual`, always.

mod live;
mod run;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::migrate::select;
use crate::model::compat::Compat;
use crate::model::fault::Fault;
use crate::model::migration::{Files, Migration, MigrationPlan, MigrationRequest, MigrationState};
use crate::model::project::{DatabaseSpec, EngineNeeds, MigrationStrategy};
use crate::model::risk::{Forecast, Outlook};
use crate::model::schema::SchemaStatus;
use crate::ports::{Begun, Claim, Cx, Engine, Fetch, Job};

use live::Live;

pub struct App {
    fetch: Arc<dyn Fetch>,
}

impl App {
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch }
    }
}

/// The keys of `migrations.options`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Where the application is told to migrate.
    run_path: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            run_path: "/migrations/run".to_owned(),
        }
    }
}

impl Options {
    fn of(database: &DatabaseSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(database.migrations.options.clone());
        let options: Self =
            serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))?;
        let path = &options.run_path;
        let plain = |c: char| c.is_ascii_graphic() && c != '#';
        if !path.starts_with('/') || !path.chars().all(plain) {
            return Err(format!(
                "`options.run_path` is no path of a URL: `{path}`; write it as `/migrations/run`"
            ));
        }
        Ok(options)
    }
}

#[async_trait]
impl Engine for App {
    fn id(&self) -> &str {
        "app"
    }

    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: false,
            connection: false,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        Options::of(database).err().into_iter().collect()
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
        let name = &job.database.name;
        let unread = |why: String| MigrationPlan {
            database: name.clone(),
            engine: self.id().to_owned(),
            migrations: vec![],
            selected: vec![],
            refusals: vec![],
            notes: vec![],
            unread: Some(why),
            files: Files::Final,
            schema_version: None,
            outlook: Outlook::default(),
            route: "by the application itself".to_owned(),
        };
        let live = match live::find(cx, job).await? {
            Ok(live) => live,
            Err(why) => return Ok(unread(why)),
        };
        let status = match live.status(cx, self.fetch.as_ref()).await? {
            Ok(status) => status,
            Err(why) => {
                let shown = format!("the application could not be asked: {why}");
                return Ok(unread(format!("{shown} ({})", live.words())));
            }
        };
        let migrations = migrations(&status);
        let order: Vec<&str> = migrations.iter().map(|one| one.id.as_str()).collect();
        let selection = select::select(&migrations, &order, request);
        let mut refusals = selection.refusals;
        if request.to.is_some() || request.steps.is_some() {
            refusals.push(format!(
                "the application of `{name}` runs all that is pending: `--to` and `--steps` cannot be used with engine `app`"
            ));
        }
        Ok(MigrationPlan {
            selected: selection.selected,
            refusals,
            notes: vec![],
            schema_version: Some(status.current),
            route: said(&live, &status),
            unread: None,
            migrations,
            ..unread(String::new())
        })
    }

    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        _: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        run::begin(self.fetch.as_ref(), cx, job, plan).await
    }
}

fn said(live: &Live<'_>, status: &SchemaStatus) -> String {
    format!(
        "by the application itself; {} says schema version {}, and that its code works on {} to {}",
        live.words(),
        status.current,
        status.code_min,
        status.code_max
    )
}

fn migrations(status: &SchemaStatus) -> Vec<Migration> {
    let pending = status.pending.iter();
    pending
        .map(|id| Migration {
            id: id.clone(),
            state: MigrationState::Pending,
            strategy: MigrationStrategy::Manual,
            checksum: String::new(),
            statements: 0,
            // The application decides; nothing is promised for it.
            transactional: false,
            note: None,
            compat: Some(unknown()),
            forecast: Forecast::default(),
        })
        .collect()
}

/// The application keeps its statements to itself.
fn unknown() -> Compat {
    Compat::unread("was run by the application itself, whose statements cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::test_support::database;

    fn options(json: serde_json::Value) -> Result<Options, String> {
        let mut database = database();
        database.migrations.options = json.as_object().expect("an object").clone();
        Options::of(&database)
    }

    #[test]
    fn the_path_is_that_of_a_url_and_has_a_default() {
        use serde_json::json;
        let path = |json| options(json).map(|options| options.run_path);
        assert_eq!(path(json!({})), Ok("/migrations/run".into()));
        assert_eq!(
            path(json!({ "run_path": "/x?all=1" })),
            Ok("/x?all=1".into())
        );
        for wrong in ["x", "", "/a b", "/a\r\nX: y", "/#a"] {
            let why = path(json!({ "run_path": wrong })).expect_err("no path");
            assert!(why.contains("`options.run_path`"), "{why}");
        }
        assert!(path(json!({ "path": "/x" })).is_err());
    }
}
