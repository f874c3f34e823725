//! Backups of SQLite files that are opened directly: no Docker engine runs,
//! and none is needed.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

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
    migrations: { engine: raw, path: db }
    backup: { keep: 2 }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
  careful:
    hosts: [{ address: local, roles: [primary, web] }]
    databases: { main: { backup: { before_migrate: true } } }
  bold:
    hosts: [{ address: local, roles: [primary, web] }]
    on_failure: restore
    databases: { main: { backup: { before_migrate: true } } }
";

/// A database with one applied migration, and a row.
fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file(
            "db/001_notes.sql",
            "create table notes (id integer);\ninsert into notes values (1);\n",
        )
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    ran(sandbox.run("migrate run --env prod"));
    sandbox
}

#[track_caller]
fn ran(run: Run) -> Run {
    assert_eq!(run.code, 0, "{run}");
    run
}

/// Of the last word of `words`, with its id.
fn backed_up(sandbox: &Sandbox, words: &str) -> String {
    let run = ran(sandbox.run(&format!("backup create {words} --format json")));
    let id = &run.document()["backups"][0]["id"];
    id.as_str().expect("an id").to_owned()
}

fn listed(sandbox: &Sandbox, environment: &str) -> Vec<Value> {
    let run = ran(sandbox.run(&format!("backup list --env {environment} --format json")));
    run.document()["backups"]
        .as_array()
        .expect("a list")
        .clone()
}

fn restored(sandbox: &Sandbox, id: &str, environment: &str) -> Run {
    let words = format!("backup restore {id} --env {environment}");
    let plan = ran(sandbox.run(&format!("{words} --dry-run --format json"))).document();
    let approve = plan["plan"]["id"].as_str().expect("an id").to_owned();
    sandbox.run(&format!("{words} --accept-data-loss --approve {approve}"))
}

