//! What is known of a migration before it runs, and of a schema after it ran.

use serde_json::Value;

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
    migrations: { engine: $engine, path: db }
    safety: { breaking: approve }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

fn shop(engine: &str) -> Sandbox {
    let sandbox = Sandbox::with(&SHOP.replace("$engine", engine));
    sandbox.set("DATABASE_URL", "sqlite://$shop/app.db");
    sandbox
}

fn planned(sandbox: &Sandbox) -> Value {
    let run = sandbox.run("migrate plan --env prod --sql --format json");
    assert_eq!(run.code, 0, "{run}");
    run.document()["databases"][0].clone()
}

/// D27: SQL files of other tools are read as Stagecraft's own are.
#[test]
fn the_sql_files_of_a_tool_are_judged_and_shown_and_its_code_is_not() {
    let notes = "CREATE TABLE notes (id integer);\n";
    let drop = "ALTER TABLE gone DROP COLUMN body;\n";
    let prisma = shop("prisma");
    prisma
        .file("db/20240101000000_notes/migration.sql", notes)
        .file("db/20240102000000_drop/migration.sql", drop)
        .file("db/migration_lock.toml", "provider = \"sqlite\"\n");
    let drizzle = shop("drizzle");
    let entry = |at: u8, tag: &str| format!("{{\"idx\":{at},\"when\":{at}00,\"tag\":\"{tag}\"}}");
    drizzle
        .file(
            "db/0000_notes.sql",
            &format!(
                "{}\n--> statement-breakpoint\nCREATE INDEX one ON notes (id)",
                notes.trim()
            ),
        )
        .file("db/0001_drop.sql", drop)
        .file(
            "db/meta/_journal.json",
            &format!(
                "{{\"entries\":[{},{}]}}",
                entry(1, "0000_notes"),
                entry(2, "0001_drop")
            ),
        );
    for (sandbox, statements) in [(prisma, 1), (drizzle, 2)] {
        let plan = planned(&sandbox);
        let migrations = plan["migrations"].as_array().unwrap();
        assert_eq!(migrations.len(), 2, "{plan:#}");
        let (notes, drop) = (&migrations[0], &migrations[1]);
        assert_eq!(notes["compat"]["grade"], "additive", "{notes:#}");
        assert_eq!(notes["sql"].as_array().map(Vec::len), Some(statements));
        assert!(notes["estimate"].is_object(), "{notes:#}");
        assert_eq!(drop["compat"]["grade"], "breaking", "{drop:#}");
        assert!(drop["risk"]["level"] == "high", "rows are lost: {drop:#}");
    }

    // What is code stays unread.
    let knex = shop("knex");
    knex.file("db/20240101000000_notes.js", "exports.up = () => {};\n");
    let plan = planned(&knex);
    let one = &plan["migrations"][0];
    assert_eq!(one["compat"]["grade"], "unknown", "{one:#}");
    assert!(
        one["sql"].is_null() && plan["estimate"].is_null(),
        "{plan:#}"
    );
}

/// D49, D54: the record says which schema a release left, and the next plan
/// says where it is another one.
#[test]
fn a_release_remembers_the_schema_that_it_left() {
    let sandbox = shop("raw");
    sandbox.file("db/001_notes.sql", "CREATE TABLE notes (id integer);\n");
    let run = sandbox.run("migrate run --env prod --format json");
    assert_eq!(run.code, 0, "{run}");
    let release = run.document()["release"].clone();
    let left = release["schema"]["main"]["fingerprint"].clone();
    assert_eq!(left.as_str().map(str::len), Some(64), "{release:#}");
    let now = sandbox.run("migrate schema dump --env prod --format json");
    assert_eq!(now.document()["fingerprint"], left);
    // A run that has nothing to do leaves no other.
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");

    sandbox.file("db/002_more.sql", "CREATE TABLE more (id integer);\n");
    let by_hand = rusqlite::Connection::open(sandbox.path("app.db")).unwrap();
    by_hand
        .execute_batch("CREATE TABLE by_hand (id integer)")
        .unwrap();
    let plan = planned(&sandbox);
    let note = plan["notes"][0].as_str().unwrap_or_default();
    let id = release["id"].as_str().unwrap();
    assert!(
        note.contains("not as the last run left it on")
            && note.contains(&format!(", {id}: 1 difference"))
            && note.contains("by_hand"),
        "{plan:#}"
    );
}
