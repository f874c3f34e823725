//! The `raw` engine.

use stagecraft::model::fault::FaultKind;
use stagecraft::model::migration::{Files, MigrationRequest};
use stagecraft::model::project::{MigrationSource, MigrationStrategy};

use super::support::{Project, image, states};

/// The database by itself, past the migrator.
fn sqlite(path: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn two() -> Project {
    let project = Project::sqlite();
    project.write(
        "0001_a.sql",
        "create table a (id integer);\ninsert into a values (1);\n",
    );
    project.write("0002_b.sql", "create table b (id integer);\n");
    project
}

#[tokio::test]
async fn what_is_pending_is_applied_once() {
    let project = two();
    assert_eq!(
        states(&project.plan().await),
        ["0001_a.sql pending", "0002_b.sql pending"]
    );
    let ran = project.run().await;
    assert_eq!(ran.results(), ["0001_a.sql applied", "0002_b.sql applied"]);
    assert!(
        ran.texts[0].starts_with("applied 0001_a.sql ("),
        "{:?}",
        ran.texts
    );
    let plan = project.plan().await;
    assert_eq!(states(&plan), ["0001_a.sql applied", "0002_b.sql applied"]);
    assert_eq!((plan.selected.len(), plan.schema_version), (0, Some(2)));
    assert_eq!(project.run().await.applied(), 0);
}

#[tokio::test]
async fn planning_leaves_no_trace() {
    let project = two();
    project.plan().await;
    assert!(!project.dir.path().join("app.db").exists());
}

#[tokio::test]
async fn a_failed_migration_changes_nothing_and_is_told_with_its_place() {
    let project = two();
    project.write(
        "0002_b.sql",
        "create table b (id integer);\nselect\n  nope from b;\n",
    );
    project.write("0003_c.sql", "create table c (id integer);");
    let ran = project.run().await;
    assert_eq!(
        ran.results(),
        [
            "0001_a.sql applied",
            "0002_b.sql failed",
            "0003_c.sql not attempted"
        ]
    );
    let fault = ran.fault();
    assert_eq!(fault.what, "migrations failed on `main`");
    assert!(
        fault.causes[0].starts_with("db/migrations/0002_b.sql:3:3: ERROR 1 no such column: nope"),
        "{:?}",
        fault.causes
    );
    assert_eq!(fault.evidence[0].lines, ["select", "  nope from b"]);
    assert_eq!(
        fault.state,
        [
            "`0002_b.sql` changed nothing: its transaction was undone",
            "applied to `main` and kept: `0001_a.sql`",
            "not attempted: `0003_c.sql`"
        ]
    );
    assert!(fault.hints[0].contains("`stagecraft migrate run --env prod --database main`"));
    let tables: i64 = sqlite(&project.dir.path().join("app.db"))
        .query_row(
            "select count(*) from sqlite_schema where name = 'b'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn edited_missing_and_late_files_are_refused_before_anything_runs() {
    let project = two();
    project.write("0003_c.sql", "create table c (id integer);");
    project.run().await;
    project.write("0001_a.sql", "create table a (id text);");
    project.remove("0002_b.sql");
    project.write("0002_late.sql", "create table late (id integer);");
    let plan = project.plan().await;
    assert_eq!(plan.refusals.len(), 3, "{:#?}", plan.refusals);
    let ran = project.run_plans(&[plan]).await;
    assert_eq!(ran.fault().kind, FaultKind::Refused);
    assert_eq!(ran.fault().causes.len(), 3);
    assert_eq!(ran.results(), ["0002_late.sql not attempted"]);
}

#[tokio::test]
async fn a_gap_may_be_filled_when_it_is_allowed() {
    let project = two();
    project.run().await;
    project.write("0001_b.sql", "create table late (id integer);");
    project.remove("0001_a.sql");
    project.write(
        "0001_a.sql",
        "-- the same\ncreate table a (id integer); insert into a values (1)",
    );
    // A number that stands twice is no gap.
    assert!(project.plan().await.refusals[0].contains("stands 2 times"));
    project.remove("0001_b.sql");
    project.write("0000_b.sql", "create table late (id integer);");
    assert!(project.plan().await.refusals[0].contains("--allow-out-of-order"));
    let allow = MigrationRequest {
        allow_out_of_order: true,
        ..MigrationRequest::default()
    };
    let plans = project.plans(&allow).await.unwrap();
    assert_eq!(project.run_plans(&plans).await.applied(), 1);
}

#[tokio::test]
async fn a_plan_that_is_not_true_any_more_is_refused() {
    let project = two();
    let plan = project.plan().await;
    project.write("0002_b.sql", "create table b (id text);");
    let ran = project.run_plans(&[plan]).await;
    assert_eq!(ran.fault().kind, FaultKind::Refused);
    assert!(
        ran.fault()
            .to_string()
            .contains("`0002_b.sql` was changed since the plan")
    );
    assert_eq!(project.run().await.applied(), 2);
}

#[tokio::test]
async fn statements_that_cannot_share_a_transaction_go_on_where_they_failed() {
    let project = Project::sqlite();
    let file = |third: &str| {
        format!("PRAGMA foreign_keys = off;\ncreate table a (id integer);\n{third};\nVACUUM;\n")
    };
    project.write("0001_a.sql", &file("insert into nope values (1)"));
    let ran = project.run().await;
    assert!(
        ran.fault().causes[0].contains("0001_a.sql:3:"),
        "{:?}",
        ran.fault()
    );
    assert!(ran.fault().state[0].starts_with("the first 2 statements of `0001_a.sql` took effect"));
    assert_eq!(states(&project.plan().await), ["0001_a.sql failed"]);
    project.write("0001_a.sql", &file("insert into a values (1)"));
    let ran = project.run().await;
    assert_eq!(ran.results(), ["0001_a.sql applied"]);
    assert_eq!(ran.texts[0], "resumed 0001_a.sql after 2 statements");
    project.write("0001_a.sql", &file("insert into a values (2)"));
    assert_eq!(states(&project.plan().await), ["0001_a.sql edited"]);
}

#[tokio::test]
async fn a_statement_that_was_cut_off_is_looked_up_and_else_a_person_is_asked() {
    for (statement, made, ends) in [
        ("create table b (id integer)", true, "applied"),
        ("create table b (id integer)", false, "applied"),
        ("insert into a values (1)", false, "not attempted"),
    ] {
        let project = Project::sqlite();
        project.write(
            "0001_a.sql",
            &format!("VACUUM;\ncreate table a (id integer);\n{statement};\nnope;"),
        );
        project.run().await;
        let db = sqlite(&project.dir.path().join("app.db"));
        // As a machine that lost its power in the third statement leaves it.
        db.execute_batch("update stagecraft_migrations set statements_done = 2, statements_begun = 3, error = null").unwrap();
        if !made {
            db.execute_batch("drop table if exists b; delete from a")
                .unwrap();
        }
        project.write(
            "0001_a.sql",
            &format!("VACUUM;\ncreate table a (id integer);\n{statement};\nselect 1;"),
        );
        let ran = project.run().await;
        if ends == "applied" {
            assert_eq!(ran.results(), ["0001_a.sql applied"], "{statement}");
        } else {
            assert_eq!(ran.fault().kind, FaultKind::Refused);
            assert!(
                ran.fault().causes[0].contains("0001_a.sql:3:1: statement 3 was begun and cut off")
            );
        }
    }
}

#[tokio::test]
async fn filters_choose_and_post_files_wait_for_their_phase() {
    let project = two();
    project.write("0001_a.sql", "-- stagecraft: phase=post\nselect 1;");
    let of = |strategy| MigrationRequest {
        strategies: vec![strategy],
        ..MigrationRequest::default()
    };
    let pre = project
        .plans(&of(MigrationStrategy::PreDeploy))
        .await
        .unwrap();
    assert_eq!(pre[0].selected, ["0002_b.sql"]);
    assert_eq!(project.run_plans(&pre).await.applied(), 1);
    let post = project
        .plans(&of(MigrationStrategy::PostDeploy))
        .await
        .unwrap();
    assert_eq!(
        states(&post[0]),
        ["0002_b.sql applied", "0001_a.sql pending"]
    );
    assert!(post[0].refusals.is_empty());
    assert_eq!(project.run_plans(&post).await.applied(), 1);
}

#[tokio::test]
async fn after_a_failure_later_databases_are_not_attempted() {
    let mut project = two();
    project.database("other", "sqlite:other.db", "db/other");
    project.database("third", "sqlite:third.db", "db/third");
    std::fs::write(project.dir.path().join("db/other/1.sql"), "nope").unwrap();
    std::fs::write(project.dir.path().join("db/third/1.sql"), "select 1").unwrap();
    let ran = project.run().await;
    assert_eq!(
        ran.results(),
        [
            "0001_a.sql applied",
            "0002_b.sql applied",
            "1.sql failed",
            "1.sql not attempted"
        ]
    );
    let state = &ran.fault().state;
    assert!(
        state.contains(&"`main` stays migrated".to_owned()),
        "{state:?}"
    );
    assert!(
        state.contains(&"not attempted: `third`".to_owned()),
        "{state:?}"
    );
    assert_eq!(tables(&project, "third.db"), 0);
}

fn tables(project: &Project, file: &str) -> i64 {
    let db = sqlite(&project.dir.path().join(file));
    let count = "select count(*) from sqlite_schema";
    db.query_row(count, [], |row| row.get(0)).unwrap()
}

/// `main` with two files, and `other` with one.
fn two_databases() -> Project {
    let mut project = two();
    project.database("other", "sqlite:other.db", "db/other");
    let file = project.dir.path().join("db/other/1.sql");
    std::fs::write(file, "create table o (id integer)").unwrap();
    project
}

#[tokio::test]
async fn no_database_is_changed_while_a_later_one_is_locked_by_somebody_else() {
    let mut project = two_databases();
    for database in project.environment.databases.values_mut() {
        database.migrations.lock_wait = std::time::Duration::from_millis(100);
    }
    let lock = project.dir.path().join("other.db.stagecraft-lock");
    let other = std::fs::File::create(&lock).unwrap();
    std::fs::write(&lock, "stagecraft/rel-x (process 1)").unwrap();
    other.lock().unwrap();
    let ran = project.run().await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Locked);
    assert_eq!(fault.what, "migrations failed on `other`");
    assert!(fault.causes[1].contains("stagecraft/rel-x"), "{fault:?}");
    assert_eq!(fault.state, ["no database was changed"]);
    assert_eq!(ran.results().len(), 3);
    assert!(ran.results().iter().all(|r| r.ends_with(" not attempted")));
    assert_eq!(tables(&project, "app.db"), 0);
    // And the first one's lock is free again.
    other.unlock().unwrap();
    assert_eq!(project.run().await.applied(), 3);
}

#[tokio::test]
async fn no_database_is_changed_when_a_later_one_is_not_what_the_plan_says() {
    let project = two_databases();
    let plans = project.plans(&MigrationRequest::default()).await.unwrap();
    let file = project.dir.path().join("db/other/1.sql");
    std::fs::write(file, "create table p (id integer)").unwrap();
    let ran = project.run_plans(&plans).await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.to_string().contains("`1.sql` was changed"), "{fault}");
    assert_eq!(tables(&project, "app.db"), 0);
}

