//! The whole lock against real shells of this machine: a "host" is a folder.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::*;

use super::super::machines::{Machine, Machines};

struct Fleet {
    folder: TempDir,
    link: Arc<Machines>,
    engines: Arc<Engines>,
}

/// The names that are claimed on each engine.
#[derive(Default)]
struct Engines(Arc<Mutex<HashSet<(HostAddress, String)>>>);

struct Claim(
    Arc<Mutex<HashSet<(HostAddress, String)>>>,
    (HostAddress, String),
);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.lock().expect("names").remove(&self.1);
    }
}

#[async_trait]
impl EngineClaims for Engines {
    async fn claim(
        &self,
        host: &HostAddress,
        name: &str,
        _: Option<Duration>,
        lost: &CancellationToken,
    ) -> Result<Claimed, Fault> {
        let key = (host.clone(), name.to_owned());
        for _ in 0..40 {
            if self.0.lock().expect("names").insert(key.clone()) {
                let claim = Claim(Arc::clone(&self.0), key);
                let lost = lost.clone();
                return Ok(Claimed::Ours(Box::new(AbortOnDropHandle::new(
                    tokio::spawn(async move {
                        let _claim = claim;
                        lost.cancelled().await;
                    }),
                ))));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Claimed::Taken)
    }
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Bob has a state folder of his own on the first.
        let hosts = ["web1", "web2", "bob@web1"].map(|name: &str| {
            let machine = folder.path().join(name.trim_start_matches("bob@"));
            let state = if name.starts_with("bob@") {
                machine.join("home/bob")
            } else {
                machine.clone()
            };
            std::fs::create_dir_all(&state).expect("a folder");
            let machine = Machine {
                state,
                tmp: machine,
            };
            (name.parse().expect("an address"), machine)
        });
        let hosts = hosts.into();
        Self {
            folder,
            link: Arc::new(Machines::new(hosts)),
            engines: Arc::default(),
        }
    }

    /// The same hosts for a user with other state folders.
    fn of_another_user(&self) -> Self {
        let mut other = Self::new();
        other.engines = Arc::clone(&self.engines);
        other
    }

    /// A lock as another checkout sees it.
    fn lock(&self, checkout: &str, hosts: &[&str]) -> EnvironmentLock {
        EnvironmentLock {
            link: Arc::clone(&self.link) as Arc<dyn HostLink>,
            claims: Arc::clone(&self.engines) as Arc<dyn EngineClaims>,
            project: "shop".parse().expect("a name"),
            environment: "prod".parse().expect("a name"),
            hosts: hosts
                .iter()
                .map(|host| host.parse().expect("an address"))
                .collect(),
            file: self.folder.path().join(checkout).join("lock-prod"),
        }
    }
}

fn cx() -> Cx {
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    Cx::new(events, CancellationToken::new())
}

fn holder(who: &str) -> Holder {
    Holder {
        who: who.to_owned(),
        machine: "laptop".to_owned(),
        since: "2026-01-02T03:04:05Z".parse().expect("a time"),
        command: "stagecraft deploy --env prod".to_owned(),
        pid: 1,
    }
}

const BOTH: &[&str] = &["web1", "web2"];

#[tokio::test]
async fn the_second_checkout_is_told_who_holds_it_and_gets_it_afterwards() {
    let fleet = Fleet::new();
    let held = fleet
        .lock("ann", BOTH)
        .acquire(&cx(), &holder("ann"))
        .await
        .expect("it is free");
    let bob = fleet.lock("bob", BOTH);
    let fault = bob
        .acquire(&cx(), &holder("bob"))
        .await
        .err()
        .expect("it is held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert_eq!(
        fault.to_string(),
        "the environment `prod` is locked by ann on laptop since 2026-01-02 03:04:05 UTC (running `stagecraft deploy --env prod`): it is held on `web1`"
    );
    let shown = bob.show(&cx()).await.expect("the hosts answer");
    let places: Vec<&str> = shown.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["web1", "web2"]);
    held.release().await;
    assert_eq!(bob.show(&cx()).await.expect("the hosts answer"), []);
    let held = bob.acquire(&cx(), &holder("bob")).await;
    assert!(held.is_ok(), "{:?}", held.err());
}

#[tokio::test]
async fn what_cannot_be_taken_everywhere_is_taken_nowhere() {
    let fleet = Fleet::new();
    let _other = fleet
        .lock("ann", &["web2"])
        .acquire(&cx(), &holder("ann"))
        .await
        .expect("it is free");
    let refused = fleet.lock("bob", BOTH).acquire(&cx(), &holder("bob")).await;
    assert!(refused.is_err());
    let shown = fleet.lock("eve", &["web1"]).show(&cx()).await;
    assert_eq!(shown.expect("the hosts answer"), []);
    let missing = fleet
        .lock("bob", &["web1", "web9"])
        .acquire(&cx(), &holder("bob"))
        .await;
    let fault = missing.err().expect("a host is missing");
    assert_eq!(fault.kind, FaultKind::Unreachable);
}

#[tokio::test]
async fn a_user_with_another_state_folder_is_kept_out_by_the_engine() {
    let fleet = Fleet::new();
    let other = fleet.of_another_user();
    let held = fleet
        .lock("ann", BOTH)
        .acquire(&cx(), &holder("ann"))
        .await
        .expect("it is free");
    let bob = other.lock("bob", BOTH);
    let fault = bob.acquire(&cx(), &holder("bob")).await.err();
    let fault = fault.expect("it is held");
    assert_eq!(fault.kind, FaultKind::Locked);
    // Their machines share nothing else: nobody knows who it is.
    assert!(fault.what.contains("locked by somebody else"), "{fault}");
    assert_eq!(bob.show(&cx()).await.expect("the hosts answer"), []);
    held.release().await;
    let taken = bob.acquire(&cx(), &holder("bob")).await;
    assert!(taken.is_ok(), "{:?}", taken.err());
}

