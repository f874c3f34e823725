//! A host's part of the environment lock, seen from here: taking it, the beats
//! that keep it, and the glance. Imports `ports`, `model`.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{Holder, HostLink, RemoteProcess};

use super::super::state::{went_wrong, within};

const BEAT: Duration = Duration::from_secs(5);
/// Less than the 30 s after which the host frees it: we stop first.
const SILENCE: Duration = Duration::from_secs(20);

pub(super) enum Answer {
    Taken(Place),
    Busy(Option<Holder>),
    /// By somebody with this other state folder.
    Elsewhere(Option<Holder>, String),
}

/// A host on which the lock is held.
pub(super) struct Place {
    process: Box<dyn RemoteProcess>,
    answered: Instant,
    /// Since somebody last let go of it, if that is known.
    pub(super) free_for: Option<Duration>,
}

/// The host's end, which waits for its holder: it can be there before the lock
/// is asked for, and goes when it is dropped.
pub(super) struct Waiting(Box<dyn RemoteProcess>);

pub(super) async fn wait(
    link: &dyn HostLink,
    host: &HostAddress,
    script: &str,
) -> Result<Waiting, Fault> {
    Ok(Waiting(link.spawn(host, script).await?))
}

pub(super) async fn take(
    waiting: Waiting,
    host: &HostAddress,
    holder: &Holder,
) -> Result<Answer, Fault> {
    let cannot = || Fault::unreachable(format!("cannot take the lock on `{host}`"));
    let line = serde_json::to_string(holder)
        .map_err(|error| Fault::internal("a holder is always JSON").caused_by(&error))?;
    let Waiting(mut process) = waiting;
    let asked = Instant::now();
    process.write_line(&line).await?;
    loop {
        let read = timeout_at(asked + SILENCE, process.read_line()).await;
        let read = read.map_err(|_| cannot().because("it does not answer"))??;
        let Some(said) = read else {
            let exit = process.finish().await?;
            return Err(went_wrong(host, "take the lock", &exit));
        };
        match said.split_once(' ').unwrap_or((&said, "")) {
            ("LOCKED", ago) => {
                // A clock that was set back: a moment ago.
                let ago = ago.trim().parse().ok();
                let free_for = ago.map(|ago: i64| Duration::from_secs(ago.max(0).unsigned_abs()));
                return Ok(Answer::Taken(Place {
                    process,
                    answered: asked,
                    free_for,
                }));
            }
            ("BUSY", other) => return Ok(Answer::Busy(serde_json::from_str(other).ok())),
            ("ELSEWHERE", other) => {
                let (holder, folder) = other.split_once('\t').unwrap_or((other, ""));
                return Ok(Answer::Elsewhere(
                    serde_json::from_str(holder).ok(),
                    folder.to_owned(),
                ));
            }
            ("CANNOT", why) => {
                return Err(cannot()
                    .because(why.trim())
                    .hint("its user needs `flock` or `perl`, and `/var/lib/stagecraft` or a home to write to; then run the same command again"));
            }
            // What a login shell likes to say first.
            _ => {}
        }
    }
}

impl Place {
    /// Keeps the lock until it is released or lost.
    pub(super) async fn beat(mut self, released: CancellationToken, lost: CancellationToken) {
        loop {
            let silent = self.answered + SILENCE;
            let next = self.answered + BEAT;
            tokio::select! {
                biased;
                () = released.cancelled() => break,
                () = sleep_until(next) => {}
                // Nothing was asked: this can only be its end.
                _ = self.process.read_line() => return lost.cancel(),
            }
            let asked = Instant::now();
            let echo = async {
                self.process.write_line("beat").await?;
                self.process.read_line().await
            };
            tokio::select! {
                biased;
                () = released.cancelled() => break,
                echo = timeout_at(silent, echo) => match echo {
                    // From when it was asked: the host counts from its answer.
                    Ok(Ok(Some(_))) => self.answered = asked,
                    Ok(Ok(None) | Err(_)) | Err(_) => return lost.cancel(),
                },
            }
        }
        // Waits until the host's end is gone and the lock is free.
        let _ = self.process.finish().await;
    }
}

pub(super) async fn show(
    link: &dyn HostLink,
    host: &HostAddress,
    script: &str,
) -> Result<Option<Holder>, Fault> {
    let exit = within(SILENCE, link, host, "look at the lock", script, b"").await?;
    Ok(last_holder(&exit.stdout))
}

pub(super) async fn break_open(
    link: &dyn HostLink,
    host: &HostAddress,
    script: String,
) -> Result<Option<Holder>, Fault> {
    let what = "end the lock's holder";
    let exit = within(SILENCE, link, host, what, &script, b"").await?;
    if exit.code == 0 {
        Ok(last_holder(&exit.stdout))
    } else {
        Err(went_wrong(host, what, &exit))
    }
}

fn last_holder(stdout: &[u8]) -> Option<Holder> {
    let text = String::from_utf8_lossy(stdout);
    serde_json::from_str(text.lines().next_back()?).ok()
}
