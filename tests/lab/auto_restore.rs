//! `on_failure: restore` in a whole deploy: the database goes back before any
//! new code serves, and only where nothing is lost that nobody gave up.

use std::fs;

use serde_json::{Value, json};

use crate::support::database::{Kind, Scratch, Seen, mysql};
use crate::support::lab::Project;

/// The columns of `notes` and its rows, as text.
fn notes(url: &str) -> String {
    let columns = "SELECT group_concat(column_name ORDER BY ordinal_position) \
        FROM information_schema.columns WHERE table_schema = database() AND table_name = 'notes'";
    let rows = "SELECT group_concat(id ORDER BY id) FROM notes";
    format!("{} {}", mysql(url, columns), mysql(url, rows))
}

fn evidence(shop: &Project) -> Value {
    let id = shop.newest()["id"].as_str().unwrap().to_owned();
    let folder = shop.path().join(".stagecraft/artifacts").join(id);
    let text = fs::read_to_string(folder.join("migration.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// D64, D65, D66, D67, D68, D71: MariaDB keeps what a failed migration began, and cannot
/// prove that nobody else wrote.
#[test]
fn a_failed_deploy_restores_its_database_before_new_code_serves() {
    let scratch = Scratch::new(Kind::Mysql);
    let url = scratch.url(Seen::Here);
    let mut shop = Project::new("goes-back").on(&[1]);
    shop.variable("DATABASE_URL", &scratch.url(Seen::FromHosts));
    shop.set("/env/secret", json!(["DATABASE_URL"]));
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "via": "direct",
            "migrations": { "engine": "raw", "path": "db" },
            "backup": { "before_migrate": true },
        }),
    );
    shop.set("/environments/prod/on_failure", json!("restore"));
    shop.file(
        "db/001_notes.sql",
        "CREATE TABLE notes (id int PRIMARY KEY);\nINSERT INTO notes VALUES (1);\n",
    );
    let first = shop.deploy("v1").succeeds().release();

    shop.file("db/002_whole.sql", "ALTER TABLE notes ADD whole int;\n");
    shop.file(
        "db/003_half.sql",
        "ALTER TABLE notes ADD half int;\nINSERT INTO nowhere VALUES (1);\n",
    );
    shop.ships("v2");
    let words = ["deploy", "--env", "prod", "--version", "v2"];
    let loss = [&words[..], &["--accept-data-loss"]].concat();
    // A risk that nobody approved.
    shop.runs(&loss).fails_with(12);
    let plan = shop.runs(&[&loss[..], &["--dry-run", "--format", "json"]].concat());
    let plan = plan.succeeds().json();
    let approve = plan["plan"]["id"].as_str().unwrap();
    let run = shop.runs(&[&loss[..], &["--approve", approve, "--format", "json"]].concat());
    let run = run.fails_with(22).saying(&[
        "nowhere",
        "`main` was restored from backup-",
        "it is what it was before these migrations",
        &format!("{first} is still live"),
    ]);
    // Nothing that the failed run had to say of it is true any more.
    let run = run.never_saying(&["took effect and stays", "and kept: `002_whole.sql`"]);
    assert_eq!(notes(&url), "id 1");
    shop.serves("v1");
    shop.is_whole();

    let release = shop.newest();
    assert_eq!(release["phases"]["migrate_pre"]["status"], "failed");
    assert_eq!(release["phases"]["rollout"]["status"], "skipped");
    let backup = &release["backups"][0];
    assert_eq!(backup["restore"]["status"], "restored");
    assert_eq!(backup["restore"]["undone"], json!(["002_whole.sql"]));
    assert_eq!(release["schema"]["main"]["after"], 1);
    let kept = backup["restore"]["kept"].as_str().unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    assert_eq!(
        notes(&format!("{server}/{kept}")),
        "id,whole,half 1",
        "the failed one is kept"
    );
    scratch.admin(&format!("DROP DATABASE {kept}"));
    let ran = &evidence(&shop)["runs"][0];
    for (key, expected) in [
        ("status", json!("error")),
        ("failed_migration", json!("003_half.sql")),
        ("backup_id", backup["id"].clone()),
        ("rollback_status", json!("restored")),
        ("auto_rollback_triggered", json!(true)),
        ("migrations_applied_before_failure", json!(1)),
    ] {
        assert_eq!(ran[key], expected, "{key}");
    }
    let error = run.json();
    assert_eq!(
        (&error["status"], &error["exit_code"]),
        (&json!("error"), &json!(22))
    );

    // Somebody else's row has to survive: nobody accepted its loss.
    mysql(&url, "INSERT INTO notes VALUES (2)");
    let run = shop.deploy("v3").fails_with(22);
    let run = run.saying(&[
        "`main` was not restored by itself: others may have written to it",
        "`--accept-data-loss`",
        "`stagecraft backup restore backup-",
    ]);
    assert_eq!(notes(&url), "id,whole,half 1,2", "{run}");
    shop.serves("v1");
    let release = shop.newest();
    assert_eq!(release["backups"][0]["restore"]["status"], "refused");
    assert_eq!(evidence(&shop)["runs"][0]["rollback_status"], "refused");
}
