//! Sessions on real files in a temporary folder.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::fault::FaultKind;
use crate::ports::{Which, Who};

fn cx() -> (Cx, CancellationToken) {
    let token = CancellationToken::new();
    (Cx::new(mpsc::unbounded_channel().0, token.clone()), token)
}

fn options(read_only: bool) -> SessionOptions {
    SessionOptions {
        lock_timeout: Duration::from_millis(50),
        statement_timeout: Duration::from_millis(400),
        session_sql: vec![],
        application_name: "stagecraft/test".to_owned(),
        read_only,
        who: Who::Migrator,
        which: Which::Configured,
    }
}

fn claim() -> Claim {
    Claim {
        step: uuid::Uuid::now_v7(),
        entry: "main".to_owned(),
    }
}

fn row(id: &str) -> LedgerRow {
    LedgerRow {
        database: "main".to_owned(),
        id: id.to_owned(),
        checksum: "it's \\ é".to_owned(),
        transactional: true,
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        finished_at: Some("2026-01-01T00:00:01Z".to_owned()),
        duration_ms: Some(1000),
        statements_total: 2,
        ..LedgerRow::default()
    }
}

async fn ready(path: &Path) -> Box<dyn Database> {
    let mut session = open(path, &options(false)).await.expect("a session");
    session.prepare().await.expect("a table");
    session
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_saved_and_a_second_save_replaces_it() {
    let folder = folder();
    let mut session = ready(&folder.path().join("app.db")).await;
    let mut first = row("0002_b.sql");
    first.database = "other".to_owned();
    session.save(&first).await.expect("saved");
    session.save(&row("0010_c.sql")).await.expect("saved");
    let mut again = row("0001_a.sql");
    session.save(&again).await.expect("saved");
    again.finished_at = None;
    again.error = Some("no".to_owned());
    session.save(&again).await.expect("saved");
    assert_eq!(
        session.rows("main").await.expect("rows"),
        Some(vec![again, row("0010_c.sql")])
    );
}

#[tokio::test]
async fn reading_a_missing_file_finds_nothing_and_makes_nothing() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let mut session = open(&path, &options(true)).await.expect("a session");
    assert_eq!(session.rows("main").await.expect("rows"), None);
    assert!(!path.exists());
}

#[tokio::test]
async fn reading_leaves_no_file_behind_and_cannot_write() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let mut session = ready(&path).await;
    let (cx, _) = cx();
    session
        .execute(&cx, "PRAGMA journal_mode = WAL")
        .await
        .expect("WAL mode");
    drop(session);
    let before = names(folder.path());
    let mut reader = open(&path, &options(true)).await.expect("a session");
    assert_eq!(reader.rows("main").await.expect("rows"), Some(vec![]));
    assert!(reader.execute(&cx, "CREATE TABLE t (a)").await.is_err());
    drop(reader);
    assert_eq!(names(folder.path()), before);
    assert_eq!(before, ["app.db"]);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_failing_script_leaves_nothing_and_says_where() {
    let folder = folder();
    let mut session = ready(&folder.path().join("app.db")).await;
    let (cx, _) = cx();
    let script = "CREATE TABLE é (a);\nINSERT INTO é SELECT nope;";
    let error = session
        .apply(&cx, script, &row("1"))
        .await
        .expect_err("no such column");
    assert_eq!(error.statement, Some(1));
    let at = usize::try_from(error.position.expect("a position")).expect("small") - 1;
    let tail: String = script.chars().skip(at).collect();
    assert!(tail.starts_with("nope"), "{error:?}");
    assert_eq!(session.rows("main").await.expect("rows"), Some(vec![]));
    let tables = session
        .query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'stage%'")
        .await
        .expect("names");
    assert_eq!(tables, []);
    // The session goes on: a trigger's inner semicolons and a last comment.
    session
        .apply(
            &cx,
            "CREATE TABLE t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END -- end",
            &row("1"),
        )
        .await
        .expect("applied");
    assert_eq!(
        session.rows("main").await.expect("rows"),
        Some(vec![row("1")])
    );
}

