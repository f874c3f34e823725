//! The other migration tools themselves as judges: what Stagecraft applied with
//! `options.table: native` is applied to them, and what they applied is applied
//! to Stagecraft.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::database::{Kind, Scratch, Seen, lab, psql};
use crate::support::migrations::{Project, states};

/// One tool with two migrations in its own layout, and how it is asked to
/// apply what is pending.
struct Judge {
    format: &'static str,
    files: [(&'static str, &'static str); 2],
    /// In folder, at URL; returns what it says.
    applies: fn(&Path, &str) -> String,
    /// The number of rows in its table.
    rows: &'static str,
    /// What its table holds of the second migration.
    second: &'static str,
}

const DBMATE: Judge = Judge {
    format: "dbmate",
    files: [
        (
            "20240101000000_a.sql",
            "-- migrate:up\nCREATE TABLE a (id int);\n\n-- migrate:down\nDROP TABLE a;\n",
        ),
        (
            "20240102000000_b.sql",
            "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON a (id);\n\n-- migrate:down\nDROP INDEX i;\n",
        ),
    ],
    applies: |folder, url| {
        let url = format!("{url}?sslmode=disable");
        let dbmate = tool("node_modules/.bin/dbmate");
        let mut dbmate = Command::new(dbmate);
        dbmate.args(["--no-dump-schema", "--url", &url, "-d"]);
        said(dbmate.arg(folder).arg("migrate"))
    },
    rows: "SELECT count(*) FROM schema_migrations",
    second: "SELECT version FROM schema_migrations OFFSET 1",
};

const NODE_PG_MIGRATE: Judge = Judge {
    format: "node-pg-migrate",
    files: [
        (
            "1700000000001_a.sql",
            "-- Up Migration\nCREATE TABLE a (id int);\n-- Down Migration\nDROP TABLE a;\n",
        ),
        (
            "1700000000002_b.sql",
            "-- Down Migration\nDROP TABLE b;\n-- Up Migration\nCREATE TABLE b (id int);\n",
        ),
    ],
    applies: |folder, url| {
        let mut npm = Command::new(tool("node_modules/.bin/node-pg-migrate"));
        said(npm.env("DATABASE_URL", url).args(["up", "-m"]).arg(folder))
    },
    rows: "SELECT count(*) FROM pgmigrations",
    second: "SELECT name FROM pgmigrations WHERE id = 2",
};

const DRIZZLE: Judge = Judge {
    format: "drizzle",
    files: [
        (
            "0000_a.sql",
            "CREATE TABLE \"a\" (\"id\" int);--> statement-breakpoint\nCREATE INDEX i ON a (id)\n--> statement-breakpoint\nCREATE TABLE c ()",
        ),
        ("0001_b.sql", "CREATE TABLE b (id int);"),
    ],
    applies: |folder, url| {
        let program = "
            const { drizzle } = require('drizzle-orm/node-postgres');
            const { migrate } = require('drizzle-orm/node-postgres/migrator');
            const { Pool } = require('pg');
            const pool = new Pool({ connectionString: process.env.DATABASE_URL });
            migrate(drizzle(pool), { migrationsFolder: process.env.FOLDER }).then(() => pool.end());";
        let mut node = Command::new("node");
        node.current_dir(lab("LAB_TOOLS")).args(["-e", program]);
        said(node.env("DATABASE_URL", url).env("FOLDER", folder))
    },
    rows: "SELECT count(*) FROM drizzle.__drizzle_migrations",
    second: "SELECT hash || created_at FROM drizzle.__drizzle_migrations WHERE id = 2",
};

const JOURNAL: &str = r#"{"version":"7","dialect":"postgresql","entries":[
    {"idx":0,"version":"7","when":1700000000001,"tag":"0000_a","breakpoints":true},
    {"idx":1,"version":"7","when":1700000000002,"tag":"0001_b","breakpoints":true}]}"#;

