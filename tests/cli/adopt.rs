//! Coming from another tool: its folder is recognised, and its history taken
//! over. On SQLite files; no Docker engine is needed.

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
    migrations: { engine: raw, path: db, options: { format: sqlx } }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

/// Two files of sqlx, the first applied by it.
fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file("db/1_notes.sql", "create table notes (id integer);\n")
        .file("db/2_body.sql", "alter table notes add column body text;\n")
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    sql(
        &sandbox,
        "create table notes (id integer);
         create table _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
           installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
           checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
         insert into _sqlx_migrations values (1, 'notes', '2026-01-02 03:04:05', true,
           x'$SUM', 1000)",
    );
    sandbox
}

/// As sqlx keeps it: SHA-384 of the file.
const SUM: &str = "f58558dc26d87b211043a604ba673956f8fb892bca350d94c55e379d69c27ab4563fe78775d0a1d9f680566a130728eb";

fn sql(sandbox: &Sandbox, sql: &str) {
    let connection = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    connection.execute_batch(&sql.replace("$SUM", SUM)).unwrap();
}

#[track_caller]
fn ends(sandbox: &Sandbox, words: &str, code: i32, says: &[&str]) {
    let run = sandbox.run(words);
    assert_eq!(run.code, code, "{run}");
    let text = run.to_string();
    for said in says {
        assert!(text.contains(said), "no `{said}` in:\n{text}");
    }
}

#[test]
fn a_dry_run_says_what_is_taken_over_and_writes_nothing() {
    let sandbox = shop();
    ends(
        &sandbox,
        "migrate adopt --env prod --dry-run",
        0,
        &[
            "main: would take over 1 migration of sqlx (table main._sqlx_migrations)\n",
            "  1 is 1_notes.sql, applied 2026-01-02T03:04:05.000Z\n",
            "  pending then: `2_body.sql`\n",
            "nothing was changed, and no lock was taken (--dry-run)",
        ],
    );
    let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    let there = "select count(*) from sqlite_schema where name = 'stagecraft_migrations'";
    let there: i64 = database.query_row(there, [], |row| row.get(0)).unwrap();
    assert_eq!(there, 0);
}