fn folder(sandbox: &Sandbox, environment: &str) -> Vec<PathBuf> {
    let folder = sandbox.path(".stagecraft/backups").join(environment);
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn pending(sandbox: &Sandbox) -> bool {
    sandbox.run("migrate plan --env prod --exit-code").code == 3
}

/// D83, what the ledger says of a backup, and who may read it.
#[test]
fn a_backup_is_read_back_recorded_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = shop();
    let id = backed_up(&sandbox, "--env prod --label first --prove");
    assert!(id.starts_with("backup-") && id.ends_with("-first"), "{id}");
    let all = listed(&sandbox, "prod");
    let one = &all[0];
    for (key, expected) in [
        ("environment", "prod"),
        ("database", "main"),
        ("dialect", "sqlite"),
        ("reason", "asked"),
        ("format", "sqlite.gz"),
        ("host", "local"),
    ] {
        assert_eq!(one[key], expected, "{key}");
    }
    assert_eq!(one["schema_version"], 1);
    assert_eq!(one["migrations"][0], "001_notes.sql");
    assert!(one["size"].as_u64() > one["compressed"].as_u64());
    assert_eq!(one["checksum"].as_str().map(str::len), Some(64));
    assert!(one["verified_at"].is_string() && one["proved_at"].is_string());
    for path in folder(&sandbox, "prod") {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    // What proved it is gone again.
    let left: Vec<String> = fs::read_dir(sandbox.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("prove"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let run = ran(sandbox.run("backup list --env prod"));
    assert!(
        run.stdout.contains("just now") && run.stdout.contains("restored"),
        "{run}"
    );
}

/// D84, the plan of a restore: what it takes away, what is lost, what fits.
#[test]
fn a_restore_is_approved_and_keeps_what_was_there() {
    let sandbox = shop();
    let id = backed_up(&sandbox, "--env prod");
    sandbox.file(
        "db/002_body.sql",
        "alter table notes add column body text;\n",
    );
    ran(sandbox.run("migrate run --env prod"));

    let refused = sandbox.run(&format!("backup restore {id} --env prod"));
    assert_eq!(refused.code, 12, "{refused}");
    assert!(
        refused
            .stdout
            .contains("takes away  1 migration: 002_body.sql"),
        "{refused}"
    );
    assert!(
        refused.stderr.contains("loses every write to `main`"),
        "{refused}"
    );
    // `--yes` is no answer to a risk.
    let refused = sandbox.run(&format!(
        "backup restore {id} --env prod --accept-data-loss --yes"
    ));
    assert_eq!(refused.code, 12, "{refused}");
    assert!(refused.stderr.contains("nobody approved"), "{refused}");
    assert!(!pending(&sandbox), "nothing was restored");

    let run = ran(restored(&sandbox, &id, "prod"));
    assert!(
        run.stdout
            .contains("kept: the database before, as `app.db_before_"),
        "{run}"
    );
    assert!(pending(&sandbox), "the second migration is gone");
    let newest = &listed(&sandbox, "prod")[0];
    assert_eq!(
        (&newest["reason"], &newest["schema_version"]),
        (&"before_restore".into(), &2.into())
    );
    let history = ran(sandbox.run("releases list --env prod --format json")).document();
    assert_eq!(history["releases"][0]["kind"], "restore");

    // And back again, from the backup that the restore took first.
    let id = newest["id"].as_str().unwrap();
    ran(restored(&sandbox, id, "prod"));
    assert!(!pending(&sandbox));
}

#[test]
fn a_restore_plans_without_changing_anything() {
    let sandbox = shop();
    let id = backed_up(&sandbox, "--env prod");
    let before = fs::read(sandbox.path("app.db")).unwrap();
    let run = ran(sandbox.run(&format!("backup restore {id} --env prod --dry-run")));
    assert!(run.stdout.contains("plan id"), "{run}");
    assert_eq!(fs::read(sandbox.path("app.db")).unwrap(), before);
    assert_eq!(listed(&sandbox, "prod").len(), 1);
    let other = sandbox.run("backup restore backup-20200101-000000 --env prod --dry-run");
    assert_eq!(other.code, 12, "{other}");
    assert!(
        other.stderr.contains("`stagecraft backup list --env prod`"),
        "{other}"
    );
}

/// D83: never recorded as good, never restored as good.
#[test]
fn a_file_that_is_not_the_recorded_one_is_not_restored() {
    let sandbox = shop();
    let id = backed_up(&sandbox, "--env prod");
    let file = folder(&sandbox, "prod")
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".gz"));
    let file = file.expect("a file");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let run = restored(&sandbox, &id, "prod");
    assert_eq!(run.code, 26, "{run}");
    assert!(
        run.stderr.contains("is damaged") && run.stderr.contains("no database was touched"),
        "{run}"
    );
    fs::remove_file(&file).unwrap();
    let run = restored(&sandbox, &id, "prod");
    assert_eq!(run.code, 26, "{run}");
    assert!(run.stderr.contains("there is no file"), "{run}");
}

/// D84: a restored schema that is not the recorded one.
#[test]
fn a_copy_with_another_schema_version_than_recorded_is_not_swapped_in() {
    let sandbox = shop();
    let id = backed_up(&sandbox, "--env prod");
    let ledger = ".stagecraft/backups/prod/backups.json";
    let text = sandbox
        .read(ledger)
        .replace("\"schema_version\": 1", "\"schema_version\": 9");
    fs::write(sandbox.path(ledger), text).unwrap();
    sandbox.file(
        "db/002_body.sql",
        "alter table notes add column body text;\n",
    );
    ran(sandbox.run("migrate run --env prod"));
    let run = restored(&sandbox, &id, "prod");
    assert_eq!(run.code, 26, "{run}");
    assert!(
        run.stderr
            .contains("its schema version is 1, recorded was 9"),
        "{run}"
    );
    assert!(run.stderr.contains("`app.db` was not touched"), "{run}");
    assert!(!pending(&sandbox), "it is the database that it was");
    let beside = fs::read_dir(sandbox.path("")).unwrap();
    let made = beside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("_restore_")
    });
    assert_eq!(made.count(), 0);
}

