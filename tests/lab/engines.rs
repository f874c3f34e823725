//! The engines of framework tools with the tools themselves, from npm, on
//! PostgreSQL: the scenarios of every engine, and the traps of each. Their
//! containers are processes of this machine here; `engine_deploys` has each in
//! a container on a host, and `engine_kinds` the other kinds of database.

use stagecraft::model::fault::FaultKind;
use stagecraft::model::migration::MigrationRequest;

use crate::npm::{On, Tool, Tried, journal};
use crate::support::conformance::{
    Contestant, Work, applies_once, lets_one_of_two_run, refuses_what_was_edited, survives_a_kill,
    tells_a_failure_and_goes_on_when_it_is_mended,
};
use crate::support::migrations::{Project, states};

fn allowing() -> MigrationRequest {
    MigrationRequest {
        allow_out_of_order: true,
        ..MigrationRequest::default()
    }
}

/// One and three are applied, two comes late.
async fn late(with: &Tried) -> Project {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 3, Work::Good);
    project.run().await.outcome.unwrap();
    with.write(&project, 2, Work::Good);
    project
}

#[tokio::test]
async fn raw_on_postgres_conforms() {
    let with = &Tried::new(Tool::Raw, On::Postgres);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn knex_conforms() {
    let with = &Tried::new(Tool::Knex, On::Postgres);
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn knex_agrees_and_its_traps_are_told_before_it_runs() {
    let with = &Tried::new(Tool::Knex, On::Postgres);
    let project = late(with).await;
    let refusals = project.plan().await.refusals;
    assert!(refusals[0].contains("--allow-out-of-order"), "{refusals:?}");
    let plans = project.plans(&allowing()).await.unwrap();
    project.run_plans(&plans).await.outcome.unwrap();
    let said = with.itself(&project, &["knex", "migrate:list"]);
    assert!(said.contains("No Pending Migration files Found"), "{said}");

    // A run that was killed leaves its lock; the tool's own repair frees it.
    with.sql(&project, "UPDATE knex_migrations_lock SET is_locked = 1");
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("`npx knex migrate:unlock`"),
        "{refusals:?}"
    );
    with.itself(&project, &["knex", "migrate:unlock"]);
    assert_eq!(project.plan().await.refusals, [] as [String; 0]);

    // A file that is gone would stop every command of Knex.
    project.remove(&with.id(1));
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("the migration directory is corrupt"),
        "{:?}",
        plan.refusals
    );
    let said = with.itself(&project, &["knex", "migrate:latest"]);
    assert!(said.contains("migration directory is corrupt"), "{said}");
}

#[tokio::test]
async fn node_pg_migrate_conforms() {
    let with = &Tried::new(Tool::NodePgMigrate, On::Postgres);
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn node_pg_migrate_agrees_and_its_order_is_kept_or_overruled() {
    let with = &Tried::new(Tool::NodePgMigrate, On::Postgres);
    let project = late(with).await;
    let refusals = project.plan().await.refusals;
    assert!(refusals[0].contains("`--no-check-order`"), "{refusals:?}");
    let up = [
        "node-pg-migrate",
        "up",
        "-m",
        "db/migrations",
        "-d",
        "MAIN_URL",
    ];
    let said = with.itself(&project, &up);
    assert!(
        said.contains("is preceding already run migration"),
        "{said}"
    );
    let plans = project.plans(&allowing()).await.unwrap();
    project.run_plans(&plans).await.outcome.unwrap();
    assert!(with.happened(&project, 2));
    let said = with.itself(&project, &[&up[..], &["--no-check-order"]].concat());
    assert!(said.contains("No migrations to run"), "{said}");

    // A file that is gone moves every later one.
    project.remove(&format!("{}.sql", with.id(1)));
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("so node-pg-migrate would refuse to run"),
        "{refusals:?}"
    );
    let said = with.itself(&project, &up);
    assert!(
        said.contains("is preceding already run migration"),
        "{said}"
    );
}

#[tokio::test]
async fn prisma_conforms() {
    let with = &Tried::new(Tool::Prisma, On::Postgres);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn prisma_s_failure_is_told_with_its_repair_and_refused_until_then() {
    let with = &Tried::new(Tool::Prisma, On::Postgres);
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    let project = with.project();
    with.write(&project, 1, Work::Broken);
    let ran = project.run().await;
    let fault = ran.fault();
    let repair = format!("`npx prisma migrate resolve --rolled-back {}`", with.id(1));
    assert!(
        fault.hints.iter().any(|hint| hint.contains(&repair)),
        "{fault:#?}"
    );
    assert!(
        format!("{fault:?}").contains("nowhere"),
        "the reason: {fault:#?}"
    );
    let plan = project.plan().await;
    assert_eq!(states(&plan), [format!("{} failed", with.id(1))]);
    assert!(plan.refusals[0].contains(&repair), "{:?}", plan.refusals);
    assert_eq!(
        project.run_plans(&[plan]).await.fault().kind,
        FaultKind::Refused
    );
}

#[tokio::test]
async fn drizzle_conforms() {
    let with = &Tried::new(Tool::Drizzle, On::Postgres);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn drizzle_kit_tells_no_reason_and_a_program_that_does_is_named() {
    let with = &Tried::new(Tool::Drizzle, On::Postgres);
    let project = with.project();
    with.write(&project, 1, Work::Broken);
    let ran = project.run().await;
    let fault = ran.fault();
    assert!(!format!("{fault:?}").contains("nowhere"));
    let named = |hint: &String| hint.contains("`options.command`");
    assert!(fault.hints.iter().any(named), "{fault:#?}");
}

#[tokio::test]
async fn what_drizzle_would_skip_for_ever_is_refused_and_drizzle_does_skip_it() {
    let with = &Tried::new(Tool::Drizzle, On::Postgres);
    let project = late(with).await;
    for request in [MigrationRequest::default(), allowing()] {
        let plan = project.plans(&request).await.unwrap().remove(0);
        assert!(
            plan.refusals[0].contains("skip it for ever"),
            "{:?}",
            plan.refusals
        );
    }
    // Nor does it mind an edited one, which is refused here.
    with.write(&project, 1, Work::Broken);
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("which Drizzle ignores"),
        "{:?}",
        plan.refusals
    );
    let said = with.itself(&project, &["drizzle-kit", "migrate"]);
    assert!(said.contains("applied successfully"), "{said}");
    assert!(!with.happened(&project, 2));
    with.write(&project, 1, Work::Good);
    // As the message says: a later time.
    let later = |n| 1_700_000_000_000 + i64::from(if n == 2 { 9 } else { n });
    journal(&project, later);
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("no later time"),
        "{:?}",
        plan.refusals
    );
    std::fs::rename(
        project.dir.path().join("db/migrations/0002_t.sql"),
        project.dir.path().join("db/migrations/0004_t.sql"),
    )
    .unwrap();
    journal(&project, |n| 1_700_000_000_000 + i64::from(n));
    project.run().await.outcome.unwrap();
    assert!(with.happened(&project, 2));
}
