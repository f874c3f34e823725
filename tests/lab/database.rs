//! Sessions on real servers: what is promised of a migration holds there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stagecraft::docker::client::Engines;
use stagecraft::model::fault::FaultKind;
use stagecraft::model::project::Via;
use stagecraft::ports::{Claim, ContainerRunner, Cx, Database, Hold, HostLink, SqlErrorKind};
use stagecraft::ssh::Links;

use crate::support::database::{Bench, Kind, Scratch, Seen, claim, cx, lab, psql, row};
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
    session.renew().await.expect("settings as at the beginning");
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
        .lock(&cx, &claim(), Duration::from_millis(300))
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
    let waiting = claim();
    let (concurrently, fault) = tokio::join!(
        holder.execute(&cx, "CREATE INDEX CONCURRENTLY i ON t (a)"),
        waiter.lock(&cx, &waiting, Duration::from_secs(1)),
    );
    concurrently.expect("an index");
    assert!(fault.is_err());

    drop(holder);
    waiter
        .lock(&cx, &claim(), Duration::from_secs(5))
        .await
        .expect("free");
}

#[tokio::test]
async fn entries_of_one_step_that_are_one_database_share_its_lock() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (scratch, other) = (Scratch::new(kind), Scratch::new(kind));
        let (bench, elsewhere) = (bench(&scratch), bench(&other));
        let step = claim();
        let entry = |entry: &str| Claim {
            entry: entry.to_owned(),
            ..step.clone()
        };
        let (cx, ..) = cx();
        let short = Duration::from_millis(300);
        let mut first = bench.open().await;
        let hold = first.lock(&cx, &entry("main"), short).await;
        assert_eq!(hold, Ok(Hold::Own));
        let mut second = bench.open().await;
        let hold = second.lock(&cx, &entry("audit"), short).await;
        assert_eq!(hold, Ok(Hold::Shared));
        // Another database of the same server, another step, and a second
        // session of an entry have nothing to share.
        let mut far = elsewhere.open().await;
        let hold = far.lock(&cx, &entry("far"), short).await;
        assert_eq!(hold, Ok(Hold::Own));
        for stranger in [claim(), entry("main"), entry("audit")] {
            let fault = bench.open().await.lock(&cx, &stranger, short).await;
            assert_eq!(fault.expect_err("held").kind, FaultKind::Locked);
        }
        // The holder is gone: the lock is taken, not only shared.
        drop(first);
        let hold = wait_for_own(&cx, second.as_mut(), &entry("audit")).await;
        assert_eq!(hold, Hold::Own);
    }
}

