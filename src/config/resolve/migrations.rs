//! `databases.<name>.migrations`: engine, files, and limits that fit into each
//! other.

use std::time::Duration;

use crate::model::names::RoleName;
use crate::model::project::{ImageSource, MigrationSource, MigrationSpec, MigrationStrategy};

use super::super::engines::APP;
use super::super::file;
use super::super::leaf::{List, Period};
use super::super::problem::{Findings, suggestion};
use super::super::read::Field;
use super::super::source::Span;
use super::{Context, known_role};

/// The database whose migrations are resolved.
pub(super) struct Of<'a> {
    pub(super) database: &'a file::Database,
    pub(super) at: Span,
    pub(super) source: &'a ImageSource,
    pub(super) name: &'a str,
}

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    of: &Of<'_>,
    found: &mut Findings,
) -> Option<MigrationSpec> {
    let help = "say how they run: `migrations: { engine: raw, path: db/migrations }`";
    let given = of
        .database
        .migrations
        .need(found, of.at, "migrations", help)?;
    let (migrations, at) = (&given.value, given.at);
    let engine = engine(context, migrations, at, found);
    if engine.as_deref() == Some(APP) {
        gated(section, of, migrations, at, found);
    }
    let strategy = strategy(migrations, engine.as_deref(), found);
    let limits = limits(migrations, at, found);
    let role = role(section, migrations, found);
    let files = migrations.files.value();
    let pattern = files.and_then(|files| files.pattern.given());
    if let Some(pattern) = pattern
        && let Err(error) = regex::Regex::new(&pattern.value)
    {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        found.error(
            pattern.at,
            format!("this is not a regular expression: {reason}"),
        );
    }
    let path = migrations.path.value();
    let prebuilt = matches!(of.source, ImageSource::Prebuilt(_));
    Some(MigrationSpec {
        engine: engine?,
        path: path.map(|path| context.path(&path.0)),
        path_written: path.map(|path| path.0.clone()),
        source: migrations.source.or(if prebuilt {
            MigrationSource::Image
        } else {
            MigrationSource::Checkout
        }),
        strategy,
        lock_wait: limits.lock_wait,
        lock_timeout: limits.lock_timeout,
        lock_retries: migrations.lock_retries.or(10),
        statement_timeout: limits.statement,
        timeout: limits.whole,
        pattern: pattern.map(|pattern| pattern.value.clone()),
        ledger: files
            .and_then(|files| files.ledger.value())
            .map(|ledger| context.path(&ledger.0)),
        session_sql: migrations
            .session_sql
            .value()
            .map(List::values)
            .unwrap_or_default(),
        role: role?,
        options: migrations
            .options
            .value()
            .map(|options| options.0.clone())
            .unwrap_or_default(),
    })
}

fn engine(
    context: &Context<'_>,
    migrations: &file::Migrations,
    at: Span,
    found: &mut Findings,
) -> Option<String> {
    let ids: Vec<&str> = context.engines.ids.iter().map(|e| e.id.as_str()).collect();
    let help = format!(
        "known here: {}",
        super::super::problem::or_list(ids.iter().copied())
    );
    let id = migrations.engine.need(found, at, "engine", &help)?;
    let Some(engine) = context.engines.find(&id.value) else {
        found
            .error(id.at, format!("there is no engine `{}`", id.value))
            .help(suggestion(&id.value, &ids));
        return None;
    };
    if engine.needs.path {
        let help = "say where the migrations are: `path: db/migrations`";
        migrations.path.need(found, at, "path", help);
    }
    Some(id.value.clone())
}