#[tokio::test]
async fn the_lock_of_a_database_is_kept_until_the_last_one_is_done() {
    let project = two_databases();
    let slow = "create table o as with recursive r(i) as (select 1 union all select i + 1 from r limit 3000000) select count(*) from r;";
    std::fs::write(project.dir.path().join("db/other/1.sql"), slow).unwrap();
    let main = project.dir.path().join("app.db");
    let held = async {
        // `main` is done while `other` still works.
        let path = main.with_file_name("app.db.stagecraft-lock");
        loop {
            let done = main.exists() && sqlite(&main).prepare("select 1 from b").is_ok();
            if done {
                let lock = std::fs::File::open(&path).unwrap();
                return lock.try_lock().is_err();
            }
            tokio::task::yield_now().await;
        }
    };
    let (ran, held) = tokio::join!(project.run(), held);
    assert_eq!(ran.applied(), 3);
    assert!(held);
    let lock = std::fs::File::open(project.dir.path().join("app.db.stagecraft-lock")).unwrap();
    lock.try_lock().unwrap();
}

#[tokio::test]
async fn two_entries_of_one_database_see_only_their_own_rows() {
    let mut project = two();
    project.database("same", "sqlite:app.db", "db/same");
    std::fs::write(
        project.dir.path().join("db/same/0001_a.sql"),
        "create table c (id integer)",
    )
    .unwrap();
    assert_eq!(project.run().await.applied(), 3);
    assert_eq!(project.run().await.applied(), 0);
}

