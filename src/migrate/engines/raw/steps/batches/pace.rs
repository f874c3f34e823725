//! How fast batches follow each other: a pause in proportion to the last one,
//! and a longer one while replicas are behind. Imports `ports`.

use std::time::Duration;

use tokio::time::Instant;

use crate::migrate::words;
use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Dialect};

/// Others get a fifth of the time.
const SHARE: u32 = 4;
const LONGEST: Duration = Duration::from_secs(1);

/// A replica that is further behind than this is waited for.
const BEHIND: Duration = Duration::from_secs(5);
/// But not for ever: it may have gone without the server noticing.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);

/// Only PostgreSQL's primary knows how far its replicas are; a login that may
/// not see it gets no answer, which counts as none behind.
const LAG: &str = "SELECT (extract(epoch FROM max(replay_lag)) * 1000)::bigint::text FROM pg_catalog.pg_stat_replication";

#[derive(Default)]
pub(super) struct Pace {
    said: bool,
}

impl Pace {
    pub(super) async fn rest(
        &mut self,
        cx: &Cx,
        database: &mut dyn Database,
        took: Duration,
    ) -> Result<(), Fault> {
        wait(cx, (took / SHARE).min(LONGEST)).await?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(lag) = lag(database).await?.filter(|lag| *lag > BEHIND) {
            let shown = words::duration(Duration::from_secs(lag.as_secs()));
            if Instant::now() >= deadline {
                if !std::mem::replace(&mut self.said, true) {
                    cx.warn(format!("a replica stays {shown} behind; going on slowly"));
                }
                return Ok(());
            }
            wait(cx, POLL).await?;
        }
        Ok(())
    }
}

async fn wait(cx: &Cx, time: Duration) -> Result<(), Fault> {
    cx.or_interrupted(async {
        tokio::time::sleep(time).await;
        Ok(())
    })
    .await
}

async fn lag(database: &mut dyn Database) -> Result<Option<Duration>, Fault> {
    if database.dialect() != Dialect::Postgres {
        return Ok(None);
    }
    let answer = database.query(LAG).await?.into_iter().next().flatten();
    Ok(answer
        .and_then(|text| text.parse().ok())
        .map(Duration::from_millis))
}
