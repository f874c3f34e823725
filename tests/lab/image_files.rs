//! `source: image`: the migrations are files of the image that is released.

use serde_json::json;

use crate::support::database::{Kind, Scratch, Seen, psql};
use crate::support::lab::{Project, engine, lab};

/// A project whose image has its migrations in `/srv/db`.
fn shop(name: &str, scratch: &Scratch) -> Project {
    let mut project = Project::new(name).on(&[1, 2]);
    let url = scratch
        .url(Seen::FromHosts)
        .replace(&lab("LAB_GATEWAY"), &lab("LAB_DATABASE_NAME"));
    project.variable("DATABASE_URL", &url);
    project.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": { "engine": "raw", "path": "db", "source": "image" },
        }),
    );
    project
}

fn builds(project: &Project, lines: &str) {
    let path = project.path().join("Dockerfile");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}WORKDIR /srv\n{lines}")).unwrap();
}

fn tables(scratch: &Scratch) -> String {
    let all = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    psql(&scratch.url(Seen::Here), all)
}

#[test]
fn files_of_the_checkout_are_planned_and_those_of_the_image_run() {
    let scratch = Scratch::new(Kind::Postgres);
    let shop = shop("inimage", &scratch);
    shop.file("db/001_notes.sql", "CREATE TABLE notes (id int);\n");
    builds(&shop, "COPY db /srv/db\n");
    let dry = shop.runs(&["deploy", "--env", "prod", "--dry-run"]);
    let dry = dry.succeeds();
    dry.saying(&[
        "main: 001_notes.sql",
        "these are the files of the checkout: they are compared with the image's",
    ]);
    shop.deploy("v1").succeeds();
    assert_eq!(tables(&scratch), "notes stagecraft_migrations");

    // The newest release's image is asked, and nothing of it is left behind.
    let plan = shop.runs(&["migrate", "plan", "--env", "prod", "--exit-code"]);
    plan.succeeds().saying(&["nothing to run, 1 applied"]);
    let left = "docker ps -aq --filter label=stagecraft.job=files";
    assert_eq!(engine(1).sh(left), "");

    // One that only the image has: the checkout's plan is not what would run.
    shop.file("more/002_more.sql", "CREATE TABLE more (id int);\n");
    builds(&shop, "COPY more /srv/db\n");
    let refused = shop.deploy("v2").fails_with(12);
    refused.saying(&[
        "`002_more.sql` is only in the image",
        "no migration was applied",
    ]);
    assert_eq!(tables(&scratch), "notes stagecraft_migrations");
    shop.serves("v1");
}

#[test]
fn files_that_only_the_image_has_run_and_the_plan_says_that_they_are_not_known() {
    let scratch = Scratch::new(Kind::Postgres);
    let shop = shop("onlyimage", &scratch);
    shop.file("made/001_notes.sql", "CREATE TABLE notes (id int);\n");
    shop.file(
        "made/002_tags.sql",
        "-- stagecraft: phase=post\nCREATE TABLE tags (id int);\n",
    );
    builds(&shop, "COPY made /srv/db\n");
    let dry = shop.runs(&["deploy", "--env", "prod", "--dry-run"]);
    dry.succeeds()
        .saying(&["the migrations are in an image that is not on the primary host yet"]);
    shop.deploy("v1").succeeds();
    assert_eq!(tables(&scratch), "notes stagecraft_migrations tags");
    let release = shop.newest();
    assert_eq!(
        release["known_migrations"]["main"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(release["migrations"].as_array().map(Vec::len), Some(2));
    shop.deploy("v2").succeeds();
    shop.serves("v2");
}