#[tokio::test]
async fn a_script_that_commits_by_itself_is_an_error() {
    let folder = folder();
    let mut session = ready(&folder.path().join("app.db")).await;
    let (cx, _) = cx();
    let error = session
        .apply(&cx, "CREATE TABLE t (a); COMMIT; SELECT 1", &row("1"))
        .await
        .expect_err("its own COMMIT");
    assert_eq!(error.statement, Some(1));
    assert_eq!(session.rows("main").await.expect("rows"), Some(vec![]));
}

#[tokio::test]
async fn a_second_migrator_is_refused_with_the_name_of_the_first() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let (mut first, mut second) = (ready(&path).await, ready(&path).await);
    let (cx, _) = cx();
    first
        .lock(&cx, &claim(), Duration::ZERO)
        .await
        .expect("free");
    let fault = second
        .lock(&cx, &claim(), Duration::from_millis(50))
        .await
        .expect_err("held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(fault.to_string().contains("stagecraft/test"), "{fault}");
    drop(first);
    second
        .lock(&cx, &claim(), Duration::from_secs(5))
        .await
        .expect("free");
}

#[tokio::test]
async fn entries_of_one_step_share_the_lock_of_one_file() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let (mut first, mut second) = (ready(&path).await, ready(&path).await);
    let (main, audit) = {
        let main = claim();
        let entry = "audit".to_owned();
        let audit = Claim {
            entry,
            ..main.clone()
        };
        (main, audit)
    };
    let (cx, _) = cx();
    let short = Duration::from_millis(50);
    assert_eq!(first.lock(&cx, &main, short).await, Ok(Hold::Own));
    assert_eq!(second.lock(&cx, &audit, short).await, Ok(Hold::Shared));
    // Another step, and a second session of an entry, have to wait.
    for stranger in [claim(), main.clone(), audit.clone()] {
        let fault = ready(&path).await.lock(&cx, &stranger, short).await;
        assert_eq!(fault.expect_err("held").kind, FaultKind::Locked);
    }
    drop(first);
    assert_eq!(second.lock(&cx, &audit, short).await, Ok(Hold::Own));
}

#[tokio::test]
async fn a_writer_that_holds_the_file_is_a_lock_timeout() {
    let folder = folder();
    let path = folder.path().join("app.db");
    let mut session = ready(&path).await;
    let other = Connection::open(&path).expect("a connection");
    other.execute_batch("BEGIN IMMEDIATE").expect("a writer");
    let (cx, _) = cx();
    let error = session
        .apply(&cx, "CREATE TABLE t (a)", &row("1"))
        .await
        .expect_err("busy");
    assert_eq!(error.kind, SqlErrorKind::LockTimeout);
}

const ENDLESS: &str = "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

#[tokio::test]
async fn the_signal_and_the_statement_timeout_stop_the_work_itself() {
    let folder = folder();
    let mut session = ready(&folder.path().join("app.db")).await;
    let (deaf, _) = cx();
    let error = session
        .apply(&deaf, ENDLESS, &row("1"))
        .await
        .expect_err("too long");
    assert_eq!(error.kind, SqlErrorKind::StatementTimeout);
    let (cx, token) = cx();
    let row = row("1");
    let apply = session.apply(&cx, ENDLESS, &row);
    let cancel = async {
        tokio::task::yield_now().await;
        token.cancel();
    };
    let (error, ()) = tokio::join!(apply, cancel);
    assert_eq!(error.expect_err("cancelled").kind, SqlErrorKind::Cancelled);
    assert_eq!(session.rows("main").await.expect("rows"), Some(vec![]));
}

#[tokio::test]
async fn a_query_for_looking_cannot_write() {
    let folder = folder();
    let mut session = ready(&folder.path().join("app.db")).await;
    assert!(
        session
            .query("DROP TABLE stagecraft_migrations")
            .await
            .is_err()
    );
    let counted = session
        .query("SELECT count(*) FROM stagecraft_migrations")
        .await
        .expect("a count");
    assert_eq!(counted, [Some("0".to_owned())]);
}
