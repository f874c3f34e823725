//! The lock that every migrator of a database takes, polled. The server has the
//! names of all its databases in one space, so each name holds its database's.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::model::fault::Fault;
use crate::ports::{Claim, Cx, Hold};

use super::super::claim::{self, Patience};
use super::{Mysql, watch};

impl Mysql {
    /// See [`claim::hold`]; the keys are names.
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
        let patience = Patience::new(wait);
        loop {
            let answer = self.texts(&question).await?;
            let has = |index: usize| {
                let column = answer.first().and_then(|row| row.get(index));
                column.is_some_and(|text| text.as_deref() == Some("1"))
            };
            if let Some(hold) = claim::hold(&[has(0), has(1), has(2)]) {
                return Ok(hold);
            }
            if patience.is_over() {
                let holder = watch::holder(&mut self.connection, &lock).await;
                let database = &self.connector.dialer.server;
                return Err(claim::locked(database, holder.as_deref()));
            }
            patience.pause(cx).await?;
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
