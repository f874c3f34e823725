//! What the commands of everyday life share: which database is meant, and a
//! job on it.

use crate::migrate::engines::raw::Raw;
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::names::DatabaseName;
use crate::model::project::DatabaseSpec;
use crate::ports::{Database, Job, SessionOptions, Which, Who};
use crate::ui::words;

use super::super::session::Session;
use super::known;

/// The database that was named, or the only one.
///
/// # Errors
/// None of that name; several, and none was named.
pub(super) fn one<'a>(
    session: &'a Session<'_>,
    name: Option<&DatabaseName>,
) -> Result<&'a DatabaseSpec, Fault> {
    let databases = &session.environment.databases;
    if let Some(name) = name {
        known(&session.environment, std::slice::from_ref(name))?;
    }
    let found = match name {
        Some(name) => databases.get(name),
        None if databases.len() == 1 => databases.values().next(),
        None => None,
    };
    found.ok_or_else(|| {
        Fault::config("which database is meant is not clear")
            .because(format!(
                "`{}` has {}",
                session.environment.name,
                words::plural(databases.len(), "database")
            ))
            .state("nothing was changed")
            .hint("add `--database NAME`")
    })
}

/// The databases that were named, or all.
///
/// # Errors
/// One that does not exist.
pub(super) fn some<'a>(
    session: &'a Session<'_>,
    names: &[DatabaseName],
) -> Result<Vec<&'a DatabaseSpec>, Fault> {
    known(&session.environment, names)?;
    let all = session.environment.databases.values();
    Ok(all
        .filter(|database| names.is_empty() || names.contains(&database.name))
        .collect())
}

/// A job on it; `image` where a container is needed for it.
pub(super) fn job<'a>(
    session: &'a Session<'_>,
    database: &'a DatabaseSpec,
    image: Option<&'a PinnedImage>,
) -> Job<'a> {
    Job {
        environment: &session.environment,
        database,
        host: &session.environment.primary().address,
        image,
        files: image,
        release: None,
        which: Which::Configured,
        values: session.house.values.as_ref(),
        runner: session.house.runner.as_ref(),
        link: session.house.link.as_ref(),
    }
}

/// A session that cannot write.
///
/// # Errors
/// Unreachable; an engine without a connection of its own.
pub(super) async fn reading(
    session: &Session<'_>,
    job: &Job<'_>,
) -> Result<Box<dyn Database>, Fault> {
    let spec = &job.database.migrations;
    let options = SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/look".to_owned(),
        read_only: true,
        who: Who::Migrator,
        which: Which::Configured,
    };
    let cx = session.cx.on_database(&job.database.name);
    session.house.databases.open(&cx, job, &options).await
}

/// The engine that keeps rows of its own.
///
/// # Errors
/// The database has another one.
pub(super) fn raw(
    session: &Session<'_>,
    database: &DatabaseSpec,
    command: &str,
) -> Result<Raw, Fault> {
    match database.migrations.engine.as_str() {
        "raw" => Ok(Raw::new(session.house.databases.clone())),
        other => Err(Fault::refused(format!(
            "`migrate {command}` cannot work on `{}`",
            database.name
        ))
        .because(format!(
            "engine `{other}` keeps its own record of what is applied"
        ))
        .state("nothing was changed")
        .hint(format!("use the command that `{other}` has for it"))),
    }
}
