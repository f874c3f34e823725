//! Restores where a new database cannot take the place of the one there, and
//! copies that are proved by their rows.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::backups::Shop;
use crate::support::database::{Kind, Seen, psql};
use crate::support::lab::here;

/// A login that may make no databases, and owns its own.
struct Poor {
    name: String,
    url: String,
}

impl Poor {
    fn owning(shop: &Shop) -> Self {
        let name = shop.scratch.name.replace("scratch_", "poor_");
        shop.scratch
            .admin(&format!("CREATE ROLE {name} LOGIN PASSWORD 'poor'"));
        shop.scratch.admin(&format!(
            "ALTER DATABASE {} OWNER TO {name}",
            shop.scratch.name
        ));
        for owned in ["TABLE notes", "TABLE stagecraft_migrations"] {
            shop.sql(&format!("ALTER {owned} OWNER TO {name}"));
        }
        let url = shop.scratch.url(Seen::Here);
        let (_, place) = url.rsplit_once('@').unwrap();
        let url = format!("postgres://{name}:poor@{place}");
        shop.sandbox.set("DATABASE_URL", &url);
        Self { name, url }
    }

    fn sql(&self, sql: &str) -> String {
        psql(&self.url, sql)
    }

    /// Once its database is gone.
    fn goes(self) {
        let admin = crate::support::database::lab("LAB_POSTGRES_ADMIN_URL");
        psql(&admin, &format!("DROP ROLE {}", self.name));
    }
}

fn plan(shop: &Shop, words: &str) -> Value {
    shop.ran(&format!("{words} --dry-run --format json"))
        .document()["plan"]
        .clone()
}

/// D84: the role that owns a database and may make no other.
#[test]
fn a_login_that_may_make_no_database_restores_in_place() {
    let shop = Shop::new(Kind::Postgres);
    let poor = Poor::owning(&shop);
    poor.sql("CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'");
    let id = shop.backed_up("");
    poor.sql("INSERT INTO notes VALUES (2); CREATE VIEW later AS SELECT * FROM notes; CREATE TYPE mood AS ENUM ('good'); CREATE SCHEMA side; CREATE TABLE side.more (id int)");

    let refused = shop.restored(&id);
    assert_eq!(refused.code, 26, "{refused}");
    assert!(
        refused
            .stderr
            .contains("permission denied to create database")
            && refused
                .stderr
                .contains("the same command with `--in-place`")
            && refused.stderr.contains("no database was touched"),
        "{refused}"
    );

    let swap = format!("backup restore {id} --env prod");
    let words = format!("{swap} --in-place");
    let (other, own) = (plan(&shop, &swap), plan(&shop, &words));
    assert_ne!(other["id"], own["id"], "one approval is not the other's");
    let run = shop.sandbox.run(&format!(
        "{words} --accept-data-loss --approve {}",
        other["id"].as_str().unwrap()
    ));
    assert_eq!(run.code, 12, "{run}");
    let run = shop
        .sandbox
        .run(&format!("{words} --accept-data-loss --yes"));
    assert_eq!(run.code, 12, "{run}");
    assert!(
        run.stderr
            .contains("is emptied and filled again, in one transaction"),
        "{run}"
    );
    let run = shop.approved(&words);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(shop.sql("SELECT string_agg(id::text, ',') FROM notes"), "1");
    assert_eq!(shop.sql("SELECT twice(2)"), "4");
    let left = "SELECT concat(to_regclass('later'), to_regtype('mood'), to_regnamespace('side'))";
    assert_eq!(shop.sql(left), "", "what came later is gone");
    assert_eq!(shop.databases().len(), 1, "{:?}", shop.databases());
    let _ = shop.ran("migrate status --env prod");

    // And what was there before comes back from the backup that was taken first.
    let safety = shop.listed("prod")[0]["id"].as_str().unwrap().to_owned();
    let run = shop.approved(&format!("backup restore {safety} --env prod --in-place"));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(shop.sql("SELECT count(*) FROM later"), "2");

    // What fails half-way leaves everything as it was.
    shop.sql("DROP VIEW later; DROP SCHEMA side CASCADE");
    let ghost = poor.name.replace("poor_", "ghost_");
    shop.scratch.admin(&format!("CREATE ROLE {ghost}"));
    shop.sql(&format!("GRANT SELECT ON notes TO {ghost}"));
    let id = shop.backed_up("");
    shop.sql(&format!(
        "REVOKE ALL ON notes FROM {ghost}; INSERT INTO notes VALUES (3)"
    ));
    shop.scratch.admin(&format!("DROP ROLE {ghost}"));
    let run = shop.approved(&format!("backup restore {id} --env prod --in-place"));
    assert_eq!(run.code, 26, "{run}");
    assert!(
        run.stderr.contains(&ghost)
            && run
                .stderr
                .contains("it was one transaction, which was not committed"),
        "{run}"
    );
    assert_eq!(
        shop.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM notes"),
        "1,2,3"
    );
    drop(shop);
    poor.goes();
}