#[test]
fn a_prune_keeps_the_newest_and_what_it_does_not_know() {
    let sandbox = shop();
    for label in ["a", "b", "c", "d"] {
        backed_up(&sandbox, &format!("--env prod --label {label}"));
    }
    sandbox.file(".stagecraft/backups/prod/mine.dump", "by hand");
    let run = ran(sandbox.run("backup prune --env prod --dry-run"));
    assert!(
        run.stdout.starts_with("would remove:") && run.stdout.contains("-a  "),
        "{run}"
    );
    assert_eq!(listed(&sandbox, "prod").len(), 4);
    ran(sandbox.run("backup prune --env prod"));
    let ids: Vec<String> = listed(&sandbox, "prod")
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        ids.len() == 2 && ids[0].ends_with("-d") && ids[1].ends_with("-c"),
        "{ids:?}"
    );
    let names = folder(&sandbox, "prod");
    assert_eq!(
        names.len(),
        4,
        "two files, the ledger and one by hand: {names:?}"
    );
}

/// D83: partial files never look like backups, and do not stay.
#[test]
fn what_a_killed_backup_left_is_no_backup_and_is_cleared_away() {
    let sandbox = shop();
    let partial = ".stagecraft/backups/prod/backup-20200101-000000.main.sqlite.gz.partial";
    sandbox.file(partial, "half of it");
    assert!(listed(&sandbox, "prod").is_empty());
    backed_up(&sandbox, "--env prod");
    assert_eq!(listed(&sandbox, "prod").len(), 1);
    assert!(!sandbox.path(partial).exists());
}

/// D83: no space, and a folder that cannot be written.
#[test]
fn a_backup_without_room_fails_before_it_begins_and_leaves_nothing() {
    let sandbox = shop();
    // A file system without a free block; it needs no rights to mount one.
    let folder = sandbox.path(".stagecraft/backups");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/sys/kernel", folder.join("prod")).unwrap();
    let run = sandbox.run("backup create --env prod");
    assert_eq!(run.code, 26, "{run}");
    let no_room = run.stderr.contains("too little space for a backup");
    assert!(
        no_room || run.stderr.contains("cannot prepare the folder of backups"),
        "{run}"
    );
    assert!(listed(&sandbox, "careful").is_empty());
}

/// D17, D19, D20, D26: taken before the first change, only when there is one,
/// and named in the record and the evidence.
#[test]
fn migrations_wait_for_their_backup_and_nothing_pending_takes_none() {
    let sandbox = shop();
    ran(sandbox.run("migrate run --env careful"));
    assert!(
        folder(&sandbox, "careful").is_empty(),
        "nothing was pending"
    );
    sandbox.file(
        "db/002_body.sql",
        "alter table notes add column body text;\n",
    );
    let plan = ran(sandbox.run("migrate run --env careful --dry-run"));
    assert!(
        plan.stdout
            .contains("note: `main` is backed up first, into .stagecraft/backups/careful"),
        "{plan}"
    );
    assert!(
        folder(&sandbox, "careful").is_empty(),
        "a dry run takes none"
    );
    let run = ran(sandbox.run("migrate run --env careful --format json"));
    let taken = &listed(&sandbox, "careful")[0];
    assert_eq!(taken["reason"], "before_migrate");
    assert_eq!(taken["schema_version"], 1, "from before the migration");
    let document = run.document();
    assert_eq!(document["release"]["backups"][0]["id"], taken["id"]);
    let id = document["release"]["id"].as_str().unwrap();
    let evidence = sandbox.read(&format!(".stagecraft/artifacts/{id}/migration.json"));
    let evidence: Value = serde_json::from_str(&evidence).unwrap();
    assert_eq!(evidence["runs"][0]["backup_id"], taken["id"]);

    sandbox.file(
        "db/003_more.sql",
        "alter table notes add column more text;\n",
    );
    let plan = ran(sandbox.run("migrate run --env careful --skip-backup --dry-run"));
    assert!(!plan.stdout.contains("backed up"), "{plan}");
    ran(sandbox.run("migrate run --env careful --skip-backup"));
    assert_eq!(listed(&sandbox, "careful").len(), 1);
}

