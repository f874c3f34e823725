//! The everyday life of migrations on real servers: backfills that are killed,
//! INVALID indexes, copies.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::database::{Kind, Scratch, Seen, mysql, psql};

/// A project on this machine with a database of its own on a server.
struct Shop {
    folder: tempfile::TempDir,
    scratch: Scratch,
    kind: Kind,
}

impl Shop {
    fn new(kind: Kind) -> Self {
        let shop = Self {
            folder: tempfile::tempdir().expect("a folder"),
            scratch: Scratch::new(kind),
            kind,
        };
        let name = format!("life{}", &uuid::Uuid::now_v7().simple().to_string()[24..]);
        shop.file(
            "stagecraft.yml",
            &format!(
                "version: 1\nproject: {{ name: {name} }}\nbuild: {{ context: . }}\nroles:\n  web: {{ port: 3000, health: {{ path: /up }} }}\n\
                 databases:\n  main:\n    connection_env: DATABASE_URL\n    via: direct\n    migrations: {{ engine: raw, path: db, lock_timeout: 1s }}\n\
                 environments:\n  prod:\n    hosts: [{{ address: local, roles: [primary, web] }}]\n"
            ),
        );
        shop
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("written");
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stagecraft"));
        command
            .args(words.split_whitespace())
            .args(["--env", "prod"])
            .current_dir(self.folder.path())
            .env("DATABASE_URL", self.scratch.url(Seen::Here))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Exit code, and everything that was printed.
    fn run(&self, words: &str) -> (i32, String) {
        let output = self.command(words).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.code().unwrap_or(-1), text)
    }

    #[track_caller]
    fn does(&self, words: &str) -> String {
        let (code, text) = self.run(words);
        assert_eq!(code, 0, "{words}: {text}");
        text
    }

    fn sql(&self, sql: &str) -> String {
        let url = self.scratch.url(Seen::Here);
        match self.kind {
            Kind::Postgres => psql(&url, sql),
            Kind::Mysql => mysql(&url, sql),
        }
    }

    fn number(&self, sql: &str) -> i64 {
        self.sql(sql).trim().parse().expect("a number")
    }

    fn start(&self, words: &str) -> Child {
        self.command(words).spawn().expect("it starts")
    }
}

/// Killed in the middle, gone on with other batches: every row once.
fn is_killed_and_goes_on(shop: &Shop, table: &str, rows: i64) {
    let done = format!("SELECT count(*) FROM {table} WHERE n = 1");
    let mut running = shop.start("migrate run");
    let deadline = Instant::now() + Duration::from_secs(60);
    while shop.number(&done) < 100 {
        assert!(Instant::now() < deadline, "no batch was committed");
    }
    running.kill().expect("killed");
    running.wait().expect("gone");
    let so_far = shop.number(&done);
    assert!(so_far < rows, "it was done before it was killed");
    let fill = std::fs::read_to_string(shop.folder.path().join("db/2_fill.sql")).expect("there");
    shop.file("db/2_fill.sql", &fill.replace("batch=20", "batch=900"));
    let text = shop.does("migrate run");
    assert!(text.contains("resumed 2_fill.sql after "), "{text}");
    assert_eq!(shop.number(&done), rows);
    assert_eq!(
        shop.number(&format!("SELECT count(*) FROM {table} WHERE n > 1")),
        0
    );
    shop.does("migrate drift");
}

#[test]
fn a_backfill_on_postgres_that_was_killed_goes_on_after_its_last_batch() {
    let shop = Shop::new(Kind::Postgres);
    shop.file(
        "db/1_notes.sql",
        "CREATE TABLE notes (org uuid, at timestamptz, n int NOT NULL DEFAULT 0, PRIMARY KEY (org, at));\n\
         INSERT INTO notes SELECT md5((i % 7)::text)::uuid, '2026-01-01Z'::timestamptz + i * interval '1 ms' FROM generate_series(1, 6000) i;\n",
    );
    shop.file(
        "db/2_fill.sql",
        "-- stagecraft: batch=20\nUPDATE notes AS x SET n = n + 1 WHERE x.n IS DISTINCT FROM -1 OR x.n = 0 -- all\n",
    );
    shop.does("migrate run --to 1");
    is_killed_and_goes_on(&shop, "notes", 6_000);
}

#[test]
fn a_backfill_on_mariadb_that_was_killed_goes_on_after_its_last_batch() {
    let shop = Shop::new(Kind::Mysql);
    shop.file(
        "db/1_notes.sql",
        "CREATE TABLE notes (org varchar(20), id bigint, n int NOT NULL DEFAULT 0, PRIMARY KEY (org, id)) ENGINE=InnoDB;\n",
    );
    shop.file(
        "db/2_fill.sql",
        "-- stagecraft: batch=20\nUPDATE notes SET n = n + 1 WHERE n >= 0 OR n = 0 # all\n",
    );
    shop.does("migrate run --to 1");
    shop.sql(
        "INSERT INTO notes (org, id) SELECT concat('it''s é\\\\', seq % 7), seq FROM seq_1_to_6000",
    );
    is_killed_and_goes_on(&shop, "notes", 6_000);
}

