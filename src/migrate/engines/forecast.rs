//! What the selected files would do to this database: weighed, looked up,
//! judged. Only files that would run are looked at. Imports `ports`, `model`
//! and `migrate`'s pure parts.

use std::collections::HashMap;

use crate::migrate::lint::{self, Facts, Pending};
use crate::migrate::sql::{Mode, Script, Server};
use crate::migrate::tables;
use crate::model::fault::Fault;
use crate::model::migration::Migration;
use crate::model::risk::{Basis, Detail, Estimate, Outlook, PlannedStatement};
use crate::ports::{Database, Dialect};

/// What a forecast is made from.
pub(super) struct Look<'a> {
    /// Those that are SQL.
    pub(super) files: Vec<File<'a>>,
    pub(super) selected: &'a [String],
    pub(super) dialect: Dialect,
    pub(super) detail: Detail,
    /// By checksum, in milliseconds.
    pub(super) rehearsed: HashMap<String, u64>,
}

/// A migration's statements.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    /// What the plan calls it.
    pub(super) id: &'a str,
    pub(super) shown: &'a str,
    pub(super) script: &'a Script,
    pub(super) mode: &'a Mode,
}

/// Fills in what is expected of each selected migration.
pub(super) async fn fill(
    look: &Look<'_>,
    database: Option<&mut dyn Database>,
    migrations: &mut [Migration],
) -> Outlook {
    if look.detail == Detail::States || look.selected.is_empty() {
        return Outlook::default();
    }
    let files = look.files(migrations);
    let pending: Vec<Pending<'_>> = files.iter().map(|(_, file)| file.pending()).collect();
    let (facts, outlook) = match database {
        Some(database) => match known(look, database, &pending).await {
            Ok(facts) => (facts, Outlook::default()),
            // Sizes are worth a line, not a failure.
            Err(fault) => (
                Facts::default(),
                Outlook {
                    unsized_because: Some(fault.to_string()),
                    ..Outlook::default()
                },
            ),
        },
        None => (Facts::default(), Outlook::default()),
    };
    let heavy = lint::weigh(&pending, facts.server(look.dialect));
    let forecasts = lint::lint(&pending, &heavy, &facts);
    for (forecast, (at, file)) in forecasts.into_iter().zip(&files) {
        let migration = &mut migrations[*at];
        migration.forecast = forecast;
        if let Some(ms) = look.rehearsed.get(&migration.checksum) {
            migration.forecast.estimate = Some(Estimate {
                low_ms: *ms,
                high_ms: *ms,
                basis: Basis::Rehearsal,
            });
        }
        if look.detail == Detail::Sql {
            migration.forecast.sql = file.statements();
        }
    }
    let each = files
        .iter()
        .map(|(at, _)| &migrations[*at].forecast.estimate);
    let all_known = files.len() == look.selected.len() && each.clone().all(Option::is_some);
    Outlook {
        estimate: match all_known {
            true => Estimate::total(each.flatten()),
            false => None,
        },
        server: facts.server.map(Server::words),
        open: facts.open.into_iter().map(|open| open.who).collect(),
        ..outlook
    }
}

async fn known(
    look: &Look<'_>,
    database: &mut dyn Database,
    pending: &[Pending<'_>],
) -> Result<Facts, Fault> {
    let server = tables::server(database).await?;
    let assumed = server.unwrap_or_else(|| Server::assumed(look.dialect));
    let named = lint::weigh(pending, assumed).named();
    tables::read(database, server, &named).await
}

impl<'a> Look<'a> {
    /// Where each selected migration stands among the plan's, and its file.
    fn files(&self, migrations: &[Migration]) -> Vec<(usize, File<'a>)> {
        let ids = migrations.iter().enumerate();
        let at: HashMap<&str, usize> = ids.map(|(at, one)| (one.id.as_str(), at)).collect();
        let files = self.files.iter();
        let file: HashMap<&str, File<'a>> = files.map(|one| (one.id, *one)).collect();
        let each = self
            .selected
            .iter()
            .filter_map(|id| Some((*at.get(id.as_str())?, *file.get(id.as_str())?)));
        each.collect()
    }
}

impl<'a> File<'a> {
    fn pending(&self) -> Pending<'a> {
        Pending {
            shown: self.shown,
            script: self.script,
            mode: self.mode,
        }
    }

    fn statements(&self) -> Vec<PlannedStatement> {
        let transactional = *self.mode == Mode::Together;
        let statements = self.script.statements.iter();
        statements
            .map(|statement| PlannedStatement {
                line: self.script.place(statement.range.start).line,
                transactional,
                sql: self.script.told(statement),
            })
            .collect()
    }
}
