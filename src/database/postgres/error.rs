//! PostgreSQL's errors in the port's words.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::model::fault::Fault;
use crate::ports::{SqlError, SqlErrorKind};

/// Adds the server's own words to a fault.
pub(super) fn because(fault: Fault, error: &Error) -> Fault {
    match error.as_db_error() {
        Some(db) => {
            let mut fault = fault.because(format!(
                "{} {}: {}",
                db.severity(),
                db.code().code(),
                db.message()
            ));
            for more in [db.detail(), db.hint()].into_iter().flatten() {
                fault = fault.because(more);
            }
            fault
        }
        None => fault.caused_by(error),
    }
}

/// `before`: how many characters were sent ahead of the caller's text, which
/// has `length` of them.
pub(super) fn describe(error: &Error, before: u64, length: u64) -> SqlError {
    let Some(db) = error.as_db_error() else {
        return transport(error);
    };
    let position = match db.position() {
        Some(ErrorPosition::Original(at)) => u64::from(*at)
            .checked_sub(before)
            .filter(|at| (1..=length).contains(at)),
        Some(ErrorPosition::Internal { .. }) | None => None,
    };
    SqlError {
        message: db.message().to_owned(),
        code: Some(db.code().code().to_owned()),
        detail: db.detail().map(str::to_owned),
        hint: db.hint().map(str::to_owned),
        position,
        context: db.where_().map(str::to_owned),
        kind: kind(db),
        ..SqlError::default()
    }
}

fn kind(db: &DbError) -> SqlErrorKind {
    let code = db.code();
    if *code == SqlState::LOCK_NOT_AVAILABLE {
        SqlErrorKind::LockTimeout
    } else if *code == SqlState::QUERY_CANCELED {
        SqlErrorKind::Cancelled
    } else if [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::DATABASE_DROPPED,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
    {
        SqlErrorKind::ConnectionLost
    } else {
        SqlErrorKind::Statement
    }
}

/// No answer of the server: the connection, or the protocol.
fn transport(error: &Error) -> SqlError {
    SqlError {
        message: Fault::failed("the connection to the database was lost")
            .caused_by(error)
            .to_string(),
        kind: SqlErrorKind::ConnectionLost,
        ..SqlError::default()
    }
}
