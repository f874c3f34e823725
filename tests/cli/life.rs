//! The everyday life of migrations on SQLite: what the schema looks like, what
//! somebody else changed, taking in a database, mending a record, a rehearsal,
//! and a backfill in batches that is killed.

use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
roles:
  web: { port: 3000, health: { path: /up } }
databases:
  main:
    connection_env: DATABASE_URL
    via: direct
    migrations: { engine: raw, path: db }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file(
            "db/1_notes.sql",
            "create table notes (id integer primary key, body text);\n",
        )
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    sandbox
}

fn migrated() -> Sandbox {
    let sandbox = shop();
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    sandbox
}

fn sqlite(sandbox: &Sandbox) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
}

fn number(sandbox: &Sandbox, sql: &str) -> i64 {
    sqlite(sandbox)
        .query_row(sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_dump_shows_the_schema_and_nothing_else() {
    let sandbox = migrated();
    let dump = sandbox.run("migrate schema dump --env prod");
    assert_eq!(
        dump.stdout,
        "table notes:\n    CREATE TABLE notes (\n    id integer primary key,\n    body text\n    )\n",
        "{dump}"
    );
    let written = sandbox.run("migrate schema dump --env prod --output schema.txt");
    assert!(
        written
            .stdout
            .contains("wrote the schema of main (SQLite, 1 object)"),
        "{written}"
    );
    assert_eq!(sandbox.read("schema.txt"), dump.stdout);
    let document = sandbox
        .run("migrate schema dump --env prod --format json")
        .document();
    assert_eq!(document["fingerprint"].as_str().map(str::len), Some(64));
}

/// D49
#[test]
fn what_somebody_changed_by_hand_is_drift_and_a_note_in_the_plan() {
    let sandbox = migrated();
    let level = sandbox.run("migrate drift --env prod");
    assert_eq!(level.code, 0, "{level}");
    sqlite(&sandbox)
        .execute_batch("create index by_hand on notes (body); insert into notes values (1, 'x')")
        .unwrap();
    let drift = sandbox.run("migrate drift --env prod");
    assert_eq!(drift.code, 12, "{drift}");
    assert!(
        drift.stdout.contains("main  1 difference since rel-"),
        "{drift}"
    );
    assert!(
        drift
            .stdout
            .contains("+ table notes index by_hand: CREATE INDEX by_hand on notes ( body )"),
        "{drift}"
    );
    let document = sandbox
        .run("migrate drift --env prod --format json")
        .document();
    assert_eq!(document["databases"][0]["changes"][0]["change"], "added");
    let plan = sandbox.run("migrate plan --env prod");
    assert_eq!(plan.code, 0, "{plan}");
    assert!(
        plan.stdout
            .contains("note: the schema is not as the last run left it"),
        "{plan}"
    );

    // The next run takes it as it is.
    sandbox.file("db/2_tags.sql", "create table tags (id integer);\n");
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);
    let level = sandbox.run("migrate drift --env prod");
    assert_eq!(level.code, 0, "{level}");
}

#[test]
fn a_database_that_nothing_is_known_of_is_not_said_to_be_level() {
    let sandbox = shop();
    let unknown = sandbox.run("migrate drift --env prod");
    assert_eq!(unknown.code, 12, "{unknown}");
    assert!(unknown.stdout.contains("not known"), "{unknown}");
}

#[test]
fn an_existing_database_is_taken_in_without_running_anything() {
    let sandbox = shop();
    sandbox
        .file("db/2_tags.sql", "create table tags (id integer);\n")
        .file("db/3_more.sql", "create table more (id integer);\n");
    sqlite(&sandbox)
        .execute_batch("create table notes (id integer primary key, body text); create table tags (id integer)")
        .unwrap();
    let shown = sandbox.run("migrate baseline --env prod --to 2 --dry-run");
    assert_eq!(
        shown.stdout,
        "main  2 migrations to be marked as applied, without running, 0 applied already\n  1_notes.sql\n  2_tags.sql\n  stays pending: `3_more.sql`\n",
        "{shown}"
    );
    let done = sandbox.run("migrate baseline --env prod --to 2");
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "marked 2 migrations of main as applied\n"),
        "{done}"
    );
    let status = sandbox
        .run("migrate status --env prod --format json")
        .document();
    let migrations = &status["databases"][0]["migrations"];
    assert_eq!(migrations[1]["state"], "applied");
    assert!(
        migrations[1]["by"]["release"]
            .as_str()
            .unwrap()
            .starts_with("baseline by ")
    );
    assert_eq!(migrations[2]["state"], "pending");
    assert_eq!(sandbox.run("migrate drift --env prod").code, 0);
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);

    // What is applied beyond speaks against it.
    let beyond = sandbox.run("migrate baseline --env prod --to 1");
    assert_eq!(beyond.code, 12, "{beyond}");
    assert!(beyond.stderr.contains("it is beyond"), "{beyond}");
    let again = sandbox.run("migrate baseline --env prod --to 3");
    assert!(again.stdout.contains("nothing to mark"), "{again}");
}

