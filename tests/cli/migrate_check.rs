//! `migrate check`: what CI proves of the migrations, with real repositories
//! and SQLite databases.

use std::process::Command;

use crate::sandbox::{Run, Sandbox};

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
    migrations: { engine: raw, path: db/migrations }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
  staging:
    hosts: [{ address: local, roles: [primary, web] }]
";

const NOTES: &str = "db/migrations/0001_notes.sql";
const BODY: &str = "db/migrations/0002_body.sql";
const LEDGER: &str = "db/migrations/checksums.json";

/// Two files in a repository, merged, with their ledger; the database's URL is
/// set.
fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file(NOTES, "create table notes (id integer primary key);\n")
        .file(BODY, "alter table notes add column body text;\n")
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    let run = sandbox.run("migrate check --write-ledger");
    assert_eq!(run.code, 0, "{run}");
    git(&sandbox, "init --quiet --initial-branch main");
    commit(&sandbox);
    git(&sandbox, "checkout --quiet -b feature");
    sandbox
}

fn commit(sandbox: &Sandbox) {
    git(sandbox, "add --all");
    git(sandbox, "commit --quiet --message work");
}

fn git(sandbox: &Sandbox, words: &str) {
    let status = Command::new("git")
        .args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"])
        .args(words.split(' '))
        .current_dir(sandbox.path(""))
        .status();
    assert!(status.unwrap().success(), "git {words}");
}

/// The commit of the moment, left out.
fn of_any_commit(mut run: Run) -> Run {
    for text in [&mut run.stdout, &mut run.stderr] {
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            if words[at - 1].ends_with("checkout") {
                words[at] = "[COMMIT]".to_owned();
            }
        }
        *text = words.join(" ");
    }
    run
}

/// C10, C16, C33: a folder that is as it should be.
#[test]
fn a_clean_folder_is_clean_for_people_and_for_programs() {
    let sandbox = shop();
    shows!(sandbox.run("migrate check"), @"");
    let run = sandbox.run("migrate check --format json --env prod");
    assert_eq!(run.code, 0, "{run}");
    let document = run.document();
    assert_eq!(document["status"], "clean");
    assert_eq!(document["databases"][0]["files"], 2);
    assert_eq!(
        document["databases"][0]["complaints"],
        serde_json::json!([])
    );
    // The ledger's shape.
    let ledger: serde_json::Value = serde_json::from_str(&sandbox.read(LEDGER)).unwrap();
    assert_eq!(ledger["schemaVersion"], "1");
    assert_eq!(ledger["algorithm"], "sha256");
    assert!(sandbox.read(LEDGER).ends_with("}\n"));
}

/// C8, C9, C11, C16: everything at once, each with its place, exit 12.
#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let sandbox = shop();
    sandbox
        .file("db/migrations/0002_twice.sql", "-- later\n")
        .file(
            "db/migrations/10_ten.sql",
            "-- stagecraft: transaction=of\nselect 1;\n",
        )
        .file("db/migrations/0011_open.sql", "select 1;\nselect 'open;\n")
        .file("db/migrations/notes.txt", "")
        .file("db/migrations/old/0001_old.sql", "");
    std::fs::remove_file(sandbox.path(NOTES)).unwrap();
    shows!(of_any_commit(sandbox.run("migrate check")), @"");
    let document = sandbox.run("migrate check --format json").document();
    assert_eq!(document["status"], "violations");
    let directive = &document["databases"][0]["complaints"]
        .as_array()
        .unwrap()
        .iter()
        .find(|complaint| complaint["rule"] == "directive")
        .unwrap();
    assert_eq!(directive["line"], 1);
    assert_eq!(directive["column"], 16);
}

