//! `stagecraft migrate schema dump` and `migrate drift`: read-only.

use std::path::Path;

use serde_json::{Value, json};

use crate::migrate::snapshot::{self, Standing};
use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::ui::{Ui, words};

use super::super::args::{DriftArgs, Globals, SchemaDumpArgs};
use super::super::failure::Failure;
use super::super::session::{Session, on_environment};
use super::life;

/// A check that finds something.
const FOUND: u8 = 12;

pub(super) async fn dump(args: &SchemaDumpArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate schema dump",
        globals,
        ui,
        None,
        async |session| {
            let database = life::one(session, args.database.as_ref())?;
            let image = life::image(session).await?;
            let job = life::job(session, database, image.as_ref());
            let mut reading = life::reading(session, &job).await?;
            let dialect = reading.dialect();
            let snapshot = snapshot::take(reading.as_mut()).await?;
            let document = json!({
                "database": database.name,
                "dialect": dialect,
                "fingerprint": snapshot.fingerprint(),
                "objects": snapshot.objects,
            });
            match &args.output {
                None => ui.show(snapshot.text().trim_end(), &document).await,
                Some(file) => {
                    write(file, &snapshot.text())?;
                    let said = format!(
                        "wrote the schema of {} ({}, {}) to {}",
                        database.name,
                        dialect,
                        words::plural(snapshot.objects.len(), "object"),
                        file.display()
                    );
                    ui.show(&said, &document).await;
                }
            }
            Ok(())
        },
    )
    .await
}

fn write(file: &Path, text: &str) -> Result<(), Fault> {
    std::fs::write(file, text).map_err(|error| {
        Fault::internal(format!("cannot write {}", file.display())).caused_by(&error)
    })
}

pub(super) async fn drift(args: &DriftArgs, globals: &Globals, ui: &Ui) -> Result<u8, Failure> {
    on_environment(
        "stagecraft migrate drift",
        globals,
        ui,
        None,
        async |session| {
            let databases = life::some(session, &args.database)?;
            let image = life::image(session).await?;
            let mut found = vec![];
            for database in databases {
                let job = life::job(session, database, image.as_ref());
                let mut reading = life::reading(session, &job).await?;
                found.push((database, snapshot::standing(reading.as_mut()).await?));
            }
            let level = found
                .iter()
                .all(|(_, standing)| matches!(standing, Standing::Same(_)));
            let texts: Vec<String> = found.iter().map(|(name, it)| text(name, it)).collect();
            let status = if level { "level" } else { "drift" };
            let databases: Vec<Value> = found.iter().map(|(name, it)| document(name, it)).collect();
            ui.show(
                &texts.join("\n"),
                &json!({ "status": status, "databases": databases }),
            )
            .await;
            for way_out in found
                .iter()
                .filter_map(|(name, it)| way_out(session, name, it))
            {
                ui.note(&way_out).await;
            }
            Ok(if level { 0 } else { FOUND })
        },
    )
    .await
}

fn text(database: &DatabaseSpec, standing: &Standing) -> String {
    let name = &database.name;
    match standing {
        Standing::Unknown => {
            format!("{name}  not known: no run has kept what the schema looked like")
        }
        Standing::Same(kept) => format!("{name}  as {} left it on {}", by(&kept.release), kept.at),
        Standing::Drifted(kept, changes) => {
            let count = words::plural(changes.len(), "difference");
            let lines: Vec<String> = changes.iter().map(|change| format!("  {change}")).collect();
            format!(
                "{name}  {count} since {} on {}\n{}",
                by(&kept.release),
                kept.at,
                lines.join("\n")
            )
        }
    }
}

fn by(release: &str) -> &str {
    match release {
        "" => "the last run",
        release => release,
    }
}

fn document(database: &DatabaseSpec, standing: &Standing) -> Value {
    let name = &database.name;
    match standing {
        Standing::Unknown => json!({ "database": name, "standing": "unknown" }),
        Standing::Same(kept) => json!({
            "database": name, "standing": "level", "release": kept.release, "at": kept.at,
            "fingerprint": kept.snapshot.fingerprint(),
        }),
        Standing::Drifted(kept, changes) => json!({
            "database": name, "standing": "drifted", "release": kept.release, "at": kept.at,
            "fingerprint": kept.snapshot.fingerprint(), "changes": changes,
        }),
    }
}

fn way_out(session: &Session<'_>, database: &DatabaseSpec, standing: &Standing) -> Option<String> {
    let environment = &session.environment.name;
    let name = &database.name;
    match standing {
        Standing::Same(_) => None,
        Standing::Unknown => Some(format!(
            "the next run on `{name}` keeps it; an existing database is taken in by `stagecraft migrate baseline --env {environment} --database {name} --to ID`"
        )),
        Standing::Drifted(..) => Some(format!(
            "somebody changed `{name}` without a migration: write one that says the same and mark it with `stagecraft migrate baseline --env {environment} --database {name} --to ID`, or undo the change"
        )),
    }
}