/// Only the gate's endpoint says what is pending in an application that
/// migrates itself.
fn gated(
    section: &file::Environment,
    of: &Of<'_>,
    migrations: &file::Migrations,
    at: Span,
    found: &mut Findings,
) {
    let at = migrations.engine.given().map_or(at, |engine| engine.at);
    if section.schema_gate.is_absent() {
        found
            .error(
                at,
                "`engine: app` needs `schema_gate`: its endpoint says what is pending",
            )
            .help("add `schema_gate: { path: /schema/status, port: 9090 }`");
        return;
    }
    let named = section
        .schema_gate
        .value()
        .and_then(|gate| gate.database.given());
    if let Some(named) = named.filter(|named| named.value != of.name) {
        found
            .error(
                at,
                format!(
                    "`engine: app` needs the schema gate, which is about `{}`",
                    named.value
                ),
            )
            .also(named.at, "named here")
            .help(format!("name this one there: `database: {}`", of.name));
    }
}

/// An application that migrates itself does so when it starts or when it is
/// told to: nothing runs before the rollout, and nothing by itself.
fn strategy(
    migrations: &file::Migrations,
    engine: Option<&str>,
    found: &mut Findings,
) -> MigrationStrategy {
    if engine != Some(APP) {
        return migrations.strategy.or(MigrationStrategy::PreDeploy);
    }
    if let Some(given) = migrations.strategy.given()
        && given.value != MigrationStrategy::Manual
    {
        let label = given.value.label();
        found
            .error(
                given.at,
                format!("`strategy: {label}` cannot be kept with `engine: app`"),
            )
            .help("a deploy never migrates for the application; leave `strategy` out, and say when: `stagecraft migrate run`");
    }
    MigrationStrategy::Manual
}

fn role(
    section: &file::Environment,
    migrations: &file::Migrations,
    found: &mut Findings,
) -> Option<RoleName> {
    match migrations.role.given() {
        Some(role) => {
            known_role(section, role.value.as_str(), role.at, found).then(|| role.value.clone())
        }
        None => super::role_names(section)
            .first()
            .and_then(|name| name.parse().ok()),
    }
}

struct Limits {
    lock_wait: Duration,
    lock_timeout: Duration,
    statement: Duration,
    whole: Duration,
}

/// Each limit lies inside the next, or the inner one would never be the one
/// that strikes. Defaults give way to what is written.
fn limits(migrations: &file::Migrations, at: Span, found: &mut Findings) -> Limits {
    let given = |field: &Field<Period>| field.value().map(|period| period.0);
    let seconds = Duration::from_secs;
    let whole = given(&migrations.timeout).unwrap_or_else(|| {
        let inner = [&migrations.statement_timeout, &migrations.lock_wait];
        let longest = inner.into_iter().filter_map(given).max();
        longest.unwrap_or_default().max(seconds(30 * 60))
    });
    let default = |default: Duration| default.min(whole);
    let statement = given(&migrations.statement_timeout).unwrap_or(default(seconds(15 * 60)));
    let bound = if statement.is_zero() {
        whole
    } else {
        statement
    };
    let limits = Limits {
        lock_wait: given(&migrations.lock_wait).unwrap_or(default(seconds(60))),
        lock_timeout: given(&migrations.lock_timeout).unwrap_or(seconds(5).min(bound)),
        statement,
        whole,
    };
    if whole.is_zero() {
        let at = migrations.timeout.given().map_or(at, |timeout| timeout.at);
        found.error(at, "without time nothing can be migrated");
        return limits;
    }
    for (inner, outer, length, limit) in [
        ("statement_timeout", "timeout", statement, whole),
        ("lock_wait", "timeout", limits.lock_wait, whole),
        (
            "lock_timeout",
            "statement_timeout",
            limits.lock_timeout,
            bound,
        ),
    ] {
        let field = match inner {
            "statement_timeout" => &migrations.statement_timeout,
            "lock_wait" => &migrations.lock_wait,
            _ => &migrations.lock_timeout,
        };
        if length > limit {
            let at = field.given().map_or(at, |field| field.at);
            found
                .error(
                    at,
                    format!("`{inner}` is longer than `{outer}`, so it would never strike"),
                )
                .help(format!("raise `{outer}`, or lower `{inner}`"));
        }
    }
    limits
}
