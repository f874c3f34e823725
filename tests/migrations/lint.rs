//! What a plan says of the statements that would run, over a real file.

use stagecraft::model::migration::{Migration, MigrationPlan, MigrationRequest};
use stagecraft::model::risk::{Detail, Grade, Level};

use super::support::Project;

fn of<'a>(plan: &'a MigrationPlan, id: &str) -> &'a Migration {
    let found = plan.migrations.iter().find(|one| one.id == id);
    found.unwrap()
}

fn with_rows(rows: u32) -> Project {
    let project = Project::sqlite();
    let file = project.dir.path().join("app.db");
    let database = rusqlite::Connection::open(file).unwrap();
    let fill = format!(
        "create table t (a integer, b integer); create index old on t (a); \
         with recursive n(x) as (select 1 union all select x + 1 from n where x < {rows}) \
         insert into t select x, x from n"
    );
    database.execute_batch(&fill).unwrap();
    project
}

#[tokio::test]
async fn only_what_would_run_is_judged_and_by_what_the_database_holds() {
    let project = with_rows(20_000);
    project.write("0001_a.sql", "create table a (id integer);\n");
    assert_eq!(project.run().await.applied(), 1);
    project.write("0002_i.sql", "create index i on t (b);\n");
    project.write("0003_a.sql", "create index j on a (id);\n");
    project.write("0004_d.sql", "drop table t;\n");
    let plan = project.plan().await;
    assert!(of(&plan, "0001_a.sql").forecast.remarks.is_empty());
    assert!(of(&plan, "0001_a.sql").forecast.risk.is_none());
    let index = &of(&plan, "0002_i.sql").forecast.remarks[0];
    assert_eq!(
        (index.rule.as_str(), index.grade),
        ("creating-an-index", Grade::Blocking)
    );
    assert_eq!(index.because.as_deref(), Some("about 20,000 rows"));
    let empty = &of(&plan, "0003_a.sql").forecast.remarks[0];
    assert_eq!(empty.grade, Grade::Harmless, "{empty:?}");
    let risk = of(&plan, "0004_d.sql").forecast.risk.clone().unwrap();
    assert_eq!(
        (risk.level, risk.operations),
        (Level::High, vec!["drops the table `t`".to_owned()])
    );
    assert!(plan.outlook.server.unwrap().starts_with("SQLite 3."));
    assert!(plan.outlook.estimate.is_some());
}

#[tokio::test]
async fn a_table_beyond_the_bound_is_as_large_as_its_file() {
    let project = with_rows(100_001);
    project.write("0001_i.sql", "create index i on t (b);\n");
    let plan = project.plan().await;
    let because = of(&plan, "0001_i.sql").forecast.remarks[0]
        .because
        .clone()
        .unwrap();
    assert!(
        because.ends_with(" MB") && !because.contains("rows"),
        "{because}"
    );
}

/// D27
#[tokio::test]
async fn the_sql_is_in_the_plan_when_it_is_asked_for_and_states_alone_are_cheap() {
    let project = with_rows(1);
    project.write(
        "0001_i.sql",
        "-- first\ncreate index i\n  on t (b);\nvacuum;\n",
    );
    let ask = async |detail| {
        let request = MigrationRequest {
            detail,
            ..MigrationRequest::default()
        };
        let plans = project.plans(&request).await.unwrap();
        of(&plans[0], "0001_i.sql").forecast.clone()
    };
    let sql = ask(Detail::Sql).await.sql;
    let told: Vec<_> = sql
        .iter()
        .map(|one| (one.line, one.transactional, one.sql.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (2, false, "create index i\n  on t (b)"),
            (4, false, "vacuum")
        ]
    );
    assert!(ask(Detail::Forecast).await.sql.is_empty());
    assert_eq!(ask(Detail::States).await, Default::default());
}
