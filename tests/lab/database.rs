//! Sessions on real servers: what is promised of a migration holds there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stagecraft::model::fault::FaultKind;
use stagecraft::model::project::Via;
use stagecraft::ports::{Database, SqlErrorKind};
use stagecraft::ssh::Links;

use crate::support::database::{Bench, Kind, Scratch, Seen, cx, lab, psql, row};
use crate::support::no_runner::NoRunner;

fn bench(scratch: &Scratch) -> Bench {
    let links = Links::new().expect("links");
    let bench = Bench::new(&scratch.url(Seen::Here), "local", links, Arc::new(NoRunner));
    bench.via(Via::Direct)
}

#[tokio::test]
async fn postgres_runs_a_script_and_its_row_together_or_not_at_all() {
    let scratch = Scratch::new(Kind::Postgres);
    let bench = bench(&scratch);
    assert_eq!(bench.open().await.rows("main").await.expect("rows"), None);
    let mut session = bench.migrator().await;
    let (cx, mut heard, _) = cx();

    // A last comment, a `search_path` that hides the table, a notice.
    let script = "CREATE TABLE é (a int UNIQUE);\n\
                  SELECT pg_catalog.set_config('search_path', '', false);\n\
                  DO $$ BEGIN RAISE NOTICE 'half way'; END $$ -- the end";
    session
        .apply(&cx, script, &row("1"))
        .await
        .expect("applied");
    assert_eq!(heard.output(), ["NOTICE: half way"]);
    let rows = session.rows("main").await.expect("rows");
    assert_eq!(rows, Some(vec![row("1")]));

    // Position in characters, the failing statement, and nothing left.
    let script = "INSERT INTO é VALUES (1);\nSELECT 'é' || nope FROM é;";
    let error = session
        .apply(&cx, script, &row("2"))
        .await
        .expect_err("nope");
    assert_eq!(error.code.as_deref(), Some("42703"));
    assert_eq!(error.statement, Some(1));
    let at = usize::try_from(error.position.expect("a position")).expect("small");
    let tail: String = script.chars().skip(at - 1).collect();
    assert!(tail.starts_with("nope FROM"), "{error:?}");
    let script = "INSERT INTO é VALUES (1); INSERT INTO é VALUES (1)";
    let error = session
        .apply(&cx, script, &row("2"))
        .await
        .expect_err("twice");
    assert_eq!(
        (error.code.as_deref(), error.statement),
        (Some("23505"), Some(1))
    );
    assert!(error.detail.expect("a detail").contains("already exists"));
    assert_eq!(
        session.query("SELECT a::text FROM é").await.expect("none"),
        []
    );

    // What reads may not write.
    assert!(session.query("DROP TABLE é").await.is_err());
    session
        .apply(&cx, "INSERT INTO é VALUES (1)", &row("2"))
        .await
        .expect("applied");
    let rows = session.rows("main").await.expect("rows").expect("a table");
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn postgres_tells_of_scripts_that_end_their_own_transaction_or_want_data() {
    let scratch = Scratch::new(Kind::Postgres);
    let bench = bench(&scratch);
    let mut session = bench.migrator().await;
    let (cx, ..) = cx();
    for script in [
        "CREATE TABLE a (); COMMIT",
        "CREATE TABLE b (); COMMIT; SELECT 1/0",
    ] {
        let error = session
            .apply(&cx, script, &row(script))
            .await
            .expect_err("COMMIT");
        assert!(error.hint.expect("a hint").contains("COMMIT"), "{script}");
    }
    let begun = Instant::now();
    let script = "CREATE TABLE c (a int); COPY c FROM STDIN;";
    let error = session
        .apply(&cx, script, &row("c"))
        .await
        .expect_err("COPY");
    assert!(error.message.contains("COPY"), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(
        psql(&scratch.url(Seen::Here), "SELECT to_regclass('c')"),
        ""
    );
}

#[tokio::test]
async fn postgres_lock_is_one_a_database_names_its_holder_and_ends_with_the_session() {
    let scratch = Scratch::new(Kind::Postgres);
    let bench = bench(&scratch);
    let mut holder = bench.migrator().await;
    let mut waiter = bench.open().await;
    let (cx, ..) = cx();
    let fault = waiter
        .lock(&cx, Duration::from_millis(300))
        .await
        .expect_err("held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(
        fault.to_string().contains("stagecraft/rel-1 of user app"),
        "{fault}"
    );

    // Waiting must not stand in the way of the holder's own work.
    holder
        .apply(&cx, "CREATE TABLE t (a int)", &row("1"))
        .await
        .expect("applied");
    let (concurrently, fault) = tokio::join!(
        holder.execute(&cx, "CREATE INDEX CONCURRENTLY i ON t (a)"),
        waiter.lock(&cx, Duration::from_secs(1)),
    );
    concurrently.expect("an index");
    assert!(fault.is_err());

    drop(holder);
    waiter
        .lock(&cx, Duration::from_secs(5))
        .await
        .expect("free");
}

#[tokio::test]
async fn postgres_work_ends_by_signal_by_timeout_and_before_it_blocks_others() {
    let scratch = Scratch::new(Kind::Postgres);
    let mut bench = bench(&scratch);
    let mut session = bench.migrator().await;
    let (cx, _, token) = cx();
    session
        .apply(&cx, "CREATE TABLE t (a int)", &row("0"))
        .await
        .expect("applied");

    let mut reader = bench.open().await;
    let script = "BEGIN; LOCK TABLE t IN ACCESS SHARE MODE; SELECT 'hunter2'";
    reader.execute(&cx, script).await.expect("a lock");
    let error = session
        .apply(&cx, "ALTER TABLE t ADD b int", &row("1"))
        .await
        .expect_err("blocked");
    assert_eq!(error.kind, SqlErrorKind::LockTimeout);
    let blocker = error.blocker.expect("a blocker");
    assert!(
        blocker.contains("idle in transaction") && blocker.contains("LOCK TABLE t"),
        "{blocker}"
    );
    assert!(!blocker.contains("hunter2"), "{blocker}");
    drop(reader);

    let begun = Instant::now();
    let row_2 = row("2");
    let (cancelled, ()) = tokio::join!(
        session.apply(&cx, "CREATE TABLE u (); SELECT pg_sleep(30)", &row_2),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel();
        }
    );
    assert_eq!(
        cancelled.expect_err("cancelled").kind,
        SqlErrorKind::Cancelled
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    let sleeping = scratch.admin("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()");
    assert_eq!(sleeping, "0");
    let rows = session.rows("main").await.expect("rows").expect("a table");
    assert_eq!(rows, [row("0")]);
    drop(session);

    bench.options.statement_timeout = Duration::from_millis(200);
    let mut session = bench.migrator().await;
    let (cx, ..) = crate::support::database::cx();
    let error = session
        .execute(&cx, "SELECT pg_sleep(5)")
        .await
        .expect_err("slow");
    assert_eq!(error.kind, SqlErrorKind::StatementTimeout);

    scratch.admin(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        scratch.name
    ));
    let error = session.execute(&cx, "SELECT 1").await.expect_err("gone");
    assert_eq!(error.kind, SqlErrorKind::ConnectionLost);
}

#[tokio::test]
async fn postgres_is_reached_through_a_host_with_tls_against_its_own_name() {
    let scratch = Scratch::new(Kind::Postgres);
    let bench = |query: &str| {
        let url = format!("{}?{query}", scratch.url(Seen::FromHosts));
        let links = Links::new().expect("links");
        Bench::new(&url, &lab("LAB_HOST1_ALIAS"), links, Arc::new(NoRunner))
    };
    let checked = "sslmode=verify-full&sslrootcert=/tmp/stagecraft-lab/tls/ca.pem";
    let through = bench(checked);
    assert_eq!(through.route().await.words, "through stagecraft-lab-1");
    let mut session = through.migrator().await;
    let ssl = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let version = session.query(ssl).await.expect("a row");
    assert_eq!(version, [Some("TLSv1.3".to_owned())]);
    let address = "SELECT host(client_addr) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let address = session.query(address).await.expect("a row");
    assert_eq!(address, [Some(lab("LAB_HOST1"))]);
    let (cx, _, token) = cx();
    token.cancel();
    assert!(session.execute(&cx, "SELECT 1").await.is_err());

    // The machine's own authorities do not know the lab's.
    let (cx, ..) = crate::support::database::cx();
    let fault = bench("sslmode=verify-full")
        .try_open(&cx)
        .await
        .err()
        .expect("unknown");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.to_string().contains("certificate"), "{fault}");
    let fault = bench("sslmode=no")
        .try_open(&cx)
        .await
        .err()
        .expect("a bad value");
    assert_eq!(fault.kind, FaultKind::Config);
}

