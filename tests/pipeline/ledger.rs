//! A ledger in memory whose writes can be cut: the process dies at that very
//! write, before or after it reached the disk.

use std::sync::Mutex;

use async_trait::async_trait;
use stagecraft::model::fault::Fault;
use stagecraft::model::history::History;
use stagecraft::model::release::Release;
use stagecraft::ports::Ledger;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The write is lost.
    Before(usize),
    /// The write is on disk, and nothing after it happens.
    After(usize),
}

#[derive(Default)]
struct State {
    releases: Vec<Release>,
    writes: usize,
    cut: Option<Cut>,
    /// The disk is full: saves fail, the process lives.
    full: bool,
}

#[derive(Default)]
pub(crate) struct CutLedger {
    state: Mutex<State>,
    dead: CancellationToken,
}

impl CutLedger {
    pub(crate) fn holding(history: &History, cut: Option<Cut>) -> Self {
        Self {
            state: Mutex::new(State {
                releases: history.all().to_vec(),
                cut,
                ..State::default()
            }),
            dead: CancellationToken::new(),
        }
    }

    pub(crate) fn fill_disk_after(&self, writes: usize) {
        let mut state = self.state.lock().unwrap();
        state.cut = None;
        state.full = state.writes >= writes;
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.state.lock().unwrap().releases.clone())
    }

    pub(crate) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    /// Returns when the process is dead.
    pub(crate) async fn death(&self) {
        self.dead.cancelled().await;
    }

    fn write(&self, release: &Release) -> Result<bool, Fault> {
        let mut state = self.state.lock().unwrap();
        if state.full {
            return Err(
                Fault::internal("cannot save releases.json").because("no space left on device")
            );
        }
        state.writes += 1;
        let number = state.writes;
        if state.cut == Some(Cut::Before(number)) {
            return Ok(false);
        }
        match state
            .releases
            .iter_mut()
            .find(|known| known.uuid == release.uuid)
        {
            Some(known) => *known = release.clone(),
            None => state.releases.push(release.clone()),
        }
        Ok(state.cut != Some(Cut::After(number)))
    }
}

#[async_trait]
impl Ledger for CutLedger {
    async fn save(&self, release: &Release) -> Result<(), Fault> {
        if self.write(release)? {
            return Ok(());
        }
        self.dead.cancel();
        std::future::pending().await
    }
}