/// C3, C42: what was merged is immutable, whatever the ledger says.
#[test]
fn an_edit_of_a_merged_migration_is_a_violation_that_no_ledger_blesses() {
    let sandbox = shop();
    sandbox.file(NOTES, "create table notes (id bigint primary key);\n");
    shows!(of_any_commit(sandbox.run("migrate check")), @"");
    let accept = sandbox.run("migrate check --write-ledger --accept 0001_notes.sql");
    shows!(of_any_commit(accept), @"");
    // Committing changes nothing about it, nor does a ledger by hand.
    let run = sandbox.run("migrate check --write-ledger");
    assert_eq!(run.code, 12, "{run}");
    commit(&sandbox);
    std::fs::remove_file(sandbox.path(LEDGER)).unwrap();
    let run = sandbox.run("migrate check --write-ledger");
    assert_eq!(run.code, 12, "{run}");
    assert!(
        run.stdout
            .contains("it was merged into `main` and is edited"),
        "{run}"
    );
    // Beside the branch itself nothing differs.
    let run = sandbox.run("migrate check --base feature");
    assert_eq!(run.code, 0, "{run}");
    shows!(sandbox.run("migrate check --base nowhere"), @"");
}

/// Line endings, comments and licence headers break nothing.
#[test]
fn comments_and_line_endings_are_notes_and_their_entry_is_refreshed_by_name() {
    let sandbox = shop();
    sandbox.file(
        NOTES,
        "-- (c) ann\r\ncreate table notes (id integer primary key);\r\n",
    );
    shows!(sandbox.run("migrate check --strict"), @"");
    let run = sandbox.run("migrate check --write-ledger");
    assert!(
        run.stdout.contains("refresh its entry"),
        "only by name: {run}"
    );
    shows!(sandbox.run("migrate check --write-ledger --accept db/migrations/0001_notes.sql"), @"");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
}

/// C13, C17: one command rewrites an entry on purpose, of a file that was not
/// merged; nothing else blesses an edit.
#[test]
fn an_edit_of_a_new_file_is_accepted_by_name_alone() {
    let sandbox = shop();
    shows!(sandbox.run("migrate create add-author --env prod"), @"");
    sandbox.file(
        "db/migrations/0003_add_author.sql",
        "alter table notes add author text;\n",
    );
    let run = sandbox.run("migrate create other --env prod");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stderr.contains("it is not what the ledger"), "{run}");
    assert!(!sandbox.path("db/migrations/0004_other.sql").exists());
    let run = sandbox.run("migrate check --write-ledger");
    assert_eq!(run.code, 12, "added entries bless no edit: {run}");
    let run = sandbox.run("migrate check --write-ledger --accept 0003_add_author.sql");
    assert_eq!(run.code, 0, "{run}");
    // A renamed one leaves an entry behind.
    std::fs::rename(
        sandbox.path("db/migrations/0003_add_author.sql"),
        sandbox.path("db/migrations/0004_author.sql"),
    )
    .unwrap();
    let run = sandbox.run("migrate check");
    assert_eq!(run.code, 12, "{run}");
    let run = sandbox.run("migrate check --write-ledger --accept 0003_add_author.sql");
    assert_eq!(run.code, 0, "{run}");
    shows!(sandbox.run("migrate check --write-ledger --accept 0009_no.sql"), @"");
}

/// C12: the same ledger stands in the way of a plan, a run and a status.
#[test]
fn an_edit_beside_the_ledger_is_refused_before_anything_runs() {
    let sandbox = shop();
    sandbox.file(NOTES, "create table notes (id bigint primary key);\n");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stderr.contains("it is not what the ledger"), "{run}");
    assert!(!sandbox.path("app.db").exists());
    let run = sandbox.run("migrate status --env prod");
    assert!(run.stdout.contains("it is not what the ledger"), "{run}");
    sandbox.file(LEDGER, "<<<<<<< HEAD\n");
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stderr.contains("the ledger cannot be read"), "{run}");
}

/// Numbers that two branches gave at once.
#[test]
fn a_new_file_comes_after_what_was_merged_meanwhile() {
    let sandbox = shop();
    git(&sandbox, "checkout --quiet main");
    sandbox.file("db/migrations/0003_theirs.sql", "select 3;\n");
    assert_eq!(sandbox.run("migrate check --write-ledger").code, 0);
    commit(&sandbox);
    git(&sandbox, "checkout --quiet feature");
    sandbox.file("db/migrations/0003_mine.sql", "select 1;\n");
    let run = sandbox.run("migrate check --write-ledger");
    assert_eq!(run.code, 12, "{run}");
    assert!(
        run.stdout
            .contains("`main` has `0003_theirs.sql` of the same number"),
        "{run}"
    );
}

