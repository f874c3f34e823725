//! Migrations by themselves, on SQLite files that are opened directly: no
//! Docker engine runs, and none is needed.

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
    migrations: { engine: raw, path: db/migrations }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
  guarded:
    protected: true
    hosts: [{ address: local, roles: [primary, web] }]
";

const NOTES: &str = "db/migrations/0001_notes.sql";
const BODY: &str = "db/migrations/0002_body.sql";

/// Two files, and a database that does not exist yet.
fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file(NOTES, "create table notes (id integer primary key);\n")
        .file(BODY, "alter table notes add column body text;\n")
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    sandbox
}

/// The same, with both applied.
fn migrated() -> Sandbox {
    let sandbox = shop();
    let run = sandbox.run("migrate run --env prod");
    assert_eq!(run.code, 0, "{run}");
    sandbox
}

#[test]
fn a_plan_lists_what_is_pending_and_makes_no_database() {
    let sandbox = shop();
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly
          MIGRATION       STATE    PHASE        STATEMENTS
          0001_notes.sql  pending  migrate_pre           1
          0002_body.sql   pending  migrate_pre           1
          2 migrations to run, 0 applied
        "#);
    shows!(sandbox.run("migrate run --env prod --dry-run"), @r#"
        exit 0
        --- stdout
        main  raw, directly
          MIGRATION       STATE    PHASE        STATEMENTS
          0001_notes.sql  pending  migrate_pre           1
          0002_body.sql   pending  migrate_pre           1
          2 migrations to run, 0 applied
          plan id     d05b8bf7333b
        --- stderr
        nothing was changed, and no lock was taken (--dry-run)
        "#);
    assert!(!sandbox.path("app.db").exists());
    assert!(!sandbox.path(".stagecraft").exists());
}

#[test]
fn a_run_applies_them_and_ends_with_one_line() {
    let sandbox = shop();
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 0
        --- stdout
        applied 2 migrations to main
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   applied 0001_notes.sql ([TOOK]), 1 of 2
         migrate_pre  main   applied 0002_body.sql ([TOOK]), 2 of 2
         migrate_pre  main   is healthy (6 checks)
         migrate_pre  completed  [TOOK]
            finalize  running
            finalize  completed  [TOOK]
        "#);
    shows!(sandbox.run("migrate status --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION       STATE    PHASE        STATEMENTS  NOTE
          0001_notes.sql  applied  migrate_pre           1  YYYY-MM-DD HH:MM:SS UTC
          0002_body.sql   applied  migrate_pre           1  YYYY-MM-DD HH:MM:SS UTC
          nothing to run, 2 applied
        "#);
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 0
        --- stdout
        nothing is pending in prod
        "#);
    shows!(sandbox.run("releases list"), @r#"
        exit 0
        --- stdout
        RELEASE                 ENVIRONMENT  KIND     VERSION  TIME (UTC)           OUTCOME
        rel-YYYYMMDD-HHMMSSmmm  prod         migrate  -        YYYY-MM-DD HH:MM:SS  done
        "#);
}

#[test]
fn a_run_tells_programs_the_whole_record() {
    let document = shop()
        .run("migrate run --env prod --format json")
        .document();
    assert_eq!(document["status"], "done");
    assert_eq!(document["release"]["kind"], "migrate");
    assert_eq!(document["release"]["migrations"][1]["id"], "0002_body.sql");
    assert_eq!(
        document["release"]["phases"]["rollout"]["status"],
        "skipped"
    );
}

#[test]
fn a_run_in_lines_ends_with_the_result() {
    let run = shop().run("migrate run --env prod --format ndjson");
    assert_eq!(run.stderr, "");
    let last = run.stdout.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["status"], "done", "{last}");
}

#[test]
fn the_exit_code_tells_pending_from_nothing_and_from_drift() {
    let sandbox = shop();
    let code = || sandbox.run("migrate plan --env prod --exit-code").code;
    assert_eq!(code(), 3);
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);
    assert_eq!(code(), 0);
    sandbox.file(BODY, "alter table notes add column text text;\n");
    assert_eq!(code(), 4);
    assert_eq!(sandbox.run("migrate plan --env prod").code, 0);
}

#[test]
fn an_edited_file_is_refused() {
    let sandbox = migrated();
    sandbox.file(BODY, "alter table notes add column text text;\n");
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION      STATE   PHASE        STATEMENTS  NOTE
          0002_body.sql  edited  migrate_pre           1  applied as d1a01c73cd63, the file is 1f9c28dcf7e6 now
          nothing will run, 1 applied
          refused: `0002_body.sql` was edited after it was applied (then d1a01c73cd63, now 1f9c28dcf7e6): bring it back as it was, and put the change into a new migration (`stagecraft migrate create NAME`)
        "#);
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 12
        --- stderr
        error: the plan for `prod` was refused
          caused by: database `main`: `0002_body.sql` was edited after it was applied (then d1a01c73cd63, now 1f9c28dcf7e6): bring it back as it was, and put the change into a new migration (`stagecraft migrate create NAME`)

        state: nothing was changed
        hint: see `stagecraft migrate plan --env prod`
        "#);
}

#[test]
fn a_missing_file_is_refused() {
    let sandbox = migrated();
    std::fs::remove_file(sandbox.path(BODY)).unwrap();
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION      STATE    PHASE        STATEMENTS  NOTE
          0002_body.sql  missing  migrate_pre           1  in the database, and there is no such file
          nothing will run, 1 applied
          refused: `0002_body.sql` was applied and its file is gone: bring it back (`git log --diff-filter=D -- '*0002_body.sql'` finds it)
        "#);
    assert_eq!(sandbox.run("migrate run --env prod").code, 12);
}

#[test]
fn a_file_before_an_applied_one_is_refused_unless_it_is_allowed() {
    let sandbox = migrated();
    sandbox.file(
        "db/migrations/0000_late.sql",
        "create table late (id integer);\n",
    );
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION      STATE         PHASE        STATEMENTS  NOTE
          0000_late.sql  out of order  migrate_pre           1  0001_notes.sql is applied already
          nothing will run, 2 applied
          refused: `0000_late.sql` is pending, but `0001_notes.sql` after it is applied already: give it a later number, or run it all the same with `--allow-out-of-order`
        "#);
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 12
        --- stderr
        error: the plan for `prod` was refused
          caused by: database `main`: `0000_late.sql` is pending, but `0001_notes.sql` after it is applied already: give it a later number, or run it all the same with `--allow-out-of-order`

        state: nothing was changed
        hint: see `stagecraft migrate plan --env prod`
        "#);
    shows!(sandbox.run("migrate run --env prod --allow-out-of-order"), @r#"
        exit 0
        --- stdout
        applied 1 migration to main
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   applied 0000_late.sql ([TOOK])
         migrate_pre  main   is healthy (6 checks)
         migrate_pre  completed  [TOOK]
            finalize  running
            finalize  completed  [TOOK]
        "#);
}

#[test]
fn a_statement_that_fails_is_shown_with_its_place_and_what_stays() {
    let sandbox = shop();
    sandbox.file(
        BODY,
        "-- the body\nalter table note add column body text;\n",
    );
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 22
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   applied 0001_notes.sql ([TOOK]), 1 of 2
         migrate_pre  failed  [TOOK]  migrations failed on `main`: db/migrations/0002_body.sql:2:1: ERROR 1 no such table: note
            finalize  skipped              not reached: pre-deploy migrations failed
        error: migrations failed on `main`
          caused by: db/migrations/0002_body.sql:2:1: ERROR 1 no such table: note

          statement 1 of 1, line 2
            alter table note add column body text

        state: `0002_body.sql` changed nothing: its transaction was undone; applied to `main` and kept: `0001_notes.sql`; no container was touched
        hint: mend `db/migrations/0002_body.sql`, or what was in its way, then run `stagecraft migrate run --env prod --database main` (the next deploy runs it too)
        hint: see where it stands: `stagecraft migrate status --env prod`
        "#);
    shows!(sandbox.run("migrate status --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 1
          MIGRATION       STATE    PHASE        STATEMENTS  NOTE
          0001_notes.sql  applied  migrate_pre           1  YYYY-MM-DD HH:MM:SS UTC
          0002_body.sql   pending  migrate_pre           1
          1 migration to run, 1 applied
        "#);
}

#[test]
fn a_migration_that_failed_half_way_goes_on_after_it_is_mended() {
    let sandbox = shop();
    let half = "-- stagecraft: transaction=off\ncreate table tags (id integer);\ninsert into tag values (1);\n";
    sandbox.file("db/migrations/0003_tags.sql", half);
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 22
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   applied 0001_notes.sql ([TOOK]), 1 of 3
         migrate_pre  main   applied 0002_body.sql ([TOOK]), 2 of 3
         migrate_pre  failed  [TOOK]  migrations failed on `main`: db/migrations/0003_tags.sql:3:1: ERROR 1 no such table: tag
            finalize  skipped              not reached: pre-deploy migrations failed
        error: migrations failed on `main`
          caused by: db/migrations/0003_tags.sql:3:1: ERROR 1 no such table: tag

          statement 2 of 2, line 3
            insert into tag values (1)

        state: the first statement of `0003_tags.sql` took effect and stays; the next run goes on after it; applied to `main` and kept: `0001_notes.sql` and `0002_body.sql`; no container was touched
        hint: mend `db/migrations/0003_tags.sql`, or what was in its way, then run `stagecraft migrate run --env prod --database main` (the next deploy runs it too)
        hint: see where it stands: `stagecraft migrate status --env prod`
        "#);
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION      STATE   PHASE        STATEMENTS  NOTE
          0003_tags.sql  failed  migrate_pre           2  1 of 2 statements done: no such table: tag; no transaction; the file says transaction=off
          1 migration to run, 2 applied
        "#);
    sandbox.file(
        "db/migrations/0003_tags.sql",
        &half.replace("tag values", "tags values"),
    );
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 0
        --- stdout
        applied 1 migration to main
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   resumed 0003_tags.sql after 1 statement
         migrate_pre  main   applied 0003_tags.sql ([TOOK])
         migrate_pre  main   is healthy (6 checks)
         migrate_pre  completed  [TOOK]
            finalize  running
            finalize  completed  [TOOK]
        "#);
}

#[test]
fn steps_and_a_last_one_limit_a_run() {
    let sandbox = shop();
    let none = sandbox.run("migrate run --env prod --steps 0");
    assert_eq!(none.code, 2, "{none}");
    shows!(sandbox.run("migrate run --env prod --steps 1"), @r#"
        exit 0
        --- stdout
        applied 1 migration to main
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  main   applied 0001_notes.sql ([TOOK])
         migrate_pre  main   is healthy (6 checks)
         migrate_pre  completed  [TOOK]
            finalize  running
            finalize  completed  [TOOK]
        "#);
    sandbox.file(
        "db/migrations/0003_tags.sql",
        "create table tags (id integer);\n",
    );
    let run = sandbox.run("migrate run --env prod --to 0002_body.sql");
    assert!(run.stdout.contains("applied 1 migration to main"), "{run}");
    shows!(sandbox.run("migrate run --env prod --to 0009_none.sql"), @r#"
        exit 12
        --- stderr
        error: the plan for `prod` was refused
          caused by: database `main`: there is no migration `0009_none.sql`; the nearest is `0001_notes.sql`

        state: nothing was changed
        hint: see `stagecraft migrate plan --env prod`
        "#);
}

#[test]
fn an_unknown_database_is_answered_with_the_known_ones() {
    shows!(shop().run("migrate plan --env prod --database mian"), @r#"
        exit 10
        --- stderr
        error: there is no database `mian` in `prod`

        state: nothing was changed
        hint: name `main` after `--database`
        "#);
}

#[test]
fn a_database_without_its_variable_is_named() {
    let sandbox = Sandbox::with(SHOP);
    sandbox.file(NOTES, "select 1;\n");
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 10
        --- stderr
        error: cannot plan the migrations of `main`
          caused by: the secret `DATABASE_URL` has no value
          caused by: `DATABASE_URL` is named by `databases.main.connection_env`
          caused by: looked in the environment of this command

        state: nothing was changed
        hint: set it: `export DATABASE_URL=…`, or name an `env_file` or a `secrets_command` in stagecraft.yml
        "#);
}

#[test]
fn a_database_that_cannot_be_reached_is_13_and_its_password_is_not_printed() {
    let sandbox = shop();
    sandbox.set("DATABASE_URL", "postgres://app:s3cr3t@127.0.0.1:1/app");
    let run = sandbox.run("migrate plan --env prod");
    assert!(!run.to_string().contains("s3cr3t"));
    shows!(run, @r#"
        exit 13
        --- stderr
        error: cannot plan the migrations of `main`
          caused by: cannot reach the database postgres://app@127.0.0.1:1/app
          caused by: Connection refused (os error 111)

        state: nothing was changed
        hint: see whether it runs, and whether `DATABASE_URL` has the right address, name and login
        "#);
}

#[test]
fn folders_and_files_are_judged_before_a_database_is_opened() {
    let sandbox = shop();
    sandbox.file("db/migrations/0002_twice.sql", "select 1;\n");
    shows!(sandbox.run("migrate plan --env prod"), @r#"
        exit 10
        --- stderr
        error: 1 problem with the migrations
          caused by: database `main`: `db/migrations/0002_twice.sql`: the number 2 stands 2 times (`0002_body.sql` and `0002_twice.sql`); give the newer one that is not applied anywhere the next free number

        state: nothing was changed
        hint: mend the files or the configuration, then run `stagecraft check`
        "#);
}

#[test]
fn a_protected_environment_is_never_changed_without_approval() {
    let sandbox = shop();
    shows!(sandbox.run("migrate run --env guarded"), @r#"
        exit 12
        --- stdout
        main  raw, directly
          MIGRATION       STATE    PHASE        STATEMENTS
          0001_notes.sql  pending  migrate_pre           1
          0002_body.sql   pending  migrate_pre           1
          2 migrations to run, 0 applied
        safeguards
          pending     2 migrations to `main` in guarded
          risk        low
          backup      none is taken of `main`
          health      looked at before the first change and after the last
          limits      main: waits 60s for another migrator and 5s for a lock (tried 11 times); cancels a statement after 15m, the whole after 30m
          undo        one that fails undoes itself; one that was applied is never taken back, by a rollback neither
          plan id     68dc5599c961
        --- stderr
        error: nobody approved the plan
          caused by: the environment is protected, and there is no terminal to ask at

        state: nothing was changed
        hint: when the plan above is right, run the same command with `--yes`
        "#);
    assert!(!sandbox.path("app.db").exists());
    assert_eq!(sandbox.run("migrate run --env guarded --yes").code, 0);
}

#[test]
fn a_record_that_cannot_be_written_stops_a_run_before_it_begins() {
    let sandbox = shop();
    sandbox.set("STAGECRAFT_STATE_FILE", "/proc/stagecraft/releases.json");
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 1
        --- stderr
        error: cannot lock the release history `/proc/stagecraft/releases.json`
          caused by: lock file `/proc/stagecraft/releases.json.lock`
          caused by: No such file or directory (os error 2)

        state: nothing was written
        hint: make `/proc/stagecraft` writable for this user, or name another file with STAGECRAFT_STATE_FILE
        "#);
    assert!(!sandbox.path("app.db").exists());
}

#[test]
fn a_new_file_begins_the_folder_or_goes_on_in_its_style() {
    let sandbox = Sandbox::with(SHOP);
    let made = sandbox.run_words(&["migrate", "create", "Add notes!", "--env", "prod"]);
    let name = made
        .stdout
        .trim()
        .strip_prefix("created db/migrations/")
        .unwrap()
        .to_owned();
    let (number, rest) = name.split_at(14);
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    assert_eq!(rest, "_add_notes.sql");

    let sandbox = shop();
    shows!(sandbox.run("migrate create tags --env prod"), @r#"
        exit 0
        --- stdout
        created db/migrations/0003_tags.sql
        "#);
    assert_eq!(sandbox.read("db/migrations/0003_tags.sql"), "-- tags\n\n");
    shows!(sandbox.run("migrate create ?! --env prod"), @r#"
        exit 10
        --- stderr
        error: `?!` is no name for a migration: it needs letters or digits, such as `add_notes`

        state: nothing was changed
        "#);
}

#[test]
fn with_two_databases_a_new_file_needs_to_know_which() {
    let sandbox = shop();
    let config = SHOP.replace(
        "environments:",
        "  audit:\n    connection_env: AUDIT_URL\n    via: direct\n    migrations: { engine: raw, path: db/audit }\nenvironments:",
    );
    sandbox.file("stagecraft.yml", &config);
    shows!(sandbox.run("migrate create tags --env prod"), @r#"
        exit 10
        --- stderr
        error: which database the migration is for is not clear
          caused by: `prod` has 2 databases

        state: nothing was created
        hint: add `--database NAME`
        "#);
}

#[test]
fn after_a_failure_later_databases_are_left_alone_and_named() {
    let sandbox = shop();
    let config = SHOP.replace(
        "environments:",
        "  audit:\n    connection_env: AUDIT_URL\n    via: direct\n    migrations: { engine: raw, path: db/audit }\nenvironments:",
    );
    sandbox
        .file("stagecraft.yml", &config)
        .file("db/audit/0001_log.sql", "create table log (id integer);\n")
        .file(BODY, "alter table note add column body text;\n")
        .set("AUDIT_URL", "sqlite://$shop/audit.db");
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 22
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  audit  is healthy (4 checks)
         migrate_pre  main   applied 0001_notes.sql ([TOOK]), 1 of 2
         migrate_pre  failed  [TOOK]  migrations failed on `main`: db/migrations/0002_body.sql:1:1: ERROR 1 no such table: note
            finalize  skipped              not reached: pre-deploy migrations failed
        error: migrations failed on `main`
          caused by: db/migrations/0002_body.sql:1:1: ERROR 1 no such table: note

          statement 1 of 1, line 1
            alter table note add column body text

        state: `0002_body.sql` changed nothing: its transaction was undone; applied to `main` and kept: `0001_notes.sql`; not attempted: `audit`; no container was touched
        hint: mend `db/migrations/0002_body.sql`, or what was in its way, then run `stagecraft migrate run --env prod --database main` (the next deploy runs it too)
        hint: see where it stands: `stagecraft migrate status --env prod`
        "#);
    // Locking it made the file; nothing stands in it.
    let size = std::fs::metadata(sandbox.path("audit.db")).map_or(0, |file| file.len());
    assert_eq!(size, 0);
}

/// D27, D28, D29, D30, D31, D70, C25: the preview as a document, which is the
/// same every time and changes nothing.
#[test]
fn a_preview_tells_programs_what_would_run_how_and_how_long() {
    let sandbox = migrated();
    sandbox
        .file(
            "db/migrations/0003_index.sql",
            "create index by_body on notes (body);\n",
        )
        .file(
            "db/migrations/20260114101502_drop.sql",
            "drop table notes;\n",
        );
    let run = sandbox.run("migrate plan --env prod --format json");
    assert_eq!(run.code, 0, "{run}");
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("a document");
    assert_eq!(document["status"], "success");
    assert_eq!(document["operation"], "preview-migrations");
    assert_eq!(document["requires_migrations"], true);
    assert_eq!(document["pending_migrations"], 2);
    let migrations = &document["migrations"];
    assert_eq!(migrations[0]["name"], "0003_index.sql");
    assert_eq!(migrations[0]["timestamp"], serde_json::Value::Null);
    assert_eq!(migrations[1]["timestamp"], "2026-01-14 10:15:02 UTC");
    assert_eq!(migrations[1]["risk"]["level"], "high");
    assert_eq!(migrations[1]["sql"][0]["sql"], "drop table notes");
    assert_eq!(migrations[1]["sql"][0]["transactional"], true);
    let each = |of: &serde_json::Value| of["estimated_duration"]["high_ms"].as_u64();
    let sum = each(&migrations[0]).unwrap() + each(&migrations[1]).unwrap();
    assert_eq!(each(&document), Some(sum));
    let again = sandbox.run("migrate plan --env prod --format json");
    assert_eq!(again.stdout, run.stdout);
    let dry = sandbox.run("migrate run --env prod --dry-run --format json");
    let dry: serde_json::Value = serde_json::from_str(&dry.stdout).expect("a document");
    assert_eq!(dry["migrations"], *migrations);
    let status = sandbox.run("migrate status --env prod");
    assert!(status.stdout.contains("2 migrations to run"), "{status}");

    let level = migrated().run("migrate plan --env prod --format json");
    let level: serde_json::Value = serde_json::from_str(&level.stdout).expect("a document");
    assert_eq!(level["requires_migrations"], false);
    assert_eq!(level["pending_migrations"], 0);
}

/// D27: statement by statement, with how it is sent.
#[test]
fn the_sql_of_a_plan_is_printed_for_who_asks() {
    let sandbox = migrated();
    sandbox.file(
        "db/migrations/0003_drop.sql",
        "-- tidy up\ndrop table notes;\nvacuum;\n",
    );
    shows!(sandbox.run("migrate plan --env prod --sql"), @r#"
        exit 0
        --- stdout
        main  raw, directly, schema version 2
          MIGRATION      STATE    PHASE        STATEMENTS  RISK  NOTE
          0003_drop.sql  pending  migrate_pre           2  high  no transaction; line 3: `VACUUM` cannot run in a transaction
          1 migration to run, 2 applied
          db/migrations/0003_drop.sql:3  vacuum-full  blocking
              writes the whole file anew: write lock of the file, blocks writes, for as long as it takes
        0003_drop.sql  each by itself, outside a transaction
             2  drop table notes
             3  vacuum
        "#);
}
