//! `stagecraft migrate create`: the next `.sql` file, or the development command
//! of a tool that begins its files itself.

mod tool;

use std::path::PathBuf;

use chrono::Utc;
use serde_json::json;

use crate::config;
use crate::migrate;
use crate::model::fault::Fault;
use crate::model::project::Mode;
use crate::ui::{Ui, words};

use super::super::args::{Globals, MigrateCreateArgs};
use super::super::failure::Failure;
use super::super::session::on_environment;
use super::super::target::{config_file, engines};
use super::super::wiring;
use super::known;

pub(super) async fn create(
    args: &MigrateCreateArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    let globals = &with_an_environment(args, globals)?;
    on_environment(
        "stagecraft migrate create",
        globals,
        ui,
        None,
        async |session| {
            let databases = &session.environment.databases;
            let spec = match &args.database {
                Some(name) => {
                    known(&session.environment, std::slice::from_ref(name))?;
                    databases.get(name)
                }
                None if databases.len() == 1 => databases.values().next(),
                None => None,
            };
            let Some(spec) = spec else {
                return Err(
                    Fault::config("which database the migration is for is not clear")
                        .because(format!(
                            "`{}` has {}",
                            session.environment.name,
                            words::plural(databases.len(), "database")
                        ))
                        .state("nothing was created")
                        .hint("add `--database NAME`")
                        .into(),
                );
            };
            let registry = wiring::registry()?;
            let engine = registry.get(&spec.migrations.engine);
            let engine = engine.map_err(|error| Fault::config(error.to_string()))?;
            let name = migrate::create::slug(&args.name)?;
            if let Some(command) = engine.creates(spec, &name) {
                return tool::create(session, spec, &command).await;
            }
            let file = migrate::create::create(&spec.migrations, &args.name, Utc::now())?;
            let shown = file
                .strip_prefix(&session.environment.root)
                .unwrap_or(&file)
                .display()
                .to_string();
            ui.show(
                &format!("created {shown}"),
                &json!({ "status": "created", "file": shown }),
            )
            .await;
            Ok(())
        },
    )
    .await
}

/// A file belongs to the checkout, not to an environment: where all of them
/// keep the database's migrations in one folder, none has to be named. One of
/// `mode: dev` comes first: a tool may begin its files only there.
fn with_an_environment(args: &MigrateCreateArgs, globals: &Globals) -> Result<Globals, Fault> {
    let mut globals = globals.clone();
    if globals.env.is_some() {
        return Ok(globals);
    }
    let file = config_file(&globals)?;
    let engines = engines()?;
    let names = config::environments(&file).map_err(Fault::from)?;
    let mut folders: Vec<Option<PathBuf>> = vec![];
    let mut chosen = names.first();
    for name in names.iter().rev() {
        let environment = config::load(&file, Some(name), &engines)?.environment;
        if environment.mode == Mode::Dev {
            chosen = Some(name);
        }
        let database = match &args.database {
            Some(name) => environment.databases.get(name),
            None => environment.databases.values().next(),
        };
        folders.push(database.and_then(|database| database.migrations.path.clone()));
    }
    folders.dedup();
    if folders.len() == 1 {
        globals.env = chosen.and_then(|name| name.parse().ok());
    }
    Ok(globals)
}
