//! A migration run, step by step, on SQLite files that are opened directly:
//! health, approval, modes, evidence.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

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
  guarded:
    protected: true
    databases: { main: { safety: { breaking: approve } } }
    hosts: [{ address: local, roles: [primary, web] }]
  play:
    mode: dev
    hosts: [{ address: local, roles: [primary, web] }]
";

fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file(
            "db/0001_notes.sql",
            "create table notes (id integer primary key);\n",
        )
        .file(
            "db/0002_body.sql",
            "alter table notes add column body text;\n",
        )
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    sandbox
}

fn evidence(sandbox: &Sandbox) -> Value {
    let folder = sandbox.path(".stagecraft/artifacts");
    let mut releases: Vec<_> = std::fs::read_dir(folder)
        .expect("evidence")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    releases.sort();
    let file = releases.last().expect("one").join("migration.json");
    serde_json::from_str(&std::fs::read_to_string(file).expect("there")).expect("JSON")
}

/// A number in a table of the shop's database.
fn count(sandbox: &Sandbox, sql: &str) -> i64 {
    let database = rusqlite::Connection::open(sandbox.path("app.db")).expect("a database");
    database
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

fn git(sandbox: &Sandbox, words: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"])
        .args(["-c", "init.defaultBranch=main", "-C"])
        .arg(sandbox.path(""))
        .args(words)
        .stdout(Stdio::null());
    assert!(git.status().expect("git").success(), "{words:?}");
}

/// D12 to D15, D47 to D50, D52 to D54, D61, D82: looked at before and after,
/// and both are in the record, the evidence and the JSON document.
#[test]
fn a_run_looks_at_the_database_before_and_after_and_keeps_what_it_saw() {
    let sandbox = shop();
    let document = sandbox
        .run("migrate run --env prod --format json")
        .document();
    let output = &document["release"]["phases"]["migrate_pre"]["output"]["databases"][0];
    assert_eq!(output["migrations_applied"], 2);
    let names = |health: &Value| -> Vec<String> {
        let checks = health["checks"].as_array().expect("checks");
        let names = checks
            .iter()
            .map(|check| check["name"].as_str().expect("a name"));
        names.map(str::to_owned).collect()
    };
    let (before, after) = (
        &output["health_check_before"],
        &output["health_check_after"],
    );
    assert_eq!(
        (&before["status"], &after["status"]),
        (&json!("healthy"), &json!("healthy"))
    );
    assert_eq!(
        names(before),
        ["connection", "migrations", "server", "room"]
    );
    assert_eq!(
        names(after),
        [
            "application",
            "connection",
            "migrations",
            "server",
            "room",
            "schema"
        ]
    );
    // D13: a new database has no table of migrations, and that stops nothing.
    assert_eq!(before["checks"][1]["verdict"], "info");
    assert_eq!(after["checks"][2]["said"], "2 rows, none half applied");
    let run = &evidence(&sandbox)["runs"][0];
    assert_eq!(
        (&run["health_check_before"], &run["health_check_after"]),
        (before, after)
    );
}

/// D5: `--skip-health-check`, and the keys of the environment.
#[test]
fn looking_is_left_out_where_the_flag_or_the_file_says_so() {
    let sandbox = shop();
    let run = sandbox.run("migrate run --env prod --skip-health-check");
    assert_eq!(run.code, 0, "{run}");
    assert!(!run.stderr.contains("healthy"), "{run}");
    assert_eq!(
        evidence(&sandbox)["runs"][0]["health_check_before"],
        Value::Null
    );

    let sandbox = shop();
    let off = SHOP.replace(
        "  prod:\n",
        "  prod:\n    health_checks: { before: true, after: false }\n",
    );
    sandbox.file("stagecraft.yml", &off);
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);
    let evidence = evidence(&sandbox);
    assert_eq!(
        evidence["runs"][0]["health_check_before"]["status"],
        "healthy"
    );
    assert_eq!(evidence["runs"][0]["health_check_after"], Value::Null);
}

