//! Looking at real servers before and after migrations: what stops a run, what
//! only warns, and that the application still gets in afterwards.

use stagecraft::model::fault::FaultKind;
use stagecraft::model::health::{CheckName, Health, Standing, Verdict};

use crate::support::database::{Kind, Scratch, Seen, mysql, psql};
use crate::support::migrations::{Project, Ran, states};

struct Server {
    scratch: Scratch,
    kind: Kind,
    project: Project,
}

impl Server {
    fn new(kind: Kind) -> Self {
        let scratch = Scratch::new(kind);
        let mut project = Project::new(&scratch.url(Seen::Here));
        project.environment.health_before = true;
        project.environment.health_after = true;
        project.write("0001_t.sql", "create table t (a int);\n");
        Self {
            scratch,
            kind,
            project,
        }
    }

    fn sql(&self, sql: &str) -> String {
        let url = self.scratch.url(Seen::Here);
        match self.kind {
            Kind::Postgres => psql(&url, sql),
            Kind::Mysql => mysql(&url, sql),
        }
    }
}

/// The looks at `main`: before, after.
fn looks(ran: &Ran) -> (Option<&Health>, Option<&Health>) {
    let report = match &ran.outcome {
        Ok(report) => report,
        Err(failure) => &failure.report,
    };
    let main = &report.databases[0];
    (main.health_before.as_ref(), main.health_after.as_ref())
}

fn found(health: &Health, name: CheckName) -> (Verdict, &str) {
    let check = health.checks.iter().find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("no {name} in {health:#?}"));
    (check.verdict, &check.said)
}

const ASKED_OF_A_SERVER: [CheckName; 8] = [
    CheckName::Connection,
    CheckName::Migrations,
    CheckName::Server,
    CheckName::Room,
    CheckName::Replicas,
    CheckName::Transactions,
    CheckName::Blockers,
    CheckName::Connections,
];

/// D12, D47, D82: every check is asked of both servers, and none of them is
/// refused by a login without special rights.
#[tokio::test]
async fn both_servers_answer_every_check_and_say_what_they_do_not_tell() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let server = Server::new(kind);
        let ran = server.project.run().await;
        assert_eq!(ran.applied(), 1, "{:?}", ran.outcome);
        let (before, after) = looks(&ran);
        let (before, after) = (before.expect("a look"), after.expect("a look"));
        let names: Vec<CheckName> = before.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, ASKED_OF_A_SERVER);
        let names: Vec<CheckName> = after.checks.iter().map(|check| check.name).collect();
        let application = [CheckName::Application];
        let schema = [CheckName::Schema];
        let all = application.iter().chain(&ASKED_OF_A_SERVER).chain(&schema);
        assert_eq!(names, all.copied().collect::<Vec<_>>());
        for health in [before, after] {
            assert_ne!(health.status, Standing::Unhealthy, "{health:#?}");
            assert!(health.duration_ms < 10_000, "{}", health.duration_ms);
            // D15: a server does not tell what its disk has left.
            let (verdict, said) = found(health, CheckName::Room);
            assert_eq!(verdict, Verdict::Unknown);
            assert!(said.starts_with("the database takes "), "{said}");
            assert_eq!(found(health, CheckName::Server).0, Verdict::Passed);
            for asked in [
                CheckName::Connections,
                CheckName::Transactions,
                CheckName::Blockers,
            ] {
                let (verdict, said) = found(health, asked);
                // Others work on the same server.
                let answered = matches!(verdict, Verdict::Passed | Verdict::Warning);
                assert!(answered, "{asked}: {said}");
            }
        }
        assert_eq!(found(after, CheckName::Application).1, "it connects");
        assert_eq!(
            found(after, CheckName::Migrations).1,
            "1 row, none half applied"
        );
        let told = ran
            .texts
            .iter()
            .any(|text| text.starts_with("is healthy (8 checks"));
        assert!(
            told || before.status == Standing::Degraded,
            "{:?}",
            ran.texts
        );
    }
}