/// Made to look as if the process had been killed inside a statement.
fn cut_off(sandbox: &Sandbox) {
    sandbox.file(
        "db/2_fill.sql",
        "-- stagecraft: transaction=off\ninsert into notes values (1, 'a');\ninsert into nowhere values (1);\n",
    );
    assert_eq!(sandbox.run("migrate run --env prod").code, 22);
    sqlite(sandbox)
        .execute(
            "update stagecraft_migrations set statements_begun = 2, normalised = '', checksum = checksum where id = '2_fill.sql'",
            [],
        )
        .unwrap();
}

#[test]
fn a_statement_whose_outcome_is_not_known_is_answered_by_a_person() {
    let sandbox = migrated();
    cut_off(&sandbox);
    let run = sandbox.run("migrate run --env prod");
    assert!(
        run.stderr
            .contains("stagecraft migrate repair --env prod --database main --done"),
        "{run}"
    );
    let shown = sandbox.run("migrate repair --env prod --dry-run");
    assert!(
        shown
            .stdout
            .contains("statement 2 of 2 was begun and cut off: the catalogue cannot tell"),
        "{shown}"
    );
    let unanswered = sandbox.run("migrate repair --env prod");
    assert_eq!(unanswered.code, 12, "{unanswered}");
    assert!(unanswered.stderr.contains("--not-done"), "{unanswered}");
    let done = sandbox.run("migrate repair --env prod --done");
    assert_eq!(done.code, 0, "{done}");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(number(&sandbox, "select count(*) from notes"), 1);
    let nothing = sandbox.run("migrate repair --env prod");
    assert_eq!(nothing.stdout, "main  nothing to repair\n", "{nothing}");
}

#[test]
fn a_statement_that_did_not_take_effect_runs_again() {
    let sandbox = migrated();
    cut_off(&sandbox);
    assert_eq!(sandbox.run("migrate repair --env prod --not-done").code, 0);
    sandbox.file(
        "db/2_fill.sql",
        "-- stagecraft: transaction=off\ninsert into notes values (1, 'a');\ninsert into notes values (2, 'b');\n",
    );
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(number(&sandbox, "select count(*) from notes"), 2);
}

#[test]
fn a_record_is_cleared_when_nothing_took_effect_and_the_file_was_mended() {
    let sandbox = migrated();
    sandbox.file(
        "db/2_fill.sql",
        "-- stagecraft: transaction=off\ninsert into nowhere values (1);\n",
    );
    assert_eq!(sandbox.run("migrate run --env prod").code, 22);
    let stopped = sandbox.run("migrate repair --env prod --dry-run");
    assert!(
        stopped
            .stdout
            .contains("2_fill.sql: 0 of 1 statement took effect"),
        "{stopped}"
    );
    sandbox.file("db/2_fill.sql", "insert into notes values (1, 'a');\n");
    let mended = sandbox.run("migrate repair --env prod");
    assert!(
        mended.stdout.contains("mended 1 finding in main"),
        "{mended}"
    );
    let status = sandbox.run("migrate status --env prod --format json");
    let state = &status.document()["databases"][0]["migrations"][1]["state"];
    assert_eq!(state, "pending", "{status}");
    std::fs::remove_file(sandbox.path("db/1_notes.sql")).unwrap();
    let missing = sandbox.run("migrate repair --env prod --dry-run");
    assert!(
        missing.stdout.contains("1_notes.sql: its file is gone"),
        "{missing}"
    );
}

#[test]
fn an_edit_is_taken_over_only_when_it_is_named_and_a_comment_by_itself() {
    let sandbox = migrated();
    sandbox.file(
        "db/1_notes.sql",
        "-- why\ncreate table notes (id integer primary key, body text);\n",
    );
    let layout = sandbox.run("migrate repair --env prod");
    assert!(
        layout.stdout.contains("mended 1 finding in main"),
        "{layout}"
    );
    sandbox.file(
        "db/1_notes.sql",
        "create table notes (id integer primary key);\n",
    );
    let left = sandbox.run("migrate repair --env prod");
    assert!(
        left.stdout
            .contains("left as it is:\n  1_notes.sql: was edited"),
        "{left}"
    );
    assert!(left.stdout.starts_with("mended nothing in main"), "{left}");
    assert_eq!(sandbox.run("migrate plan --env prod --exit-code").code, 4);
    let unknown = sandbox.run("migrate repair --env prod --accept-edit 9.sql");
    assert_eq!(unknown.code, 12, "{unknown}");
    let taken = sandbox.run("migrate repair --env prod --accept-edit 1_notes.sql");
    assert_eq!(taken.code, 0, "{taken}");
    assert_eq!(sandbox.run("migrate plan --env prod --exit-code").code, 0);
}

