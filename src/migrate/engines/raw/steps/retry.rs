//! Waiting for locks without keeping others waiting: whoever comes after a
//! statement that waits for a strong lock queues up behind it. So the first
//! attempts give way quickly, later ones hold out longer, and the last one
//! waits as long as `lock_timeout` allows. Imports `model`, `ports`.

use std::time::Duration;

use uuid::Uuid;

use crate::model::fault::Fault;
use crate::model::project::MigrationSpec;
use crate::ports::{Cx, Dialect};

/// The first wait: nobody notices it.
const SHORT: Duration = Duration::from_millis(100);
/// So many attempts are that short.
const SHORT_ONES: u32 = 6;
/// Work that an attempt had done before its lock was refused, and that is not
/// lightly done again.
const DEAR: Duration = Duration::from_secs(1);

/// The wait that a session begins with.
pub(in super::super) fn first(spec: &MigrationSpec, dialect: Dialect) -> Duration {
    wait(spec, dialect, 0, Duration::ZERO)
}

/// How long an attempt (0-based) may wait for one lock. `took`: the longest of
/// the attempts before it.
pub(super) fn wait(
    spec: &MigrationSpec,
    dialect: Dialect,
    attempt: u32,
    took: Duration,
) -> Duration {
    let full = spec.lock_timeout;
    let sets = |sql: &String| {
        let sql = sql.to_ascii_lowercase();
        sql.contains("lock_timeout") || sql.contains("lock_wait_timeout")
    };
    let own = spec.session_sql.iter().any(sets);
    let short = match dialect {
        Dialect::Postgres => SHORT,
        // It counts in seconds.
        Dialect::Mysql => Duration::from_secs(1),
        // Nobody queues up behind a writer that waits.
        Dialect::Sqlite => full,
    };
    if own || attempt >= spec.lock_retries || took > DEAR {
        return full;
    }
    let doubled = (attempt + 1).saturating_sub(SHORT_ONES).min(10);
    (short * 2_u32.pow(doubled)).min(full)
}

/// What sets the wait of a session.
pub(in super::super) fn setting(dialect: Dialect, wait: Duration) -> Option<String> {
    let ms = wait.as_millis();
    match dialect {
        Dialect::Postgres => Some(format!("SET lock_timeout = {ms}")),
        Dialect::Mysql => {
            let seconds = ms.div_ceil(1000).max(1);
            Some(format!(
                "SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
            ))
        }
        Dialect::Sqlite => None,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::test_support::spec;

    fn waits(dialect: Dialect, retries: u32) -> Vec<u128> {
        let mut spec = spec(std::path::Path::new("db"));
        spec.lock_timeout = Duration::from_secs(5);
        spec.lock_retries = retries;
        (0..=retries)
            .map(|attempt| wait(&spec, dialect, attempt, Duration::ZERO).as_millis())
            .collect()
    }

    #[test]
    fn the_first_attempts_are_short_and_the_last_waits_as_long_as_it_may() {
        assert_eq!(
            waits(Dialect::Postgres, 10),
            [100, 100, 100, 100, 100, 100, 200, 400, 800, 1600, 5000]
        );
        assert_eq!(waits(Dialect::Postgres, 1), [100, 5000]);
        assert_eq!(waits(Dialect::Postgres, 0), [5000]);
        assert_eq!(waits(Dialect::Mysql, 2), [1000, 1000, 5000]);
        assert_eq!(waits(Dialect::Sqlite, 1), [5000, 5000]);
    }

    #[test]
    fn work_that_would_have_to_be_done_again_is_worth_a_wait() {
        let mut spec = spec(std::path::Path::new("db"));
        spec.lock_timeout = Duration::from_secs(5);
        spec.lock_retries = 10;
        let after = |took| wait(&spec, Dialect::Postgres, 1, took);
        assert_eq!(after(Duration::from_millis(900)).as_millis(), 100);
        assert_eq!(after(Duration::from_secs(30)), spec.lock_timeout);
    }

    #[test]
    fn a_timeout_of_the_session_s_own_statements_is_left_alone() {
        let mut spec = spec(std::path::Path::new("db"));
        spec.session_sql = vec!["SET lock_timeout = '2s'".to_owned()];
        assert_eq!(first(&spec, Dialect::Postgres), spec.lock_timeout);
    }
}
