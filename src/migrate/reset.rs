//! Emptying a database, for `mode: dev`: every object in it is dropped, the
//! database itself stays. Imports `ports`, `model`.
//!
//! Invariant: it runs under the lock that every migrator of the database takes.
//! On PostgreSQL it is one statement, all or nothing; MySQL and SQLite are left
//! with what was not dropped yet when they fail, and a second attempt goes on.

use uuid::Uuid;

use crate::model::fault::{Fault, FaultKind};
use crate::ports::{
    Claim, Cx, Database, Databases, Dialect, Job, SessionOptions, SqlError, SqlErrorKind, Which,
    Who,
};

/// How many tables and views there are.
///
/// # Errors
/// The database cannot be reached.
pub async fn objects(databases: &dyn Databases, cx: &Cx, job: &Job<'_>) -> Result<usize, Fault> {
    let mut session = databases.open(cx, job, &options(job, Access::Read)).await?;
    let sql = match session.dialect() {
        Dialect::Postgres => POSTGRES_COUNT,
        Dialect::Mysql => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        }
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
    };
    Ok(session.query(sql).await?.len())
}

/// Drops everything.
///
/// # Errors
/// `Locked`; what the server refused, with what is left.
pub async fn empty(databases: &dyn Databases, cx: &Cx, job: &Job<'_>) -> Result<(), Fault> {
    let mut session = databases
        .open(cx, job, &options(job, Access::Write))
        .await?;
    let claim = Claim {
        step: Uuid::now_v7(),
        entry: job.database.name.to_string(),
    };
    session
        .lock(cx, &claim, job.database.migrations.lock_wait)
        .await?;
    let emptied = match session.dialect() {
        Dialect::Postgres => {
            let dropped = session.execute(cx, POSTGRES).await;
            dropped.map_err(|error| {
                refused(job, "everything", &error)
                    .state("nothing was dropped: it was one transaction")
            })
        }
        Dialect::Mysql => mysql(&mut *session, cx, job).await,
        Dialect::Sqlite => sqlite(&mut *session, cx, job).await,
    };
    emptied?;
    cx.step(format!("dropped everything in {}", job.database.name));
    Ok(())
}

const POSTGRES_COUNT: &str = "SELECT c.relname FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

// Each list is sorted, so that it is whole before the first of it is dropped.
/// Extensions first, which takes their objects away; then schemas, except
/// `public`, which a login need not own; then what is in that.
const POSTGRES: &str = "DO $stagecraft$
DECLARE one record;
BEGIN
  FOR one IN SELECT extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', one.extname);
  END LOOP;
  FOR one IN SELECT nspname FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', one.nspname);
  END LOOP;
  FOR one IN SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
      WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind
    FROM pg_catalog.pg_class c WHERE c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    ORDER BY CASE c.relkind WHEN 'S' THEN 1 ELSE 0 END LOOP
    EXECUTE format('DROP %s IF EXISTS public.%I CASCADE', one.kind, one.relname);
  END LOOP;
  FOR one IN SELECT p.oid::regprocedure::text AS name, CASE p.prokind WHEN 'p' THEN 'PROCEDURE'
      WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END AS kind
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::regnamespace ORDER BY name LOOP
    EXECUTE format('DROP %s IF EXISTS %s CASCADE', one.kind, one.name);
  END LOOP;
  FOR one IN SELECT t.typname FROM pg_catalog.pg_type t
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = 'public'::regnamespace AND t.typelem = 0
    AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) LOOP
    EXECUTE format('DROP TYPE IF EXISTS public.%I CASCADE', one.typname);
  END LOOP;
END $stagecraft$";

async fn mysql(session: &mut dyn Database, cx: &Cx, job: &Job<'_>) -> Result<(), Fault> {
    run(session, cx, job, "SET foreign_key_checks = 0").await?;
    let found = [
        "SELECT CONCAT('DROP ', CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' \
         ELSE 'TABLE' END, ' IF EXISTS `', REPLACE(table_name, '`', '``'), '`') \
         FROM information_schema.tables WHERE table_schema = DATABASE() \
         ORDER BY table_type <> 'VIEW'",
        "SELECT CONCAT('DROP ', routine_type, ' IF EXISTS `', REPLACE(routine_name, '`', '``'), '`') \
         FROM information_schema.routines WHERE routine_schema = DATABASE()",
        "SELECT CONCAT('DROP EVENT IF EXISTS `', REPLACE(event_name, '`', '``'), '`') \
         FROM information_schema.events WHERE event_schema = DATABASE()",
    ];
    for sql in found {
        for drop in session.query(sql).await?.into_iter().flatten() {
            run(session, cx, job, &drop).await?;
        }
    }
    Ok(())
}

async fn sqlite(session: &mut dyn Database, cx: &Cx, job: &Job<'_>) -> Result<(), Fault> {
    run(session, cx, job, "PRAGMA foreign_keys = OFF").await?;
    // A virtual table takes its own shadow tables away.
    let sql = "SELECT 'DROP ' || type || ' IF EXISTS \"' || replace(name, '\"', '\"\"') || '\"' \
        FROM sqlite_schema WHERE type IN ('view', 'trigger', 'table') \
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
        ORDER BY CASE type WHEN 'view' THEN 0 WHEN 'trigger' THEN 1 ELSE 2 END, \
        sql NOT LIKE 'create virtual%'";
    for drop in session.query(sql).await?.into_iter().flatten() {
        run(session, cx, job, &drop).await?;
    }
    Ok(())
}

async fn run(
    session: &mut dyn Database,
    cx: &Cx,
    job: &Job<'_>,
    statement: &str,
) -> Result<(), Fault> {
    session.execute(cx, statement).await.map_err(|error| {
        refused(job, &format!("`{statement}`"), &error)
            .state("what was dropped before it is gone; a second attempt goes on")
    })
}

fn refused(job: &Job<'_>, what: &str, error: &SqlError) -> Fault {
    let name = &job.database.name;
    match error.kind {
        SqlErrorKind::Cancelled => Fault::new(
            FaultKind::Interrupted,
            format!("interrupted while `{name}` was emptied"),
        ),
        SqlErrorKind::Statement
        | SqlErrorKind::LockTimeout
        | SqlErrorKind::StatementTimeout
        | SqlErrorKind::ConnectionLost => {
            let fault = Fault::failed(format!("cannot empty `{name}`"))
                .because(format!("{what} was refused: {}", error.message));
            match &error.detail {
                Some(detail) => fault.because(detail),
                None => fault,
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn options(job: &Job<'_>, access: Access) -> SessionOptions {
    let spec = &job.database.migrations;
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/reset".to_owned(),
        read_only: access == Access::Read,
        who: Who::Migrator,
        which: Which::Configured,
    }
}
