//! Databases that change with a release: before and after its rollout, by
//! themselves, and when that fails.

use std::fs;

use serde_json::{Value, json};

use crate::support::database::{Kind, Scratch, Seen, mysql, psql};
use crate::support::lab::{Host, Project, Run, lab, within};

/// A project with a database of its own that only the hosts reach by this
/// name, and its migrations in `db`.
pub(crate) struct Shop {
    pub(crate) project: Project,
    scratch: Scratch,
    kind: Kind,
}

impl Shop {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        let scratch = Scratch::new(kind);
        let mut project = Project::new(name).on(&[1, 2]);
        let url = scratch
            .url(Seen::FromHosts)
            .replace(&lab("LAB_GATEWAY"), &lab("LAB_DATABASE_NAME"));
        project.variable("DATABASE_URL", &url);
        project.set("/env/secret", json!(["DATABASE_URL"]));
        project.set(
            "/databases/main",
            json!({
                "connection_env": "DATABASE_URL",
                "migrations": { "engine": "raw", "path": "db" },
            }),
        );
        project.file(
            "db/001_notes.sql",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
        );
        Self {
            project,
            scratch,
            kind,
        }
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        let url = self.scratch.url(Seen::Here);
        match self.kind {
            Kind::Postgres => psql(&url, sql),
            Kind::Mysql => mysql(&url, sql),
        }
    }

    pub(crate) fn tables(&self) -> Vec<String> {
        let schema = match self.kind {
            Kind::Postgres => "'public'",
            Kind::Mysql => "database()",
        };
        let all = self.sql(&format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {schema} ORDER BY 1"
        ));
        all.lines().map(str::to_owned).collect()
    }

    fn migrate(&self, words: &[&str]) -> Run {
        let words = [&["migrate"], words, &["--env", "prod"]].concat();
        self.project.runs(&words)
    }

    /// The evidence of the newest release.
    fn evidence(&self) -> Value {
        let id = self.project.newest()["id"].as_str().unwrap().to_owned();
        let folder = self.project.path().join(".stagecraft/artifacts").join(id);
        let text = fs::read_to_string(folder.join("migration.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// Both servers, one after the other.
fn on_both(name: &str, test: impl Fn(Shop)) {
    test(Shop::new(&format!("{name}-pg"), Kind::Postgres));
    test(Shop::new(&format!("{name}-my"), Kind::Mysql));
}

fn ids(migrations: &Value) -> Vec<&str> {
    let migrations = migrations.as_array().unwrap();
    migrations
        .iter()
        .filter_map(|it| it["id"].as_str())
        .collect()
}

#[test]
fn a_deploy_migrates_before_and_after_its_rollout() {
    on_both("around", |shop| {
        shop.project.file(
            "db/002_index.sql",
            "-- stagecraft: phase=post\nCREATE INDEX of_notes ON notes (id);\n",
        );
        shop.project
            .file("db/003_tags.sql", "CREATE TABLE tags (id int);\n");
        shop.project.deploy("v1").succeeds();
        shop.project.serves("v1");
        assert_eq!(shop.tables(), ["notes", "stagecraft_migrations", "tags"]);

        let release = shop.project.newest();
        let order = ["001_notes.sql", "003_tags.sql", "002_index.sql"];
        assert_eq!(ids(&release["migrations"]), order);
        assert_eq!(release["phases"]["migrate_pre"]["status"], "completed");
        assert_eq!(release["phases"]["migrate_post"]["status"], "completed");
        assert_eq!(
            release["known_migrations"]["main"].as_array().map(Vec::len),
            Some(3)
        );
        assert_eq!(shop.evidence()["status"], "pass");

        // The next one has nothing to migrate, and neither has a rollback.
        shop.project.deploy("v2").succeeds();
        let release = shop.project.newest();
        assert_eq!(
            release["phases"]["migrate_pre"]["reason"],
            "nothing pending"
        );
        shop.project.runs(&["rollback", "--env", "prod"]).succeeds();
        shop.project.serves("v1");
        assert_eq!(shop.tables(), ["notes", "stagecraft_migrations", "tags"]);
    });
}

#[test]
fn a_failing_migration_stops_the_release_and_a_mended_one_goes_on() {
    on_both("failing", |shop| {
        shop.project.deploy("v1").succeeds();
        shop.project.file(
            "db/002_fill.sql",
            "-- notes\n\nINSERT INTO missing VALUES (1);\n",
        );
        shop.project
            .file("db/003_more.sql", "CREATE TABLE more (id int);\n");
        let run = shop.project.deploy("v2").fails_with(22);
        run.saying(&[
            "db/002_fill.sql:3:",
            "missing",
            "INSERT INTO",
            "is still live",
        ])
        .saying(&["003_more.sql", "--resume"]);
        shop.project.serves("v1");
        let release = shop.project.newest();
        assert_eq!(release["phases"]["migrate_pre"]["status"], "failed");
        assert_eq!(release["phases"]["rollout"]["status"], "skipped");
        assert_eq!(shop.evidence()["status"], "fail");
        assert_eq!(shop.tables(), ["notes", "stagecraft_migrations"]);

        // Mended beside the files: the same release goes on.
        shop.sql("CREATE TABLE missing (id int)");
        shop.project
            .runs(&["deploy", "--env", "prod", "--resume"])
            .succeeds();
        shop.project.serves("v2");
        assert_eq!(shop.sql("SELECT count(*) FROM missing"), "1");
        assert_eq!(shop.project.newest()["outcome"], "done");
        assert_eq!(shop.project.newest()["id"], release["id"]);

        // Mended in the file: that is another plan, and another release.
        shop.project
            .file("db/004_wrong.sql", "CREATE TABEL x (id int);\n");
        let run = shop.project.deploy("v3").fails_with(22);
        run.saying(&["db/004_wrong.sql:1:"]);
        shop.project
            .file("db/004_wrong.sql", "CREATE TABLE x (id int);\n");
        shop.project
            .runs(&["deploy", "--env", "prod", "--resume"])
            .fails_with(12)
            .saying(&["004_wrong.sql", "edited"])
            .never_saying(&["--abort"]);
        shop.project.deploy("v3").succeeds();
        shop.project.serves("v3");
    });
}

#[test]
fn a_failing_migration_after_the_rollout_leaves_the_new_release_serving() {
    on_both("after", |shop| {
        shop.project.deploy("v1").succeeds();
        shop.project.file(
            "db/002_post.sql",
            "-- stagecraft: phase=post\nDELETE FROM missing;\n",
        );
        let run = shop.project.deploy("v2").fails_with(24);
        run.saying(&["db/002_post.sql:2:", "missing", "serves"]);
        shop.project.serves("v2");
        shop.sql("CREATE TABLE missing (id int)");
        shop.project
            .runs(&["deploy", "--env", "prod", "--resume"])
            .succeeds();
        shop.project.serves("v2");
        shop.project.is_whole();
        assert_eq!(shop.project.newest()["outcome"], "done");
    });
}

#[test]
fn migrations_are_planned_run_and_shown_by_themselves() {
    on_both("alone", |shop| {
        shop.project
            .file("db/002_more.sql", "CREATE TABLE more (id int);\n");
        shop.migrate(&["plan", "--exit-code"])
            .ends_with(3)
            .saying(&["001_notes.sql", "002_more.sql"]);
        shop.migrate(&["run", "--dry-run"]).succeeds();
        assert_eq!(shop.tables(), [""; 0]);
        shop.migrate(&["run", "--to", "001_notes.sql"]).succeeds();
        assert_eq!(shop.tables(), ["notes", "stagecraft_migrations"]);
        let plan = shop
            .migrate(&["plan", "--format", "json"])
            .succeeds()
            .json();
        assert_eq!(plan["databases"][0]["selected"], json!(["002_more.sql"]));
        shop.migrate(&["run"]).succeeds();
        shop.migrate(&["plan", "--exit-code"]).ends_with(0);
        shop.migrate(&["run"])
            .succeeds()
            .saying(&["nothing is pending"]);
        shop.migrate(&["status"])
            .succeeds()
            .saying(&["001_notes.sql", "applied"]);
        assert_eq!(shop.project.newest()["kind"], "migrate");

        // A file that was changed after it was applied.
        shop.project
            .file("db/001_notes.sql", "CREATE TABLE notes (id bigint);\n");
        shop.migrate(&["plan", "--exit-code"])
            .ends_with(4)
            .saying(&["001_notes.sql"]);
        shop.migrate(&["run"])
            .fails_with(12)
            .saying(&["001_notes.sql"]);
        shop.project
            .deploy("v1")
            .fails_with(12)
            .saying(&["001_notes.sql"]);
        shop.project.serves_nothing();

        shop.project
            .file("db/003_wrong.sql", "SELECT 1 FROM nowhere;\n");
        shop.project.file(
            "db/001_notes.sql",
            "CREATE TABLE notes (id int PRIMARY KEY);\n",
        );
        shop.migrate(&["run"])
            .fails_with(22)
            .saying(&["db/003_wrong.sql:1:"]);
    });
}

#[test]
fn a_database_that_is_away_is_named_before_anything_happens() {
    let mut shop = Shop::new("away", Kind::Postgres);
    shop.project.deploy("v1").succeeds();
    let good = shop.scratch.url(Seen::FromHosts);
    let password = good.split([':', '@']).nth(2).unwrap().to_owned();
    let before = shop.project.footprint();

    let nowhere = good.replace(":25432", ":25999");
    shop.project.variable("DATABASE_URL", &nowhere);
    for words in [&["deploy"][..], &["migrate", "plan"], &["migrate", "run"]] {
        let words = [words, &["--env", "prod"]].concat();
        let run = shop.project.runs(&words).fails_with(13);
        run.saying(&["25999"]).never_saying(&[&password]);
    }
    let locked_out = good.replace(&password, "wrong-horse-battery");
    shop.project.variable("DATABASE_URL", &locked_out);
    let run = shop.project.deploy("v2").fails_with(13);
    run.saying(&["password"])
        .never_saying(&["wrong-horse-battery"]);
    shop.project
        .variable("DATABASE_URL", &good.replace("/scratch", "/no_scratch"));
    let run = shop.project.deploy("v2").fails_with(13);
    run.saying(&["no_scratch"]).never_saying(&[&password]);

    shop.project.ships("v1");
    // The lock was taken, and let go of.
    let same = |line: &&String| !line.contains(".lock") && !line.ends_with("/released");
    let after = shop.project.footprint();
    let (before, after) = (before.iter().filter(same), after.iter().filter(same));
    assert_eq!(before.collect::<Vec<_>>(), after.collect::<Vec<_>>());
    shop.project.serves("v1");
}

#[test]
fn a_dry_run_of_migrations_changes_nothing_at_all() {
    on_both("dry", |shop| {
        let look = || (shop.tables(), shop.project.footprint());
        shop.project.ships("v1");
        shop.project.runs(&["check"]).succeeds();
        let before = look();
        for words in [
            "deploy --dry-run",
            "migrate plan",
            "migrate run --dry-run",
            "migrate status",
        ] {
            let words: Vec<&str> = words.split(' ').chain(["--env", "prod"]).collect();
            shop.project.runs(&words).succeeds();
        }
        assert_eq!(look(), before);
        shop.project.deploy("v1").succeeds();
        shop.project
            .file("db/002_more.sql", "CREATE TABLE more (id int);\n");
        let before = look();
        let run = shop.project.runs(&["deploy", "--env", "prod", "--dry-run"]);
        run.succeeds().saying(&["002_more.sql"]);
        assert_eq!(look(), before);
    });
}

#[test]
fn killed_in_a_migration_it_is_aborted_and_says_what_stays() {
    let shop = Shop::new("cut-abort", Kind::Postgres);
    shop.project.deploy("v1").succeeds();
    shop.project
        .file("db/002_quick.sql", "INSERT INTO notes VALUES (2);\n");
    shop.project
        .file("db/003_slow.sql", "SELECT pg_sleep(3);\n");
    let mut run = shop.project.starts_to_deploy("v2");
    run.until_phase("migrate_pre");
    within(std::time::Duration::from_secs(10), "it sleeps", || {
        shop.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND datname = current_database() AND pid <> pg_backend_pid()") == "1"
    });
    run.is_killed();
    let abort = ["deploy", "--env", "prod", "--abort"];
    let run = shop.project.runs(&abort).succeeds();
    run.saying(&["migration 002_quick.sql of `main` stays: applied"]);
    shop.project.serves("v1");
    // The record knows it as well.
    let newest = shop.project.newest();
    assert_eq!(newest["outcome"], "aborted");
    let recorded = newest["migrations"].to_string();
    assert!(recorded.contains("002_quick.sql"), "{recorded}");
}

#[test]
fn killed_in_a_migration_it_is_resumed_and_nothing_runs_twice() {
    let shop = Shop::new("cut-sql", Kind::Postgres);
    shop.project.deploy("v1").succeeds();
    shop.project
        .file("db/002_quick.sql", "INSERT INTO notes VALUES (2);\n");
    shop.project.file(
        "db/003_slow.sql",
        "INSERT INTO notes VALUES (3);\nSELECT pg_sleep(3);\n",
    );
    shop.project
        .file("db/004_last.sql", "INSERT INTO notes VALUES (4);\n");
    let mut run = shop.project.starts_to_deploy("v2");
    run.until_phase("migrate_pre");
    within(std::time::Duration::from_secs(10), "it sleeps", || {
        shop.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND datname = current_database() AND pid <> pg_backend_pid()") == "1"
    });
    run.is_killed();
    shop.project.serves("v1");
    shop.project
        .deploy("v3")
        .fails_with(12)
        .saying(&["--resume", "migrations may be applied"]);
    shop.project.ships("v2");
    shop.project
        .runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    shop.project.serves("v2");
    assert_eq!(shop.sql("SELECT id FROM notes ORDER BY 1"), "2\n3\n4");
    // The record knows all of it, what the killed process did too.
    let release = shop.project.newest();
    assert_eq!(
        ids(&release["migrations"]),
        ["002_quick.sql", "003_slow.sql", "004_last.sql"]
    );
    let results = release["migrations"].as_array().expect("a list");
    assert!(results.iter().all(|result| result["outcome"] == "applied"));
    assert_eq!(release["schema"]["main"]["before"], 1);
    assert_eq!(release["schema"]["main"]["after"], 4);
    assert_eq!(release["phases"]["migrate_pre"]["status"], "completed");
}

#[test]
fn a_sqlite_file_in_the_applications_volume_is_migrated_in_a_container() {
    let mut shop = Project::new("sqlite").on(&[1]);
    shop.file(
        "Dockerfile",
        "FROM stagecraft-lab/python
COPY www /www
COPY read.py /read.py
CMD [\"sh\", \"-c\", \"exec python3 -m http.server --directory /www $PORT\"]
",
    );
    shop.file(
        "read.py",
        "import sqlite3, sys\nfor row in sqlite3.connect('/data/app.db').execute(sys.argv[1]): print(*row)\n",
    );
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.set("/roles/web/stop/timeout", json!("1s"));
    shop.set(
        "/env/clear",
        json!({ "DATABASE_URL": "sqlite:///data/app.db" }),
    );
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": { "engine": "raw", "path": "db" },
        }),
    );
    shop.variable("DATABASE_URL", "sqlite:///data/app.db");
    shop.file("db/001_notes.sql", "CREATE TABLE notes (id int);\n");
    let query = |sql: &str| {
        let words = ["exec", "--env", "prod", "--", "python3", "/read.py", sql];
        shop.runs(&words).succeeds().stdout.trim().to_owned()
    };
    shop.deploy("v1").succeeds();
    shop.serves("v1");
    assert_eq!(query("SELECT count(*) FROM notes"), "0");

    shop.file("db/002_fill.sql", "INSERT INTO notes VALUES (7);\n");
    let before = shop.footprint();
    shop.runs(&["migrate", "plan", "--exit-code", "--env", "prod"])
        .ends_with(3)
        .saying(&["002_fill.sql"]);
    shop.runs(&["deploy", "--env", "prod", "--dry-run"])
        .succeeds()
        .saying(&["002_fill.sql"]);
    assert_eq!(shop.footprint(), before);
    shop.deploy("v2").succeeds();
    assert_eq!(query("SELECT id FROM notes"), "7");

    shop.file(
        "db/003_wrong.sql",
        "INSERT INTO notes VALUES (8);\nINSERT INTO nowhere VALUES (1);\n",
    );
    let run = shop.deploy("v3").fails_with(22);
    run.saying(&["db/003_wrong.sql:2:", "nowhere"]);
    shop.serves("v2");
    assert_eq!(query("SELECT id FROM notes"), "7");
    shop.runs(&["migrate", "status", "--env", "prod"])
        .succeeds()
        .saying(&["002_fill.sql", "003_wrong.sql"]);
    shop.is_whole();
}

#[test]
fn any_other_tool_runs_in_the_image_of_the_release() {
    let mut shop = Project::new("tool").on(&[2, 1]);
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.variable("DATABASE_URL", "whatever://the-tool-knows");
    shop.set("/env/secret", json!(["DATABASE_URL"]));
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": {
                "engine": "command",
                "options": {
                    "run": ["sh", "-c", "echo \"migrating for $(cat /www/up)\" | tee -a /data/log"],
                },
            },
        }),
    );
    shop.deploy("v1").succeeds();
    shop.deploy("v2").succeeds();
    let words = ["exec", "--env", "prod", "--", "cat", "/data/log"];
    let log = shop.runs(&words).succeeds().stdout;
    assert_eq!(log.trim(), "migrating for v1\nmigrating for v2");
    assert_eq!(shop.containers(Host(2)).len(), 1);

    shop.set(
        "/databases/main/migrations/options/run",
        json!("echo no such table; exit 9"),
    );
    let run = shop.deploy("v3").fails_with(22);
    run.saying(&["no such table", "9"]);
    shop.serves("v2");
    shop.is_whole();
}
