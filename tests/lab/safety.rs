//! A rollback across migrations, on real databases: free where they only add,
//! refused where they take something away, and forced by name.

use crate::migrations::Shop;
use crate::support::database::Kind;
use crate::support::lab::Run;

fn rollback(shop: &Shop, words: &[&str]) -> Run {
    let words = [&["rollback", "--env", "prod"], words].concat();
    shop.project.runs(&words)
}

#[test]
fn a_rollback_across_an_added_column_is_free_and_across_a_dropped_one_is_forced_by_name() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new("safety", kind);
        shop.project.file(
            "db/001_notes.sql",
            "CREATE TABLE notes (id int PRIMARY KEY, body text);\n",
        );
        let v1 = shop.project.deploy("v1").succeeds().release();

        shop.project.file(
            "db/002_title.sql",
            "ALTER TABLE notes ADD COLUMN title text;\n",
        );
        shop.project.deploy("v2").succeeds();
        assert_eq!(shop.project.newest()["rollback_safe"], true);
        rollback(&shop, &[]).succeeds();
        shop.project.serves("v1");

        shop.project.file(
            "db/003_body.sql",
            "-- nobody reads it\nALTER TABLE notes DROP COLUMN body;\n",
        );
        shop.project
            .deploy("v3")
            .succeeds()
            .saying(&["after `003_body.sql`, a rollback to v1", "will be refused"]);
        let v3 = shop.project.newest();
        assert_eq!(v3["rollback_safe"], false, "{v3}");
        assert_eq!(v3["migrations"][0]["compat"]["grade"], "breaking");

        let refused = rollback(&shop, &["--yes", "--to", &v1]).fails_with(12);
        refused.saying(&[
            "db/003_body.sql:2",
            "drops the column `notes.body`",
            "is still live",
            "--force-schema",
        ]);
        shop.project.serves("v3");

        // Nothing but the plan's own id is an approval.
        let force = ["--to", &v1, "--force-schema"];
        rollback(&shop, &[&force[..], &["--yes"]].concat())
            .fails_with(12)
            .saying(&["nobody approved the risks", "`--yes` does not answer this"]);
        rollback(
            &shop,
            &[&force[..], &["--approve", "000000000000"]].concat(),
        )
        .fails_with(12)
        .saying(&["is not the plan of now"]);
        let planned = rollback(
            &shop,
            &[&force[..], &["--dry-run", "--format", "json"]].concat(),
        );
        let plan = planned.succeeds().json()["plan"].clone();
        let id = plan["id"].as_str().unwrap();
        assert_eq!(plan["overruled"][0]["migration"], "003_body.sql");
        rollback(&shop, &[&force[..], &["--approve", id]].concat()).succeeds();
        shop.project.serves("v1");

        let forced = shop.project.newest();
        assert_eq!(forced["target_id"], v1.as_str());
        assert!(forced["forced"]["approval"].as_str().unwrap().contains(id));
        let overruled = forced["forced"]["overruled"][0].as_str().unwrap();
        assert!(overruled.contains("notes.body"), "{overruled}");
        assert!(!forced["forced"]["by"].as_str().unwrap().is_empty());
        let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'notes' AND column_name = 'body'";
        if kind == Kind::Postgres {
            assert_eq!(shop.sql(columns), "0", "a rollback changes no database");
        }
    }
}
