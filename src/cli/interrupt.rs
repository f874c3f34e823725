//! Signals: the first one stops the work and undoes what can be undone; the
//! outcome is recorded and the code is 130.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;

/// A token that SIGINT, SIGTERM and SIGHUP cancel. Further signals change
/// nothing: an undo that is cut off would leave a mixed fleet.
///
/// # Errors
/// The process may not install signal handlers.
pub(crate) fn token() -> Result<CancellationToken, Fault> {
    let cancel = CancellationToken::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind)
            .map_err(|error| Fault::internal("cannot listen for signals").caused_by(&error))?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                cancel.cancel();
            }
        });
    }
    Ok(cancel)
}
