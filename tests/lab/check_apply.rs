//! `migrate check --apply` on real servers: what it makes is gone however it
//! ends, and what a killed one left goes with a later one.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use stagecraft::migrate::scratch::{self, Purpose};

use crate::sandbox::Sandbox;
use crate::support::database::{Kind, Scratch, Seen};

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
    migrations: { engine: raw, path: db }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

struct Shop {
    sandbox: Sandbox,
    scratch: Scratch,
    kind: Kind,
}

impl Shop {
    fn new(kind: Kind) -> Self {
        let scratch = Scratch::new(kind);
        if kind == Kind::Postgres {
            scratch.admin("ALTER ROLE app CREATEDB");
        }
        let sandbox = Sandbox::with(SHOP);
        sandbox
            .file("db/001_notes.sql", "CREATE TABLE notes (id int);\n")
            .set("DATABASE_URL", &scratch.url(Seen::Here));
        Self {
            sandbox,
            scratch,
            kind,
        }
    }

    fn project(&self) -> String {
        let text = self.sandbox.read("stagecraft.yml");
        let (_, rest) = text.split_once("name: ").unwrap();
        rest.split_once(" }").unwrap().0.to_owned()
    }

    fn make(&self, name: &str) {
        self.scratch.admin(&match self.kind {
            Kind::Postgres => format!("CREATE DATABASE {name} OWNER app"),
            Kind::Mysql => format!("CREATE DATABASE {name}"),
        });
    }

    fn there(&self, name: &str) -> bool {
        let sql = match self.kind {
            Kind::Postgres => {
                format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")
            }
            Kind::Mysql => format!(
                "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{name}'"
            ),
        };
        self.scratch.admin(&sql) == "1"
    }

    /// The one scratch database that this project made just now.
    fn made(&self) -> Option<String> {
        let mark = scratch::named(Purpose::Check, &self.project().parse().unwrap(), Utc::now());
        let mark = &mark[.."stagecraft_check_".len() + 6];
        let sql = match self.kind {
            Kind::Postgres => {
                format!("SELECT datname FROM pg_database WHERE datname LIKE '{mark}%'")
            }
            Kind::Mysql => format!(
                "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{mark}%'"
            ),
        };
        let found = self.scratch.admin(&sql);
        (!found.is_empty()).then_some(found)
    }
}

/// C34, C35: on the server's own kind, not on another one.
#[test]
fn a_check_on_a_server_proves_its_files_and_leaves_nothing_when_it_is_interrupted() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        let run = shop.sandbox.run("migrate check --apply --env prod");
        assert_eq!(run.code, 0, "{run}");
        assert!(
            run.stdout.contains("1 migration")
                && run.stderr.contains("dropped the scratch database"),
            "{run}"
        );
        assert_eq!(shop.made(), None);

        let slow = match kind {
            Kind::Postgres => "SELECT pg_sleep(60);\n",
            Kind::Mysql => "SELECT SLEEP(60);\n",
        };
        shop.sandbox.file("db/002_slow.sql", slow);
        let running = shop.sandbox.start("migrate check --apply --env prod");
        let deadline = Instant::now() + Duration::from_secs(30);
        let sleeps = match kind {
            Kind::Postgres => {
                "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'stagecraft_check_%' AND query LIKE '%pg_sleep%' AND state = 'active'"
            }
            Kind::Mysql => {
                "SELECT count(*) FROM information_schema.processlist WHERE db LIKE 'stagecraft_check_%' AND info LIKE 'SELECT SLEEP%'"
            }
        };
        while shop.scratch.admin(sleeps) == "0" {
            assert!(Instant::now() < deadline, "it never came so far");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(shop.made().is_some());
        running.is_interrupted();
        let run = running.end();
        assert_eq!(run.code, 130, "{run}");
        assert_eq!(shop.made(), None, "{run}");
    }
}

/// Only what this project's own check made, long enough ago, and nobody uses.
#[test]
fn what_a_killed_check_left_goes_with_a_later_one() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        let (own, other) = (
            shop.project().parse().unwrap(),
            "another-shop".parse().unwrap(),
        );
        let ago = |hours| Utc::now() - TimeDelta::hours(hours);
        let stale = scratch::named(Purpose::Check, &own, ago(2));
        let rehearsed = scratch::named(Purpose::Rehearse, &own, ago(30));
        let young = scratch::named(Purpose::Check, &own, ago(0));
        let strange = scratch::named(Purpose::Check, &other, ago(2));
        let mine = "stagecraft_check_mine".to_owned();
        let all = [&stale, &rehearsed, &young, &strange, &mine];
        for name in all {
            shop.make(name);
        }
        // A rehearsal drops nothing.
        let run = shop.sandbox.run("migrate rehearse --env prod");
        assert_eq!(run.code, 0, "{run}");
        assert!(shop.there(&stale) && shop.there(&rehearsed));
        let run = shop.sandbox.run("migrate check --apply --env prod");
        let there = all.map(|name| shop.there(name));
        for name in all {
            if shop.there(name) {
                shop.scratch.admin(&format!("DROP DATABASE {name}"));
            }
        }
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(there, [false, false, true, true, true], "{run}");
        for name in [&stale, &rehearsed] {
            assert!(run.stderr.contains(&format!("dropped `{name}`")), "{run}");
        }
        for name in [&young, &strange, &mine] {
            let warned = format!("`{name}` is the scratch database of a command that was killed");
            assert!(run.stderr.contains(&warned), "{run}");
        }
    }
}