#[test]
fn what_was_taken_over_is_not_pending_and_the_taking_over_is_recorded() {
    let sandbox = shop();
    ends(
        &sandbox,
        "migrate adopt --env prod --from sqlx",
        0,
        &["main: took over 1 migration of sqlx", "recorded as rel-"],
    );
    ends(
        &sandbox,
        "migrate status --env prod",
        0,
        &["2026-01-02 03:04:05 UTC", "1 migration to run, 1 applied"],
    );
    ends(
        &sandbox,
        "migrate adopt --env prod",
        0,
        &["main: nothing of sqlx is left to take over"],
    );
    ends(
        &sandbox,
        "migrate run --env prod",
        0,
        &["applied 1 migration to main"],
    );
    let releases = sandbox.run("releases list --env prod --format json");
    let releases = releases.document();
    let kinds = releases["releases"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|release| release["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("migrate"), Some("migrate")]);
}

#[test]
fn rows_that_do_not_fit_the_files_stop_it_until_each_is_explained() {
    let sandbox = shop();
    sandbox.file(
        "db/1_notes.sql",
        "create table notes (id integer, x text);\n",
    );
    sql(
        &sandbox,
        "insert into _sqlx_migrations values (7, 'gone', '2026-01-02 03:04:05', true, x'00', 1)",
    );
    let says = [
        "the history of sqlx in `main` cannot be taken over",
        "`1_notes.sql` is not the text that was applied (the checksums differ)",
        "say `--accept-edited 1_notes.sql`",
        "`7` is applied and has no file",
        "say `--without-file 7`",
        "nothing was changed",
    ];
    for words in [
        "migrate adopt --env prod",
        "migrate adopt --env prod --dry-run",
    ] {
        ends(&sandbox, words, 12, &says);
    }
    let words = "migrate adopt --env prod --accept-edited 1_notes.sql --without-file 7";
    ends(&sandbox, words, 0, &["took over 1 migration of sqlx"]);
}

#[test]
fn what_the_tool_did_not_finish_cannot_be_explained_away() {
    let sandbox = shop();
    sql(&sandbox, "update _sqlx_migrations set success = false");
    let words = "migrate adopt --env prod --without-file 1 --accept-edited 1_notes.sql";
    ends(
        &sandbox,
        words,
        12,
        &["`1` is not done: sqlx marks it as not done"],
    );
}

#[test]
fn a_database_without_another_tools_table_is_said() {
    let sandbox = shop();
    sql(&sandbox, "drop table _sqlx_migrations");
    let says = [
        "`main` has no table of another migration tool",
        "where it was made by hand: `stagecraft migrate baseline --env prod --database main --to ID`",
    ];
    ends(&sandbox, "migrate adopt --env prod", 12, &says);
    let says = ["`main` has no table of goose"];
    ends(&sandbox, "migrate adopt --env prod --from goose", 12, &says);
}

#[test]
fn a_folder_of_another_tool_is_refused_with_the_option_to_set() {
    let sandbox = Sandbox::with(&SHOP.replace(", options: { format: sqlx }", ""));
    sandbox.file("db/1_a.sql", "-- +goose Up\nselect 1;\n");
    ends(
        &sandbox,
        "check",
        10,
        &[
            "`db`: it looks like the folder of goose",
            "set `options: { format: goose }`",
        ],
    );
}

#[test]
fn init_says_whose_folder_it_found() {
    let sandbox = Sandbox::empty();
    sandbox.file("db/migrations/1_a.sql", "-- migrate:up\nselect 1;\n");
    ends(
        &sandbox,
        "init",
        0,
        &[
            "`db/migrations`: it looks like the folder of dbmate",
            "`options: { format: dbmate }`",
        ],
    );
}

/// The same project, with sqlx's own table kept.
fn native() -> Sandbox {
    let options = "options: { format: sqlx, table: native }";
    let sandbox = Sandbox::with(&SHOP.replace("options: { format: sqlx }", options));
    sandbox
        .file("db/1_notes.sql", "create table notes (id integer);\n")
        .file("db/2_body.sql", "alter table notes add column body text;\n")
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    sandbox
}

fn checksum(sandbox: &Sandbox, version: i64) -> String {
    let database = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    let ask = "select lower(hex(checksum)) from _sqlx_migrations where version = ?1";
    database
        .query_row(ask, [version], |row| row.get(0))
        .unwrap()
}

#[test]
fn a_baseline_is_written_into_the_tools_own_table_too() {
    let sandbox = native();
    sql(&sandbox, "create table notes (id integer)");
    ends(
        &sandbox,
        "migrate baseline --env prod --to 1_notes.sql",
        0,
        &["marked 1 migration of main as applied"],
    );
    assert_eq!(checksum(&sandbox, 1), SUM);
    ends(
        &sandbox,
        "migrate run --env prod",
        0,
        &["applied 1 migration to main"],
    );
    ends(
        &sandbox,
        "migrate plan --env prod",
        0,
        &["nothing to run, 2 applied"],
    );
}

#[test]
fn a_text_that_is_taken_over_is_told_to_the_tool_as_well() {
    let sandbox = native();
    ends(&sandbox, "migrate run --env prod", 0, &[]);
    assert_eq!(checksum(&sandbox, 1), SUM);

    // To sqlx itself a comment is an edit.
    let (commented, edited) = (
        "-- all of them\ncreate table notes (id integer);\n",
        "create table notes (id integer primary key);\n",
    );
    sandbox.file("db/1_notes.sql", commented);
    ends(
        &sandbox,
        "migrate plan --env prod",
        0,
        &["sqlx itself would refuse to go on"],
    );
    ends(
        &sandbox,
        "migrate repair --env prod",
        0,
        &["mended 1 finding in main"],
    );
    let taken = checksum(&sandbox, 1);
    assert_ne!(taken, SUM);
    ends(
        &sandbox,
        "migrate repair --env prod",
        0,
        &["nothing to repair"],
    );

    sandbox.file("db/1_notes.sql", edited);
    ends(&sandbox, "migrate plan --env prod --exit-code", 4, &[]);
    let accept = "migrate repair --env prod --accept-edit 1_notes.sql";
    ends(&sandbox, accept, 0, &["mended 1 finding in main"]);
    assert_ne!(checksum(&sandbox, 1), taken);
    ends(&sandbox, "migrate plan --env prod --exit-code", 0, &[]);
}

#[test]
fn an_edit_of_what_only_the_tool_knows_can_be_taken_over() {
    let sandbox = native();
    ends(&sandbox, "migrate run --env prod", 0, &[]);
    sql(&sandbox, "drop table stagecraft_migrations");
    sandbox.file(
        "db/1_notes.sql",
        "create table notes (id integer); -- all\n",
    );
    ends(
        &sandbox,
        "migrate plan --env prod --exit-code",
        4,
        &["1_notes.sql"],
    );
    ends(
        &sandbox,
        "migrate repair --env prod --dry-run",
        0,
        &["1_notes.sql: was edited after it was applied"],
    );
    let accept = "migrate repair --env prod --accept-edit 1_notes.sql";
    ends(&sandbox, accept, 0, &["mended 1 finding in main"]);
    assert_ne!(checksum(&sandbox, 1), SUM);
    ends(
        &sandbox,
        "migrate plan --env prod --exit-code",
        0,
        &["nothing to run, 2 applied"],
    );
}

#[test]
fn what_a_tool_calls_not_done_is_told_with_the_way_to_settle_it() {
    let sandbox = native();
    ends(&sandbox, "migrate run --env prod", 0, &[]);
    sql(
        &sandbox,
        "drop table stagecraft_migrations; update _sqlx_migrations set success = false where version = 2",
    );
    ends(
        &sandbox,
        "migrate plan --env prod",
        0,
        &["undo what of it took effect, then `DELETE FROM _sqlx_migrations WHERE version = 2`"],
    );
}
