//! The whole lock against real shells of this machine: a "host" is a folder.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

use super::super::machines::Machines;

struct Fleet {
    folder: TempDir,
    link: Arc<Machines>,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hosts = ["web1", "web2"]
            .map(|name| {
                let path = folder.path().join(name);
                std::fs::create_dir(&path).expect("a folder");
                (name.parse().expect("an address"), path)
            })
            .into();
        Self {
            folder,
            link: Arc::new(Machines::new(hosts)),
        }
    }

    /// A lock as another checkout sees it.
    fn lock(&self, checkout: &str, hosts: &[&str]) -> EnvironmentLock {
        EnvironmentLock {
            link: Arc::clone(&self.link) as Arc<dyn HostLink>,
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
async fn showing_makes_nothing() {
    let fleet = Fleet::new();
    let shown = fleet.lock("ann", BOTH).show(&cx()).await;
    assert_eq!(shown.expect("the hosts answer"), []);
    for host in ["web1", "web2"] {
        let mut made = std::fs::read_dir(fleet.folder.path().join(host)).expect("a folder");
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
    for expected in ["LOCKED", "one", "two", "three"] {
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
    assert_eq!(locked.as_deref(), Some("LOCKED"));
    assert_eq!(process.read_line().await.expect("its end"), None);
    assert_eq!(lock.show(&cx()).await.expect("the host answers"), []);
}