/// D84: views and triggers that MySQL does not rename.
#[test]
fn what_mysql_cannot_rename_is_restored_in_place_and_a_failure_names_the_way_back() {
    let shop = Shop::new(Kind::Mysql);
    shop.sql("CREATE VIEW first_note AS SELECT min(id) AS id FROM notes");
    let id = shop.backed_up("--prove");
    shop.sql("INSERT INTO notes VALUES (2)");
    shop.sql("CREATE TABLE later (id int)");
    let refused = shop.restored(&id);
    assert_eq!(refused.code, 12, "{refused}");
    assert!(refused.stderr.contains("`--in-place`"), "{refused}");
    let run = shop.approved(&format!("backup restore {id} --env prod --in-place"));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(shop.sql("SELECT id FROM first_note"), "1");
    assert_eq!(shop.sql("SELECT count(*) FROM notes"), "1");
    assert_eq!(shop.sql("SHOW TABLES LIKE 'later'"), "");
    assert_eq!(shop.databases().len(), 1);

    // A file that breaks off in the middle of its work.
    shop.sql("INSERT INTO notes VALUES (3)");
    let all = shop.listed("prod");
    let record = all.iter().find(|one| one["id"] == id.as_str()).unwrap();
    let path = record["path"].as_str().unwrap().rsplit_once('/').unwrap().1;
    let path = shop.folder().join(path).display().to_string();
    here().sh(&format!(
        "printf 'CREATE TABLE half (id int);\\nno SQL;\\n' | gzip >{path}"
    ));
    let ledger = shop.folder().join("backups.json");
    let sum = here().sh(&format!("sha256sum <{path} | cut -d' ' -f1"));
    let size = here().sh(&format!("wc -c <{path}"));
    let text = fs::read_to_string(&ledger).unwrap();
    let (checksum, compressed) = (record["checksum"].as_str().unwrap(), &record["compressed"]);
    let text = text.replace(checksum, &sum).replace(
        &format!("\"compressed\": {compressed}"),
        &format!("\"compressed\": {size}"),
    );
    fs::write(&ledger, text).unwrap();
    let run = shop.approved(&format!("backup restore {id} --env prod --in-place"));
    assert_eq!(run.code, 30, "{run}");
    let safety = shop.listed("prod")[0]["id"].as_str().unwrap().to_owned();
    let back = format!("backup restore {safety} --database main --env prod --in-place");
    assert!(
        run.stderr.contains("was emptied, and holds a part of")
            && run
                .stderr
                .contains(&format!("{safety} holds what was there before"))
            && run.stderr.contains(&format!(
                "`stagecraft {back} --skip-backup --accept-data-loss`"
            )),
        "{run}"
    );
    assert_eq!(shop.sql("SHOW TABLES LIKE 'half'"), "half");
    let run = shop.approved(&format!("{back} --skip-backup"));
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(shop.sql("SELECT group_concat(id) FROM notes"), "1,3");
    assert_eq!(shop.sql("SHOW TABLES LIKE 'half'"), "");
}

