//! What a schema looks like, on SQLite.

use stagecraft::migrate::snapshot::{Snapshot, take};

use super::support::Project;

async fn look(project: &Project) -> Snapshot {
    take(project.session().await.as_mut()).await.unwrap()
}

const SCHEMA: &str = "-- notes\n\
    create table notes (\n  id integer primary key, -- the key\n  body text not null check (body <> ''),\n  n numeric(4, 2) default 1\n) strict;\n\
    create index of_body on notes (body);\n\
    create view v as select id\n  from notes;\n\
    create trigger t after insert on notes begin select 1; end;\n";

#[tokio::test]
async fn a_look_at_sqlite_shows_every_object_and_not_its_own_tables() {
    let project = Project::sqlite();
    project.write("1_a.sql", &SCHEMA.replace(") strict", ")"));
    assert_eq!(project.run().await.applied(), 1);
    let look = look(&project).await;
    assert_eq!(
        look.text(),
        "table notes:\n    CREATE TABLE notes (\n    id integer primary key,\n    \
         body text not null check (body <> \'\'),\n    n numeric (4, 2) default 1\n    )\n  \
         index of_body: CREATE INDEX of_body on notes ( body )\n  \
         trigger t: CREATE TRIGGER t after insert on notes begin select 1 ; end\n\n\
         view v: CREATE VIEW v as select id from notes\n"
    );
}

#[tokio::test]
async fn layout_comments_and_data_do_not_change_a_look_at_sqlite() {
    let one = Project::sqlite();
    one.write("1_a.sql", SCHEMA.replace(") strict", ")").as_str());
    one.run().await;
    let other = Project::sqlite();
    let tidy = SCHEMA.replace(") strict", ")").replace(" -- the key", "");
    other.write(
        "1_a.sql",
        &format!(
            "{}insert into notes values (1, 'x', 2);\n",
            tidy.replace("\n  ", " ")
        ),
    );
    other.run().await;
    let (one, other) = (look(&one).await, look(&other).await);
    assert_eq!(one.diff(&other), []);
    assert_eq!(one.fingerprint(), other.fingerprint());
}
