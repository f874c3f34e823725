//! A migration run that is killed at any moment: the next one finishes it, or
//! stops and names the one statement whose outcome the server cannot tell.
//! Nothing is applied twice, nothing is left out, no lock stays.

use std::time::{Duration, Instant};

use crate::sandbox::{Run, Sandbox};
use crate::support::database::{Kind, Scratch, Seen, mysql, psql};

const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
roles:
  web: { port: 3000, health: { path: /up } }
databases:
  main:
    connection_env: DATABASE_URL
    via: direct
    migrations: { engine: raw, path: db, lock_wait: 20s }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

const MIGRATIONS: usize = 20;
const KILLS: usize = 15;

/// A shop with a database of its own and twenty migrations, of which each
/// leaves its number in `log` once, or an index or table of its number.
struct Shop {
    sandbox: Sandbox,
    scratch: Scratch,
    kind: Kind,
}

/// What a migration of this number does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// With its row in one transaction, where the server can.
    Together,
    /// One statement outside of any transaction.
    Apart,
    /// A change of data outside of any transaction: cut off in it, nobody but
    /// a person can tell.
    Data,
}

fn work(number: usize) -> Work {
    match number {
        number if number % 5 == 0 => Work::Apart,
        number if number % 7 == 3 => Work::Data,
        _ => Work::Together,
    }
}

impl Shop {
    fn new(kind: Kind) -> Self {
        let sandbox = Sandbox::with(SHOP);
        let scratch = Scratch::new(kind);
        sandbox.set("DATABASE_URL", &scratch.url(Seen::Here));
        let shop = Self {
            sandbox,
            scratch,
            kind,
        };
        shop.sql("create table log (n int)");
        shop.sql("insert into log select -1");
        for number in 1..=MIGRATIONS {
            let name = format!("db/{number:04}_step.sql");
            shop.sandbox.file(&name, &shop.migration(number));
        }
        shop
    }

    /// Slow enough to be hit.
    fn migration(&self, number: usize) -> String {
        let pause = match self.kind {
            Kind::Postgres => "select pg_sleep(0.01)",
            Kind::Mysql => "do sleep(0.01)",
        };
        let slow = match self.kind {
            Kind::Postgres => format!("insert into log select {number} from pg_sleep(0.03)"),
            Kind::Mysql => format!("insert into log select {number} from (select sleep(0.03)) s"),
        };
        match (work(number), self.kind) {
            (Work::Together, _) => format!(
                "create table t{number} (a int);\n{pause};\ninsert into log values ({number});\n"
            ),
            (Work::Apart, Kind::Postgres) => {
                format!("create index concurrently i{number} on log (n);\n")
            }
            (Work::Apart, Kind::Mysql) => format!("create index i{number} on log (n);\n"),
            (Work::Data, _) => {
                format!("-- stagecraft: transaction=off\n{pause};\n{slow};\n{pause};\n")
            }
        }
    }

    fn sql(&self, sql: &str) -> String {
        let url = self.scratch.url(Seen::Here);
        let answer = match self.kind {
            Kind::Postgres => psql(&url, sql),
            Kind::Mysql => mysql(&url, sql),
        };
        answer.trim().to_owned()
    }

    fn run(&self) -> Run {
        self.sandbox.run("migrate run --env prod")
    }

    /// Runs until it is done; as a person does, looks into the database where
    /// the program says that only a person can. How often that was needed.
    fn finished(&self) -> usize {
        for asked in 0..4 {
            let run = self.run();
            if run.code == 0 {
                return asked;
            }
            assert_eq!(run.code, 12, "{run}");
            let named = "was begun and cut off, and the catalogue cannot tell";
            assert!(run.stderr.contains(named), "{run}");
            self.looked_up(&run);
        }
        panic!("it never ends");
    }

    /// Takes the one statement that was named: is its number in the log?
    fn looked_up(&self, run: &Run) {
        let (before, _) = run.stderr.split_once("_step.sql:").expect("a file");
        let number: usize = before[before.len() - 4..].parse().expect("a number");
        // Statements that sleep or insert into a log are the only such ones.
        let done = self.sql(&format!("select count(*) from log where n = {number}")) != "0";
        let inserts = run.stderr.contains("insert into log");
        let row = format!("where id = '{number:04}_step.sql'");
        let sql = match done && inserts {
            true => {
                format!("update stagecraft_migrations set statements_done = statements_begun {row}")
            }
            false => {
                format!("update stagecraft_migrations set statements_begun = statements_done {row}")
            }
        };
        self.sql(&sql);
    }

