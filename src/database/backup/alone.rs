//! Whether anybody else wrote: what a database can prove of that.

use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

use super::postgres;

/// How many sessions the database has seen, where nobody else is connected.
/// PostgreSQL counts them at once since version 15; the others cannot tell a session
/// that came and went from none.
///
/// # Errors
/// The database does not answer.
pub(super) async fn sessions(session: &mut dyn Database) -> Result<Option<u64>, Fault> {
    match session.dialect() {
        Dialect::Postgres => {
            let answer = session.query(&postgres::alone()).await?;
            let count = answer.into_iter().flatten().next();
            Ok(count.and_then(|text| text.parse().ok()))
        }
        Dialect::Mysql | Dialect::Sqlite => Ok(None),
    }
}
