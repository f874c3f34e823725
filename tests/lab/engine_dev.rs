//! `mode: dev` with the tools' own development commands, from npm: Drizzle, Knex
//! and node-pg-migrate begin their files. Prisma's `migrate dev` compares with a
//! second database, which it makes by engines that cannot be had here: it is not
//! run.

use std::path::Path;

use crate::sandbox::{Run, Sandbox};
use crate::support::lab::lab;

/// A project of this engine, whose first environment is none of `mode: dev`.
fn shop(engine: &str, files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::with(&format!(
        "\
version: 1
project: {{ name: $project }}
build: {{ context: . }}
roles:
  web: {{ port: 3000, health: {{ path: /up }} }}
databases:
  main:
    connection_env: DATABASE_URL
    migrations: {{ engine: {engine}, path: db/migrations }}
environments:
  prod:
    hosts: [{{ address: local, roles: [primary, web] }}]
  dev:
    mode: dev
    hosts: [{{ address: local, roles: [primary, web] }}]
"
    ));
    let modules = Path::new(&lab("LAB_NODE_TOOLS")).join("node_modules");
    std::os::unix::fs::symlink(modules, sandbox.path("node_modules")).unwrap();
    sandbox.file("package.json", "{}");
    for (name, text) in files {
        sandbox.file(name, text);
    }
    std::fs::create_dir_all(sandbox.path("db/migrations")).unwrap();
    sandbox.set("DATABASE_URL", "file:$shop/app.db");
    sandbox
}

fn create(sandbox: &Sandbox) -> Run {
    sandbox.run_words(&["migrate", "create", "Add notes!"])
}

/// The one file that a run created.
#[track_caller]
fn created(run: &Run) -> String {
    assert_eq!(run.code, 0, "{run}");
    let path = run.stdout.trim().strip_prefix("created ").unwrap();
    path.to_owned()
}

/// D10, D73: dev mode may generate, by the tool's own command.
#[test]
fn drizzle_generates_what_the_schema_has_more_and_nothing_where_it_is_alike() {
    let schema = "const { sqliteTable, integer } = require('drizzle-orm/sqlite-core');\nexports.notes = sqliteTable('notes', { id: integer() });\n";
    let config = "module.exports = { dialect: 'sqlite', schema: './schema.js', out: './db/migrations', dbCredentials: { url: process.env.DATABASE_URL } };";
    let sandbox = shop(
        "drizzle",
        &[("schema.js", schema), ("drizzle.config.js", config)],
    );
    let run = create(&sandbox);
    assert_eq!(
        created(&run),
        "db/migrations/0000_add_notes.sql, db/migrations/meta/0000_snapshot.json, db/migrations/meta/_journal.json",
    );
    assert!(
        run.stderr.contains("1 tables"),
        "Drizzle's own words: {run}"
    );
    let sql = sandbox.read("db/migrations/0000_add_notes.sql");
    assert!(sql.contains("CREATE TABLE `notes`"), "{sql}");
    let run = create(&sandbox);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stdout.starts_with("nothing was created: "), "{run}");
    let run = sandbox.run_words(&["migrate", "create", "x", "--format", "json"]);
    assert!(run.stdout.contains(r#""status": "unchanged""#), "{run}");
}

/// D10, D73.
#[test]
fn knex_and_node_pg_migrate_begin_their_files_in_the_folder() {
    let knexfile = "module.exports = { client: 'pg', connection: process.env.DATABASE_URL, migrations: { directory: './db/migrations' } };";
    let run = create(&shop("knex", &[("knexfile.js", knexfile)]));
    let path = created(&run);
    assert!(
        path.starts_with("db/migrations/2") && path.ends_with("_add_notes.js"),
        "{run}"
    );
    let run = create(&shop("node-pg-migrate", &[]));
    let path = created(&run);
    assert!(
        path.starts_with("db/migrations/1") && path.ends_with("_add-notes.js"),
        "{run}"
    );
}

#[test]
fn a_tool_that_fails_says_why_itself_and_nothing_was_created() {
    let sandbox = shop("drizzle", &[("drizzle.config.js", "module.exports = {};")]);
    let run = create(&sandbox);
    assert_eq!(run.code, 10, "{run}");
    let own = run.stderr.find("dialect");
    let ours = run
        .stderr
        .find("error: `npx --no-install drizzle-kit generate --name add_notes` failed\n");
    assert!(
        own.unwrap() < ours.unwrap(),
        "Drizzle's own words first: {run}"
    );
    assert!(run.stderr.contains("state: nothing was created"), "{run}");
}

/// D11, D74: `mode: deploy` generates nothing.
#[test]
fn in_deploy_mode_no_development_command_is_run() {
    let sandbox = shop("knex", &[]);
    shows!(sandbox.run("migrate create tags --env prod"), @r#"
        exit 12
        --- stderr
        error: migrations of engine `knex` are begun by its own development command
          caused by: `prod` has `mode: deploy`, in which no development command is run

        state: nothing was created
        hint: run it yourself: `npx --no-install knex migrate:make tags`
        hint: or name an environment of `mode: dev` after `--env`
        "#);
}
