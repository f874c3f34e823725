//! The lock that every migrator of a database takes, polled. The server has the
//! names of all its databases in one space, so each name holds its database's.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Claim, Cx, Hold};

use super::{Mysql, watch};

const POLL: Duration = Duration::from_millis(200);

impl Mysql {
    /// Three names in one question: the entry's (taken by another session: an
    /// earlier one of ours is not over yet), the step's (taken: another entry of
    /// this step holds the lock) and the lock itself. What a refused attempt
    /// got is kept for the next one.
    pub(super) async fn poll_lock(
        &mut self,
        cx: &Cx,
        claim: &Claim,
        wait: Duration,
    ) -> Result<Hold, Fault> {
        let lock = literal(&self.name);
        let question = format!(
            "SELECT GET_LOCK({}, 0), GET_LOCK({}, 0), GET_LOCK({lock}, 0)",
            literal(&format!("{}\0{}\0{}", self.name, claim.step, claim.entry)),
            literal(&format!("{}\0{}", self.name, claim.step)),
        );
        let deadline = Instant::now() + wait;
        loop {
            let answer = self.texts(&question).await?;
            let taken = |index: usize| {
                let column = answer.first().and_then(|row| row.get(index));
                column.is_some_and(|text| text.as_deref() == Some("1"))
            };
            match (taken(0), taken(1), taken(2)) {
                (true, _, true) => return Ok(Hold::Own),
                (true, false, false) => return Ok(Hold::Shared),
                (true, true, false) | (false, _, _) => {}
            }
            if Instant::now() >= deadline {
                let holder = watch::holder(&mut self.connection, &lock).await;
                let what = format!(
                    "the database {} is locked by another migration",
                    self.connector.dialer.server
                );
                return Err(Fault::new(FaultKind::Locked, what).because(format!(
                    "held by {}",
                    holder.as_deref().unwrap_or("a session that is gone by now")
                )));
            }
            let next = deadline.min(Instant::now() + POLL);
            cx.or_interrupted(async {
                tokio::time::sleep_until(next).await;
                Ok(())
            })
            .await?;
        }
    }
}

/// The name of a lock as an SQL literal, short enough for every server.
fn literal(of: &str) -> String {
    let hash = Sha256::digest(of.as_bytes());
    let hash: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("'stagecraft:{hash}'")
}