/// D21: no backup, no migration.
#[test]
fn a_backup_that_fails_stops_the_migrations() {
    let sandbox = shop();
    sandbox.file(
        "db/002_body.sql",
        "alter table notes add column body text;\n",
    );
    // A file stands where the folder has to be.
    sandbox.file(".stagecraft/backups/careful", "in the way");
    let run = sandbox.run("migrate run --env careful");
    assert_eq!(run.code, 22, "{run}");
    assert!(
        run.stderr
            .contains("the backup of `main` before its migrations failed"),
        "{run}"
    );
    assert!(run.stderr.contains("no migration was applied"), "{run}");
    assert!(pending(&sandbox));
}

/// D64, D71, D78: the backup is kept, and named with the way back.
#[test]
fn a_failed_migration_names_the_backup_and_how_it_is_restored() {
    let sandbox = shop();
    sandbox
        .file(
            "db/002_body.sql",
            "alter table notes add column body text;\n",
        )
        .file("db/003_bad.sql", "insert into nowhere values (1);\n");
    let run = sandbox.run("migrate run --env careful");
    assert_eq!(run.code, 22, "{run}");
    let id = listed(&sandbox, "careful")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let command = format!("`stagecraft backup restore {id} --database main --env careful`");
    assert!(run.stderr.contains(&command), "{run}");
    assert!(
        !pending_first(&sandbox),
        "002 stays: nobody asked for a restore"
    );
}

fn pending_first(sandbox: &Sandbox) -> bool {
    let plan = ran(sandbox.run("migrate plan --env prod --format json")).document();
    plan["databases"][0]["selected"][0] == "002_body.sql"
}

/// D66, D68: restored only where that was asked for and may be.
#[test]
fn a_failure_restores_by_itself_only_what_somebody_accepted_to_lose() {
    let sandbox = shop();
    sandbox
        .file(
            "db/002_body.sql",
            "alter table notes add column body text;\n",
        )
        .file("db/003_bad.sql", "insert into nowhere values (1);\n");
    // SQLite cannot prove that nobody else wrote.
    let run = sandbox.run("migrate run --env bold");
    assert_eq!(run.code, 22, "{run}");
    assert!(
        run.stderr
            .contains("`main` was not restored by itself: others may have written"),
        "{run}"
    );
    assert!(!pending_first(&sandbox), "002 stays");

    // What the failed one began is undone by its transaction: nothing to restore.
    let run = sandbox.run("migrate run --env bold");
    assert!(
        run.stderr
            .contains("nothing of the failed migration is left in it"),
        "{run}"
    );

    // Accepted, and approved by the plan's id.
    let sandbox = shop();
    sandbox
        .file(
            "db/002_body.sql",
            "alter table notes add column body text;\n",
        )
        .file("db/003_bad.sql", "insert into nowhere values (1);\n");
    let words = "migrate run --env bold --accept-data-loss";
    let refused = sandbox.run(words);
    assert_eq!(refused.code, 12, "{refused}");
    let plan = ran(sandbox.run(&format!("{words} --dry-run --format json"))).document();
    let approve = plan["id"].as_str().unwrap();
    let run = sandbox.run(&format!("{words} --approve {approve} --format json"));
    assert_eq!(run.code, 22, "{run}");
    assert!(
        run.stderr.contains("`main` was restored from backup-"),
        "{run}"
    );
    assert!(pending_first(&sandbox), "002 is pending again");
    let releases = ran(sandbox.run("releases list --env bold --format json")).document();
    let id = releases["releases"][0]["id"].as_str().unwrap().to_owned();
    let evidence = sandbox.read(&format!(".stagecraft/artifacts/{id}/migration.json"));
    let evidence: Value = serde_json::from_str(&evidence).unwrap();
    let ran = &evidence["runs"][0];
    assert_eq!(ran["auto_rollback_triggered"], true);
    assert_eq!(ran["rollback_status"], "restored");
    assert_eq!(ran["migrations_applied_before_failure"], 1);
    assert!(
        ran["recovery"]["rollback_command"]
            .as_str()
            .unwrap()
            .starts_with("stagecraft backup restore")
    );
}
