//! Migrations on real servers: locks, crashes, concurrent indexes, and what a
//! failure says.

use std::time::Duration;

use stagecraft::model::fault::FaultKind;

use crate::support::database::{Kind, Scratch, Seen, mysql, psql};
use crate::support::migrations::{Project, states};

struct Server {
    scratch: Scratch,
    project: Project,
}

impl Server {
    fn new(kind: Kind) -> Self {
        let scratch = Scratch::new(kind);
        let project = Project::new(&scratch.url(Seen::Here));
        Self { scratch, project }
    }

    fn sql(&self, sql: &str) -> String {
        let url = self.scratch.url(Seen::Here);
        match url.starts_with("postgres") {
            true => psql(&url, sql),
            false => mysql(&url, sql),
        }
    }

    /// A session that runs SQL and stays, until it is killed.
    fn session(&self, sql: &str) -> tokio::process::Child {
        let mut psql = tokio::process::Command::new("psql");
        psql.args([&self.scratch.url(Seen::Here), "-XAtqc", sql]);
        psql.kill_on_drop(true).spawn().expect("psql")
    }

    /// Waits until a query answers so.
    async fn until(&self, sql: &str, answer: &str) {
        for _ in 0..200 {
            if self.sql(sql).trim() == answer {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("`{sql}` never answered {answer}");
    }
}

const ACTIVE: &str = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' and query like";

#[tokio::test]
async fn a_concurrent_index_that_failed_is_cleared_away_and_built_again() {
    let server = Server::new(Kind::Postgres);
    server.project.write(
        "0001_t.sql",
        "create table t (a int); insert into t values (1), (1);",
    );
    let file = "set statement_timeout = '20s';\ncreate unique index concurrently if not exists i on t (a);\ncomment on index i is 'x';";
    server.project.write("0002_i.sql", file);
    let ran = server.project.run().await;
    assert_eq!(ran.results(), ["0001_t.sql applied", "0002_i.sql failed"]);
    let fault = ran.fault();
    assert!(
        fault.causes[0].starts_with("db/migrations/0002_i.sql:2:1: ERROR 23505"),
        "{fault:?}"
    );
    assert!(
        fault
            .causes
            .iter()
            .any(|cause| cause.contains("is duplicated")),
        "{fault:?}"
    );
    assert_eq!(
        server
            .sql("select indisvalid from pg_index where indexrelid = 'i'::regclass")
            .trim(),
        "f"
    );

    server.sql("delete from t where ctid = '(0,2)'");
    let ran = server.project.run().await;
    assert_eq!(ran.results(), ["0002_i.sql applied"], "{:?}", ran.outcome);
    assert!(
        ran.texts
            .contains(&"dropped the INVALID index i that an earlier attempt left".to_owned()),
        "{:?}",
        ran.texts
    );
    assert_eq!(
        server
            .sql("select indisvalid from pg_index where indexrelid = 'i'::regclass")
            .trim(),
        "t"
    );
    assert_eq!(server.project.run().await.applied(), 0);
}

#[tokio::test]
async fn a_relation_that_is_in_use_is_tried_for_and_its_holder_named() {
    let mut server = Server::new(Kind::Postgres);
    server.sql("create table t (a int)");
    server
        .project
        .write("0001_b.sql", "alter table t add b int;");
    let mut reader = server.session("begin; select * from t; select pg_sleep(60)");
    server.until(&format!("{ACTIVE} '%pg_sleep%'"), "1").await;

    let ran = server.project.run().await;
    let fault = ran.fault();
    assert!(
        fault.causes[0].contains("0001_b.sql:1:1: got no lock within 300ms, tried 3 times"),
        "{fault:?}"
    );
    assert!(
        fault
            .causes
            .iter()
            .any(|cause| cause.starts_with("blocked by") && cause.contains("pg_sleep")),
        "{fault:?}"
    );

    server.project.main().lock_retries = 20;
    let freed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        reader.kill().await.expect("killed");
        server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%pg_sleep%' and pid <> pg_backend_pid()");
    };
    let (ran, ()) = tokio::join!(server.project.run(), freed);
    assert_eq!(ran.applied(), 1);
}

#[tokio::test]
async fn of_two_migrators_one_applies_and_the_other_says_who_did() {
    let mut server = Server::new(Kind::Postgres);
    server.project.write(
        "0001_t.sql",
        "create table t (a int); select pg_sleep(0.5);",
    );
    let other = {
        let mut other = Project::new(&server.scratch.url(Seen::Here));
        other.write(
            "0001_t.sql",
            "create table t (a int); select pg_sleep(0.5);",
        );
        other.release = "rel-20260101-000000002".parse().expect("an id");
        other
    };
    let (one, two) = tokio::join!(server.project.run(), other.run());
    let (won, lost) = match one.outcome.is_ok() {
        true => (one, two),
        false => (two, one),
    };
    assert_eq!(won.applied(), 1);
    assert_eq!(lost.fault().kind, FaultKind::Refused);
    assert!(
        lost.fault()
            .to_string()
            .contains("`0001_t.sql` was applied meanwhile by `rel-2026"),
        "{}",
        lost.fault()
    );

    // A lock that stays taken is told with its holder.
    server.project.main().lock_wait = Duration::from_millis(300);
    server
        .project
        .write("0002_u.sql", "create table u (a int);");
    other.write("0002_u.sql", "create table u (a int); select pg_sleep(3);");
    let late = async {
        server
            .until(&format!("{ACTIVE} '%pg_sleep(3)%'"), "1")
            .await;
        server.project.run().await
    };
    let (first, late) = tokio::join!(other.run(), late);
    assert_eq!(first.applied(), 1);
    assert_eq!(late.fault().kind, FaultKind::Locked);
    assert!(
        late.fault()
            .to_string()
            .contains("stagecraft/rel-20260101-000000002"),
        "{}",
        late.fault()
    );
}

#[tokio::test]
async fn a_lost_connection_is_followed_by_a_look_at_what_happened() {
    let server = Server::new(Kind::Postgres);
    server
        .project
        .write("0001_t.sql", "create table t (a int); select pg_sleep(30);");
    let cut = async {
        server
            .until(&format!("{ACTIVE} '%pg_sleep(30)%'"), "1")
            .await;
        server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(30)%' and pid <> pg_backend_pid()");
    };
    let (ran, ()) = tokio::join!(server.project.run(), cut);
    let fault = ran.fault();
    assert!(
        fault.to_string().contains("connection was lost"),
        "{fault:?}"
    );
    assert!(
        fault.state[0].contains("`0001_t.sql` changed nothing: looked after connecting again"),
        "{fault:?}"
    );
    assert_eq!(states(&server.project.plan().await), ["0001_t.sql pending"]);
}

#[tokio::test]
async fn the_timeout_of_the_step_ends_the_work_in_the_server() {
    let mut server = Server::new(Kind::Postgres);
    server.project.main().timeout = Duration::from_millis(700);
    server.project.write(
        "0001_t.sql",
        "create table t (a int);\nselect pg_sleep(30);",
    );
    let ran = server.project.run().await;
    assert!(
        ran.fault()
            .to_string()
            .contains("ran into their timeout of 700ms"),
        "{}",
        ran.fault()
    );
    assert_eq!(server.sql(&format!("{ACTIVE} '%pg_sleep%'")).trim(), "0");
    assert_eq!(states(&server.project.plan().await), ["0001_t.sql pending"]);
}

#[tokio::test]
async fn settings_last_for_their_own_migration_only() {
    let server = Server::new(Kind::Postgres);
    server.project.write(
        "0001_a.sql",
        "select pg_catalog.set_config('search_path', '', false); create table public.t (a int);",
    );
    server.project.write("0002_b.sql", "-- stagecraft: transaction=off\nset work_mem = '7MB';\ncreate table b as select current_setting('work_mem') as w, 'x'::text as p;\nupdate b set p = current_schema();");
    server.project.write(
        "0003_c.sql",
        "create table c as select current_setting('work_mem') as w;",
    );
    let ran = server.project.run().await;
    assert_eq!(ran.applied(), 3);
    assert_eq!(server.sql("select w, p from b").trim(), "7MB|public");
    assert_eq!(server.sql("select w <> '7MB' from c").trim(), "t");
}

#[tokio::test]
async fn a_failure_inside_a_function_points_into_the_file() {
    let server = Server::new(Kind::Postgres);
    server.project.write("0001_é.sql", "select 'é';\ndo $$\nbegin\n  raise notice 'half way';\n  perform nope from pg_class;\nend $$;\n");
    let ran = server.project.run().await;
    let fault = ran.fault();
    assert!(
        fault.causes[0].contains("ERROR 42703 column \"nope\" does not exist"),
        "{fault:?}"
    );
    assert!(
        fault.causes[0].starts_with("db/migrations/0001_é.sql:2:1:"),
        "{fault:?}"
    );
    assert!(
        fault
            .causes
            .iter()
            .any(|cause| cause.contains("line 4 at PERFORM")),
        "{fault:?}"
    );
    assert!(
        ran.texts.contains(&"NOTICE: half way".to_owned()),
        "{:?}",
        ran.texts
    );
}

#[tokio::test]
async fn a_transaction_of_the_files_own_is_undone_whole_and_begun_again() {
    let server = Server::new(Kind::Postgres);
    let file = |last: &str| {
        format!(
            "-- stagecraft: transaction=off\ncreate table t (a int);\nbegin;\ninsert into t values (1);\n{last};\ncommit;"
        )
    };
    server
        .project
        .write("0001_t.sql", &file("insert into nope values (1)"));
    let ran = server.project.run().await;
    assert!(
        ran.fault().state[0].starts_with("the first statement of"),
        "{:?}",
        ran.fault()
    );
    assert_eq!(server.sql("select count(*) from t").trim(), "0");
    server
        .project
        .write("0001_t.sql", &file("insert into t values (2)"));
    assert_eq!(server.project.run().await.applied(), 1);
    assert_eq!(server.sql("select count(*) from t").trim(), "2");
}

#[tokio::test]
async fn a_change_of_data_that_was_cut_off_waits_for_a_person() {
    let server = Server::new(Kind::Postgres);
    let file = "-- stagecraft: transaction=off\ncreate table t (a int);\ninsert into t select 1 from pg_sleep(30);\n";
    server.project.write("0001_t.sql", file);
    let cut = async {
        server
            .until(&format!("{ACTIVE} '%pg_sleep(30)%'"), "1")
            .await;
        server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%pg_sleep(30)%' and pid <> pg_backend_pid()");
    };
    let (ran, ()) = tokio::join!(server.project.run(), cut);
    let state = &ran.fault().state[0];
    assert!(
        state.contains("whether statement 2 did is looked up by the next run"),
        "{state}"
    );
    let again = server.project.run().await;
    assert_eq!(again.fault().kind, FaultKind::Refused);
    assert!(
        again.fault().causes[0].contains("0001_t.sql:3:1: statement 2 was begun and cut off"),
        "{:?}",
        again.fault()
    );
    // What the hint says works.
    server.sql("update stagecraft_migrations set statements_done = 2 where id = '0001_t.sql'");
    assert_eq!(server.project.run().await.applied(), 1);
}

#[tokio::test]
async fn mysql_goes_on_at_the_statement_that_failed() {
    let server = Server::new(Kind::Mysql);
    let file = |third: &str| {
        format!(
            "create table a (id int primary key);\ninsert into a values (1);\n{third};\nDELIMITER //\ncreate trigger t before insert on a for each row begin set new.id = new.id + 1; set @seen = ';'; end//\nDELIMITER ;\n"
        )
    };
    server.project.write(
        "0001_a.sql",
        &file("alter table a add b int, add constraint nope check (nope > 0)"),
    );
    let ran = server.project.run().await;
    assert!(
        ran.fault().causes[0].starts_with("db/migrations/0001_a.sql:3:1: ERROR"),
        "{:?}",
        ran.fault()
    );
    assert!(ran.fault().state[0].starts_with("the first 2 statements of"));
    server
        .project
        .write("0001_a.sql", &file("alter table a add b int"));
    server.project.write(
        "0002_b.sql",
        "insert into a values (1, 2);\nupdate a set b = 3;",
    );
    let ran = server.project.run().await;
    assert_eq!(
        ran.results(),
        ["0001_a.sql applied", "0002_b.sql applied"],
        "{:?}",
        ran.outcome
    );
    assert_eq!(
        server
            .sql("select concat(id, '-', b) from a order by id")
            .trim(),
        "1-3\n2-3"
    );
    assert_eq!(server.project.run().await.applied(), 0);
}

#[tokio::test]
async fn mysql_undoes_changes_of_data_together_with_their_row() {
    let server = Server::new(Kind::Mysql);
    server.sql("create table a (id int primary key)");
    server.project.write(
        "0001_a.sql",
        "insert into a values (1);\n\ninsert into a values (1);",
    );
    let ran = server.project.run().await;
    let fault = ran.fault();
    assert!(
        fault.causes[0].starts_with("db/migrations/0001_a.sql:3:1: ERROR 1062 (23000)"),
        "{fault:?}"
    );
    assert_eq!(fault.evidence[0].lines, ["insert into a values (1)"]);
    assert_eq!(server.sql("select count(*) from a").trim(), "0");
}

#[tokio::test]
async fn mysql_looks_up_what_a_lost_connection_left() {
    let server = Server::new(Kind::Mysql);
    server.project.write(
        "0001_a.sql",
        "create table a (id int);\nalter table a add column b int;\nnope;",
    );
    server.project.run().await;
    server.project.write(
        "0001_a.sql",
        "create table a (id int);\nalter table a add column b int;\nselect 1;",
    );
    // As after a cut in the second statement, which the server finished.
    server.sql(
        "update stagecraft_migrations set statements_done = 1, statements_begun = 2, error = null",
    );
    let ran = server.project.run().await;
    assert_eq!(ran.applied(), 1);
    assert!(
        ran.texts
            .contains(&"found statement 2 of 0001_a.sql in effect".to_owned()),
        "{:?}",
        ran.texts
    );
}
