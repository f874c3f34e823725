//! Heavy work in one transaction with something else: every lock that was
//! taken before it is kept as long as it works.

use crate::migrate::sql::{Mode, Weight};
use crate::model::risk::{Blocks, Grade, Remark, Work};

use super::File;

/// The first piece of heavy work that keeps somebody else's table locked.
pub(super) fn remark(file: &File<'_>) -> Option<Remark> {
    if *file.pending.mode != Mode::Together {
        return None;
    }
    let mut kept: Option<(usize, &Weight, String)> = None;
    for (statement, weighed) in file.weighed.iter().enumerate() {
        for weight in &weighed.weights {
            let heavy = weight.work != Work::None
                && file.world.judge((file.at, statement), weight).grade > Grade::Harmless;
            if let Some((before, lock, table)) = &kept
                && heavy
                && *before != statement
                && worse(lock, table, weight)
            {
                return Some(kept_locked(file, statement, weight, lock, table));
            }
        }
        for weight in &weighed.weights {
            let stronger = kept
                .as_ref()
                .is_none_or(|(_, lock, _)| lock.blocks < weight.blocks);
            if weight.blocks < Blocks::Writes || !stronger {
                continue;
            }
            let tables = file.world.tables(weight);
            let used = tables.into_iter().find(|table| {
                let stand = file.world.stand((file.at, statement), table);
                stand.holds_rows()
            });
            if let Some(table) = used {
                kept = Some((statement, weight, table));
            }
        }
    }
    None
}

/// What the heavy statement does not do to that table by itself.
fn worse(lock: &Weight, table: &str, heavy: &Weight) -> bool {
    let same = heavy.tables.iter().any(|one| one == table);
    !same || lock.blocks > heavy.blocks
}

fn kept_locked(
    file: &File<'_>,
    statement: usize,
    heavy: &Weight,
    lock: &Weight,
    table: &str,
) -> Remark {
    let mut remark = file.remark(statement, heavy);
    remark.rule = "mixed-heavy-work".to_owned();
    remark.why = format!(
        "{}, while `{table}` is still locked by a statement before it in the same transaction",
        heavy.why
    );
    remark.lock = lock.lock;
    remark.blocks = lock.blocks;
    remark.table = Some(table.to_owned());
    remark.help = Some("put the heavy statement into a file of its own".to_owned());
    remark.grade = Grade::Blocking;
    remark
}
