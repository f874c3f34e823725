//! Scratch databases on real servers: made, worked on, dropped however the
//! work ends, and named by the next one where their process was killed.

use std::sync::Arc;

use stagecraft::http::Prober;
use stagecraft::migrate::scratch::{self, Purpose};
use stagecraft::migrate::{Registry, Tools};
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::migration::MigrationRequest;
use stagecraft::model::project::Via;
use stagecraft::ports::{ContainerRunner, HostLink};
use stagecraft::ssh::Links;

use crate::support::database::{Bench, Kind, Scratch, Seen, Values, cx};
use crate::support::no_runner::NoRunner;

struct Stand {
    bench: Bench,
    tools: Tools,
    own: Scratch,
    kind: Kind,
    _files: tempfile::TempDir,
}

impl Stand {
    fn new(kind: Kind) -> Self {
        let own = Scratch::new(kind);
        if kind == Kind::Postgres {
            own.admin("ALTER ROLE app CREATEDB");
        }
        let link: Arc<dyn HostLink> = Links::new().expect("links");
        let runner: Arc<dyn ContainerRunner> = Arc::new(NoRunner);
        let url = own.url(Seen::Here);
        let mut bench =
            Bench::new(&url, "local", Arc::clone(&link), Arc::clone(&runner)).via(Via::Direct);
        let files = tempfile::tempdir().expect("a folder");
        std::fs::write(
            files.path().join("1_notes.sql"),
            "CREATE TABLE notes (id int);",
        )
        .expect("written");
        bench.environment.databases[0].migrations.path = Some(files.path().to_owned());
        let databases = stagecraft::database::databases(Arc::clone(&link), Arc::clone(&runner));
        let values = Values(bench.values.0.clone());
        let tools = Tools {
            registry: Arc::new(Registry::builtin(
                Arc::clone(&databases),
                Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner))),
            )),
            databases,
            values: Arc::new(values),
            runner,
            link,
            safeguard: None,
        };
        Self {
            bench,
            tools,
            own,
            kind,
            _files: files,
        }
    }

    fn there(&self, name: &str) -> bool {
        let catalogue = match self.kind {
            Kind::Postgres => "pg_database WHERE datname",
            Kind::Mysql => "information_schema.schemata WHERE schema_name",
        };
        let sql = format!("SELECT count(*) FROM {catalogue} = '{name}'");
        self.own.admin(&sql) == "1"
    }

    async fn works(&self) {
        let (cx, mut heard, token) = cx();
        let main = "main".parse().expect("a name");
        let environment = &self.bench.environment;
        let mut made = String::new();
        scratch::within(
            &self.tools,
            &cx,
            environment,
            &main,
            Purpose::Check,
            async |scratch| {
                made = scratch.name().to_owned();
                assert!(self.there(&made));
                let migrator = scratch.migrator();
                let request = MigrationRequest::default();
                let plans = migrator.plan(&cx, &request).await?;
                let release = "rel-20260101-000000001".parse().expect("an id");
                migrator
                    .run(&cx, &plans, None, &release)
                    .await
                    .expect("it runs");
                let again = migrator.plan(&cx, &request).await?;
                assert_eq!(again[0].selected, Vec::<String>::new());
                assert_eq!(again[0].migrations[0].state.label(), "applied");
                // One that is in use is nobody's leftover.
                let other = Purpose::Rehearse;
                scratch::within(
                    &self.tools,
                    &cx,
                    environment,
                    &main,
                    other,
                    async |_| Ok(()),
                )
                .await
            },
        )
        .await
        .expect("it works");
        assert!(!self.there(&made));
        assert_eq!(heard.warnings(), Vec::<String>::new());

        // The configured database was left alone.
        let rows = self.bench.open().await.rows("main").await.expect("rows");
        assert_eq!(rows, None);

        let stopped: Result<(), Fault> = scratch::within(
            &self.tools,
            &cx,
            environment,
            &main,
            Purpose::Check,
            async |scratch| {
                made = scratch.name().to_owned();
                token.cancel();
                cx.check()
            },
        )
        .await;
        let fault = stopped.expect_err("interrupted");
        assert_eq!(fault.kind, FaultKind::Interrupted);
        assert!(!self.there(&made));
    }

    async fn names_what_was_left(&self) {
        let (cx, mut heard, _) = cx();
        let left = format!("stagecraft_check_{}", uuid::Uuid::now_v7().simple());
        self.own.admin(&format!("CREATE DATABASE {left}"));
        let main = "main".parse().expect("a name");
        let environment = &self.bench.environment;
        let made = scratch::create(&self.tools, &cx, environment, &main, Purpose::Check).await;
        let removed = made.expect("made").remove(&cx).await;
        assert!(self.there(&left), "only named");
        self.own.admin(&format!("DROP DATABASE {left}"));
        removed.expect("removed");
        let warnings = heard.warnings();
        let named = warnings.iter().filter(|warning| warning.contains(&left));
        assert_eq!(named.count(), 1, "{warnings:?}");
        assert!(warnings[0].contains("DROP DATABASE"), "{warnings:?}");
    }
}

#[tokio::test]
async fn a_scratch_database_of_postgres_lives_as_long_as_the_work() {
    Stand::new(Kind::Postgres).works().await;
}

#[tokio::test]
async fn a_scratch_database_of_mysql_lives_as_long_as_the_work() {
    Stand::new(Kind::Mysql).works().await;
}

#[tokio::test]
async fn a_killed_command_s_scratch_database_is_named_and_not_dropped() {
    Stand::new(Kind::Postgres).names_what_was_left().await;
    Stand::new(Kind::Mysql).names_what_was_left().await;
}