    /// Everything is there once.
    fn is_whole(&self, when: &str) {
        let numbers = self.sql("select n from log where n > 0 order by n");
        let numbers: Vec<usize> = numbers
            .lines()
            .map(|n| n.parse().expect("a number"))
            .collect();
        let expected: Vec<usize> = (1..=MIGRATIONS)
            .filter(|number| work(*number) != Work::Apart)
            .collect();
        assert_eq!(numbers, expected, "{when}");
        let indexes = match self.kind {
            Kind::Postgres => {
                "select count(*) from pg_index where indrelid = 'log'::regclass and indisvalid"
            }
            Kind::Mysql => {
                "select count(distinct index_name) from information_schema.statistics where table_schema = database() and table_name = 'log'"
            }
        };
        assert_eq!(self.sql(indexes), (MIGRATIONS / 5).to_string(), "{when}");
        let rows = "select count(*) from stagecraft_migrations where database_name = 'main' and finished_at is not null and statements_done = statements_total";
        assert_eq!(self.sql(rows), MIGRATIONS.to_string(), "{when}");
        let level = self.sandbox.run("migrate plan --env prod --exit-code");
        assert_eq!(level.code, 0, "{when}: {level}");
        let locks = match self.kind {
            Kind::Postgres => {
                "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
            }
            Kind::Mysql => {
                "select count(*) from information_schema.processlist where db = database() and id <> connection_id()"
            }
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.sql(locks) != "0" {
            assert!(Instant::now() < deadline, "{when}: a lock stays");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Kills a run after each of its first migrations, and a little later from one
/// to the next: between two, inside a statement, or as one is confirmed.
fn killed_at_many_moments(kind: Kind) {
    let shop = Shop::new(kind);
    assert_eq!(shop.finished(), 0);
    shop.is_whole("never killed");

    let (mut in_the_middle, mut asked) = (0, 0);
    for kill in 0..KILLS {
        let shop = Shop::new(kind);
        let mut going = shop.sandbox.start("migrate run --env prod");
        going.until_said(if kill == 0 { "running" } else { "applied " }, kill.max(1));
        // The same moments each time, by a fixed sequence.
        let later = Duration::from_millis((kill as u64 * 37) % 61);
        std::thread::sleep(later);
        going.is_killed();
        let left = "select count(*) from stagecraft_migrations where database_name = 'main' and finished_at is not null";
        let done = match kill {
            0 => String::new(),
            _ => shop.sql(left),
        };
        in_the_middle += usize::from(done != MIGRATIONS.to_string());
        asked += shop.finished();
        shop.is_whole(&format!("killed {later:?} after {kill} migrations"));
    }
    assert!(in_the_middle > KILLS / 2, "only {in_the_middle} were hit");
    // Changes of data that were cut off are few: mostly nobody is asked.
    assert!(asked <= KILLS / 2, "{asked} times a person was asked");
}

/// D43, D53, D64: killed at any moment on PostgreSQL.
#[test]
fn on_postgresql_a_killed_run_is_finished_by_the_next_one() {
    killed_at_many_moments(Kind::Postgres);
}

/// D43, D53, D64: killed at any moment on MariaDB, which commits by itself.
#[test]
fn on_mariadb_a_killed_run_is_finished_by_the_next_one() {
    killed_at_many_moments(Kind::Mysql);
}

/// C31: the timeout and Ctrl-C end the work in the server, not the wait alone.
#[test]
fn ctrl_c_ends_the_statement_in_the_server_and_the_evidence_says_cancelled() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        let sleep = match kind {
            Kind::Postgres => "select pg_sleep(60);\n",
            // By itself a sleep that is ended early has succeeded.
            Kind::Mysql => "insert into log select 3 from (select sleep(60)) s;\n",
        };
        shop.sandbox.file("db/0003_step.sql", sleep);
        let sleeping = match kind {
            Kind::Postgres => {
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and query like '%pg_sleep(60)%'"
            }
            Kind::Mysql => {
                "select count(*) from information_schema.processlist where db = database() and id <> connection_id() and info like '%sleep(60)%'"
            }
        };
        let until = |answer: &str| {
            let deadline = Instant::now() + Duration::from_secs(15);
            while shop.sql(sleeping) != answer {
                assert!(Instant::now() < deadline, "never {answer}");
                std::thread::sleep(Duration::from_millis(25));
            }
        };
        let going = shop.sandbox.start("migrate run --env prod");
        until("1");
        going.is_interrupted();
        let run = going.end();
        assert_eq!(run.code, 130, "{run}");
        until("0");
        assert!(
            run.stderr
                .contains("applied to `main` and kept: `0001_step.sql` and `0002_step.sql`"),
            "{run}"
        );
        let folder = shop.sandbox.path(".stagecraft/artifacts");
        let release = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(release.path().join("migration.json")).unwrap();
        let evidence: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(evidence["runs"][0]["status"], "cancelled");
        assert_eq!(evidence["audit"][0]["status"], "cancelled");
        assert_eq!(evidence["runs"][0]["migrations_applied"], 2);
    }
}
