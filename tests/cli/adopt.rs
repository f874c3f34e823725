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
    let says = ["`main` has no table of another migration tool"];
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
