//! What a schema looks like on real servers: the same text for the same schema,
//! and a difference for every kind of object.

use std::sync::Arc;

use stagecraft::migrate::snapshot::{Snapshot, take};
use stagecraft::model::project::Via;
use stagecraft::ssh::Links;

use crate::support::database::{Bench, Kind, Scratch, Seen, mysql, psql};
use crate::support::no_runner::NoRunner;

async fn look(scratch: &Scratch) -> Snapshot {
    let links = Links::new().expect("links");
    let bench = Bench::new(&scratch.url(Seen::Here), "local", links, Arc::new(NoRunner));
    let mut bench = bench.via(Via::Direct);
    bench.options.read_only = true;
    let mut session = bench.open().await;
    take(session.as_mut()).await.expect("a look")
}

/// The objects of a database that these statements made, twice: the second one
/// holds data.
async fn same(kind: Kind, schema: &[&str], data: &str) -> Snapshot {
    let (one, other) = (Scratch::new(kind), Scratch::new(kind));
    for scratch in [&one, &other] {
        for sql in schema {
            run(kind, scratch, sql);
        }
    }
    run(kind, &other, data);
    let (one, other) = (look(&one).await, look(&other).await);
    assert_eq!(one.diff(&other), []);
    assert_eq!(one.fingerprint(), other.fingerprint());
    one
}

fn run(kind: Kind, scratch: &Scratch, sql: &str) -> String {
    match kind {
        Kind::Postgres => psql(&scratch.url(Seen::Here), sql),
        Kind::Mysql => mysql(&scratch.url(Seen::Here), sql),
    }
}

const POSTGRES: [&str; 16] = [
    "CREATE SCHEMA other",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s')",
    "CREATE DOMAIN positive AS int DEFAULT 1 CHECK (VALUE > 0)",
    "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text COLLATE \"C\" NOT NULL UNIQUE, m mood DEFAULT 'ok', twice int GENERATED ALWAYS AS (1 + 1) STORED, CHECK (body <> ''))",
    "CREATE TABLE other.\"Odd name\" (note bigint REFERENCES notes ON DELETE CASCADE, p positive)",
    "CREATE INDEX lower_body ON notes (lower(body)) WHERE id > 5",
    "CREATE VIEW v AS SELECT id, body FROM notes",
    "CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM notes",
    "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'select a'",
    "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end'",
    "CREATE TRIGGER t BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION tf()",
    "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON notes FOR SELECT TO public USING (id > 0)",
    "CREATE TABLE parts (d date) PARTITION BY RANGE (d)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    "CREATE TABLE stagecraft_migrations (id int PRIMARY KEY)",
];