/// A key of text, of numbers that no double holds, and of bytes.
#[test]
fn every_kind_of_key_is_walked_to_its_end() {
    for (kind, key, value) in [
        (Kind::Postgres, "numeric", "(9007199254740993 + i)::numeric"),
        (Kind::Postgres, "text", "'it''s \\ ' || i"),
        (
            Kind::Postgres,
            "bytea",
            "decode(lpad(to_hex(i), 8, '0'), 'hex')",
        ),
        (Kind::Mysql, "bigint unsigned", "9007199254740993 + seq"),
        (Kind::Mysql, "varchar(40)", "concat('It''s \\\\ é', seq)"),
        (Kind::Mysql, "binary(4)", "unhex(lpad(hex(seq), 8, '0'))"),
        (
            Kind::Mysql,
            "datetime(3)",
            "timestampadd(second, seq, '2026-01-01')",
        ),
    ] {
        let shop = Shop::new(kind);
        shop.file(
            "db/1_t.sql",
            &format!("CREATE TABLE t (k {key} PRIMARY KEY, n int NOT NULL DEFAULT 0);\n"),
        );
        shop.file(
            "db/2_fill.sql",
            "-- stagecraft: batch=7\nUPDATE t SET n = n + 1;\n",
        );
        shop.does("migrate run --to 1");
        shop.sql(&match kind {
            Kind::Postgres => {
                format!("INSERT INTO t SELECT {value} FROM generate_series(1, 100) i")
            }
            Kind::Mysql => format!("INSERT INTO t (k) SELECT {value} FROM seq_1_to_100"),
        });
        let text = shop.does("migrate run");
        assert!(text.contains("100 rows in 15 batches"), "{key}: {text}");
        assert_eq!(
            shop.number("SELECT count(*) FROM t WHERE n = 1"),
            100,
            "{key}"
        );
    }
}

/// C22
#[test]
fn an_index_that_was_never_finished_is_dropped_with_consent() {
    let shop = Shop::new(Kind::Postgres);
    shop.file(
        "db/1_t.sql",
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1), (1);\n",
    );
    shop.file(
        "db/2_once.sql",
        "CREATE UNIQUE INDEX CONCURRENTLY once ON t (a);\n",
    );
    assert_eq!(shop.run("migrate run").0, 22);
    let (code, text) = shop.run("migrate repair");
    assert_eq!(code, 12, "{text}");
    assert!(
        text.contains("the index once is INVALID") && text.contains("--yes"),
        "{text}"
    );
    assert_eq!(
        shop.number("SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
        1
    );
    shop.does("migrate repair --yes");
    assert_eq!(
        shop.number("SELECT count(*) FROM pg_class WHERE relname = 'once'"),
        0
    );
    shop.does("migrate drift");
    shop.sql("DELETE FROM t");
    shop.does("migrate run");
}

#[test]
fn a_rehearsal_on_postgres_copies_the_database_unless_somebody_is_connected() {
    let shop = Shop::new(Kind::Postgres);
    shop.scratch.admin("ALTER ROLE app CREATEDB");
    shop.file(
        "db/1_t.sql",
        "CREATE TABLE t (a int);\nINSERT INTO t SELECT i FROM generate_series(1, 1000) i;\n",
    );
    shop.does("migrate run");
    shop.file(
        "db/2_once.sql",
        "CREATE UNIQUE INDEX CONCURRENTLY once ON t (a);\n",
    );
    let text = shop.does("migrate rehearse");
    assert!(
        text.contains("main  1 migration on a copy (about "),
        "{text}"
    );
    assert!(
        shop.does("migrate plan")
            .contains("measured by a rehearsal")
    );
    let left = shop.scratch.admin(
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'stagecraft_rehearse_%' AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name = 'stagecraft/' || datname)",
    );
    assert_eq!(left, "0");

    let mut other = Command::new("psql")
        .args([&shop.scratch.url(Seen::Here), "-Xqc", "SELECT pg_sleep(60)"])
        .stdout(Stdio::null())
        .spawn()
        .expect("psql runs");
    let text = shop.does("migrate rehearse");
    let _ = other.kill();
    let _ = other.wait();
    assert!(
        text.contains("made from the applied files: ")
            && text.contains("being accessed by other users"),
        "{text}"
    );
}

#[test]
fn a_rehearsal_on_mariadb_starts_from_the_files_and_tells_what_they_do_not_make() {
    let shop = Shop::new(Kind::Mysql);
    shop.file("db/1_t.sql", "CREATE TABLE t (a int);\n");
    shop.does("migrate run");
    shop.file("db/2_u.sql", "CREATE VIEW v AS SELECT a FROM t;\n");
    let text = shop.does("migrate rehearse");
    assert!(
        text.contains("MySQL cannot copy a database as a whole"),
        "{text}"
    );
    shop.sql("ALTER TABLE t ADD COLUMN by_hand int");
    let (code, text) = shop.run("migrate rehearse");
    assert_eq!(code, 12, "{text}");
    assert!(text.contains("+ table t column by_hand: int(11)"), "{text}");
    let (code, text) = shop.run("migrate drift");
    assert_eq!(code, 12, "{text}");
}
