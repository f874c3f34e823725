//! What a plan says of a database that is in use, and that running it keeps
//! to it: nobody waits long for a short change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stagecraft::model::migration::{Migration, MigrationPlan};
use stagecraft::model::risk::{Blocks, Grade, Lock, Remark, Work};

use crate::support::database::{Kind, Scratch, Seen, mysql, psql};
use crate::support::lab::says;
use crate::support::migrations::Project;

fn server(kind: Kind) -> (Scratch, Project, String) {
    let scratch = Scratch::new(kind);
    let url = scratch.url(Seen::Here);
    let project = Project::new(&url);
    (scratch, project, url)
}

fn of<'a>(plan: &'a MigrationPlan, id: &str) -> &'a Migration {
    let found = plan.migrations.iter().find(|one| one.id == id);
    found.expect("the migration is in the plan")
}

fn first<'a>(plan: &'a MigrationPlan, id: &str) -> &'a Remark {
    of(plan, id).forecast.remarks.first().expect("a remark")
}

/// A table of a million rows, and a small one that was never analysed.
fn fill(url: &str) {
    psql(
        url,
        "create table events (id bigint primary key, kind int, at timestamptz); \
         insert into events select n, n % 10, now() from generate_series(1, 1000000) n; \
         create index events_kind on events (kind); analyze events; \
         create table control (id int); insert into control values (1); \
         create table nothing (a int)",
    );
}

/// Asks the same again and again; the longest answer.
async fn asked(url: String, sql: &'static str, over: Arc<AtomicBool>) -> Duration {
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connected");
    let served = tokio::spawn(connection);
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.simple_query(sql).await.expect("an answer");
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    served.abort();
    longest
}

