//! The folders and tables of other tools, on a database that runs everywhere.

use serde_json::json;
use stagecraft::model::project::MigrationSource;

use super::support::{Project, image, states};

fn project(format: &str, table: &str, files: &[(&str, &str)]) -> Project {
    let mut project = Project::sqlite();
    let options = json!({ "format": format, "table": table });
    project.main().options = options.as_object().unwrap().clone();
    for (name, text) in files {
        let path = project.dir.path().join("db/migrations").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    project
}

fn sqlite(project: &Project) -> rusqlite::Connection {
    rusqlite::Connection::open(project.dir.path().join("app.db")).unwrap()
}

fn numbers(project: &Project, sql: &str) -> Vec<i64> {
    let connection = sqlite(project);
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

const UP_AND_DOWN: &str =
    "-- +goose Up\ncreate table a (id integer);\n\n-- +goose Down\ndrop table a;\n";

#[tokio::test]
async fn only_the_part_that_goes_up_runs_and_errors_stand_at_the_files_own_lines() {
    let broken = "-- +goose Up\nselect 1;\nselect\n  nope from a;\n-- +goose Down\nselect 1;\n";
    let project = project(
        "goose",
        "native",
        &[("1_a.sql", UP_AND_DOWN), ("2_b.sql", broken)],
    );
    let ran = project.run().await;
    assert_eq!(ran.results(), ["1_a.sql applied", "2_b.sql failed"]);
    let causes = &ran.fault().causes;
    assert!(
        causes[0].starts_with("db/migrations/2_b.sql:4:3: ERROR 1 no such column: nope"),
        "{causes:?}"
    );
    assert_eq!(numbers(&project, "select count(*) from a"), [0]);
    // goose itself writes the row for 0 when it makes its table.
    let versions = "select version_id from goose_db_version order by id";
    assert_eq!(numbers(&project, versions), [0, 1]);
}

#[tokio::test]
async fn what_the_tool_applied_is_not_pending() {
    let files = [
        ("1_a.sql", "create table a (id integer);\n"),
        ("2_b.sql", "create table b (id integer);\n"),
    ];
    let theirs = project("sqlx", "native", &files);
    theirs.run().await;
    sqlite(&theirs)
        .execute_batch("drop table stagecraft_migrations")
        .unwrap();
    let plan = theirs.plan().await;
    assert_eq!(states(&plan), ["1_a.sql applied", "2_b.sql applied"]);
    assert_eq!((plan.selected.len(), plan.schema_version), (0, Some(2)));

    // Its own checksum tells an edited file, and a comment is an edit to it.
    theirs.write("1_a.sql", "-- more\ncreate table a (id integer);\n");
    let plan = theirs.plan().await;
    assert_eq!(states(&plan), ["1_a.sql edited", "2_b.sql applied"]);
    theirs.write("1_a.sql", files[0].1);

    let sql = "update _sqlx_migrations set success = false where version = 2";
    sqlite(&theirs).execute_batch(sql).unwrap();
    let plan = theirs.plan().await;
    assert!(
        plan.refusals[0].starts_with("`2` is not done, says sqlx's table"),
        "{:?}",
        plan.refusals
    );
}

#[tokio::test]
async fn a_row_of_a_migration_that_ran_apart_is_written_when_all_of_it_is_done() {
    let text = "BEGIN;\ncreate table a (id integer);\nCOMMIT;\ncreate table b (id integer);\n";
    let broken = format!("{text}select nope;\n");
    let project = project("golang-migrate", "native", &[("7_a.up.sql", &broken)]);
    let ran = project.run().await;
    assert_eq!(ran.results(), ["7_a.up.sql failed"]);
    let version = "select version from schema_migrations where not dirty";
    assert_eq!(numbers(&project, version), [0_i64; 0]);
    project.write("7_a.up.sql", text);
    assert_eq!(project.run().await.applied(), 1);
    assert_eq!(numbers(&project, version), [7]);
    project.write("12_b.up.sql", "create table c (id integer);\n");
    assert_eq!(project.run().await.applied(), 1);
    assert_eq!(numbers(&project, version), [12], "one row, the newest");
}

#[tokio::test]
async fn a_row_of_the_tool_without_a_file_is_missing() {
    let project = project("goose", "native", &[("1_a.sql", UP_AND_DOWN)]);
    project.run().await;
    let sql = "insert into goose_db_version (version_id, is_applied) values (5, true)";
    sqlite(&project).execute_batch(sql).unwrap();
    let plan = project.plan().await;
    assert_eq!(states(&plan), ["1_a.sql applied", "5 missing"]);
    // The tool took it back again.
    let sql = "insert into goose_db_version (version_id, is_applied) values (5, false)";
    sqlite(&project).execute_batch(sql).unwrap();
    assert_eq!(states(&project.plan().await), ["1_a.sql applied"]);
}

#[tokio::test]
async fn a_folder_for_each_migration_is_read_out_of_an_image_too() {
    let mut project = project("diesel", "native", &[]);
    project.main().source = MigrationSource::Image;
    let folder = project.dir.path().join("image/db/migrations");
    for (name, text) in [
        ("2017-09-23-182408_b/up.sql", "insert into a values (2);"),
        ("2017-09-23-182408_b/down.sql", "drop table a;"),
        ("20170308140537_a/up.sql", "create table a (id integer);"),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let request = stagecraft::model::migration::MigrationRequest {
        files: Some(image()),
        ..Default::default()
    };
    let plans = project.plans(&request).await.unwrap();
    assert_eq!(
        states(&plans[0]),
        ["20170308140537_a pending", "2017-09-23-182408_b pending"]
    );
    let ran = project.run_plans(&plans).await;
    assert_eq!(ran.applied(), 2);
    let versions = "select cast(version as integer) from __diesel_schema_migrations order by 1";
    assert_eq!(
        numbers(&project, versions),
        [20_170_308_140_537, 20_170_923_182_408]
    );
    assert_eq!(numbers(&project, "select id from a"), [2]);
}

#[tokio::test]
async fn an_undo_file_is_named_and_never_run() {
    let project = project(
        "flyway",
        "stagecraft",
        &[
            ("V1__a.sql", "create table a (id integer);\n"),
            ("U1__a.sql", "drop table a;\n"),
        ],
    );
    let ran = project.run().await;
    assert_eq!(ran.results(), ["V1__a.sql applied"]);
    assert_eq!(states(&project.plan().await), ["V1__a.sql applied"]);
}

/// Applied 1 and 3; then a 2 comes, which golang-migrate itself would pass over
/// for ever.
#[tokio::test]
async fn a_late_file_is_seen_where_one_number_stands_for_all_of_them() {
    let files = [
        ("1_a.up.sql", "create table a (id integer);\n"),
        ("3_c.up.sql", "create table c (id integer);\n"),
    ];
    let project = project("golang-migrate", "native", &files);
    // The tool did the first one.
    sqlite(&project)
        .execute_batch(
            "create table a (id integer); create table schema_migrations (version uint64, dirty bool); \
             insert into schema_migrations values (1, false)",
        )
        .unwrap();
    assert_eq!(project.run().await.results(), ["3_c.up.sql applied"]);
    project.write("2_b.up.sql", "create table b (id integer);\n");
    let plan = project.plan().await;
    assert_eq!(
        states(&plan),
        [
            "1_a.up.sql applied",
            "3_c.up.sql applied",
            "2_b.up.sql out of order"
        ]
    );
    assert!(
        plan.refusals[0].contains("`--allow-out-of-order`"),
        "{:?}",
        plan.refusals
    );

    let request = stagecraft::model::migration::MigrationRequest {
        allow_out_of_order: true,
        ..Default::default()
    };
    let plans = project.plans(&request).await.unwrap();
    assert_eq!(project.run_plans(&plans).await.applied(), 1);
    let version = "select version from schema_migrations where not dirty";
    assert_eq!(numbers(&project, version), [3], "not taken back to 2");
    assert_eq!(project.plan().await.selected, Vec::<String>::new());
}

#[tokio::test]
async fn refinerys_unversioned_files_may_run_behind_later_ones() {
    let project = project(
        "refinery",
        "native",
        &[("V2__b.sql", "create table b (id integer);\n")],
    );
    project.run().await;
    project.write("U1__a.sql", "create table a (id integer);\n");
    let plan = project.plan().await;
    assert_eq!(plan.refusals, Vec::<String>::new());
    assert_eq!(states(&plan), ["V2__b.sql applied", "U1__a.sql pending"]);
    assert_eq!(project.run().await.applied(), 1);
    let versions = "select version from refinery_schema_history order by version";
    assert_eq!(numbers(&project, versions), [1, 2]);
}

/// A comment is an edit to the tool.
#[tokio::test]
async fn a_plan_says_that_the_tool_itself_would_refuse_another_layout() {
    let text = "create table a (id integer);\n";
    let project = project("sqlx", "native", &[("1_a.sql", text)]);
    project.run().await;
    assert_eq!(project.plan().await.notes, Vec::<String>::new());
    project.write("1_a.sql", "-- the first\ncreate table a (id integer);\n");
    let plan = project.plan().await;
    assert_eq!(plan.refusals, Vec::<String>::new());
    assert_eq!(
        plan.notes,
        [
            "sqlx's table holds the checksum of another text of `1_a.sql`, so sqlx itself would refuse to go on; only comments or layout differ: `stagecraft migrate repair --env prod --database main` writes the new checksum there"
        ]
    );
}