/// D26: nothing pending is a success that applied nothing, and needs neither
/// approval nor a look.
#[test]
fn nothing_pending_is_done_at_once() {
    let sandbox = shop();
    assert_eq!(sandbox.run("migrate run --env guarded --yes").code, 0);
    let again = sandbox.run("migrate run --env guarded --format json");
    assert_eq!(again.code, 0, "{again}");
    let document = again.document();
    assert_eq!(
        (&document["status"], &document["applied"]),
        (&json!("done"), &json!(0))
    );
}

/// D32, D33, D37: the pending list, the risks and the safeguards stand above
/// the question.
#[test]
fn whoever_has_to_approve_sees_what_is_pending_what_may_happen_and_what_guards_it() {
    let sandbox = shop();
    sandbox.file(
        "db/0003_tags.sql",
        "-- stagecraft: transaction=off\ncreate table tags (id integer);\n",
    );
    shows!(sandbox.run("migrate run --env guarded"), @r#"
        exit 12
        --- stdout
        main  raw, directly
          MIGRATION       STATE    PHASE        STATEMENTS  NOTE
          0001_notes.sql  pending  migrate_pre           1
          0002_body.sql   pending  migrate_pre           1
          0003_tags.sql   pending  migrate_pre           1  no transaction; the file says transaction=off
          3 migrations to run, 0 applied
        safeguards
          pending     3 migrations to `main` in guarded
          risk        medium
          backup      none is taken of `main`
          health      looked at before the first change and after the last
          limits      main: waits 60s for another migrator and 5s for a lock (tried 11 times); cancels a statement after 15m, the whole after 30m
          undo        one that fails undoes itself, except `0003_tags.sql`, which leaves the statements before the failing one; one that was applied is never taken back, by a rollback neither
          plan id     cb755ab84eb0
        --- stderr
        error: nobody approved the plan
          caused by: the environment is protected, and there is no terminal to ask at

        state: nothing was changed
        hint: when the plan above is right, run the same command with `--yes`
        "#);
}

/// D34 to D36: the answer no, and a wrong name, are an outcome of their own.
#[test]
fn an_answer_that_is_no_yes_is_cancelled_and_changes_nothing() {
    let sandbox = shop();
    let no = sandbox.at_a_terminal("n", "migrate run --env guarded --format json");
    assert_eq!(no.code, 12, "{no}");
    let document: Value = {
        let start = no
            .stdout
            .find("{\n")
            .or_else(|| no.stdout.find('{'))
            .expect("JSON");
        serde_json::from_str(&no.stdout[start..]).expect("one document")
    };
    assert_eq!(document["status"], "cancelled");
    assert_eq!(document["error"]["state"], json!(["nothing was changed"]));
    assert!(!sandbox.path("app.db").exists());
    assert!(!sandbox.path(".stagecraft/artifacts").exists());
    // A yes goes on, and the record says how it was given.
    let yes = sandbox.at_a_terminal("y", "migrate run --env guarded");
    assert_eq!(yes.code, 0, "{yes}");
    assert_eq!(
        evidence(&sandbox)["runs"][0]["approval"],
        "yes at the prompt"
    );
}

/// D56, D85: who ran it, who agreed and how, the risk, what was done.
#[test]
fn the_record_and_the_evidence_say_who_agreed_to_what() {
    let sandbox = shop();
    let document = sandbox
        .run("migrate run --env guarded --yes --format json")
        .document();
    let approved = &document["release"]["approved"];
    let by = approved["by"].as_str().expect("a name");
    assert!(by.starts_with("ann@"), "{by}");
    assert_eq!(
        (&approved["how"], &approved["risk"]),
        (&json!("`--yes`"), &json!("low"))
    );
    let evidence = evidence(&sandbox);
    let run = &evidence["runs"][0];
    let approver = run["approver"].as_str().expect("a name");
    assert!(approver.starts_with("ann@"), "{approver}");
    assert_eq!(
        (&run["approval"], &run["risk"]),
        (&json!("`--yes`"), &json!("low"))
    );
    let audit = &evidence["audit"];
    assert_eq!(audit.as_array().map(Vec::len), Some(1));
    assert_eq!(audit[0]["log_type"], "migration");
    assert_eq!(audit[0]["environment"], "guarded");
    assert_eq!(audit[0]["migrations_applied"], 2);
    assert_eq!(audit[0]["operations"][1]["migration"], "0002_body.sql");
    // Nobody was asked where nobody had to be.
    let sandbox = shop();
    let document = sandbox
        .run("migrate run --env prod --format json")
        .document();
    assert_eq!(document["release"]["approved"], Value::Null);
}

/// C27, D64, D71, D72: a failed run says which migration failed, what stays,
/// and what was not attempted.
#[test]
fn the_evidence_of_a_failure_names_the_migration_the_rest_and_the_next_command() {
    let sandbox = shop();
    sandbox
        .file(
            "db/0002_body.sql",
            "alter table note add column body text;\n",
        )
        .file("db/0003_tags.sql", "create table tags (id integer);\n");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 22, "{run}");
    let evidence = evidence(&sandbox);
    assert_eq!(evidence["status"], "fail");
    assert_eq!(evidence["reasonCode"], "MIGRATION_EXECUTION_FAILED");
    let run = &evidence["runs"][0];
    assert_eq!(run["status"], "error");
    assert_eq!(run["failed_migration"], "0002_body.sql");
    assert_eq!(run["rollback_status"], "none");
    let outcomes: Vec<&str> = run["migrations"]
        .as_array()
        .expect("migrations")
        .iter()
        .map(|one| one["status"].as_str().expect("a status"))
        .collect();
    assert_eq!(outcomes, ["applied", "failed", "not attempted"]);
    let suggestion = run["recovery"]["suggestions"][0]
        .as_str()
        .expect("a suggestion");
    assert!(
        suggestion.contains("stagecraft migrate run --env prod"),
        "{suggestion}"
    );
    assert_eq!(run["health_check_before"]["status"], "healthy");
    assert_eq!(run["health_check_after"], Value::Null);
    assert_eq!(evidence["audit"][0]["status"], "error");
}

