//! The engines of framework tools on the other kinds of database: Knex, Drizzle
//! and Prisma on MariaDB and on SQLite files, by the tools themselves; what
//! cannot be had here is said in `npm`. Prisma on MySQL is not run: its table is
//! made by hand, as Prisma makes it, and planned from.

use chrono::{DateTime, TimeDelta, Utc};
use stagecraft::model::fault::FaultKind;
use stagecraft::model::migration::{MigrationPlan, MigrationRequest, MigrationState};

use tokio_util::sync::CancellationToken;

use crate::npm::{On, Tool, Tried};
use crate::support::conformance::{
    Contestant, Work, applies_once, killed, lets_one_of_two_run, refuses_what_was_edited,
    tells_a_failure_and_goes_on_when_it_is_mended,
};
use crate::support::migrations::states;

async fn conforms(with: &Tried) {
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
}

/// D38.
#[tokio::test]
async fn knex_conforms_on_mariadb() {
    conforms(&Tried::new(Tool::Knex, On::Mysql)).await;
}

#[tokio::test]
async fn knex_conforms_on_sqlite() {
    let with = &Tried::new(Tool::Knex, On::Sqlite);
    conforms(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn drizzle_conforms_on_mariadb() {
    conforms(&Tried::new(Tool::Drizzle, On::Mysql)).await;
}

/// D38.
#[tokio::test]
async fn drizzle_conforms_on_sqlite() {
    let with = &Tried::new(Tool::Drizzle, On::Sqlite);
    conforms(with).await;
    refuses_what_was_edited(with).await;
}

/// D38. Its failures and refusals are further below.
#[tokio::test]
async fn prisma_applies_once_on_sqlite() {
    applies_once(&Tried::new(Tool::Prisma, On::Sqlite)).await;
}

/// MySQL takes no change of the schema back, and the next run begins anew.
#[tokio::test]
async fn what_a_failed_migration_leaves_behind_on_mariadb_is_said() {
    for tool in [Tool::Knex, Tool::Drizzle] {
        let with = Tried::new(tool, On::Mysql);
        let project = with.project();
        with.write(&project, 1, Work::Good);
        let statements = [
            "CREATE TABLE t2 (id integer)",
            "INSERT INTO nowhere VALUES (1)",
        ];
        with.write_of(&project, 2, &statements);
        let ran = project.run().await;
        let fault = ran.fault();
        let id = with.id(2);
        assert!(with.happened(&project, 1) && with.happened(&project, 2));
        assert_eq!(
            ran.results(),
            [format!("{} applied", with.id(1)), format!("{id} failed")]
        );
        let said = format!("what `{id}` did before it failed may be there still");
        assert!(
            fault.state.iter().any(|state| state.starts_with(&said)),
            "{fault:#?}"
        );
        assert!(
            fault.hints[0].starts_with("undo that by hand"),
            "{fault:#?}"
        );
        // It is pending as before, and goes on when it was undone.
        with.write(&project, 2, Work::Good);
        assert_eq!(project.plan().await.selected, [id]);
        assert_eq!(project.run().await.fault().kind, FaultKind::Failed);
        with.sql(&project, "DROP TABLE t2");
        project.run().await.outcome.unwrap();
        assert!(with.happened(&project, 2));
    }
}

/// MySQL commits Knex's lock with the first change of the schema.
#[tokio::test]
async fn the_lock_that_a_killed_run_of_knex_left_is_freed_by_the_command_of_the_message() {
    let with = Tried::new(Tool::Knex, On::Mysql);
    let mut project = with.project();
    with.write_of(
        &project,
        1,
        &["CREATE TABLE t1 (id integer)", "DO SLEEP(30)"],
    );
    let ran = killed(&with, &project).await;
    with.end_what_goes_on(&project);
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Interrupted);
    let unlock = fault.hints.iter().find(|hint| hint.contains("unlock"));
    assert!(unlock.is_some(), "{fault:#?}");

    // Neither Knex nor Stagecraft goes on.
    project.cancel = CancellationToken::new();
    let said = with.itself(&project, &["knex", "migrate:latest"]);
    assert!(said.contains("Migration table is already locked"), "{said}");
    let refusals = project.plan().await.refusals;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    with.does(&project, &refusals[0], "knex migrate:unlock");
    with.sql(&project, "DROP TABLE t1");
    with.write(&project, 1, Work::Good);
    project.run().await.outcome.unwrap();
    assert_recent(&project.plan().await);
}

#[tokio::test]
async fn knex_s_lock_in_an_sqlite_file_is_a_finding_too() {
    let with = Tried::new(Tool::Knex, On::Sqlite);
    let project = with.project();
    with.write(&project, 1, Work::Good);
    project.run().await.outcome.unwrap();
    assert_recent(&project.plan().await);
    with.sql(&project, "UPDATE knex_migrations_lock SET is_locked = 1");
    let refusals = project.plan().await.refusals;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    with.does(&project, &refusals[0], "knex migrate:unlock");
    assert_eq!(project.plan().await.refusals, [] as [String; 0]);
}

#[tokio::test]
async fn what_drizzle_would_skip_on_mariadb_is_refused_and_it_does_skip_it() {
    let with = Tried::new(Tool::Drizzle, On::Mysql);
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 3, Work::Good);
    project.run().await.outcome.unwrap();
    with.write(&project, 2, Work::Good);
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("skip it for ever"),
        "{:?}",
        plan.refusals
    );
    let said = with.itself(&project, &["drizzle-kit", "migrate"]);
    assert!(said.contains("applied successfully"), "{said}");
    assert!(!with.happened(&project, 2));
}