/// The server frees the lock of a session that was dropped a moment later.
async fn wait_for_own(cx: &Cx, session: &mut dyn Database, claim: &Claim) -> Hold {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let hold = session.lock(cx, claim, Duration::ZERO).await;
        let hold = hold.expect("free or shared");
        if hold == Hold::Own || Instant::now() > deadline {
            return hold;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
        .lock(&cx, &claim(), Duration::from_millis(300))
        .await
        .expect_err("held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(fault.to_string().contains("of app@"), "{fault}");
    drop((holder, elsewhere));
    waiter
        .lock(&cx, &claim(), Duration::from_secs(5))
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
        session.apply(&cx, "UPDATE t SET a = 3; SELECT sleep(30)", &row_1),
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
    let checked = format!("{url}?ssl-mode=VERIFY_IDENTITY");
    let authority = format!("{checked}&ssl-ca=/tmp/stagecraft-lab/tls/ca.pem");
    bench.values.0.insert("DATABASE_URL".to_owned(), authority);
    let mut session = bench.open().await;
    let version = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_version'";
    let version = session.query(version).await.expect("a row");
    assert_eq!(version, [Some("TLSv1.3".to_owned())]);
    bench.values.0.insert("DATABASE_URL".to_owned(), checked);
    let fault = bench
        .try_open(&cx().0)
        .await
        .err()
        .expect("an unknown authority");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.to_string().contains("certificate"), "{fault}");
}

/// Runs itself again with the program of this build as the helper: a test's
/// own binary cannot serve a session.
fn with_helper(test: &str) -> Again {
    if std::env::var_os("STAGECRAFT_HELPER").is_some() {
        return Again::Inside;
    }
    let path = format!(
        "{}::{test}",
        module_path!().split_once("::").expect("a module").1
    );
    let status = std::process::Command::new(std::env::current_exe().expect("a test"))
        .args([&path, "--exact", "--nocapture"])
        .env("STAGECRAFT_HELPER", env!("CARGO_BIN_EXE_stagecraft"))
        .status()
        .expect("it runs");
    assert!(status.success());
    Again::Done
}

#[derive(PartialEq, Eq)]
enum Again {
    Inside,
    Done,
}

#[tokio::test]
async fn sqlite_is_migrated_in_a_container_on_the_volume_and_planned_without_making_it() {
    let name = "sqlite_is_migrated_in_a_container_on_the_volume_and_planned_without_making_it";
    if with_helper(name) == Again::Done {
        return;
    }
    let (links, runner, engines) = real();
    let url = "sqlite:///data/app.db";
    let mut bench = Bench::new(url, "local", links, runner).volume("data", "/data");
    let (prefix, volume) = (
        bench.environment.prefix(),
        format!("{}-data", bench.environment.prefix()),
    );
    let _volume = Volume(volume.clone());

    assert_eq!(bench.route().await.words, "in a container");
    assert!(bench.route().await.needs_image);
    let fault = bench.try_open(&cx().0).await.err().expect("no image");
    assert_eq!(fault.kind, FaultKind::Refused);

    bench.image = Some(local_image(&lab("LAB_IMAGE_BUSYBOX")));
    bench.options.read_only = true;
    assert_eq!(bench.open().await.rows("main").await.expect("rows"), None);
    assert_eq!(
        docker(&["volume", "ls", "-q", "-f", &format!("name={volume}")]),
        ""
    );

    bench.options.read_only = false;
    let mut session = bench.migrator().await;
    let (cx, _, token) = cx();
    session
        .apply(&cx, "CREATE TABLE t (a);", &row("1"))
        .await
        .expect("applied");
    let script = "INSERT INTO t VALUES (1);\nSELECT nope";
    let error = session
        .apply(&cx, script, &row("2"))
        .await
        .expect_err("nope");
    assert_eq!((error.statement, error.position), (Some(1), Some(34)));
    let fault = bench
        .open()
        .await
        .lock(&cx, &claim(), Duration::ZERO)
        .await
        .expect_err("held");
    assert_eq!(fault.kind, FaultKind::Locked);

    let endless = "CREATE TABLE u AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let row_2 = row("2");
    let (cancelled, ()) = tokio::join!(session.apply(&cx, endless, &row_2), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel();
    });
    assert_eq!(
        cancelled.expect_err("cancelled").kind,
        SqlErrorKind::Cancelled
    );
    drop(session);

    bench.options.read_only = true;
    let rows = bench.open().await.rows("main").await.expect("rows");
    assert_eq!(rows, Some(vec![row("1")]));

    // The containers are gone when a command ends; planning made no network.
    engines.settle().await;
    let ours = ["ps", "-aq", "-f", &format!("name={prefix}-main-session")];
    assert_eq!(docker(&ours), "");
    assert_eq!(
        docker(&["network", "ls", "-q", "-f", &format!("name={prefix}")]),
        ""
    );
}

fn real() -> (Arc<dyn HostLink>, Arc<dyn ContainerRunner>, Arc<Engines>) {
    let links: Arc<dyn HostLink> = Links::new().expect("links");
    let engines = Engines::new(Arc::clone(&links));
    let auth = Arc::new(stagecraft::docker::auth::Auth::of_docker());
    let runner = stagecraft::docker::runner(Arc::clone(&engines), auth);
    (links, runner, engines)
}

/// A name that only Docker knows leads to the container that has it.
#[tokio::test]
async fn a_server_in_a_container_is_found_by_its_name() {
    let scratch = Scratch::new(Kind::Postgres);
    let name = format!("{}-db", scratch.name.replace('_', "-"));
    let real_one = scratch.url(Seen::FromHosts);
    let (login, place) = real_one.rsplit_once('@').expect("a login");
    let (address, _) = place.split_once('/').expect("a database");
    let (host, port) = address.split_once(':').expect("a port");
    let relay = format!("nc -ll -p 5432 -e nc {host} {port}");
    let image = format!("{}:latest", lab("LAB_IMAGE_BUSYBOX"));
    let _container = Container(name.clone());
    let id = docker(&["run", "-d", "--name", &name, &image, "sh", "-c", &relay]);
    assert!(!id.is_empty());
    let (links, runner, _) = real();
    let url = format!("{login}@{name}/{}", scratch.name);
    let bench = Bench::new(&url, "local", links, runner);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut session = loop {
        match bench.try_open(&cx().0).await {
            Ok(session) => break session,
            // The container runs a moment before it listens.
            Err(fault) => assert!(Instant::now() < deadline, "{fault}"),
        }
    };
    let here = session
        .query("SELECT current_database()")
        .await
        .expect("a row");
    assert_eq!(here, [Some(scratch.name.clone())]);
}

struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.0]);
    }
}

struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        docker(&["volume", "rm", "-f", &self.0]);
    }
}

fn docker(args: &[&str]) -> String {
    let output = std::process::Command::new("docker")
        .args(args)
        .output()
        .expect("the docker program");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn local_image(reference: &str) -> stagecraft::model::image::PinnedImage {
    use stagecraft::model::image::{Carriage, PinnedImage};
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", reference]);
    let digest: stagecraft::model::image::Digest = id.parse().expect("an id");
    PinnedImage {
        repository: reference.to_owned(),
        digest: digest.clone(),
        id: Some(digest),
        carriage: Carriage::Direct,
        local_reference: format!("{reference}:latest"),
    }
}