fn tool(path: &str) -> std::path::PathBuf {
    Path::new(&lab("LAB_TOOLS")).join(path)
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().expect("`tests/lab/up` installs it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

impl Judge {
    fn project(&self, url: &str) -> Project {
        let mut project = Project::new(url);
        let options = json!({ "format": self.format, "table": "native" });
        project.main().options = options.as_object().unwrap().clone();
        for (name, text) in self.files {
            project.write(name, text);
        }
        if self.format == "drizzle" {
            let meta = project.dir.path().join("db/migrations/meta");
            std::fs::create_dir(&meta).unwrap();
            std::fs::write(meta.join("_journal.json"), JOURNAL).unwrap();
        }
        project
    }

    /// Both ways, each on a database of its own.
    async fn agrees(&self) {
        let (ours, theirs) = (Scratch::new(Kind::Postgres), Scratch::new(Kind::Postgres));
        let url = ours.url(Seen::Here);
        let project = self.project(&url);
        let folder = project.dir.path().join("db/migrations");
        assert_eq!(project.run().await.applied(), 2);
        let rows = psql(&url, self.rows);
        (self.applies)(&folder, &url);
        assert_eq!(psql(&url, self.rows), rows, "it had nothing to do");

        let url = theirs.url(Seen::Here);
        let project = self.project(&url);
        (self.applies)(&folder, &url);
        let plan = project.plan().await;
        assert_eq!((&plan.refusals, &plan.selected), (&vec![], &vec![]));
        let applied = self.files.map(|(name, _)| format!("{name} applied"));
        assert_eq!(states(&plan), applied);
        assert_eq!(psql(&url, self.rows), rows);
        assert_eq!(
            psql(&url, self.second),
            psql(&ours.url(Seen::Here), self.second)
        );
        assert_eq!(project.run().await.applied(), 0);
    }
}

#[tokio::test]
async fn dbmate_and_stagecraft_go_on_where_the_other_one_stopped() {
    DBMATE.agrees().await;
}

#[tokio::test]
async fn node_pg_migrate_and_stagecraft_go_on_where_the_other_one_stopped() {
    NODE_PG_MIGRATE.agrees().await;
}

#[tokio::test]
async fn drizzle_and_stagecraft_go_on_where_the_other_one_stopped() {
    DRIZZLE.agrees().await;
}

#[tokio::test]
async fn what_a_tool_undid_is_not_passed_over() {
    let scratch = Scratch::new(Kind::Postgres);
    let url = scratch.url(Seen::Here);
    let project = DBMATE.project(&url);
    project.run().await;
    psql(
        &url,
        "DELETE FROM schema_migrations WHERE version = '20240102000000'",
    );
    let plan = project.plan().await;
    assert_eq!(plan.refusals.len(), 1);
    assert!(
        plan.refusals[0].starts_with("`20240102000000_b.sql` is applied by `stagecraft_migrations`, and not by dbmate's table"),
        "{:?}",
        plan.refusals
    );
}

/// The rest of the tools, whose programs cannot be had here or take minutes to
/// build (`transcripts` has what those wrote): every table is made, written and
/// read on a real server.
#[tokio::test]
async fn every_tools_table_is_written_and_read_again() {
    for (format, file) in [
        ("goose", "1_a.sql"),
        ("golang-migrate", "1_a.up.sql"),
        ("sqlx", "1_a.sql"),
        ("refinery", "V1__a.sql"),
        ("flyway", "V1__a.sql"),
        ("diesel", "1_a/up.sql"),
        ("prisma", "1_a/migration.sql"),
    ] {
        for kind in [Kind::Postgres, Kind::Mysql] {
            if (format, kind) == ("prisma", Kind::Mysql) {
                continue;
            }
            let scratch = Scratch::new(kind);
            let mut project = Project::new(&scratch.url(Seen::Here));
            let options = json!({ "format": format, "table": "native" });
            project.main().options = options.as_object().unwrap().clone();
            let head = if format == "goose" {
                "-- +goose Up\n"
            } else {
                ""
            };
            let first = project.dir.path().join("db/migrations").join(file);
            std::fs::create_dir_all(first.parent().unwrap()).unwrap();
            std::fs::write(&first, format!("{head}CREATE TABLE a (id int);\n")).unwrap();
            assert_eq!(project.run().await.applied(), 1, "{format}");
            // What the tool's table alone says.
            let forget = "DELETE FROM stagecraft_migrations";
            match kind {
                Kind::Postgres => psql(&scratch.url(Seen::Here), forget),
                Kind::Mysql => crate::support::database::mysql(&scratch.url(Seen::Here), forget),
            };
            let plan = project.plan().await;
            assert_eq!(plan.refusals, Vec::<String>::new(), "{format}");
            assert_eq!(plan.selected, Vec::<String>::new(), "{format}");
            assert_eq!(plan.migrations[0].state.label(), "applied", "{format}");
        }
    }
}
