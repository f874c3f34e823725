//! Whether a rollback is safe, judged without asking the application: the
//! hazards E1 to E10 of schemas that only go forward.

use stagecraft::migrate::compat::judge;
use stagecraft::migrate::files::{Header, MigrationFile};
use stagecraft::migrate::lint;
use stagecraft::migrate::sql;
use stagecraft::model::compat::Compat;
use stagecraft::model::fault::FaultKind;
use stagecraft::model::history::History;
use stagecraft::model::migration::{AppliedBy, MigrationState};
use stagecraft::model::phase::Phase;
use stagecraft::model::project::MigrationStrategy::{Manual, PreDeploy};
use stagecraft::model::project::{Safety, SchemaGate};
use stagecraft::model::risk::{Basis, Estimate, Forecast};
use stagecraft::plan::{self, SchemaCheck, Verdict};
use stagecraft::ports::Dialect;

use super::stage::Stage;

const INIT: (&str, &str) = ("001_init.sql", "create table t (a int, b int)");

/// The judgement of the last of these files.
fn judged(files: &[(&str, &str)]) -> Compat {
    let read: Vec<MigrationFile> = files
        .iter()
        .map(|(name, text)| MigrationFile {
            name: (*name).to_owned(),
            shown: format!("migrations/{name}"),
            text: (*text).to_owned(),
            checksum: String::new(),
            version: None,
            header: Header::read(text, name).0,
            tool: stagecraft::migrate::files::Tool::default(),
        })
        .collect();
    let scripts: Vec<_> = files
        .iter()
        .map(|(_, text)| sql::read(Dialect::Postgres, text))
        .collect();
    judge(&read, &scripts).pop().unwrap()
}

fn put(stage: &Stage, name: &str, text: &str) {
    stage.file(name, PreDeploy);
    let compat = judged(&[INIT, (name, text)]);
    let mut known = stage.shop.judged.lock().unwrap();
    known.insert(name.to_owned(), compat);
}

/// v1 with a table, then v2 with this migration.
async fn v2_with(name: &str, text: &str) -> Stage {
    let mut stage = Stage::new();
    put(&stage, INIT.0, INIT.1);
    stage.deploy("v1").await.unwrap();
    put(&stage, name, text);
    stage.deploy("v2").await.unwrap();
    stage
}

