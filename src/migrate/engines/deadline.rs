//! The deadline of a whole step: it cancels the work, it does not just stop
//! waiting. Imports `ports::Cx` and `model::fault`.

use std::time::Duration;

use crate::migrate::words;
use crate::model::fault::{Fault, FaultKind};
use crate::ports::Cx;

/// How long the work may take to give up once it was cancelled.
const GRACE: Duration = Duration::from_secs(15);

/// The time that a step has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// As it is configured.
    pub(super) whole: Duration,
    /// What earlier parts of the step took of it.
    pub(super) spent: Duration,
}

/// Awaits `work`, which gets a context that the deadline cancels.
pub(super) async fn within<T>(
    cx: &Cx,
    limit: Limit,
    what: &str,
    work: impl AsyncFnOnce(&Cx) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let token = cx.token().child_token();
    let inner = cx.under(token.clone());
    let work = work(&inner);
    tokio::pin!(work);
    let left = limit.whole.saturating_sub(limit.spent);
    if let Ok(done) = tokio::time::timeout(left, &mut work).await {
        return done;
    }
    token.cancel();
    let timed_out = format!(
        "{what} ran into their timeout of {}",
        words::duration(limit.whole)
    );
    match tokio::time::timeout(GRACE, work).await {
        Ok(Err(fault)) if fault.kind == FaultKind::Interrupted && !cx.token().is_cancelled() => {
            Err(overtaken(fault, timed_out))
        }
        // It finished or failed by itself while it was being cancelled.
        Ok(other) => other,
        Err(_) => Err(Fault::failed(timed_out)
            .because("the database did not answer the cancellation; the connection was dropped")),
    }
}

fn overtaken(mut fault: Fault, timed_out: String) -> Fault {
    let inner = std::mem::replace(&mut fault.what, timed_out);
    fault.kind = FaultKind::Failed;
    fault.causes.insert(0, inner);
    fault.hint("raise `migrations.timeout` when the work needs longer")
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn the_work_is_cancelled_and_the_message_says_timeout() {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let cx = Cx::new(events, CancellationToken::new());
        let work = async |inner: &Cx| {
            inner.token().cancelled().await;
            Err::<(), _>(Fault::new(FaultKind::Interrupted, "`1.sql` was cancelled"))
        };
        let limit = Limit {
            whole: Duration::from_millis(10),
            spent: Duration::from_millis(9),
        };
        let fault = within(&cx, limit, "the migrations of `main`", work)
            .await
            .expect_err("a timeout");
        assert_eq!(fault.kind, FaultKind::Failed);
        assert_eq!(
            fault.to_string(),
            "the migrations of `main` ran into their timeout of 10ms: `1.sql` was cancelled"
        );
        assert!(!cx.token().is_cancelled());
    }
}