/// The figures of the plan are those of this database.
#[tokio::test]
async fn a_plan_knows_how_large_a_table_is_and_who_is_in_the_way() {
    let (_scratch, project, url) = server(Kind::Postgres);
    fill(&url);
    let mut open = tokio::process::Command::new("psql");
    open.args([
        &url,
        "-XAtqc",
        "begin; select count(*) from control; select pg_sleep(60)",
    ]);
    let mut open = open.kill_on_drop(true).spawn().expect("psql");
    project.write("0001_index.sql", "create index i on events (at);");
    project.write(
        "0002_apart.sql",
        "create index concurrently j on events (at);",
    );
    project.write("0003_empty.sql", "create index k on nothing (a);");
    project.write("0004_drop.sql", "drop index events_kind;");
    project.write(
        "0005_type.sql",
        "do $$ begin alter table events alter kind type bigint; end $$;",
    );
    project.write(
        "0006_new.sql",
        "create table made (a int); create index m on made (a);",
    );
    project.write("0007_busy.sql", "alter table control add a int;");
    let long = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' \
                and pid <> pg_backend_pid() and xact_start < now() - interval '6 seconds' and datname = current_database()";
    let began = Instant::now();
    while psql(&url, long).trim() != "1" {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "no open transaction"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let plan = project.plan().await;
    open.kill().await.expect("killed");
    assert!(
        plan.outlook
            .server
            .as_ref()
            .is_some_and(|words| words.starts_with("PostgreSQL 1")),
        "{:?}",
        plan.outlook
    );
    let index = first(&plan, "0001_index.sql");
    assert_eq!(
        (
            index.rule.as_str(),
            index.grade,
            index.lock,
            index.work,
            index.blocks
        ),
        (
            "require-concurrent-index-creation",
            Grade::Blocking,
            Some(Lock::Share),
            Work::BuildsIndex,
            Blocks::Writes
        )
    );
    let because = index.because.clone().unwrap_or_default();
    assert!(because.starts_with("about 1,000,000 rows, "), "{because}");
    let apart = first(&plan, "0002_apart.sql");
    assert_eq!(
        (apart.grade, apart.blocks),
        (Grade::Caution, Blocks::SchemaChanges)
    );
    assert!(
        apart.why.ends_with("runs by itself, outside a transaction"),
        "{}",
        apart.why
    );
    assert!(!of(&plan, "0002_apart.sql").transactional);
    assert_eq!(first(&plan, "0003_empty.sql").grade, Grade::Harmless);
    assert_eq!(
        first(&plan, "0004_drop.sql").table.as_deref(),
        Some("events")
    );
    assert_eq!(first(&plan, "0005_type.sql").rule, "changing-column-type");
    assert!(
        of(&plan, "0006_new.sql")
            .forecast
            .remarks
            .iter()
            .all(|one| one.grade == Grade::Harmless)
    );
    let busy = first(&plan, "0007_busy.sql");
    assert_eq!(busy.grade, Grade::Caution, "{busy:?}");
    assert!(
        busy.because
            .as_ref()
            .is_some_and(|words| words.contains("waits for psql of ")),
        "{busy:?}"
    );
    assert_eq!(plan.outlook.open.len(), 1, "{:?}", plan.outlook.open);
    let estimate = of(&plan, "0001_index.sql")
        .forecast
        .estimate
        .clone()
        .expect("an estimate");
    assert!(
        estimate.low_ms > 50 && estimate.high_ms < 60_000,
        "{estimate:?}"
    );
    let again = project.plan().await;
    assert_eq!(of(&again, "0001_index.sql"), of(&plan, "0001_index.sql"));
}

/// A reader of four seconds stands before it, and nobody waits behind it.
#[tokio::test]
async fn adding_a_column_to_a_busy_table_stalls_nobody_for_200_ms() {
    let (_scratch, mut project, url) = server(Kind::Postgres);
    fill(&url);
    project.main().lock_timeout = Duration::from_secs(5);
    project.main().lock_retries = 10;
    project.write("0001_note.sql", "alter table events add note text;");
    let plan = project.plan().await;
    let remark = first(&plan, "0001_note.sql");
    assert_eq!(
        (remark.rule.as_str(), remark.grade, remark.lock, remark.work),
        (
            "adding-a-column",
            Grade::Caution,
            Some(Lock::AccessExclusive),
            Work::None
        )
    );

    let over = Arc::new(AtomicBool::new(false));
    let ask = |sql| tokio::spawn(asked(url.clone(), sql, Arc::clone(&over)));
    let readers = ask("select kind from events where id = 500000");
    let writers = ask("update events set kind = kind + 1 where id = 700000");
    // What the machine does to everybody who writes, whatever is migrated.
    let control = ask("update control set id = id + 1");
    let mut reader = tokio::process::Command::new("psql");
    reader.args([
        &url,
        "-XAtqc",
        "begin; select max(kind) from events; select pg_sleep(4)",
    ]);
    let mut reader = reader.kill_on_drop(true).spawn().expect("psql");
    let reading = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    let began = Instant::now();
    while psql(&url, reading).trim() != "1" {
        assert!(began.elapsed() < Duration::from_secs(20), "no reader");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let began = Instant::now();
    let ran = project.run_plans(&[plan]).await;
    let took = began.elapsed();
    reader.wait().await.expect("ended");
    over.store(true, Ordering::Relaxed);
    let (readers, writers, control) = tokio::join!(readers, writers, control);
    let (readers, writers, control) = (readers.unwrap(), writers.unwrap(), control.unwrap());
    says(&format!(
        "took {took:?}; readers {readers:?}, writers {writers:?}, control {control:?}"
    ));
    assert_eq!(
        ran.results(),
        ["0001_note.sql applied"],
        "{:?}",
        ran.outcome
    );
    assert!(
        took > Duration::from_secs(3),
        "nobody was in the way: {took:?}"
    );
    let longest = readers.max(writers).saturating_sub(control);
    assert!(longest < Duration::from_millis(200), "{longest:?}");
}

/// C22
#[tokio::test]
async fn an_index_is_built_by_itself_while_others_write() {
    let (_scratch, project, url) = server(Kind::Postgres);
    fill(&url);
    project.write("0001_index.sql", "create index concurrently i on events (at);\ncreate index concurrently j on events (kind, at);");
    let plan = project.plan().await;
    let migration = of(&plan, "0001_index.sql");
    assert!(!migration.transactional);
    assert!(
        migration
            .forecast
            .remarks
            .iter()
            .all(|one| one.rule == "index-built-apart")
    );
    let over = Arc::new(AtomicBool::new(false));
    let write = "update events set kind = kind + 1 where id = 700000";
    let writers = tokio::spawn(asked(url.clone(), write, Arc::clone(&over)));
    let control = tokio::spawn(asked(
        url.clone(),
        "update control set id = id + 1",
        Arc::clone(&over),
    ));
    let ran = project.run_plans(&[plan]).await;
    over.store(true, Ordering::Relaxed);
    let (writers, control) = (writers.await.unwrap(), control.await.unwrap());
    says(&format!("writers {writers:?}, control {control:?}"));
    assert_eq!(
        ran.results(),
        ["0001_index.sql applied"],
        "{:?}",
        ran.outcome
    );
    let valid = "select count(*) from pg_index where indrelid = 'events'::regclass and indisvalid";
    assert_eq!(psql(&url, valid).trim(), "4");
    let longest = writers.saturating_sub(control);
    assert!(longest < Duration::from_millis(200), "{longest:?}");
}

#[tokio::test]
async fn mysql_tells_its_sizes_too() {
    let (_scratch, project, url) = server(Kind::Mysql);
    mysql(
        &url,
        "create table Big (id int primary key auto_increment, a int); create table nothing (a int); \
                 insert into Big (a) select a.n from (select 1 n union select 2 union select 3 union select 4 union select 5) a, \
                 (select 1 n union select 2 union select 3 union select 4 union select 5) b; \
                 insert into Big (a) select x.a from Big x, Big y, Big z; analyze table Big",
    );
    project.write("0001_type.sql", "alter table `Big` modify a bigint;");
    project.write("0002_none.sql", "alter table nothing modify a bigint;");
    let plan = project.plan().await;
    let big = first(&plan, "0001_type.sql");
    assert_eq!(
        (big.rule.as_str(), big.grade),
        ("changing-column-type", Grade::Blocking),
        "{big:?}"
    );
    assert_eq!(first(&plan, "0002_none.sql").grade, Grade::Harmless);
    assert!(
        plan.outlook
            .server
            .as_ref()
            .is_some_and(|words| words.starts_with("MariaDB 10.")),
        "{:?}",
        plan.outlook
    );
}