async fn is_refused(stage: &mut Stage, words: &str) {
    let fault = stage.roll_back(None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(fault.to_string().contains(words), "{fault}");
    assert!(!fault.hints.is_empty());
    stage.serves("v2");
}

/// E1
#[tokio::test]
async fn e1_an_added_column_does_not_stand_in_the_way_of_a_rollback() {
    let mut stage = v2_with("002_add.sql", "alter table t add column c int").await;
    assert_eq!(stage.last().rollback_safe, Some(true));
    stage.roll_back(None).await.unwrap();
    stage.serves("v1");
}

/// E2
#[tokio::test]
async fn e2_a_dropped_or_renamed_column_refuses_the_rollback_and_names_the_line() {
    let mut stage = v2_with("002_drop.sql", "-- tidy up\nalter table t drop column b").await;
    is_refused(
        &mut stage,
        "`migrations/002_drop.sql:2` drops the column `t.b`",
    )
    .await;
    let v2 = stage.last();
    assert_eq!(v2.rollback_safe, Some(false));
    assert!(v2.rollback_reasons[0].contains("drops the column `t.b`"));
    let fault = stage.roll_back(None).await.unwrap_err();
    assert!(
        fault.to_string().contains(&format!("by {}", v2.id)),
        "{fault}"
    );
    let mut stage = v2_with("002_rename.sql", "alter table t rename b to c").await;
    is_refused(&mut stage, "renames the column `t.b`").await;
}

/// E3
#[tokio::test]
async fn e3_a_changed_type_refuses_the_rollback() {
    let mut stage = v2_with("002_type.sql", "alter table t alter b type text").await;
    is_refused(&mut stage, "changes the type of `t.b`").await;
}

/// E4
#[tokio::test]
async fn e4_not_null_without_a_default_refuses_the_rollback_even_half_applied() {
    let text = "alter table t add column c int not null";
    let mut stage = v2_with("002_required.sql", text).await;
    is_refused(&mut stage, "has no default").await;

    let mut stage = v2_with("002_add.sql", "alter table t add column c int").await;
    put(
        &stage,
        "003_required.sql",
        "alter table t alter b set not null",
    );
    stage.breaks(Some(Phase::MigratePre));
    stage.deploy("v3").await.unwrap_err();
    stage.breaks(None);
    *stage.shop.silent.lock().unwrap() = true;
    is_refused(&mut stage, "003_required.sql").await;
}

/// E5
#[tokio::test]
async fn e5_two_quick_deploys_are_judged_together() {
    let mut stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    let v1 = stage.history.all()[0].id.clone();
    let v2 = stage.last().id;
    put(&stage, "003_add.sql", "alter table t add column d int");
    stage.deploy("v3").await.unwrap();
    let fault = stage.roll_back(Some(&v1)).await.unwrap_err();
    assert!(fault.to_string().contains("002_drop.sql"), "{fault}");
    let way_out = format!("--to {v2}");
    assert!(
        fault.hints.iter().any(|hint| hint.contains(&way_out)),
        "{fault:?}"
    );
    stage.roll_back(None).await.unwrap();
    stage.serves("v2");
}

/// E6
#[tokio::test]
async fn e6_a_file_with_a_number_taken_twice_counts_by_its_own_name() {
    let mut stage = v2_with("002_add.sql", "alter table t add column c int").await;
    // The other 002, from another branch, was run by hand.
    put(&stage, "002_drop.sql", "alter table t drop column b");
    stage.shop.by_hand("002_drop.sql");
    is_refused(&mut stage, "002_drop.sql").await;
}

/// E7, E8, E9, E10
#[tokio::test]
async fn e7_to_e10_a_rollback_never_migrates_and_a_forced_one_does_not_either() {
    let stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    let plan = stage.plan_back(None, SchemaCheck::Force).await.unwrap();
    assert_eq!(plan.overruled.len(), 1);
    let plan = serde_json::to_value(&plan).unwrap();
    assert!(plan.get("migrations").is_none() && plan.get("migrate_pre").is_none());
}

#[tokio::test]
async fn a_release_marked_bad_is_never_chosen_and_never_offered_as_a_way_out() {
    let mut stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    let v1 = stage.history.all()[0].id.clone();
    stage.deploy("v3").await.unwrap();
    let mut releases = stage.history.all().to_vec();
    releases[1].bad = true;
    stage.history = stagecraft::model::history::History::new(releases);
    let v2 = stage.history.all()[1].id.clone();
    let fault = stage.roll_back(None).await.unwrap_err();
    assert!(fault.what.contains(v1.as_str()), "{fault}");
    assert!(fault.hints.iter().all(|hint| !hint.contains(v2.as_str())));
    let fault = stage.roll_back(Some(&v2)).await.unwrap_err();
    assert!(fault.what.contains("marked bad"), "{fault}");
}

#[tokio::test]
async fn without_an_answer_the_records_are_used_and_the_plan_says_so() {
    let mut stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    *stage.shop.silent.lock().unwrap() = true;
    is_refused(&mut stage, "002_drop.sql").await;
    let plan = stage.plan_back(None, SchemaCheck::Force).await.unwrap();
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("the database is down")
                && warning.contains("records of earlier releases")),
        "{:?}",
        plan.warnings
    );
}

