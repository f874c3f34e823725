//! Files and the tool's rows compared: what is pending, applied, edited,
//! missing, failed, or would be skipped for ever. Pure. Imports `model`.

use crate::migrate::engines::tables::{End, Recorded, Records};
use crate::model::compat::Compat;
use crate::model::migration::{Migration, MigrationState};
use crate::model::project::MigrationStrategy;
use crate::model::risk::Forecast;

use super::{File, Tool};

/// Whether a pending migration may run after a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Gaps {
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Applied ones first, then those that would run, each in running order.
    pub(super) migrations: Vec<Migration>,
    pub(super) refusals: Vec<String>,
}

pub(super) fn compare(
    tool: &dyn Tool,
    files: &[File],
    records: &Records,
    strategy: MigrationStrategy,
    gaps: Gaps,
) -> Compared {
    let mut compared = Compared::default();
    let mut pending = vec![];
    if records.locked
        && let Some(unlock) = tool.unlock()
    {
        compared.refusals.push(unlock.to_owned());
    }
    for (at, file) in files.iter().enumerate() {
        let row = records.rows.iter().find(|row| tool.is(file, row));
        let state = match row {
            Some(row) => known(tool, file, row, &mut compared.refusals),
            None => match tool.overtaken(at, files, records) {
                Some(after) => {
                    compared.refusals.extend(tool.late(file, &after, gaps));
                    MigrationState::OutOfOrder { after }
                }
                None => MigrationState::Pending,
            },
        };
        let migration = migration(tool, &file.id, &file.checksum, state, strategy);
        match migration.state.will_run() {
            true => pending.push(migration),
            false => compared.migrations.push(migration),
        }
    }
    for row in &records.rows {
        if !files.iter().any(|file| tool.is(file, row)) {
            compared.refusals.push(format!(
                "`{}` was applied and its file is gone, {}: bring it back (`git log --diff-filter=D` finds it)",
                row.id,
                tool.about_missing()
            ));
            let checksum = row.checksum.as_deref().unwrap_or_default();
            let missing = MigrationState::Missing;
            compared
                .migrations
                .push(migration(tool, &row.id, checksum, missing, strategy));
        }
    }
    compared.migrations.append(&mut pending);
    compared
}

fn known(
    tool: &dyn Tool,
    file: &File,
    row: &Recorded,
    refusals: &mut Vec<String>,
) -> MigrationState {
    if let End::Failed { steps, error } = &row.end {
        let repair = tool.repair(&file.id);
        let what = match error {
            Some(error) => format!("failed in an earlier run{}", first_line(error)),
            None => "was begun in an earlier run and never ended".to_owned(),
        };
        refusals.push(format!(
            "`{}` {what}, and {} runs nothing before that is settled: {}",
            file.id,
            tool.id(),
            repair.join("; ")
        ));
        return MigrationState::Failed {
            done: *steps,
            total: 0,
            error: error.clone(),
        };
    }
    match &row.checksum {
        Some(then) if *then != file.checksum => {
            refusals.push(format!(
                "`{}` was edited after it was applied (then {}, now {}), {}: bring it back as it was, and put the change into a new migration",
                file.id,
                short(then),
                short(&file.checksum),
                tool.about_edited()
            ));
            MigrationState::Edited {
                applied_checksum: then.clone(),
            }
        }
        _ => MigrationState::Applied {
            at: row.at.clone(),
            by: None,
        },
    }
}

fn migration(
    tool: &dyn Tool,
    id: &str,
    checksum: &str,
    state: MigrationState,
    strategy: MigrationStrategy,
) -> Migration {
    Migration {
        id: id.to_owned(),
        state,
        strategy,
        checksum: checksum.to_owned(),
        statements: 0,
        // The tool decides; nothing is promised for it.
        transactional: false,
        note: None,
        compat: Some(Compat::unread(&format!(
            "was run by engine `{}`, whose statements are not judged",
            tool.id()
        ))),
        forecast: Forecast::default(),
    }
}

fn first_line(error: &str) -> String {
    let line = error.lines().find(|line| !line.trim().is_empty());
    line.map(|line| format!(" ({})", line.trim()))
        .unwrap_or_default()
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}