#[tokio::test]
async fn a_look_at_postgres_shows_every_kind_of_object_and_no_data() {
    let look = same(
        Kind::Postgres,
        &POSTGRES,
        "INSERT INTO notes (body) VALUES ('a'), ('b'); ANALYZE; REFRESH MATERIALIZED VIEW mv; SELECT nextval('notes_id_seq')",
    )
    .await;
    let has = |key: &str, value: &str| {
        let found = look
            .objects
            .get(key)
            .unwrap_or_else(|| panic!("no `{key}` in\n{}", look.text()));
        assert_eq!(found, value, "{key}");
    };
    has("table public.notes", "row level security");
    has(
        "table public.notes column body",
        "text collate \"C\" not null",
    );
    has(
        "table public.notes column id",
        "bigint not null generated always as identity",
    );
    has(
        "table public.notes column m",
        "public.mood default 'ok'::public.mood",
    );
    has(
        "table public.notes column twice",
        "integer generated always as ((1 + 1)) stored",
    );
    has(
        "table public.notes constraint notes_body_key",
        "UNIQUE (body)",
    );
    has(
        "table public.notes constraint notes_body_check",
        "CHECK ((body <> ''::text))",
    );
    has(
        "table public.notes policy own",
        "permissive for select to public using ((id > 0))",
    );
    has(
        "table other.\"Odd name\" constraint \"Odd name_note_fkey\"",
        "FOREIGN KEY (note) REFERENCES public.notes(id) ON DELETE CASCADE",
    );
    has(
        "table public.notes index lower_body",
        "CREATE INDEX lower_body ON public.notes USING btree (lower(body)) WHERE (id > 5)",
    );
    has(
        "table public.parts_1",
        "partition of public.parts, FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    );
    has("type public.mood", "enum ('sad', 'ok', 'it''s')");
    has(
        "domain public.positive",
        "integer default 1 constraint positive_check CHECK ((VALUE > 0))",
    );
    for key in [
        "view public.v",
        "materialized view public.mv",
        "function public.f(a integer)",
        "table public.notes trigger t",
        "sequence public.notes_id_seq",
        "schema other",
    ] {
        assert!(
            look.objects.contains_key(key),
            "no `{key}` in\n{}",
            look.text()
        );
    }
    assert!(!look.text().contains("stagecraft"), "{}", look.text());
}

#[tokio::test]
async fn an_index_that_was_never_finished_is_marked_in_a_look_at_postgres() {
    let scratch = Scratch::new(Kind::Postgres);
    psql(&scratch.url(Seen::Here), "CREATE TABLE twice (a int)");
    psql(
        &scratch.url(Seen::Here),
        "INSERT INTO twice VALUES (1), (1)",
    );
    let before = look(&scratch).await;
    let failed = std::process::Command::new("psql")
        .args([
            &scratch.url(Seen::Here),
            "-Xqc",
            "CREATE UNIQUE INDEX CONCURRENTLY one ON twice (a)",
        ])
        .output()
        .expect("psql runs");
    assert!(!failed.status.success());
    let told: Vec<String> = before
        .diff(&look(&scratch).await)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "+ table public.twice index one: INVALID CREATE UNIQUE INDEX one ON public.twice USING btree (a)"
        ]
    );
}

const MYSQL: [&str; 8] = [
    "CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, body varchar(40) COLLATE utf8mb4_bin NOT NULL, n int DEFAULT 3 CHECK (n > 0), twice int AS (n * 2) STORED, at timestamp NULL ON UPDATE current_timestamp)",
    "CREATE TABLE tags (note bigint, name varchar(40), UNIQUE KEY once (note, name(10)), CONSTRAINT of_note FOREIGN KEY (note) REFERENCES notes (id) ON DELETE CASCADE)",
    "CREATE INDEX of_body ON notes (body)",
    "CREATE VIEW v AS SELECT id, body FROM notes",
    "CREATE TRIGGER t BEFORE INSERT ON notes FOR EACH ROW SET NEW.n = 1",
    "CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a",
    "CREATE TABLE parts (d int) PARTITION BY RANGE (d) (PARTITION p0 VALUES LESS THAN (10))",
    "CREATE TABLE stagecraft_migrations (id int PRIMARY KEY)",
];

#[tokio::test]
async fn a_look_at_mariadb_shows_every_kind_of_object_and_no_data() {
    let look = same(
        Kind::Mysql,
        &MYSQL,
        "INSERT INTO notes (body) VALUES ('a'), ('b')",
    )
    .await;
    let has = |key: &str, value: &str| {
        let found = look
            .objects
            .get(key)
            .unwrap_or_else(|| panic!("no `{key}` in\n{}", look.text()));
        assert_eq!(found, value, "{key}");
    };
    has(
        "table notes column id",
        "bigint(20) not null auto_increment",
    );
    has(
        "table notes column body",
        "varchar(40) collate utf8mb4_bin not null",
    );
    has("table notes column n", "int(11) default 3");
    has("table notes index PRIMARY", "unique btree on id");
    has("table tags index once", "unique btree on note, name(10)");
    has(
        "table tags foreign key of_note",
        "note references notes(id) on update restrict on delete cascade",
    );
    has("table notes check n", "`n` > 0");
    has(
        "view v",
        "select `notes`.`id` AS `id`,`notes`.`body` AS `body` from `notes`",
    );
    has("table notes trigger t", "before insert 1\nSET NEW.n = 1");
    has("function f parameter 01", "in a int(11)");
    for key in [
        "function f",
        "table parts partition p0",
        "table notes column twice",
    ] {
        assert!(
            look.objects.contains_key(key),
            "no `{key}` in\n{}",
            look.text()
        );
    }
    assert!(!look.text().contains("stagecraft"), "{}", look.text());
}