#[tokio::test]
async fn a_migration_that_nobody_judged_counts_as_breaking() {
    let mut stage = v2_with("002_add.sql", "alter table t add column c int").await;
    let mut releases = stage.history.all().to_vec();
    for result in releases
        .iter_mut()
        .flat_map(|release| &mut release.migrations)
    {
        result.compat = None;
    }
    stage.history = stagecraft::model::history::History::new(releases);
    *stage.shop.silent.lock().unwrap() = true;
    is_refused(&mut stage, "was never judged").await;
}

#[tokio::test]
async fn a_file_that_says_it_is_additive_is_believed() {
    let text = "-- stagecraft: compat=additive\nalter table t drop column b";
    let mut stage = v2_with("002_drop.sql", text).await;
    let recorded = &stage.last().migrations[0].compat;
    assert!(matches!(recorded, Some(Compat::Declared { findings }) if findings.len() == 1));
    stage.roll_back(None).await.unwrap();
    stage.serves("v1");
}

#[tokio::test]
async fn a_manual_migration_that_the_target_knows_is_none_of_its_worries() {
    let mut stage = Stage::new();
    stage.file("001_later.sql", Manual);
    let compat = judged(&[INIT, ("001_later.sql", "alter table t drop column b")]);
    let text = "001_later.sql".to_owned();
    stage.shop.judged.lock().unwrap().insert(text, compat);
    stage.deploy("v1").await.unwrap();
    stage.deploy("v2").await.unwrap();
    stage.shop.by_hand("001_later.sql");
    stage.roll_back(None).await.unwrap();
    stage.serves("v1");
}

/// E31, E32
#[tokio::test]
async fn with_a_schema_gate_the_endpoint_decides_and_the_files_are_only_quoted() {
    let mut stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    stage.environment.schema_gate = Some(SchemaGate {
        path: "/schema/status".into(),
        port: 9090,
        timeout: std::time::Duration::from_secs(5),
        role: None,
        database: None,
    });
    let plan = stage.plan_back(None, SchemaCheck::Refuse).await.unwrap();
    assert!(plan.overruled.is_empty());
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("drops the column")),
        "{:?}",
        plan.warnings
    );
}

#[tokio::test]
async fn a_forced_plan_has_another_id_once_another_migration_is_applied() {
    let stage = v2_with("002_drop.sql", "alter table t drop column b").await;
    let first = stage.plan_back(None, SchemaCheck::Force).await.unwrap().id;
    let again = stage.plan_back(None, SchemaCheck::Force).await.unwrap().id;
    assert_eq!(first, again);
    put(&stage, "003_more.sql", "alter table t drop column a");
    stage.shop.by_hand("003_more.sql");
    let changed = stage.plan_back(None, SchemaCheck::Force).await.unwrap().id;
    assert_ne!(first, changed);
}

#[tokio::test]
async fn a_deploy_says_beforehand_that_it_closes_the_way_back() {
    let mut stage = Stage::new();
    put(&stage, INIT.0, INIT.1);
    stage.deploy("v1").await.unwrap();
    put(&stage, "002_drop.sql", "alter table t drop column b");
    let plan = stage.plan_deploy("v2").await;
    assert_eq!(plan.breaking.len(), 1);
    assert!(plan.risks.is_empty() && plan.refusals.is_empty());
    assert!(
        plan.warnings
            .iter()
            .any(|w| w.contains("a rollback to v1") && w.contains("will be refused")),
        "{:?}",
        plan.warnings
    );
}