#[tokio::test]
async fn the_timeout_cancels_the_work_and_says_so() {
    let mut project = Project::sqlite();
    project.main().timeout = std::time::Duration::from_millis(300);
    project.write(
        "1.sql",
        "create table a (id integer);\nwith recursive r(i) as (select 1 union all select i + 1 from r) select count(*) from r;",
    );
    let ran = project.run().await;
    assert_eq!(ran.fault().kind, FaultKind::Failed);
    assert!(
        ran.fault().causes[0].contains("timeout of 300ms"),
        "{:?}",
        ran.fault()
    );
    assert_eq!(states(&project.plan().await), ["1.sql pending"]);
}

#[tokio::test]
async fn a_lock_that_stays_taken_is_tried_for_and_then_told() {
    let mut project = two();
    project.main().lock_timeout = std::time::Duration::from_millis(50);
    project.run().await;
    project.write("0003_c.sql", "create table c (id integer);");
    let db = sqlite(&project.dir.path().join("app.db"));
    db.execute_batch("begin immediate; insert into a values (2)")
        .unwrap();
    let ran = project.run().await;
    let fault = ran.fault();
    assert!(
        fault.causes[0].contains("got no lock within 50ms, tried 3 times"),
        "{fault:?}"
    );
    db.execute_batch("commit").unwrap();
    assert_eq!(project.run().await.applied(), 1);
}

