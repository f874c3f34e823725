//! `stagecraft migrate create`.

use chrono::Utc;
use serde_json::json;

use crate::migrate;
use crate::model::fault::Fault;
use crate::ui::{Ui, words};

use super::super::args::{Globals, MigrateCreateArgs};
use super::super::failure::Failure;
use super::super::session::on_environment;
use super::known;

pub(super) async fn create(
    args: &MigrateCreateArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
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