/// C27: a secret that a server or a file repeats is in no evidence and no record.
#[test]
fn the_evidence_shows_no_value_that_was_read() {
    let sandbox = shop();
    let url = format!("sqlite://{}", sandbox.path("app.db").display());
    sandbox.file(
        "db/0002_body.sql",
        &format!("select '{url}' from nowhere;\n"),
    );
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 22, "{run}");
    let text = evidence(&sandbox).to_string();
    assert!(text.contains("from nowhere"), "{text}");
    assert!(!text.contains(&url), "{text}");
}

/// D11, D74: `mode: deploy` runs committed migrations only.
#[test]
fn a_file_that_is_in_no_commit_is_refused_where_the_checkout_is_a_repository() {
    let sandbox = shop();
    sandbox.file(".gitignore", "*.db*\n.stagecraft/\n.artifacts/\n");
    git(&sandbox, &["init", "--quiet"]);
    git(&sandbox, &["add", "--all"]);
    git(&sandbox, &["commit", "--quiet", "--message", "one"]);
    // A dirty tree is no reason by itself.
    sandbox.file("notes.txt", "x");
    let run = sandbox.run("migrate run --env prod --steps 1");
    assert_eq!(run.code, 0, "{run}");

    sandbox.file(
        "db/0002_body.sql",
        "alter table notes add column text text;\n",
    );
    sandbox.file("db/0003_new.sql", "create table new (id integer);\n");
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 12
        --- stderr
        error: the plan for `prod` was refused
          caused by: database `main`: `0002_body.sql` is not committed as it is, and `mode: deploy` runs committed migrations only: commit it, or set `mode: dev` for `prod`
          caused by: database `main`: `0003_new.sql` is not committed as it is, and `mode: deploy` runs committed migrations only: commit it, or set `mode: dev` for `prod`

        state: nothing was changed
        hint: see `stagecraft migrate plan --env prod`
        "#);
    // What is only looked at says so too.
    let look = sandbox.run("migrate run --env prod --dry-run");
    assert!(
        look.stderr
            .contains("`0003_new.sql` is not committed as it is"),
        "{look}"
    );
    // A file that git ignores is in no commit either.
    sandbox.file(".gitignore", "*.db*\n.stagecraft/\n.artifacts/\n0003*\n");
    let ignored = sandbox.run("migrate run --env prod");
    assert!(
        ignored
            .stderr
            .contains("`0003_new.sql` is not committed as it is"),
        "{ignored}"
    );

    git(&sandbox, &["add", "--all", "--force", "db"]);
    git(&sandbox, &["commit", "--quiet", "--message", "two"]);
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
}

