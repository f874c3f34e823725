//! What every command on an environment shares: its configuration, its ports,
//! the signal, the lock, and an end that leaves nothing behind.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::{Either, select, try_join_all};
use tokio::time::Instant;

use crate::config::{self, Loaded};
use crate::deploy::{Observer, Origin, Wanted, close_cut_off, one_history, ours};
use crate::migrate::DataLoss;
use crate::model::event::EventKind;
use crate::model::fault::{Fault, FaultKind};
use crate::model::history::History;
use crate::model::migration::Risk;
use crate::model::names::DatabaseName;
use crate::model::project::{Environment, ImageSource};
use crate::model::release::{Approved, Outcome, Release, ReleaseKind};
use crate::plan::Facts;
use crate::ports::{Connections, Cx, Held, Holder, Ledger, Lock, Loss};
use crate::ui::Ui;

use super::approval::Approval;
use super::args::Globals;
use super::failure::Failure;
use super::interrupt;
use super::judged;
use super::keeper::{Access, Keeper};
use super::secrets::{Hidden, Masker};
use super::source;
use super::target;
use super::wiring::{self, House};

/// What `--wait-lock` waits at most.
const LOCK_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Between two attempts; a remote lock tells nobody when it becomes free.
const LOCK_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Session<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) cx: Cx,
    pub(crate) environment: Arc<Environment>,
    pub(crate) house: House,
    pub(crate) keeper: Keeper,
    /// The command as typed, for the lock: `stagecraft deploy`.
    pub(crate) command: &'static str,
    wait_lock: bool,
}

/// Loads the environment that was named and runs `work` on it. Connections are
/// closed whatever happens.
///
/// # Errors
/// The configuration's, or the work's.
pub(crate) async fn on_environment<'a, T>(
    command: &'static str,
    globals: &Globals,
    ui: &'a Ui,
    image: Option<&str>,
    work: impl AsyncFnOnce(&Session<'a>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let overridden = |environment: &mut Environment| {
        if let Some(reference) = image {
            environment.source = ImageSource::Prebuilt(reference.to_owned());
        }
    };
    on_environment_with(command, globals, ui, overridden, work).await
}

/// The same, with what the command's own flags say otherwise than the file.
///
/// # Errors
/// The configuration's, or the work's.
pub(crate) async fn on_environment_with<'a, T>(
    command: &'static str,
    globals: &Globals,
    ui: &'a Ui,
    overridden: impl FnOnce(&mut Environment),
    work: impl AsyncFnOnce(&Session<'a>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let Loaded {
        mut environment,
        warnings,
    } = target::load(command, globals)?;
    for warning in warnings.warnings() {
        ui.warn(&warning).await;
    }
    overridden(&mut environment);
    let environment = Arc::new(environment);
    ui.expect_hosts(environment.hosts.iter().map(|host| &host.address));
    let values: Arc<dyn Connections> =
        Arc::new(Hidden::new(config::values::Values::of(&environment), ui));
    let mask: Masker = Arc::new(ui.masker());
    let (house, files) = wiring::house(&environment, values, Arc::clone(&mask))?;
    let session = Session {
        ui,
        cx: Cx::new(ui.events(), interrupt::token()?),
        keeper: Keeper::new(Arc::clone(&environment), files, mask),
        environment,
        house,
        command,
        wait_lock: globals.wait_lock,
    };
    let result = work(&session).await;
    session.house.engines.settle().await;
    session.house.link.close().await;
    result
}