/// D16, D63: what stands in the way stops the run before its first change.
#[tokio::test]
async fn a_database_that_takes_no_further_session_is_left_alone() {
    let server = Server::new(Kind::Postgres);
    let name = &server.scratch.name;
    // The migrator's own two sessions fit, the application would not.
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT 2");
    server.scratch.admin(&limit);
    let ran = server.project.run().await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Refused, "{fault:?}");
    assert_eq!(fault.what, "`main` is unhealthy, so no migration was begun");
    assert!(
        fault.causes[0].contains("too many connections"),
        "{fault:?}"
    );
    assert_eq!(fault.state, ["no database was changed"]);
    assert_eq!(ran.results(), ["0001_t.sql not attempted"]);
    let before = looks(&ran).0.expect("a look");
    assert_eq!(found(before, CheckName::Connection).0, Verdict::Critical);

    let free = format!("ALTER DATABASE {name} CONNECTION LIMIT -1");
    server.scratch.admin(&free);
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(server.sql(tables).trim(), "0");
    assert_eq!(server.project.run().await.applied(), 1);
}

/// D82, D49: degraded warns, and the run goes on.
#[tokio::test]
async fn an_index_that_is_left_invalid_is_a_warning_afterwards() {
    let server = Server::new(Kind::Postgres);
    server.sql("create table d (a int); insert into d values (1), (1)");
    let mut psql = std::process::Command::new("psql");
    let url = server.scratch.url(Seen::Here);
    let failed = psql.args([
        &url,
        "-XAtqc",
        "create unique index concurrently broken on d (a)",
    ]);
    assert!(!failed.output().expect("psql").status.success());
    let ran = server.project.run().await;
    assert_eq!(ran.applied(), 1);
    let (verdict, said) = found(looks(&ran).1.expect("a look"), CheckName::Schema);
    assert_eq!(verdict, Verdict::Warning);
    assert!(said.ends_with(": broken"), "{said}");
}

/// A login of the application's own, beside the migrator's.
struct Login {
    server: Server,
    name: String,
}

impl Login {
    fn new() -> Self {
        let mut server = Server::new(Kind::Postgres);
        let name = format!("{}_app", server.scratch.name);
        server
            .scratch
            .admin(&format!("CREATE ROLE {name} LOGIN PASSWORD 'apppass'"));
        let url = server.scratch.url(Seen::Here);
        let (_, place) = url.split_once('@').expect("a login");
        let own = format!("postgres://{name}:apppass@{place}");
        server.project.application("main", &own, &url);
        Self { server, name }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let database = self.server.scratch.name.clone();
        let name = &self.name;
        // What was granted to it in the database stands in its way.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.server.sql(&format!(
                "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}"
            ));
            self.server
                .sql(&format!("REVOKE ALL ON DATABASE {database} FROM {name}"));
            self.server.scratch.admin(&format!("DROP ROLE {name}"));
        }));
    }
}

/// D50, D51, D65: the check afterwards logs in as the application does; that
/// it cannot is a failure of the run, whose migrations stay.
#[tokio::test]
async fn a_migration_that_locks_the_application_out_fails_and_stays() {
    let login = Login::new();
    let (server, name) = (&login.server, &login.name);
    let database = &server.scratch.name;
    server.project.write(
        "0002_out.sql",
        &format!("revoke connect on database {database} from public;\n"),
    );
    let ran = server.project.run().await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Failed);
    assert_eq!(
        fault.what,
        "the migrations were applied, and after them `main` is unhealthy"
    );
    assert!(
        fault.causes[0].starts_with("`main`: application: it cannot connect any more"),
        "{fault:?}"
    );
    assert!(!fault.to_string().contains("apppass"));
    assert_eq!(fault.state, ["the migrations are applied and stay"]);
    assert_eq!(
        ran.results(),
        ["0001_t.sql applied", "0002_out.sql applied"]
    );
    assert_eq!(
        states(&server.project.plan().await),
        ["0001_t.sql applied", "0002_out.sql applied"]
    );
    // All the other checks were asked all the same.
    let after = looks(&ran).1.expect("a look");
    assert_eq!(found(after, CheckName::Schema).0, Verdict::Passed);
    server.sql(&format!("grant connect on database {database} to {name}"));
}

/// D50: what the application may not read is said.
#[tokio::test]
async fn a_table_that_nobody_granted_to_the_application_is_a_warning() {
    let login = Login::new();
    let ran = login.server.project.run().await;
    assert_eq!(ran.applied(), 1, "{:?}", ran.outcome);
    let after = looks(&ran).1.expect("a look");
    assert_eq!(
        found(after, CheckName::Application),
        (Verdict::Warning, "it connects, and may not read t")
    );
    login.server.project.write(
        "0002_grant.sql",
        &format!("grant select on t to {};\n", login.name),
    );
    let ran = login.server.project.run().await;
    let after = looks(&ran).1.expect("a look");
    assert_eq!(
        found(after, CheckName::Application),
        (Verdict::Passed, "it connects")
    );
}