#[tokio::test]
async fn postgres_refuses_a_login_without_showing_the_password() {
    let scratch = Scratch::new(Kind::Postgres);
    let mut bench = bench(&scratch);
    let url = "postgres://app:hunter2@127.0.0.1:25432/app".to_owned();
    bench.values.0.insert("DATABASE_URL".to_owned(), url);
    let fault = bench.try_open(&cx().0).await.err().expect("refused");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(
        fault.to_string().contains("password authentication failed"),
        "{fault}"
    );
    assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
}

/// What is promised of the cost: not more than the database's own program.
#[tokio::test]
async fn postgres_a_thousand_migrations_cost_no_more_than_psql() {
    let script = |n: usize| format!("CREATE TABLE t{n} (a int); INSERT INTO t{n} VALUES ({n});");
    let (ours, theirs) = (Scratch::new(Kind::Postgres), Scratch::new(Kind::Postgres));
    let mut session = bench(&ours).migrator().await;
    let (cx, ..) = cx();
    let begun = Instant::now();
    for n in 0..1000 {
        session
            .apply(&cx, &script(n), &row(&format!("{n:04}")))
            .await
            .expect("applied");
    }
    let our_time = begun.elapsed();

    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut text = "CREATE TABLE m (id text PRIMARY KEY);\n".to_owned();
    for n in 0..1000 {
        text.push_str(&format!(
            "BEGIN; {} INSERT INTO m VALUES ('{n}'); COMMIT;\n",
            script(n)
        ));
    }
    std::fs::write(file.path(), text).expect("written");
    let begun = Instant::now();
    let url = theirs.url(Seen::Here);
    let path = file.path().to_str().expect("a path");
    let status = std::process::Command::new("psql")
        .args([&url, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", path])
        .status()
        .expect("psql");
    let psql_time = begun.elapsed();
    assert!(status.success());
    println!("1000 migrations: {our_time:?}, psql -f: {psql_time:?}");
    // Twice is far above the noise of a shared machine, and far below a round
    // trip more for each migration on a real network.
    assert!(
        our_time < psql_time * 2,
        "{our_time:?} against {psql_time:?}"
    );
}

#[tokio::test]
async fn mysql_runs_data_and_its_row_together_or_not_at_all() {
    let scratch = Scratch::new(Kind::Mysql);
    let bench = bench(&scratch);
    assert_eq!(bench.open().await.rows("main").await.expect("rows"), None);
    let mut session = bench.migrator().await;
    let (cx, ..) = cx();
    let table = "CREATE TABLE t (a int PRIMARY KEY, b text CHARACTER SET utf8mb4)";
    session.execute(&cx, table).await.expect("a table");

    let script = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; INSERT INTO t VALUES (1, 'é;');; -- end";
    session
        .apply(&cx, script, &row("1"))
        .await
        .expect("applied");
    let rows = session.rows("main").await.expect("rows");
    assert_eq!(rows, Some(vec![row("1")]));
    let mode = session.query("SELECT @@sql_mode").await.expect("a row");
    assert_eq!(mode, [Some("NO_BACKSLASH_ESCAPES".to_owned())]);

    // Each statement's own failure is told, wherever it stands.
    let good = [
        "INSERT INTO t VALUES (2, '')",
        "SELECT * FROM t",
        "UPDATE t SET b = 'x'",
    ];
    for bad in 0..=good.len() {
        let mut script = good.to_vec();
        script.insert(bad, "INSERT INTO t VALUES (1, 'twice')");
        let error = session
            .apply(&cx, &script.join(";\n"), &row("2"))
            .await
            .expect_err("twice");
        assert_eq!(error.code.as_deref(), Some("1062 (23000)"));
        assert_eq!(error.statement, u64::try_from(bad).ok());
    }
    let values = session
        .query("SELECT concat(a, b) FROM t")
        .await
        .expect("a row");
    assert_eq!(values, [Some("1é;".to_owned())]);
    assert_eq!(
        session
            .rows("main")
            .await
            .expect("rows")
            .expect("a table")
            .len(),
        1
    );

    let error = session
        .apply(
            &cx,
            "INSERT INTO t VALUES (3, ''); ALTER TABLE t ADD c int",
            &row("3"),
        )
        .await
        .expect_err("commits");
    assert_eq!(error.statement, Some(1));
    assert_eq!(
        session.query("SELECT a FROM t").await.expect("a row").len(),
        1
    );
}

#[tokio::test]
async fn mysql_lock_is_one_a_database_names_its_holder_and_ends_with_the_session() {
    let (scratch, other) = (Scratch::new(Kind::Mysql), Scratch::new(Kind::Mysql));
    let holder = bench(&scratch).migrator().await;
    let elsewhere = bench(&other).migrator().await;
    let mut waiter = bench(&scratch).open().await;
    let (cx, ..) = cx();
    let fault = waiter
        .lock(&cx, Duration::from_millis(300))
        .await
        .expect_err("held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(fault.to_string().contains("of app@"), "{fault}");
    drop((holder, elsewhere));
    waiter
        .lock(&cx, Duration::from_secs(5))
        .await
        .expect("free");
}

#[tokio::test]
async fn mysql_work_ends_by_signal_by_timeout_and_before_it_blocks_others() {
    let scratch = Scratch::new(Kind::Mysql);
    let mut bench = bench(&scratch);
    bench.options.statement_timeout = Duration::from_secs(3);
    let mut session = bench.migrator().await;
    let (cx, _, token) = cx();
    session
        .execute(&cx, "CREATE TABLE t (a int PRIMARY KEY)")
        .await
        .expect("a table");
    session
        .apply(&cx, "INSERT INTO t VALUES (1)", &row("0"))
        .await
        .expect("applied");

    let mut reader = bench.open().await;
    let script = "START TRANSACTION; SELECT * FROM t FOR UPDATE";
    reader.execute(&cx, script).await.expect("a lock");
    for blocked in ["ALTER TABLE t ADD b int", "UPDATE t SET a = 2"] {
        let error = session.execute(&cx, blocked).await.expect_err("blocked");
        assert_eq!(error.kind, SqlErrorKind::LockTimeout);
        assert!(error.blocker.expect("a blocker").contains("of app@"));
    }
    drop(reader);

    let slow = session
        .execute(&cx, "SELECT sleep(30)")
        .await
        .expect_err("slow");
    assert_eq!(slow.kind, SqlErrorKind::StatementTimeout);

    let begun = Instant::now();
    let row_1 = row("1");
    let (cancelled, ()) = tokio::join!(
        session.apply(
            &cx,
            "UPDATE t SET a = 3; SELECT sleep(30)",
            &row_1
        ),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel();
        }
    );
    assert_eq!(
        cancelled.expect_err("cancelled").kind,
        SqlErrorKind::Cancelled
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(
        session.query("SELECT a FROM t").await.expect("a row"),
        [Some("1".to_owned())]
    );

    bench.options.read_only = true;
    let mut reader = bench.open().await;
    let (cx, ..) = crate::support::database::cx();
    assert!(reader.execute(&cx, "UPDATE t SET a = 4").await.is_err());
    assert!(
        reader
            .execute(&cx, "ALTER TABLE t ADD b int")
            .await
            .is_err()
    );
    assert_eq!(
        reader
            .rows("main")
            .await
            .expect("rows")
            .expect("a table")
            .len(),
        1
    );
}

#[tokio::test]
async fn mysql_is_reached_through_a_host() {
    let scratch = Scratch::new(Kind::Mysql);
    let links = Links::new().expect("links");
    let url = scratch.url(Seen::FromHosts);
    let mut bench = Bench::new(&url, &lab("LAB_HOST1_ALIAS"), links, Arc::new(NoRunner));
    let mut session = bench.migrator().await;
    let host = "SELECT substring_index(host, ':', 1) FROM information_schema.processlist WHERE id = connection_id()";
    let host = session.query(host).await.expect("a row");
    assert_eq!(host, [Some(lab("LAB_HOST1"))]);
    let url = format!("{url}?ssl-mode=VERIFY_IDENTITY");
    bench.values.0.insert("DATABASE_URL".to_owned(), url);
    let fault = bench.try_open(&cx().0).await.err().expect("no certificate");
    assert_eq!(fault.kind, FaultKind::Unreachable);
}