/// A clone without its past proves nothing, and says what to fetch.
#[test]
fn a_shallow_clone_is_told_what_to_fetch() {
    let sandbox = shop();
    sandbox.file("more.txt", "more\n");
    commit(&sandbox);
    git(&sandbox, "checkout --quiet main");
    let url = format!("file://{}", sandbox.path("").display());
    let clone = |branch: &str| {
        git(
            &sandbox,
            &format!("clone --quiet --depth 1 --branch {branch} {url} {branch}"),
        );
        let run = sandbox.run(&format!("migrate check --config {branch}/stagecraft.yml"));
        assert!(run.stdout.contains("fetch-depth: 0"), "{run}");
        run
    };
    let run = clone("feature");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stdout.contains("this clone is shallow"), "{run}");
    let run = clone("main");
    assert_eq!(run.code, 0, "{run}");
    assert!(
        run.stdout.contains("there is nothing to compare it with"),
        "{run}"
    );
}

/// Beside the lines of a pull request.
#[test]
fn github_gets_an_annotation_for_each() {
    let sandbox = shop();
    sandbox
        .file(NOTES, "create table notes (id bigint primary key);\n")
        .set("GITHUB_ACTIONS", "true")
        .set("GITHUB_WORKSPACE", "$shop");
    let run = sandbox.run("migrate check");
    assert_eq!(run.code, 12, "{run}");
    let annotation =
        "::error file=db/migrations/0001_notes.sql,line=1,title=stagecraft immutable::";
    assert!(run.stderr.contains(annotation), "{run}");
}

/// Without a URL the kind of database is not known, and that is said.
#[test]
fn a_check_of_files_needs_no_secret() {
    let sandbox = shop();
    sandbox.set("DATABASE_URL", "");
    shows!(sandbox.run("migrate check"), @"");
    shows!(sandbox.run("migrate check --apply"), @"");
}

/// C33 to C36: everything applies from nothing, a second run is a no-op, and
/// the status is clean; the environment's own database is left alone.
#[test]
fn applying_proves_the_files_on_a_scratch_database() {
    let sandbox = shop();
    shows!(sandbox.run("migrate check --apply --env prod --quiet"), @"");
    assert!(!sandbox.path("app.db").exists());
    sandbox
        .set("DATABASE_URL", "")
        .set("SCRATCH_URL", "sqlite:///tmp/any.db");
    let run = sandbox.run("migrate check --apply --scratch-env SCRATCH_URL --format json");
    assert_eq!(run.code, 0, "{run}");
    let proof = &run.document()["databases"][0]["proof"];
    assert_eq!(proof["database"], "SQLite");
    assert_eq!(proof["applied"], 2);
    assert_eq!(scratch_folders(&sandbox), 0, "dropped");
}

/// C34: the error of the server stands at its line, and nothing stays behind.
#[test]
fn what_does_not_apply_fails_the_check_and_is_dropped() {
    let sandbox = shop();
    sandbox.file(
        "db/migrations/0003_bad.sql",
        "select 1;\nalter table nope add column x text;\n",
    );
    assert_eq!(sandbox.run("migrate check --write-ledger").code, 0);
    sandbox
        .set("GITHUB_ACTIONS", "true")
        .set("GITHUB_WORKSPACE", "$shop");
    let run = sandbox.run("migrate check --apply --env prod");
    assert_eq!(run.code, 12, "{run}");
    let annotation = "::error file=db/migrations/0003_bad.sql,line=2,col=";
    assert!(run.stderr.contains(annotation), "{run}");
    assert!(
        run.stderr
            .contains("2 of 3 migrations were applied to a scratch database"),
        "{run}"
    );
    assert!(!run.stderr.contains("migrate run"), "{run}");
    assert_eq!(scratch_folders(&sandbox), 0, "dropped");
}

/// What a killed check left is found and named.
#[test]
fn a_killed_check_s_database_is_named_by_the_next() {
    let sandbox = shop();
    let left = sandbox.path("../stagecraft_check_left");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("in-use"), "").unwrap();
    let run = sandbox.run("migrate check --apply --env prod");
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.contains("stagecraft_check_left"), "{run}");
    assert!(left.exists());
}

/// Of the sandbox's own folder for temporary files.
fn scratch_folders(sandbox: &Sandbox) -> usize {
    let entries = std::fs::read_dir(sandbox.path("..")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("stagecraft_")).count()
}
