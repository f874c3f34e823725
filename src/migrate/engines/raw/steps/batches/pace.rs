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

pub(super) struct Pace {
    patience: Duration,
    poll: Duration,
    said: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            patience: PATIENCE,
            poll: POLL,
            said: false,
        }
    }
}

impl Pace {
    pub(super) async fn rest(
        &mut self,
        cx: &Cx,
        database: &mut dyn Database,
        took: Duration,
    ) -> Result<(), Fault> {
        wait(cx, (took / SHARE).min(LONGEST)).await?;
        let deadline = Instant::now() + self.patience;
        while let Some(lag) = lag(database).await?.filter(|lag| *lag > BEHIND) {
            let shown = words::duration(Duration::from_secs(lag.as_secs()));
            if Instant::now() >= deadline {
                if !std::mem::replace(&mut self.said, true) {
                    cx.warn(format!("a replica stays {shown} behind; going on slowly"));
                }
                return Ok(());
            }
            wait(cx, self.poll).await?;
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::model::event::{Event, EventKind};
    use crate::model::fault::FaultKind;
    use crate::ports::{Claim, Hold, LedgerRow, SqlError};

    /// A primary that says how far behind its replicas are, in milliseconds;
    /// the last answer stays.
    struct Primary {
        lags: VecDeque<Option<u64>>,
        asked: usize,
    }

    #[async_trait]
    impl Database for Primary {
        fn dialect(&self) -> Dialect {
            Dialect::Postgres
        }
        async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault> {
            assert_eq!(sql, LAG);
            self.asked += 1;
            let lag = match self.lags.len() {
                1 => self.lags[0],
                _ => self.lags.pop_front().expect("an answer"),
            };
            Ok(vec![lag.map(|lag| lag.to_string())])
        }
        async fn rows(&mut self, _: &str) -> Result<Option<Vec<LedgerRow>>, Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn lock(&mut self, _: &Cx, _: &Claim, _: Duration) -> Result<Hold, Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn prepare(&mut self) -> Result<(), Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn renew(&mut self) -> Result<(), Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn apply(&mut self, _: &Cx, _: &str, _: &LedgerRow) -> Result<(), SqlError> {
            unreachable!("only the lag is asked for")
        }
        async fn execute(&mut self, _: &Cx, _: &str) -> Result<(), SqlError> {
            unreachable!("only the lag is asked for")
        }
        async fn save(&mut self, _: &LedgerRow) -> Result<(), Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn hold(&mut self) -> Result<Option<String>, Fault> {
            unreachable!("only the lag is asked for")
        }
        async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
            unreachable!("only the lag is asked for")
        }
    }

    /// The same pace, for an impatient test.
    fn quick() -> Pace {
        Pace {
            patience: Duration::from_millis(60),
            poll: Duration::from_millis(5),
            ..Pace::default()
        }
    }

    /// How often it asked, and what it warned of.
    async fn rests(pace: &mut Pace, lags: &[Option<u64>]) -> (usize, Vec<String>) {
        let (events, mut heard) = unbounded_channel::<Event>();
        let cx = Cx::new(events, CancellationToken::new());
        let mut primary = Primary {
            lags: lags.iter().copied().collect(),
            asked: 0,
        };
        pace.rest(&cx, &mut primary, Duration::ZERO)
            .await
            .expect("rested");
        let mut warnings = vec![];
        while let Ok(event) = heard.try_recv() {
            if let EventKind::Warning { text } = event.kind {
                warnings.push(text);
            }
        }
        (primary.asked, warnings)
    }

    #[tokio::test]
    async fn a_replica_that_is_behind_is_waited_for_until_it_is_not() {
        let pace = &mut quick();
        for near in [None, Some(0), Some(5000)] {
            assert_eq!(rests(pace, &[near]).await, (1, vec![]), "{near:?}");
        }
        let comes_nearer = [Some(9000), Some(5001), Some(4000)];
        assert_eq!(rests(pace, &comes_nearer).await, (3, vec![]));
    }

    #[tokio::test]
    async fn one_that_stays_behind_is_not_waited_for_for_ever_and_said_once() {
        let pace = &mut quick();
        let (asked, warnings) = rests(pace, &[Some(90_000)]).await;
        assert!(asked > 2, "{asked}");
        assert!(
            warnings.len() == 1 && warnings[0].ends_with("behind; going on slowly"),
            "{warnings:?}"
        );
        let (_, warnings) = rests(pace, &[Some(90_000)]).await;
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[tokio::test]
    async fn a_signal_ends_the_waiting() {
        let (events, _heard) = unbounded_channel::<Event>();
        let token = CancellationToken::new();
        let cx = Cx::new(events, token.clone());
        let mut primary = Primary {
            lags: [Some(90_000)].into(),
            asked: 0,
        };
        let mut pace = Pace::default();
        let resting = pace.rest(&cx, &mut primary, Duration::ZERO);
        let signal = async {
            tokio::task::yield_now().await;
            token.cancel();
        };
        let (rested, ()) = tokio::join!(resting, signal);
        assert_eq!(rested.expect_err("stopped").kind, FaultKind::Interrupted);
    }
}
