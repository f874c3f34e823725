//! The lock that every migrator of a database takes, polled: one who waits
//! inside the server would stand in the way of `CREATE INDEX CONCURRENTLY`.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_postgres::SimpleQueryMessage;

use crate::model::fault::Fault;
use crate::ports::{Claim, Cx, Hold};

use super::super::claim::{self, Patience};
use super::{Postgres, watch};

impl Postgres {
    /// See [`claim::hold`].
    pub(super) async fn poll_lock(
        &mut self,
        cx: &Cx,
        claim: &Claim,
        wait: Duration,
    ) -> Result<Hold, Fault> {
        self.prove_own_process(cx).await?;
        let name = self.text("SELECT current_database()").await?;
        let key = key(&name.unwrap_or_default());
        let question = format!(
            "SELECT pg_try_advisory_lock({}), pg_try_advisory_lock({}), pg_try_advisory_lock({key})",
            self::key(&format!("{}\0{}", claim.step, claim.entry)),
            self::key(&claim.step.to_string()),
        );
        let patience = Patience::new(wait);
        loop {
            let answer = self.texts(&question).await?;
            let has = |index: usize| {
                let column = answer.first().and_then(|row| row.get(index));
                column.is_some_and(|text| text.as_deref() == Some("t"))
            };
            if let Some(hold) = claim::hold(&[has(0), has(1), has(2)]) {
                return Ok(hold);
            }
            if patience.is_over() {
                let client = self.second.as_ref().map_or(&self.wire, |second| second);
                let holder = watch::holder(&client.client, key).await;
                let database = &self.connector.dialer.server;
                return Err(claim::locked(database, holder.as_deref()));
            }
            patience.pause(cx).await?;
        }
    }

    pub(super) fn pooler(&self) -> Fault {
        Fault::refused(format!(
            "the database {} is behind a pooler that gives every transaction another server \
             process, so no lock can be held there",
            self.connector.dialer.server
        ))
        .hint(
            "name the variable of a URL past the pooler in `direct_connection_env` of this database",
        )
    }

    /// Two sessions at once that share a server process, or one session that
    /// changed it, are a pooler's.
    async fn prove_own_process(&mut self, cx: &Cx) -> Result<(), Fault> {
        if self.second.is_none() {
            match self.connector.connect().await {
                Ok(wire) => self.second = Some(wire),
                // Its uses are courtesies; a server may be short of connections.
                Err(fault) => cx.warn(format!("no second connection: {fault}")),
            }
        }
        let mut shared = self.process().await? != self.pid;
        if let Some(second) = &self.second {
            let messages = second.client.simple_query("SELECT pg_backend_pid()").await;
            let messages = messages.map_err(|error| self.fault("cannot read", &error))?;
            shared |= messages.iter().any(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0) == Some(self.pid.to_string().as_str()),
                _ => false,
            });
        }
        if shared { Err(self.pooler()) } else { Ok(()) }
    }
}

/// The lock's own key is that of the database's name: all entries that share a
/// database share the lock. The server keeps the keys of each database apart.
fn key(of: &str) -> i64 {
    let hash = Sha256::digest(format!("stagecraft\0{of}"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(bytes)
}
