use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::event::EventKind;
use crate::model::fault::FaultKind;

/// A program of this text in a folder of its own.
fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stagecraft-engine-x");
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, executable).expect("executable");
    (folder, file)
}

fn caller(program: &Path, patience: Duration) -> Caller<'_> {
    Caller {
        program,
        folder: None,
        url: None,
        patience,
        cx: None,
    }
}

async fn describes(text: &str) -> Result<Description, Fault> {
    let (_folder, file) = program(text);
    let caller = caller(&file, Duration::from_secs(10));
    let asked = ask(&caller, &question(Call::Describe, None)).await;
    asked.map_err(|wrong| wrong.fault("stagecraft-engine-x"))
}

#[tokio::test]
async fn a_result_is_read_and_what_is_meant_for_people_is_not_part_of_it() {
    let text = r#"grep -q '"call":"describe"' && echo hello >&2
        echo '{"protocol": 1, "result": {"needs_path": true, "later": 1}}'"#;
    let described = describes(text).await.expect("described");
    assert!(described.needs_path && !described.needs_connection);
}

#[tokio::test]
async fn every_way_not_to_answer_is_a_clear_error() {
    for (text, words) in [
        (
            "echo boom >&2; exit 3",
            "ended without an answer: exit status: 3",
        ),
        ("kill -9 $$", "ended without an answer: signal: 9"),
        (":", "`stagecraft-engine-x` ended without an answer"),
        ("echo Hello", "printed something that is not understood"),
        (
            "echo '{\"protocol\": 1'",
            "printed something that is not understood",
        ),
        (
            "echo '{\"protocol\": 1, \"result\": {}}'; echo done",
            "printed more after its answer",
        ),
        ("echo '{\"protocol\": 1}'", "contradicts itself"),
        (
            "echo '{\"protocol\": 1, \"result\": {}, \"error\": {\"class\": \"internal\", \"message\": \"x\"}}'",
            "contradicts itself",
        ),
        (
            "echo '{\"protocol\": 1, \"result\": {}}'; exit 1",
            "it gave a result, and then: exit status: 1",
        ),
        (
            "echo '{\"protocol\": 1, \"result\": {\"needs_path\": 7}}'",
            "its result is not that of the call",
        ),
        (
            "echo '{\"protocol\": 1, \"error\": {\"class\": \"sad\", \"message\": \"x\"}}'",
            "not an answer of the protocol",
        ),
    ] {
        let fault = describes(text).await.expect_err(text);
        assert!(fault.to_string().contains(words), "{text}: {fault}");
        assert_eq!(fault.kind, FaultKind::Failed, "{text}");
    }
}

#[tokio::test]
async fn what_a_program_said_before_it_died_is_shown() {
    let fault = describes("echo boom >&2; exit 3").await.expect_err("died");
    assert_eq!(fault.evidence[0].lines, ["boom"]);
}

#[tokio::test]
async fn another_protocol_says_which_side_is_older() {
    for (version, hint) in [
        (0, "a newer `stagecraft-engine-x`"),
        (2, "a newer stagecraft"),
    ] {
        let text = format!("echo '{{\"protocol\": {version}, \"result\": {{}}}}'");
        let fault = describes(&text).await.expect_err("another version");
        assert_eq!(fault.kind, FaultKind::Config);
        assert!(fault.hints[0].contains(hint), "{fault:?}");
    }
}

#[tokio::test]
async fn each_class_of_error_has_its_kind_and_so_its_exit_code() {
    for (class, kind) in [
        ("invalid_config", FaultKind::Config),
        ("dependency_missing", FaultKind::Config),
        ("unsupported", FaultKind::Refused),
        ("connection_failed", FaultKind::Unreachable),
        ("migration_failed", FaultKind::Failed),
        ("internal", FaultKind::Internal),
    ] {
        let error =
            format!(r#"{{"class": "{class}", "message": "why\nand more", "hint": "`do this`"}}"#);
        let text = format!(r#"printf %s '{{"protocol": 1, "error": {error}}}'; exit 4"#);
        let fault = describes(&text).await.expect_err(class);
        assert_eq!(
            (fault.kind, fault.causes[0].as_str()),
            (kind, "why"),
            "{class}"
        );
        assert_eq!(fault.evidence[0].lines, ["and more"]);
        assert_eq!(fault.hints, ["`do this`"]);
    }
}

#[tokio::test]
async fn at_its_deadline_a_program_is_ended_with_everything_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let alive = folder.path().join("alive");
    let (_program, file) = program(&format!(
        "trap '' TERM; sleep 600 & echo $! >{}; echo working >&2; wait",
        alive.display()
    ));
    let begun = Instant::now();
    let said = caller(&file, Duration::from_millis(300))
        .call(&question(Call::Describe, None))
        .await;
    let fault = said.err().expect("no answer");
    assert!(fault.what.contains("gave no answer in time"), "{fault}");
    assert_eq!(fault.evidence[0].lines, ["working"]);
    assert!(begun.elapsed() < Duration::from_secs(8));
    let child = std::fs::read_to_string(&alive).expect("it had begun");
    let gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        status.is_err() || status.is_ok_and(|stat| stat.contains(") Z"))
    };
    let deadline = Instant::now() + Duration::from_secs(2);
    while !gone() {
        assert!(Instant::now() < deadline, "its child lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_signal_ends_a_call_and_its_lines_come_as_they_are_printed() {
    let (_folder, file) = program("echo one >&2; sleep 600");
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let token = CancellationToken::new();
    let cx = Cx::new(events, token.clone());
    let mut caller = caller(&file, Duration::from_secs(60));
    caller.cx = Some(&cx);
    let question = question(Call::Describe, None);
    let call = caller.call(&question);
    let stop = async {
        let event = heard.recv().await.expect("a line");
        assert!(matches!(event.kind, EventKind::Output { line } if line == "one"));
        token.cancel();
    };
    let (said, ()) = tokio::join!(call, stop);
    assert_eq!(
        said.err().map(|fault| fault.kind),
        Some(FaultKind::Interrupted)
    );
}

#[tokio::test]
async fn what_a_program_leaves_running_does_not_hold_up_its_answer() {
    let begun = Instant::now();
    let text = "sleep 600 & echo '{\"protocol\": 1, \"result\": {}}'";
    describes(text).await.expect("described");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn only_programs_of_that_name_are_engines_and_the_first_counts() {
    let databases = crate::migrate::test_support::no_databases();
    let (first, _) = program("");
    let (second, _) = program("");
    std::fs::write(second.path().join("stagecraft-engine-text"), "").expect("written");
    std::fs::create_dir(second.path().join("stagecraft-engine-folder")).expect("made");
    let path = std::env::join_paths([Path::new("/nowhere"), first.path(), second.path()]);
    let found = discover(&path.expect("a path"), &databases);
    let found: Vec<_> = found.iter().map(|e| (e.id.as_str(), &e.program)).collect();
    assert_eq!(found, [("x", &first.path().join("stagecraft-engine-x"))]);
}
