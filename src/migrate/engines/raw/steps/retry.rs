//! The pause before a lock is tried for again. Imports `ports::Cx`.

use std::time::Duration;

use uuid::Uuid;

use crate::model::fault::Fault;
use crate::ports::Cx;

/// Waits a moment that grows with the attempts and is never the same for two
/// who wait for each other; the signal ends it.
pub(super) async fn pause(cx: &Cx, attempt: u32) -> Result<(), Fault> {
    let longest = Duration::from_millis(250) * 2_u32.pow(attempt.min(4));
    let random = u32::from(Uuid::now_v7().as_bytes()[15]);
    let wait = longest / 2 + longest / 2 * random / 255;
    cx.or_interrupted(async {
        tokio::time::sleep(wait).await;
        Ok(())
    })
    .await
}
