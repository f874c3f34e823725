//! MySQL's errors in the port's words.

use mysql_async::Error;

use crate::model::fault::Fault;
use crate::ports::{SqlError, SqlErrorKind};

/// Adds the server's own words to a fault.
pub(super) fn because(fault: Fault, error: &Error) -> Fault {
    match error {
        Error::Server(server) => fault.because(format!(
            "ERROR {} ({}): {}",
            server.code, server.state, server.message
        )),
        other => fault.caused_by(other),
    }
}

pub(super) fn describe(error: &Error) -> SqlError {
    match error {
        Error::Server(server) => SqlError {
            message: server.message.clone(),
            code: Some(format!("{} ({})", server.code, server.state)),
            kind: kind(server.code),
            ..SqlError::default()
        },
        other => SqlError {
            message: Fault::failed("the connection to the database was lost")
                .caused_by(other)
                .to_string(),
            kind: SqlErrorKind::ConnectionLost,
            ..SqlError::default()
        },
    }
}

fn kind(code: u16) -> SqlErrorKind {
    match code {
        // Lock wait timeout, deadlock: the transaction is gone, try again.
        1205 | 1213 => SqlErrorKind::LockTimeout,
        1969 | 3024 => SqlErrorKind::StatementTimeout,
        1317 => SqlErrorKind::Cancelled,
        // Shutdown, killed, closed by the server.
        1053 | 1927 | 3169 | 4031 => SqlErrorKind::ConnectionLost,
        _ => SqlErrorKind::Statement,
    }
}