#[tokio::test]
async fn what_breaks_is_approved_or_blocked_as_the_database_says() {
    let mut stage = Stage::new();
    put(&stage, INIT.0, INIT.1);
    stage.deploy("v1").await.unwrap();
    put(&stage, "002_drop.sql", "alter table t drop column b");
    let grades = [Safety::Off, Safety::Warn, Safety::Approve, Safety::Block];
    for grade in grades {
        for database in stage.environment.databases.values_mut() {
            database.safety_breaking = grade;
        }
        let plan = stage.plan_deploy("v2").await;
        assert_eq!(plan.warnings.is_empty(), grade == Safety::Off, "{grade:?}");
        match plan::gate(&stage.environment, &plan.refusals, &plan.risks, "deploy v2") {
            Verdict::Go => assert!(matches!(grade, Safety::Off | Safety::Warn)),
            Verdict::Approve { risks, .. } => {
                assert_eq!(grade, Safety::Approve);
                assert!(risks[0].contains("002_drop.sql"));
            }
            Verdict::Refuse(fault) => {
                assert_eq!(grade, Safety::Block);
                assert!(fault.to_string().contains("is `block`"), "{fault}");
            }
            Verdict::Ask(question) => panic!("{question}"),
        }
    }
}

/// A heavy statement, and the table that it is about with so many rows.
fn heavy(rows: u64) -> Forecast {
    let script = sql::read(Dialect::Postgres, "create index i on t (a)");
    let pending = [lint::Pending {
        shown: "migrations/001_init.sql",
        script: &script,
        mode: &sql::Mode::Together,
    }];
    let table = lint::Table {
        rows: Some(rows),
        bytes: None,
    };
    let facts = lint::Facts {
        tables: Some([("t".to_owned(), table)].into()),
        ..lint::Facts::default()
    };
    let weighed = lint::weigh(&pending, sql::Server::assumed(Dialect::Postgres));
    lint::lint(&pending, &weighed, &facts).remove(0)
}

/// Files that only the image has meet the gate when it is there, and what
/// nobody could see was approved by nobody.
#[tokio::test]
async fn what_only_the_image_shows_is_gated_before_anything_runs() {
    for grade in [Safety::Warn, Safety::Approve, Safety::Block] {
        let mut stage = Stage::new();
        stage.file(INIT.0, PreDeploy);
        *stage.shop.awaited.lock().unwrap() = true;
        *stage.shop.forecast.lock().unwrap() = heavy(1_000_000);
        for database in stage.environment.databases.values_mut() {
            database.safety_blocking = grade;
        }
        let plan = stage.plan_deploy("v1").await;
        assert!(
            plan.refusals.is_empty() && plan.risks.is_empty(),
            "{plan:?}"
        );
        let applied = |stage: &Stage| stage.shop.applied.lock().unwrap().len();
        match stage.deploy("v1").await {
            Ok(_) => {
                assert_eq!(grade, Safety::Warn);
                assert_eq!(applied(&stage), 1);
            }
            Err(stopped) => {
                assert_ne!(grade, Safety::Warn);
                assert_eq!(stopped.phase, Some(Phase::MigratePre));
                assert_eq!(stopped.fault.kind, FaultKind::Refused);
                let causes = stopped.fault.causes.join("\n");
                assert!(
                    causes.contains("builds an index of `t`")
                        && causes.contains("not known before the image was there"),
                    "{causes}"
                );
                assert_eq!(stopped.fault.state[0], "no migration was applied");
                assert!(stopped.fault.hints[0].contains("stagecraft migrate plan"));
                assert_eq!(applied(&stage), 0);
            }
        }
    }
}

