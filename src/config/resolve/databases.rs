//! `databases`: connections, backups and safety; the migrations themselves are
//! resolved beside this.

use indexmap::IndexMap;

use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, ImageSource, OnFailure, Safety, Via};

use super::super::file;
use super::super::problem::Findings;
use super::super::source::Span;
use super::{Context, migrations, named};

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    source: &ImageSource,
    found: &mut Findings,
) -> IndexMap<DatabaseName, DatabaseSpec> {
    let entries = section
        .databases
        .value()
        .map_or(&[][..], |databases| &databases.0);
    let mut databases = IndexMap::new();
    for (name, database) in entries {
        let parsed = named::<DatabaseName>(&name.value, name.at, found);
        let migrations = migrations::resolve(
            context,
            section,
            &migrations::Of {
                database: &database.value,
                at: name.at,
                source,
                name: name.value.as_str(),
            },
            found,
        );
        connection(context, &database.value, name.at, found);
        restore(section, &database.value, name.at, found);
        let (Some(parsed), Some(migrations)) = (parsed, migrations) else {
            continue;
        };
        let spec = spec(parsed.clone(), &database.value, migrations);
        databases.insert(parsed, spec);
    }
    databases
}

fn spec(
    name: DatabaseName,
    database: &file::Database,
    migrations: crate::model::project::MigrationSpec,
) -> DatabaseSpec {
    let backup = database.backup.value();
    let safety = database.safety.value();
    DatabaseSpec {
        name,
        connection_env: database.connection_env.value().map(|name| name.0.clone()),
        direct_connection_env: database
            .direct_connection_env
            .value()
            .map(|name| name.0.clone()),
        via: database.via.or(Via::Auto),
        migrations,
        backup_before_migrate: backup.is_some_and(|backup| backup.before_migrate.or(false)),
        backup_keep: backup.map_or(5, |backup| backup.keep.or(5)),
        safety_breaking: safety.map_or(Safety::Warn, |safety| safety.breaking.or(Safety::Warn)),
        safety_blocking: safety.map_or(Safety::Warn, |safety| safety.blocking.or(Safety::Warn)),
    }
}

fn connection(context: &Context<'_>, database: &file::Database, at: Span, found: &mut Findings) {
    let engine = database
        .migrations
        .value()
        .and_then(|migrations| migrations.engine.value());
    let engine = engine.and_then(|id| context.engines.find(id));
    if engine.is_some_and(|engine| engine.needs.connection) {
        database.connection_env.need(
            found,
            at,
            "connection_env",
            "name the variable that holds the connection URL: `connection_env: DATABASE_URL`",
        );
    }
    if let (Some(direct), true) = (
        database.direct_connection_env.given(),
        database.connection_env.is_absent(),
    ) {
        found.error(
            direct.at,
            "`direct_connection_env` without `connection_env`",
        );
    }
}

/// `on_failure: restore` promises what only a backup can keep.
fn restore(section: &file::Environment, database: &file::Database, at: Span, found: &mut Findings) {
    let Some(restore) = section
        .on_failure
        .given()
        .filter(|on_failure| on_failure.value == OnFailure::Restore)
    else {
        return;
    };
    let backup = database.backup.value();
    let broken = backup.is_none() && !database.backup.is_absent();
    let taken = backup.is_some_and(|backup| backup.before_migrate.or(false));
    let migrates = database
        .migrations
        .value()
        .and_then(|migrations| migrations.engine.value())
        .is_none_or(|engine| engine != super::super::engines::APP);
    if !taken && !broken && migrates {
        found
            .error(
                at,
                "`on_failure: restore` needs a backup, and this database takes none",
            )
            .also(restore.at, "asked for here")
            .help("add `backup: { before_migrate: true }`");
    }
}