#[test]
fn a_rehearsal_runs_on_a_copy_and_is_the_basis_of_the_next_plan() {
    let sandbox = migrated();
    sqlite(&sandbox)
        .execute_batch("insert into notes values (1, 'x')")
        .unwrap();
    sandbox.file(
        "db/2_must.sql",
        "create unique index once on notes (body);\n",
    );
    let rehearsed = sandbox.run("migrate rehearse --env prod");
    assert_eq!(rehearsed.code, 0, "{rehearsed}");
    assert!(
        rehearsed
            .stdout
            .starts_with("main  1 migration on a copy\n  2_must.sql  "),
        "{rehearsed}"
    );
    assert!(
        rehearsed.stdout.contains("a second run had nothing to do"),
        "{rehearsed}"
    );
    assert_eq!(
        number(
            &sandbox,
            "select count(*) from sqlite_master where name = 'once'"
        ),
        0
    );
    let plan = sandbox.run("migrate plan --env prod");
    assert!(
        plan.stdout.contains(" in all, measured by a rehearsal"),
        "{plan}"
    );

    // What would fail there fails here first, and only here.
    sqlite(&sandbox)
        .execute_batch("insert into notes values (2, 'x')")
        .unwrap();
    let failed = sandbox.run("migrate rehearse --env prod");
    assert_eq!(failed.code, 12, "{failed}");
    assert!(failed.stderr.contains("UNIQUE"), "{failed}");
    assert!(
        failed.stderr.contains("`main` itself was only read"),
        "{failed}"
    );
    assert!(
        failed
            .stderr
            .contains("`stagecraft migrate rehearse --env prod --database main`"),
        "{failed}"
    );

    // From the files alone there is no such row; but what was changed by hand
    // is not in them.
    let empty = sandbox.run("migrate rehearse --env prod --empty");
    assert_eq!(empty.code, 0, "{empty}");
    sqlite(&sandbox)
        .execute_batch("create table by_hand (id integer)")
        .unwrap();
    let differs = sandbox.run("migrate rehearse --env prod --empty");
    assert_eq!(differs.code, 12, "{differs}");
    assert!(differs.stdout.contains("+ table by_hand"), "{differs}");
}

const FILL: &str = "-- stagecraft: batch=50\nupdate notes set body = coalesce(body, '') || 'x' where id % 2 = 0 or id % 2 = 1 -- all\n;\n";

fn filled(rows: u32) -> Sandbox {
    let sandbox = migrated();
    sqlite(&sandbox)
        .execute_batch(&format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows}) \
             insert into notes (id, body) select i * 3, 'r' from n"
        ))
        .unwrap();
    sandbox.file("db/2_fill.sql", FILL);
    sandbox
}

/// C21
#[test]
fn a_backfill_runs_in_batches_and_changes_every_row_once() {
    let sandbox = filled(1020);
    let plan = sandbox.run("migrate plan --env prod");
    assert!(
        plan.stdout
            .contains("in batches of 50 rows, each committed"),
        "{plan}"
    );
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    assert!(
        run.stderr.contains("2_fill.sql: 1020 rows in 21 batches"),
        "{run}"
    );
    assert_eq!(
        number(&sandbox, "select count(*) from notes where body = 'rx'"),
        1020
    );
    assert_eq!(
        number(
            &sandbox,
            "select count(*) from stagecraft_migrations where database_name like '%batches'"
        ),
        0
    );
}

#[test]
fn a_backfill_that_was_killed_goes_on_after_its_last_batch() {
    let sandbox = filled(60_000);
    let running = sandbox.start("migrate run --env prod");
    let deadline = Instant::now() + Duration::from_secs(60);
    let done = "select count(*) from notes where body = 'rx'";
    while number(&sandbox, done) < 200 {
        assert!(Instant::now() < deadline, "no batch was committed");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.is_killed();
    let so_far = number(&sandbox, done);
    assert!(so_far < 60_000, "it was done before it was killed");
    assert_eq!(so_far % 50, 0, "only whole batches");
    sandbox.file("db/2_fill.sql", &FILL.replace("batch=50", "batch=5000"));
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.contains("resumed 2_fill.sql after "), "{run}");
    assert_eq!(number(&sandbox, done), 60_000);
}

#[test]
fn what_cannot_run_in_batches_is_refused_before_anything_runs() {
    let sandbox = migrated();
    sandbox.file(
        "db/2_fill.sql",
        "-- stagecraft: batch=50\nupdate notes set body = (select max(body) from notes);\n",
    );
    let plan = sandbox.run("migrate plan --env prod");
    assert!(
        plan.stdout
            .contains("it cannot run in batches: it reads the table that it changes"),
        "{plan}"
    );
    assert_eq!(sandbox.run("migrate run --env prod").code, 12);
    sandbox.file(
        "db/2_fill.sql",
        "-- stagecraft: batch=50\nupdate notes set id = id + 1;\n",
    );
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stderr.contains("which is of the table's key"), "{run}");
}