#[tokio::test]
async fn what_keeps_others_waiting_is_approved_or_blocked_as_the_database_says() {
    let mut stage = Stage::new();
    stage.file(INIT.0, PreDeploy);
    let mut ids = vec![];
    for grade in [Safety::Off, Safety::Warn, Safety::Approve, Safety::Block] {
        for database in stage.environment.databases.values_mut() {
            database.safety_blocking = grade;
        }
        *stage.shop.forecast.lock().unwrap() = heavy(1_000_000);
        let plan = stage.plan_deploy("v1").await;
        assert_eq!(plan.warnings.len(), usize::from(grade == Safety::Warn));
        assert_eq!(plan.blocking.is_empty(), grade == Safety::Off, "{grade:?}");
        ids.push(plan.id);
        match plan::gate(&stage.environment, &plan.refusals, &plan.risks, "deploy v1") {
            Verdict::Go => assert!(matches!(grade, Safety::Off | Safety::Warn)),
            Verdict::Approve { risks, .. } => {
                assert_eq!(grade, Safety::Approve);
                assert_eq!(
                    risks,
                    [
                        "`001_init.sql` of `main`: `migrations/001_init.sql:1` builds an index of `t` (a), and blocks writes meanwhile: `create index i on t (a)`"
                    ]
                );
            }
            Verdict::Refuse(fault) => {
                assert_eq!(grade, Safety::Block);
                assert!(
                    fault.to_string().contains("safety.blocking` is `block`"),
                    "{fault}"
                );
            }
            Verdict::Ask(question) => panic!("{question}"),
        }
        *stage.shop.forecast.lock().unwrap() = heavy(10);
        let small = stage.plan_deploy("v1").await;
        assert!(small.blocking.is_empty() && small.refusals.is_empty());
    }
    assert_eq!(
        ids[0], ids[1],
        "what nobody has to approve is no other plan"
    );
    assert_ne!(ids[1], ids[2]);

    // The rows that came since change no plan.
    *stage.shop.forecast.lock().unwrap() = heavy(2_000_000);
    for database in stage.environment.databases.values_mut() {
        database.safety_blocking = Safety::Approve;
    }
    assert_eq!(stage.plan_deploy("v1").await.id, ids[2]);
}

/// D28
#[tokio::test]
async fn a_file_that_ran_before_takes_as_long_as_it_took() {
    let mut stage = Stage::new();
    put(&stage, INIT.0, INIT.1);
    let mut plans = stage.plan_deploy("v1").await.migrations;
    assert_eq!(plans[0].migrations[0].forecast.estimate, None);
    stage.deploy("v1").await.unwrap();
    let history = History::new(vec![stage.last()]);
    plan::recall(&history, &mut plans);
    let took = Estimate {
        low_ms: 1,
        high_ms: 1,
        basis: Basis::History {
            environment: stage.environment.name.to_string(),
        },
    };
    assert_eq!(plans[0].migrations[0].forecast.estimate, Some(took.clone()));
    assert_eq!(plans[0].outlook.estimate, Some(took));

    // Another file of the same name is another file.
    let mut edited = stage.plan_deploy("v2").await.migrations;
    edited[0].selected = vec![INIT.0.to_owned()];
    edited[0].migrations[0].checksum = "other".to_owned();
    plan::recall(&history, &mut edited);
    assert_eq!(edited[0].migrations[0].forecast.estimate, None);
}

/// A tool's own table does not tell who applied what: a run that was cut off
/// did what its release set out to do, and nothing else.
#[tokio::test]
async fn what_a_cut_off_run_applied_is_credited_to_its_release() {
    let mut stage = Stage::new();
    put(&stage, INIT.0, INIT.1);
    stage.deploy("v1").await.unwrap();
    let release = stage.last();
    let plans = stage.plan_deploy("v2").await.migrations;
    let applied_by = |by: Option<AppliedBy>, checksum: Option<&str>| {
        let mut plans = plans.clone();
        let migration = &mut plans[0].migrations[0];
        migration.state = MigrationState::Applied { at: None, by };
        if let Some(checksum) = checksum {
            migration.checksum = checksum.to_owned();
        }
        plan::credit(&release, &mut plans);
        match &plans[0].migrations[0].state {
            MigrationState::Applied { by, .. } => by.as_ref().map(|by| by.release.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(applied_by(None, None), Some(release.id.to_string()));
    assert_eq!(applied_by(None, Some("another file")), None);
    let earlier = AppliedBy {
        release: "rel-20260101-000000000".to_owned(),
        duration_ms: 7,
    };
    let kept = applied_by(Some(earlier.clone()), None);
    assert_eq!(kept, Some(earlier.release));
}
