//! The deadline of a whole step: it cancels the work, it does not just stop
//! waiting. Imports `ports::Cx` and `model::fault`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::migrate::words;
use crate::model::fault::{Fault, FaultKind};
use crate::ports::Cx;

/// How long the work may take to give up once it was cancelled.
const GRACE: Duration = Duration::from_secs(15);

/// Awaits `work`, which runs under `token`, a child of `cx`'s.
pub(super) async fn within<T>(
    cx: &Cx,
    token: &CancellationToken,
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::pin!(work);
    if let Ok(done) = tokio::time::timeout(limit, &mut work).await {
        return done;
    }
    token.cancel();
    let timed_out = format!(
        "{what} ran into their timeout of {}",
        words::duration(limit)
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
    use super::*;

    #[tokio::test]
    async fn the_work_is_cancelled_and_the_message_says_timeout() {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let cx = Cx::new(events, CancellationToken::new());
        let token = cx.token().child_token();
        let inner = cx.under(token.clone());
        let work = async {
            inner.token().cancelled().await;
            Err::<(), _>(Fault::new(FaultKind::Interrupted, "`1.sql` was cancelled"))
        };
        let limit = Duration::from_millis(10);
        let fault = within(&cx, &token, limit, "the migrations of `main`", work)
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
