//! The statement that saves a migration's row, prepared once a session.

use crate::ports::SqlError;

use super::super::ledger;
use super::{Postgres, ROW, error};

impl Postgres {
    /// Once a session; a script that takes prepared statements away, or makes
    /// the table another one, goes without.
    pub(super) async fn prepare_row(&mut self, table: &str, script: &str) -> Result<(), SqlError> {
        let text = script.to_ascii_lowercase();
        let hostile = ["deallocate", "discard", ledger::TABLE, ROW]
            .iter()
            .any(|word| text.contains(word));
        if hostile {
            if self.prepared {
                let gone = self
                    .wire
                    .client
                    .batch_execute(&format!("DEALLOCATE {ROW}"))
                    .await;
                gone.map_err(|error| error::describe(&error, 0, 0))?;
            }
            self.prepared = false;
        } else if !self.prepared {
            let made = self
                .wire
                .client
                .batch_execute(&ledger::prepare(ROW, table))
                .await;
            made.map_err(|error| error::describe(&error, 0, 0))?;
            self.prepared = true;
        }
        Ok(())
    }
}
