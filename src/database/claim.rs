//! What the locks of the three dialects have in common: how they are polled,
//! what the three keys of a server say, and what is said of one that is held.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Cx, Hold};

const POLL: Duration = Duration::from_millis(200);

/// How long a lock is polled for.
pub(super) struct Patience {
    deadline: Instant,
}

impl Patience {
    pub(super) fn new(wait: Duration) -> Self {
        Self {
            deadline: Instant::now() + wait,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Until the next attempt.
    ///
    /// # Errors
    /// Interrupted.
    pub(super) async fn pause(&self, cx: &Cx) -> Result<(), Fault> {
        let next = self.deadline.min(Instant::now() + POLL);
        cx.or_interrupted(async {
            tokio::time::sleep_until(next).await;
            Ok(())
        })
        .await
    }
}

/// Three keys in one question, each with whether this session has it now: the
/// entry's (held by another session: an earlier one of ours is not over yet),
/// the step's (held: another entry of this step holds the lock) and the lock
/// itself. What a refused attempt got is kept for the next one.
pub(super) fn hold(has: &[bool; 3]) -> Option<Hold> {
    match has {
        [true, _, true] => Some(Hold::Own),
        [true, false, false] => Some(Hold::Shared),
        [true, true, false] | [false, _, _] => None,
    }
}

pub(super) fn locked(database: impl Display, holder: Option<&str>) -> Fault {
    Fault::new(
        FaultKind::Locked,
        format!("the database {database} is locked by another migration"),
    )
    .because(format!(
        "held by {}",
        holder.unwrap_or("a session that is gone by now")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_shared_with_another_entry_of_the_step_and_with_nobody_else() {
        assert_eq!(hold(&[true, true, true]), Some(Hold::Own));
        assert_eq!(hold(&[true, false, true]), Some(Hold::Own));
        assert_eq!(hold(&[true, false, false]), Some(Hold::Shared));
        // The step's key is ours, so whoever has the lock is of another step.
        assert_eq!(hold(&[true, true, false]), None);
        // An earlier session of this entry is not over.
        assert_eq!(hold(&[false, false, true]), None);
    }
}