/// A program of the sandbox that stands before the machine's own.
fn instead(shop: &Shop, program: &str, script: &str) {
    let file = shop.sandbox.path("bin").join(program);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    let made = Command::new("chmod").arg("755").arg(&file).status();
    assert!(made.unwrap().success());
    shop.sandbox
        .set("PATH", "$shop/bin:/usr/local/bin:/usr/bin:/bin");
}

/// D83: the rows are counted in the view that is copied, where the server lends it.
#[test]
fn a_copy_that_lost_rows_is_not_proved() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        shop.sql("CREATE TABLE empty (id int)");
        let id = shop.backed_up("--prove");
        let record = &shop.listed("prod")[0];
        let (how, prefix) = match kind {
            Kind::Postgres => ("exactly", "public."),
            Kind::Mysql => ("around", ""),
        };
        assert_eq!(record["rows"]["counted"], how);
        for (table, rows) in [("notes", 1), ("empty", 0), ("stagecraft_migrations", 1)] {
            // Beside its rows of migrations that table keeps the schema's look.
            let counted = &record["rows"]["tables"][format!("{prefix}{table}")];
            match table {
                "stagecraft_migrations" => assert!(counted.as_u64() > Some(1), "{counted}"),
                _ => assert_eq!(*counted, json!(rows), "{table} of {id}"),
            }
        }
        match kind {
            Kind::Postgres => instead(
                &shop,
                "pg_restore",
                "/usr/bin/pg_restore \"$@\" || exit 1\ncase $* in *--dbname=*) psql -qc 'DELETE FROM notes';; esac",
            ),
            Kind::Mysql => instead(
                &shop,
                "gzip",
                "/usr/bin/gzip \"$@\" | sed 's/^INSERT INTO `notes`.*/-- gone/; s/^(1),*;*$//'",
            ),
        }
        let run = shop.sandbox.run("backup create --env prod --prove");
        assert_eq!(run.code, 26, "{run}");
        assert!(
            run.stderr
                .contains("does not hold the rows that were counted")
                && run.stderr.contains("notes` has 0 rows, counted were 1"),
            "{run}"
        );
        assert!(shop.listed("prod")[0]["proved_at"].is_null());
        assert_eq!(shop.databases().len(), 1, "{:?}", shop.databases());
    }
}

/// D84: what a migration does to the data of yesterday.
#[test]
fn a_rehearsal_runs_on_what_a_backup_holds() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        let id = shop.backed_up("");
        shop.sandbox.file(
            "db/002_body.sql",
            "ALTER TABLE notes ADD COLUMN body int;\n",
        );
        let _ = shop.ran("migrate run --env prod");
        shop.sql("DELETE FROM notes");
        // It fails where a row is there, which only the backup still has.
        let check = "ALTER TABLE notes ADD CONSTRAINT few CHECK (id > 1);\n";
        shop.sandbox.file("db/003_few.sql", check);
        let run = shop
            .sandbox
            .run(&format!("migrate rehearse --env prod --backup {id}"));
        assert_eq!(run.code, 12, "{run}");
        assert!(run.stderr.contains("few"), "{run}");
        shop.sandbox.file(
            "db/003_few.sql",
            "ALTER TABLE notes ADD CONSTRAINT few CHECK (id > 0);\n",
        );
        let run = shop.ran(&format!("migrate rehearse --env prod --backup {id}"));
        assert!(
            run.stdout
                .contains(&format!("1 migration on what {id} restores"))
                && run.stdout.contains("003_few.sql"),
            "{run}"
        );
        let left = match kind {
            Kind::Postgres => {
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'stagecraft/stagecraft_rehearse%'"
            }
            Kind::Mysql => {
                "SELECT count(*) FROM information_schema.schemata s WHERE schema_name LIKE 'stagecraft_rehearse%' AND IS_USED_LOCK(schema_name) IS NOT NULL"
            }
        };
        assert_eq!(shop.sql(left), "0");
        assert!(run.stderr.contains("dropped the scratch database"), "{run}");
        let unknown = shop
            .sandbox
            .run("migrate rehearse --env prod --backup backup-20200101-000000");
        assert_eq!(unknown.code, 12, "{unknown}");
    }
}
