//! The load itself: it finds every flaw, and nothing where there is none. Needs
//! no lab.

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::load::{End, Flaw, Flawed, Kind, Load, Loading, Report};

fn load_on(server: &Flawed) -> Loading {
    let slow = Duration::from_millis(100);
    Load::on(&[server.address]).rate(400).slow(slow).starts()
}

fn load_of(server: &Flawed) -> Report {
    let load = load_on(server);
    load.goes_on_for(Duration::from_millis(1000));
    load.ends()
}

/// What a check says when it fails, as it must.
#[track_caller]
fn fails(check: impl FnOnce() -> String) -> String {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(report) => panic!("this check must fail: {report}"),
        Err(said) => said.downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

/// All at once: they mostly wait.
fn each<E: Sync>(flaws: &[(Flaw, E)], check: impl Fn(&Flaw, &E) + Sync) {
    std::thread::scope(|scope| {
        for (flaw, expected) in flaws {
            let check = &check;
            scope.spawn(move || check(flaw, expected));
        }
    });
}

#[track_caller]
fn loses_something(report: &Report, reason: &str) {
    let said = fails(|| report.lost_nothing().to_string());
    assert!(said.contains(reason), "{reason}: {said}");
}

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    let report = load_of(&Flawed::with(Flaw::None));
    report.lost_nothing().saw_only(&["v1"]).saw(&["v1"]);
    report.websockets_survived();
    assert_eq!(report.serves(0).as_deref(), Some("v1"));
    fails(|| report.saw(&["v2"]).to_string());
}

#[test]
fn every_lost_request_is_found() {
    each(
        &[
            (Flaw::Drops, "failed at"),
            (Flaw::Truncates, "the body: "),
            (Flaw::Shortens, "not the whole answer: "),
            (Flaw::Refuses, "503 Service Unavailable: "),
        ],
        |flaw, reason| {
            let server = Flawed::with(*flaw);
            let report = load_of(&server);
            loses_something(&report, reason);
            assert!(server.flawed() >= 2, "{report}");
            assert_eq!(report.failures(), server.flawed(), "{flaw:?}: {report}");
            report.websockets_survived();
        },
    );
}

#[test]
fn a_connection_that_is_closed_without_a_word_is_found() {
    let report = load_of(&Flawed::with(Flaw::ClosesIdle));
    loses_something(&report, "was closed without a word");
}

#[test]
fn a_version_that_was_never_live_is_found() {
    let report = load_of(&Flawed::with(Flaw::Strays));
    report.lost_nothing();
    let said = fails(|| report.saw_only(&["v1"]).to_string());
    assert!(said.contains("v9"), "{said}");
    report.saw_only(&["v1", "v9"]);
}

#[test]
fn broken_websockets_and_events_are_found() {
    each(
        &[
            (Flaw::ResetsSockets, (Kind::WebSocket, "reset")),
            (Flaw::CutsFrames, (Kind::WebSocket, "inside a frame")),
            (Flaw::EndsEvents, (Kind::Events, "without a goodbye")),
            (
                Flaw::SkipsEvents,
                (Kind::Events, "event 3 of v1 is 4 of v1"),
            ),
        ],
        |flaw, (kind, reason)| {
            let report = load_of(&Flawed::with(*flaw));
            loses_something(&report, reason);
            assert_eq!(report.failures(), report.failures_of(*kind), "{report}");
            if *kind == Kind::WebSocket {
                fails(|| report.websockets_survived().to_string());
            }
        },
    );
}

#[test]
fn a_websocket_may_not_end_while_its_version_serves() {
    each(
        &[
            (Flaw::EndsSockets, End::Silent),
            (Flaw::SaysGoodbye, End::Goodbye),
        ],
        |flaw, how| {
            let report = load_of(&Flawed::with(*flaw));
            report.lost_nothing();
            assert!(report.ends(Kind::WebSocket, *how) > 0, "{report}");
            let said = fails(|| report.websockets_survived().to_string());
            assert!(said.contains("outlive"), "{said}");
        },
    );
}

#[test]
fn a_websocket_may_end_some_time_after_its_version_was_replaced() {
    let server = Flawed::with(Flaw::None);
    let load = load_on(&server);
    load.goes_on_for(Duration::from_millis(300));
    server.switches();
    load.goes_on_for(Duration::from_millis(800));
    let report = load.ends();
    report.lost_nothing().saw(&["v1", "v2"]);
    assert_eq!(report.ends(Kind::WebSocket, End::Goodbye), 2, "{report}");
    assert_eq!(report.ends(Kind::Events, End::Goodbye), 1, "{report}");
    report.websockets_outlived_their_version_by(Duration::from_millis(150));
    fails(|| {
        let wished = Duration::from_millis(600);
        let report = report.websockets_outlived_their_version_by(wished);
        report.to_string()
    });
}

#[test]
fn a_load_that_asks_too_little_proves_nothing() {
    let report = load_of(&Flawed::with(Flaw::Crawls));
    let said = fails(|| report.lost_nothing().to_string());
    assert!(said.contains("asked enough"), "{said}");
    fails(|| report.saw_only(&["v1"]).to_string());
    fails(|| report.websockets_survived().to_string());
}

#[test]
fn a_host_that_is_gone_is_told_from_one_that_serves() {
    let server = Flawed::with(Flaw::None);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let load = Load::on(&[server.address, gone.unwrap()])
        .slow(Duration::from_millis(100))
        .starts();
    load.goes_on_for(Duration::from_millis(500));
    let report = load.ends();
    loses_something(&report, "refused");
    report.of(&[0]).lost_nothing().websockets_survived();
    fails(|| report.of(&[1]).saw_only(&[]).lost_nothing().to_string());
    assert_eq!(report.serves(1), None);
}