impl Session<'_> {
    /// Runs `work` under the environment lock. If the lock is lost, the work
    /// is stopped as by a signal and the fault says why.
    ///
    /// # Errors
    /// Somebody else holds it; the work's own.
    pub(crate) async fn locked<T>(
        &self,
        work: impl AsyncFnOnce(&Cx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let held = self.acquire().await?;
        let lost = held.lost();
        let cx = self.cx.child();
        let watcher = tokio::spawn({
            let (lost, cx, environment) = (lost.clone(), cx.clone(), self.environment.clone());
            async move {
                lost.cancelled().await;
                cx.stop(lock_lost(&lost, &environment));
            }
        });
        let result = work(&cx).await;
        watcher.abort();
        release(held).await;
        result.map_err(|failure| {
            let fault = cx.explained(failure.fault);
            let fault = without_lock(fault, &lost, &self.environment);
            Failure { fault, ..failure }
        })
    }

    /// Does not wait unless that was asked for; then asks again and again until
    /// the holder is done or patience ends.
    async fn acquire(&self) -> Result<Box<dyn Held>, Fault> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        let mut said = false;
        loop {
            let fault = match self.house.lock.acquire(&self.cx, &self.holder()).await {
                Err(fault) if self.wait_lock && fault.kind == FaultKind::Locked => fault,
                done => return done,
            };
            if Instant::now() >= deadline {
                return Err(fault);
            }
            if !said {
                self.cx.step(format!("waiting: {}", fault.what));
                said = true;
            }
            self.cx
                .or_interrupted(async {
                    tokio::time::sleep(LOCK_PAUSE).await;
                    Ok(())
                })
                .await?;
        }
    }

    fn holder(&self) -> Holder {
        let (who, machine) = who();
        Holder {
            who,
            machine,
            since: Utc::now(),
            command: self.command.to_owned(),
            pid: std::process::id(),
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { actor: actor() }
    }

    /// For the migrator, once the plan is approved.
    pub(crate) fn accept_loss(&self, loss: DataLoss) {
        // A command asks once.
        let _ = self.house.loss.set(loss);
    }

    /// Keeps who agreed to a plan, for its release and for the evidence.
    pub(crate) fn approve(
        &self,
        approval: &Approval,
        risk: Risk,
        risks: &[String],
    ) -> Option<Approved> {
        let approved = approval.record(self.origin().actor, risk, risks)?;
        // A command asks once.
        let _ = self.house.approved.set(approved.clone());
        Some(approved)
    }

    /// Everything that is true now.
    ///
    /// # Errors
    /// What cannot be reached.
    pub(crate) async fn observe(
        &self,
        cx: &Cx,
        wanted: Wanted,
        access: Access,
    ) -> Result<Facts, Fault> {
        let history = self.history(cx, access);
        let source = async { Ok::<_, Fault>(source::observe(&self.environment.root).await) };
        let observer = Observer {
            environment: &self.environment,
            runner: &*self.house.runner,
            pusher: &*self.house.pusher,
            migrator: &*self.house.migrator,
            folders: &*self.house.folders,
            proxy: &*self.house.proxy,
        };
        let there = async { tokio::try_join!(source, observer.hosts(cx)) };
        // Of two faults the record's comes first: it may stand in the way of
        // all hosts.
        let (history, (source, hosts)) = match select(pin!(history), pin!(there)).await {
            Either::Left((history, there)) => (history?, there.await?),
            Either::Right((there, history)) => (history.await?, there?),
        };
        observer.observe(cx, history, source, hosts, wanted).await
    }

    /// What the engines of these databases (none named: of all) object to,
    /// before anything is connected to.
    ///
    /// # Errors
    /// `Config`, with every problem.
    pub(crate) async fn judge_databases(&self, databases: &[DatabaseName]) -> Result<(), Fault> {
        judged::by_engines(&self.house.registry, &[&*self.environment], databases).await
    }

    /// # Errors
    /// A damaged record, an unreachable host.
    pub(crate) async fn history(&self, cx: &Cx, access: Access) -> Result<History, Fault> {
        let history = cx.or_interrupted(self.keeper.load(cx, access)).await?;
        match access {
            Access::Read => Ok(history),
            Access::Write => self.close_cut_off_runs(cx, history).await,
        }
    }

    /// For work that writes history and does not observe: that it is the one
    /// history of the hosts. An engine that does not answer objects to nothing.
    ///
    /// # Errors
    /// `Unreachable`, with both folders.
    pub(crate) async fn one_history(&self, cx: &Cx) -> Result<(), Fault> {
        let labels = ours(&self.environment);
        let asked = self.environment.hosts.iter().map(|host| async {
            let host = &host.address;
            match self.house.runner.list(cx, host, &labels).await {
                Ok(found) => one_history(&*self.house.folders, host, &found).await,
                Err(_) => cx.check(),
            }
        });
        try_join_all(asked).await.map(|_| ())
    }

    /// Under the lock an open `migrate run` has no process any more.
    async fn close_cut_off_runs(&self, cx: &Cx, history: History) -> Result<History, Fault> {
        let open = |release: &&Release| {
            let alone = matches!(release.kind, ReleaseKind::Migrate | ReleaseKind::Restore);
            release.outcome == Outcome::Open && alone
        };
        let mut closed = vec![];
        for release in history.of(&self.environment.name).filter(open) {
            let mut release = release.clone();
            close_cut_off(&mut release)?;
            self.keeper.save(&release).await?;
            cx.warn(match release.kind {
                ReleaseKind::Restore => format!(
                    "`backup restore` {} was cut off; the names of the server's databases tell how far it came",
                    release.id
                ),
                _ => format!(
                    "`migrate run` {} was cut off; the database knows what it did",
                    release.id
                ),
            });
            closed.push(release);
        }
        if closed.is_empty() {
            Ok(history)
        } else {
            self.keeper.here()
        }
    }

    /// Says something that is no error as an event, in order with the others.
    pub(crate) fn warn_all(&self, warnings: &[String]) {
        for warning in warnings {
            self.cx.send(EventKind::Warning {
                text: warning.clone(),
            });
        }
    }
}

/// Why the work of a command was stopped.
fn lock_lost(lost: &Loss, environment: &Environment) -> Fault {
    let lock = match lost.host() {
        Some(host) => format!("the environment lock on `{host}` was lost"),
        None => "the environment lock was lost".to_owned(),
    };
    Fault::unreachable(lock)
        .because("the connection that held it ended, or it was taken by `stagecraft lock release`, or somebody else works on the host's engine")
        .hint(who_holds_it(environment))
}

/// A failure of work whose lock was lost: mostly because of it.
fn without_lock(fault: Fault, lost: &Loss, environment: &Environment) -> Fault {
    let reason = lock_lost(lost, environment);
    if lost.host().is_none() || fault.what == reason.what || fault.causes.contains(&reason.what) {
        return fault;
    }
    let fault = fault.because(format!("meanwhile {}", reason.what));
    let fault = reason.causes.into_iter().fold(fault, Fault::because);
    fault.hint(who_holds_it(environment))
}

fn who_holds_it(environment: &Environment) -> String {
    format!(
        "see who holds it now: `stagecraft lock show --env {}`; when it is free, run the same command again",
        environment.name
    )
}

async fn release(held: Box<dyn Held>) {
    held.release().await;
}

/// Such as `ada@laptop`.
pub(crate) fn actor() -> String {
    let (who, machine) = who();
    format!("{who}@{machine}")
}

/// Who runs this, and where.
pub(crate) fn who() -> (String, String) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let who = variable("GITHUB_ACTOR")
        .or_else(|| variable("GITLAB_USER_LOGIN"))
        .or_else(|| variable("USER"))
        .or_else(|| variable("LOGNAME"))
        .or_else(account)
        .unwrap_or_else(|| "unknown".to_owned());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| variable("HOSTNAME"))
        .unwrap_or_else(|| "unknown".to_owned());
    (who, machine)
}

/// The name of the account that this process runs as, from the password file:
/// containers and CI jobs often set no variable.
fn account() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}