/// The repair is the message's own command, run as it stands there.
#[tokio::test]
async fn prisma_s_failure_is_settled_by_the_command_of_the_message() {
    let with = Tried::new(Tool::Prisma, On::Sqlite);
    let project = with.project();
    let statements = [
        "CREATE TABLE t1 (id integer)",
        "INSERT INTO nowhere VALUES (1)",
    ];
    with.write_of(&project, 1, &statements);
    let ran = project.run().await;
    let said = format!(
        "what `{}` did before it failed may be there still",
        with.id(1)
    );
    let fault = ran.fault();
    assert!(
        fault.state.iter().any(|state| state.starts_with(&said)),
        "{fault:#?}"
    );
    assert!(
        with.happened(&project, 1),
        "Prisma takes nothing back there"
    );
    let plan = project.plan().await;
    assert_eq!(states(&plan), [format!("{} failed", with.id(1))]);
    let said = with.itself(&project, &["prisma", "migrate", "deploy"]);
    assert!(said.contains("P3009"), "Prisma runs nothing either: {said}");

    // As the message says: undone first, or finished by hand.
    with.sql(&project, "DROP TABLE t1");
    with.does(
        &project,
        &plan.refusals[0],
        "prisma migrate resolve --rolled-back",
    );
    with.write(&project, 1, Work::Good);
    project.run().await.outcome.unwrap();
    assert_recent(&project.plan().await);

    with.write(&project, 2, Work::Broken);
    assert_eq!(project.run().await.fault().kind, FaultKind::Failed);
    let refusal = project.plan().await.refusals.remove(0);
    with.sql(&project, "CREATE TABLE t2 (id integer)");
    with.does(&project, &refusal, "prisma migrate resolve --applied");
    let plan = project.plan().await;
    let applied = [1, 2].map(|n| format!("{} applied", with.id(n)));
    assert_eq!((states(&plan), plan.refusals), (applied.to_vec(), vec![]));
}

/// What each refusal says of Prisma, asked of Prisma.
#[tokio::test]
async fn what_prisma_would_not_mind_is_refused_and_prisma_does_not_mind() {
    let with = Tried::new(Tool::Prisma, On::Sqlite);
    let deploy = ["prisma", "migrate", "deploy"];
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 3, Work::Good);
    project.run().await.outcome.unwrap();

    with.write_of(&project, 1, &["CREATE TABLE t1 (id bigint)"]);
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("which `prisma migrate deploy` ignores"),
        "{refusals:?}"
    );
    let said = with.itself(&project, &deploy);
    assert!(said.contains("No pending migrations to apply"), "{said}");
    let said = with.itself(&project, &["prisma", "migrate", "status"]);
    assert!(said.contains("Database schema is up to date"), "{said}");
    with.write(&project, 1, Work::Good);

    with.write(&project, 2, Work::Good);
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("which Prisma would not mind"),
        "{refusals:?}"
    );
    let said = with.itself(&project, &deploy);
    assert!(said.contains("successfully applied"), "{said}");
    assert!(with.happened(&project, 2));

    let folder = project.dir.path().join("db/migrations").join(with.id(2));
    std::fs::remove_dir_all(folder).unwrap();
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("its file is gone, which Prisma ignores"),
        "{refusals:?}"
    );
    let said = with.itself(&project, &deploy);
    assert!(said.contains("No pending migrations to apply"), "{said}");
}

/// As Prisma's own engine makes and fills its table on MySQL.
const PRISMA_ON_MYSQL: &str = "CREATE TABLE _prisma_migrations (
    id VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    finished_at DATETIME(3),
    migration_name VARCHAR(255) NOT NULL,
    logs TEXT,
    rolled_back_at DATETIME(3),
    started_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
INSERT INTO _prisma_migrations VALUES
    ('a', 'SUM', '2026-01-02 03:04:05.678', '20240101000000_t', NULL, NULL, '2026-01-02 03:04:05.000', 1),
    ('b', 'SUM', '2026-01-02 03:04:06.000', '20240102000000_t', NULL, NULL, '2026-01-02 03:04:06.000', 1),
    ('c', 'SUM', NULL, '20240103000000_t', 'ERROR 1064', '2026-01-02 03:04:08.000', '2026-01-02 03:04:07.000', 0),
    ('d', 'SUM', NULL, '20240103000000_t', 'ERROR 1146', NULL, '2026-01-02 03:04:09.000', 0)";