/// D10, D73: `mode: dev` may run what is not committed yet.
#[test]
fn in_dev_mode_a_file_may_run_before_it_is_committed() {
    let sandbox = shop();
    git(&sandbox, &["init", "--quiet"]);
    let run = sandbox.run("migrate run --env play");
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(
        count(
            &sandbox,
            "select count(*) from stagecraft_migrations where database_name = 'main'"
        ),
        2
    );
}

/// D9, D11, D74: what is deployed to is never reset, whatever its name.
#[test]
fn a_reset_is_refused_where_the_mode_is_deploy() {
    let sandbox = shop();
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);
    shows!(sandbox.run("migrate reset --env prod --yes"), @r#"
        exit 12
        --- stderr
        error: `prod` is not reset
          caused by: `prod` has `mode: deploy`, in which databases are only ever migrated forward

        state: nothing was changed
        hint: where losing every row is no harm, set `mode: dev` for it in the configuration file
        "#);
    assert_eq!(
        count(
            &sandbox,
            "select count(*) from stagecraft_migrations where database_name = 'main'"
        ),
        2
    );
}

/// D10, D73: `mode: dev` may reset: everything is dropped and applied again.
#[test]
fn a_reset_drops_everything_and_applies_all_again() {
    let sandbox = shop();
    assert_eq!(sandbox.run("migrate run --env play").code, 0);
    let database = rusqlite::Connection::open(sandbox.path("app.db")).expect("a database");
    let more = "insert into notes values (1, 'x');
        create table \"by \"\"hand\" (id integer primary key, n integer references notes (id));
        create view seen as select * from notes;
        create trigger t after insert on notes begin select 1; end;
        create virtual table words using fts5(text);";
    database.execute_batch(more).expect("made");
    drop(database);
    // Nobody is there to type the name.
    shows!(sandbox.run("migrate reset --env play"), @r#"
        exit 12
        --- stdout
        main  10 tables and views would be dropped, with every row in them
        --- stderr
        error: nobody agreed to lose the data
          caused by: there is no terminal to ask at

        state: nothing was changed
        hint: when what is said above may be lost, run the same command with `--yes`
        "#);
    shows!(sandbox.run("migrate reset --env play --dry-run"), @r#"
        exit 0
        --- stdout
        main  10 tables and views would be dropped, with every row in them
        --- stderr
        nothing was changed, and no lock was taken (--dry-run)
        "#);
    assert_eq!(count(&sandbox, "select count(*) from notes"), 1);
    // Another name is no answer, the environment's is.
    let no = sandbox.at_a_terminal("prod", "migrate reset --env play");
    assert_eq!(no.code, 12, "{no}");
    assert_eq!(count(&sandbox, "select count(*) from notes"), 1);
    let yes = sandbox.at_a_terminal("play", "migrate reset --env play");
    assert_eq!(yes.code, 0, "{yes}");
    assert_eq!(count(&sandbox, "select count(*) from notes"), 0);
    let left =
        "select count(*) from sqlite_schema where name in ('by \"hand', 'seen', 't', 'words')";
    assert_eq!(count(&sandbox, left), 0);
    assert_eq!(
        count(
            &sandbox,
            "select count(*) from stagecraft_migrations where database_name = 'main'"
        ),
        2
    );
    let evidence = evidence(&sandbox);
    assert_eq!(evidence["runs"][0]["migrations_applied"], 2);
    assert_eq!(
        evidence["runs"][0]["approval"],
        "`play` typed at the prompt"
    );
}

/// D6: invalid parameters.
#[test]
fn a_database_that_is_not_there_is_named_before_anything_is_dropped() {
    let run = shop().run("migrate reset --env play --database mian --yes");
    assert_eq!(run.code, 10, "{run}");
    assert!(run.stderr.contains("there is no database `mian`"), "{run}");
}
