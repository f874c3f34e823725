//! What the selected files would do to this database: weighed, looked up,
//! judged. Only files that would run are looked at. Imports `ports`, `model`
//! and `migrate`'s pure parts.

use std::collections::HashMap;

use crate::migrate::lint::{self, Facts, Pending};
use crate::migrate::sql::{Mode, Server};
use crate::migrate::tables;
use crate::model::fault::Fault;
use crate::model::migration::Migration;
use crate::model::risk::{Basis, Detail, Estimate, Outlook, PlannedStatement};
use crate::ports::{Database, Dialect};

use super::source::Source;

/// What a forecast is made from.
pub(super) struct Look<'a> {
    pub(super) source: &'a Source,
    pub(super) selected: &'a [String],
    pub(super) dialect: Dialect,
    pub(super) detail: Detail,
    /// By checksum, in milliseconds.
    pub(super) rehearsed: HashMap<String, u64>,
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
    let pending: Vec<Pending<'_>> = files.iter().map(|(_, file)| look.pending(*file)).collect();
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
            migration.forecast.sql = look.statements(*file);
        }
    }
    let each = files
        .iter()
        .map(|(at, _)| &migrations[*at].forecast.estimate);
    let all_known = each.clone().all(Option::is_some);
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

impl Look<'_> {
    /// Where each selected migration stands among the plan's, and its file.
    fn files(&self, migrations: &[Migration]) -> Vec<(usize, usize)> {
        let ids = migrations.iter().enumerate();
        let at: HashMap<&str, usize> = ids.map(|(at, one)| (one.id.as_str(), at)).collect();
        let candidates = self.source.candidates.iter().enumerate();
        let file: HashMap<&str, usize> =
            candidates.map(|(at, one)| (one.id.as_str(), at)).collect();
        let each = self
            .selected
            .iter()
            .filter_map(|id| Some((*at.get(id.as_str())?, *file.get(id.as_str())?)));
        each.collect()
    }

    fn pending(&self, file: usize) -> Pending<'_> {
        Pending {
            shown: &self.source.folder.files[file].shown,
            script: &self.source.scripts[file],
            mode: &self.source.candidates[file].mode,
        }
    }

    fn statements(&self, file: usize) -> Vec<PlannedStatement> {
        let script = &self.source.scripts[file];
        let transactional = self.source.candidates[file].mode == Mode::Together;
        let statements = script.statements.iter();
        statements
            .map(|statement| PlannedStatement {
                line: script.place(statement.range.start).line,
                transactional,
                sql: script.told(statement),
            })
            .collect()
    }
}