#[tokio::test]
async fn a_user_with_another_state_folder_on_the_same_host_is_told_who_it_is() {
    let fleet = Fleet::new();
    let ann = fleet.lock("ann", &["web1"]);
    let bob = fleet.lock("bob", &["bob@web1"]);
    let held = ann.acquire(&cx(), &holder("ann")).await.expect("free");
    let refused = bob.acquire(&cx(), &holder("bob")).await;
    let fault = refused.err().expect("it is held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(fault.what.contains("locked by ann on laptop"), "{fault}");
    let place = fleet.folder.path().join("web1");
    let folder = place.join("shop/prod");
    assert!(fault.causes[0].contains(&*folder.to_string_lossy()));
    let shown = bob.show(&cx()).await.expect("the host answers");
    assert_eq!(shown, [("bob@web1".to_owned(), holder("ann"))]);
    let fault = bob.break_open(&cx()).await.expect_err("not bob's");
    assert!(fault.to_string().contains("by another user"), "{fault}");
    held.release().await;

    let notices = || {
        let files = std::fs::read_dir(&place).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("stagecraft."))
            .count()
    };
    assert_eq!(notices(), 0);
    // What a holder leaves who could not tidy up counts for nothing.
    let old = place.join("stagecraft.shop.prod.abcdef.held");
    std::fs::write(&old, "{}\n/x\n").expect("written");
    assert_eq!(bob.show(&cx()).await.expect("the host answers"), []);
    let held = bob.acquire(&cx(), &holder("bob")).await.expect("free");
    assert!(!old.exists());
    held.release().await;
    assert_eq!(notices(), 0);
}

#[tokio::test]
async fn a_host_says_when_the_lock_was_last_let_go() {
    let fleet = Fleet::new();
    let host = "web1".parse().expect("an address");
    let lock = fleet.lock("ann", &["web1"]);
    let script = script::hold(&lock.project, &lock.environment);
    let free_for = async || {
        let end = remote::wait(&*fleet.link, &host, &script).await;
        let taken = remote::take(end.expect("it waits"), &host, &holder("ann")).await;
        let Ok(remote::Answer::Taken(place)) = taken else {
            panic!("it is free");
        };
        let (released, lost) = (CancellationToken::new(), CancellationToken::new());
        let free_for = place.free_for;
        released.cancel();
        place.beat(released, lost).await;
        free_for
    };
    assert_eq!(free_for().await, None);
    let ago = free_for().await.expect("it was held before");
    assert!(ago < Duration::from_secs(20), "{ago:?}");
}

#[tokio::test]
async fn showing_makes_nothing() {
    let fleet = Fleet::new();
    let shown = fleet.lock("ann", BOTH).show(&cx()).await;
    assert_eq!(shown.expect("the hosts answer"), []);
    for host in ["web1", "web2"] {
        let made = std::fs::read_dir(fleet.folder.path().join(host)).expect("a folder");
        let mut made =
            made.filter(|file| file.as_ref().is_ok_and(|file| file.file_name() != "home"));
        assert!(made.next().is_none());
    }
}

#[tokio::test]
async fn a_lock_that_is_broken_open_is_lost_to_its_holder() {
    let fleet = Fleet::new();
    let held = fleet
        .lock("ann", &["web1"])
        .acquire(&cx(), &holder("ann"))
        .await
        .expect("it is free");
    let bob = fleet.lock("bob", &["web1"]);
    let broken = bob.break_open(&cx()).await.expect("the host answers");
    assert_eq!(broken, [("web1".to_owned(), holder("ann"))]);
    let taken = bob.acquire(&cx(), &holder("bob")).await;
    assert!(taken.is_ok(), "{:?}", taken.err());
    let lost = held.lost();
    tokio::time::timeout(Duration::from_secs(15), lost.cancelled())
        .await
        .expect("the first holder is told");
    assert_eq!(
        lost.host().map(ToString::to_string).as_deref(),
        Some("web1")
    );
}

#[tokio::test]
async fn several_beats_in_a_row_are_all_answered() {
    let fleet = Fleet::new();
    let host = "web1".parse().expect("an address");
    let lock = fleet.lock("ann", &["web1"]);
    let script = script::hold(&lock.project, &lock.environment);
    let mut process = fleet.link.spawn(&host, &script).await.expect("sh starts");
    let line = serde_json::to_string(&holder("ann")).expect("JSON");
    for line in [line.as_str(), "one", "two", "three"] {
        process.write_line(line).await.expect("it listens");
    }
    for expected in ["LOCKED ", "one", "two", "three"] {
        let said = process.read_line().await.expect("it answers");
        assert_eq!(said.as_deref(), Some(expected));
    }
    assert_eq!(process.finish().await.expect("it ends").code, 0);
}

#[tokio::test]
async fn a_silent_holder_is_put_out() {
    let fleet = Fleet::new();
    let host = "web1".parse().expect("an address");
    let lock = fleet.lock("ann", &["web1"]);
    // The same script with less patience.
    let script = script::hold(&lock.project, &lock.environment).replace("within 30", "within 1");
    let mut process = fleet.link.spawn(&host, &script).await.expect("sh starts");
    let line = serde_json::to_string(&holder("ann")).expect("JSON");
    process.write_line(&line).await.expect("it listens");
    let locked = process.read_line().await.expect("it answers");
    assert_eq!(locked.as_deref(), Some("LOCKED "));
    assert_eq!(process.read_line().await.expect("its end"), None);
    assert_eq!(lock.show(&cx()).await.expect("the host answers"), []);
}