/// `main` reads its files out of the image, which has one of its own.
fn from_image() -> (Project, MigrationRequest) {
    let mut project = two();
    project.main().source = MigrationSource::Image;
    let folder = project.dir.path().join("image/db/migrations");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("0001_i.sql"), "create table i (id integer);").unwrap();
    let request = MigrationRequest {
        files: Some(image()),
        ..MigrationRequest::default()
    };
    (project, request)
}

#[tokio::test]
async fn the_files_of_the_image_run_and_not_those_of_the_checkout() {
    let (project, request) = from_image();
    let plans = project.plans(&request).await.unwrap();
    assert_eq!(states(&plans[0]), ["0001_i.sql pending"]);
    assert_eq!(plans[0].files, Files::Final);
    assert_eq!(
        project.run_plans(&plans).await.results(),
        ["0001_i.sql applied"]
    );
}

#[tokio::test]
async fn an_image_that_is_not_there_yet_is_waited_for_and_the_plan_says_so() {
    let (project, request) = from_image();
    std::fs::remove_dir_all(project.dir.path().join("image")).unwrap();
    let plan = project.plans(&request).await.unwrap().remove(0);
    assert_eq!(plan.files, Files::Awaited);
    assert_eq!((plan.migrations, plan.refusals), (vec![], vec![]));
    // While it is still to be built, the checkout stands for it.
    let plan = project.plan().await;
    assert_eq!(plan.files, Files::Provisional);
    assert_eq!(plan.selected, ["0001_a.sql", "0002_b.sql"]);
}

#[tokio::test]
async fn what_the_checkout_planned_is_not_run_from_an_image_that_differs() {
    let (project, _) = from_image();
    let plans = vec![project.plan().await];
    let ran = project.run_plans(&plans).await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(
        fault.to_string().contains("`0001_a.sql` is gone"),
        "{fault}"
    );
    assert_eq!(tables(&project, "app.db"), 0);
}

#[tokio::test]
async fn an_image_without_the_folder_is_told_with_the_ways_out() {
    let (project, request) = from_image();
    std::fs::remove_dir_all(project.dir.path().join("image/db")).unwrap();
    let fault = project.plans(&request).await.unwrap_err();
    assert!(
        fault.to_string().contains("has no folder `db/migrations`"),
        "{fault}"
    );
    assert!(fault.hints[0].contains("working directory"), "{fault:?}");
}

/// D51: a run whose check afterwards failed, or that was cut off before it, is
/// looked at again when its release is resumed and nothing is left to apply.
#[tokio::test]
async fn what_a_release_applied_is_looked_at_again_when_it_is_resumed() {
    let mut project = two();
    project.environment.health_before = true;
    project.environment.health_after = true;
    assert_eq!(project.run().await.applied(), 2);
    let again = project.run().await;
    let report = again.outcome.as_ref().unwrap();
    assert!(report.databases[0].health_before.is_none());
    assert!(report.databases[0].health_after.is_some());
    // Another release has nothing of its own there to look at.
    project.release = "rel-20260101-000000002".parse().unwrap();
    let other = project.run().await;
    assert!(
        other.outcome.as_ref().unwrap().databases[0]
            .health_after
            .is_none()
    );
}

/// D52, D53: rows that somebody takes away behind a run are noticed by it.
#[tokio::test]
async fn a_run_whose_rows_are_gone_at_its_end_has_failed() {
    let project = two();
    project.write(
        "0003_c.sql",
        "-- stagecraft: transaction=off\ndelete from stagecraft_migrations where id = '0001_a.sql';\n",
    );
    let ran = project.run().await;
    let fault = ran.fault();
    assert!(
        fault.causes[0].starts_with("the table of migrations in `main` does not hold"),
        "{fault:?}"
    );
    assert!(
        fault.to_string().contains("no finished row: `0001_a.sql`"),
        "{fault}"
    );
}

/// D40 to D42: each one with its place, time and outcome.
#[tokio::test]
async fn progress_counts_what_is_done_of_all() {
    let ran = two().run().await;
    assert!(ran.texts[0].ends_with("), 1 of 2"), "{:?}", ran.texts);
    assert!(ran.texts[1].ends_with("), 2 of 2"), "{:?}", ran.texts);
    let report = ran.outcome.as_ref().unwrap();
    let mut results = report.results();
    assert!(results.all(|result| result.outcome.to_string() == "applied"));
}