/// And on SQLite, where it writes times as milliseconds.
const PRISMA_ON_SQLITE: &str = "CREATE TABLE \"_prisma_migrations\" (
    \"id\" TEXT PRIMARY KEY NOT NULL,
    \"checksum\" TEXT NOT NULL,
    \"finished_at\" DATETIME,
    \"migration_name\" TEXT NOT NULL,
    \"logs\" TEXT,
    \"rolled_back_at\" DATETIME,
    \"started_at\" DATETIME NOT NULL DEFAULT current_timestamp,
    \"applied_steps_count\" INTEGER UNSIGNED NOT NULL DEFAULT 0
);
INSERT INTO _prisma_migrations VALUES
    ('a', 'SUM', 1767323045678, '20240101000000_t', NULL, NULL, 1767323045000, 1),
    ('b', 'SUM', 1767323046000, '20240102000000_t', NULL, NULL, 1767323046000, 1),
    ('c', 'SUM', NULL, '20240103000000_t', 'ERROR 1064', 1767323048000, 1767323047000, 0),
    ('d', 'SUM', NULL, '20240103000000_t', 'ERROR 1146', NULL, 1767323049000, 0)";

#[tokio::test]
async fn prisma_s_table_is_read_as_its_own_engine_writes_it() {
    for (on, table) in [(On::Mysql, PRISMA_ON_MYSQL), (On::Sqlite, PRISMA_ON_SQLITE)] {
        let with = Tried::new(Tool::Prisma, on);
        let project = with.project();
        for n in 1..=4 {
            with.write(&project, n, Work::Good);
        }
        let file = project
            .dir
            .path()
            .join("db/migrations/20240101000000_t/migration.sql");
        let sum = sha256(&std::fs::read(file).unwrap());
        for statement in table.replace("SUM", &sum).split(";\n") {
            with.sql(&project, statement);
        }
        let plan = project.plan().await;
        let id = |n| with.id(n);
        assert_eq!(
            states(&plan),
            [
                format!("{} applied", id(1)),
                format!("{} edited", id(2)),
                format!("{} failed", id(3)),
                format!("{} pending", id(4))
            ]
        );
        let MigrationState::Applied { at, .. } = &plan.migrations[0].state else {
            panic!("{:?}", plan.migrations[0]);
        };
        assert_eq!(at.as_deref(), Some("2026-01-02T03:04:05.678Z"));
        let resolve = format!("`npx prisma migrate resolve --rolled-back {}`", id(3));
        assert!(
            plan.refusals[1].contains("ERROR 1146"),
            "{:?}",
            plan.refusals
        );
        assert!(plan.refusals[1].contains(&resolve), "{:?}", plan.refusals);
    }
}

/// D10, D73: a reset takes the tools' own tables away too, so that they begin
/// anew.
#[tokio::test]
async fn after_a_reset_every_tool_begins_anew() {
    for (tool, on) in [
        (Tool::Drizzle, On::Postgres),
        (Tool::Knex, On::Mysql),
        (Tool::Prisma, On::Sqlite),
    ] {
        let with = Tried::new(tool, on);
        let project = with.project();
        with.write(&project, 1, Work::Good);
        project.run().await.outcome.unwrap();
        project.empty().await;
        assert!(!with.happened(&project, 1));
        let plan = project.plan().await;
        assert_eq!(states(&plan), [format!("{} pending", with.id(1))]);
        project.run_plans(&[plan]).await.outcome.unwrap();
        assert!(with.happened(&project, 1));
    }
}

#[tokio::test]
async fn node_pg_migrate_says_that_it_works_with_postgresql_alone() {
    for (on, kind) in [(On::Mysql, "MySQL"), (On::Sqlite, "SQLite")] {
        let with = Tried::new(Tool::NodePgMigrate, on);
        let project = with.project();
        with.write(&project, 1, Work::Good);
        let refused = project.plans(&MigrationRequest::default()).await;
        let fault = refused.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Config);
        let said = format!("node-pg-migrate works with PostgreSQL alone, and `main` is {kind}");
        assert!(format!("{fault:?}").contains(&said), "{fault:#?}");
    }
}

/// The times that a tool wrote are moments, whatever zone a server has.
#[track_caller]
fn assert_recent(plan: &MigrationPlan) {
    let MigrationState::Applied { at: Some(at), .. } = &plan.migrations[0].state else {
        panic!("{:?}", plan.migrations[0]);
    };
    let at = DateTime::parse_from_rfc3339(at).unwrap();
    let ago = Utc::now().signed_duration_since(at);
    assert!(ago.abs() < TimeDelta::minutes(10), "{at}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
