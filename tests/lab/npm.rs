//! The migration tools from npm in a project: their settings and files for each
//! kind of database, and the tools themselves, past Stagecraft.
//!
//! What runs here is the tool's own command as a process of this machine, on the
//! lab's PostgreSQL and MariaDB and on SQLite files. Two things are not to be
//! had without a network, and so are not run:
//!
//! - Prisma's own engines. It works through a driver instead, with its engine for
//!   PostgreSQL and SQLite that npm carries: `migrate deploy`, `status` and
//!   `resolve` do, `migrate dev` does not, and MySQL is not in it at all.
//! - Drivers whose binaries do not come from npm: SQLite is opened by libsql,
//!   which has the interface of better-sqlite3.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::conformance::{Contestant, Work};
use crate::support::database::{Kind, Scratch, Seen, mysql, psql};
use crate::support::lab::lab;
use crate::support::migrations::Project;
use crate::support::prisma;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Raw,
    Knex,
    NodePgMigrate,
    Prisma,
    Drizzle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Postgres,
    Mysql,
    Sqlite,
}

impl On {
    fn kind(self) -> Option<Kind> {
        match self {
            On::Postgres => Some(Kind::Postgres),
            On::Mysql => Some(Kind::Mysql),
            On::Sqlite => None,
        }
    }
}

/// A tool, and the databases of its projects, the newest last.
pub(crate) struct Tried {
    tool: Tool,
    on: On,
    scratch: RefCell<Vec<Scratch>>,
}

impl Tried {
    pub(crate) fn new(tool: Tool, on: On) -> Self {
        Self {
            tool,
            on,
            scratch: RefCell::default(),
        }
    }

    /// As the tool and Stagecraft are given it.
    fn url(&self, project: &Project) -> String {
        match self.on {
            On::Postgres | On::Mysql => self.scratch.borrow().last().unwrap().url(Seen::Here),
            On::Sqlite => format!("file:{}/app.db", project.dir.path().display()),
        }
    }

    /// The first value of the answer, from the newest project's database.
    pub(crate) fn sql(&self, project: &Project, sql: &str) -> String {
        match self.on {
            On::Postgres => psql(&self.url(project), sql),
            On::Mysql => mysql(&self.url(project), sql),
            On::Sqlite => {
                let file = rusqlite::Connection::open(project.dir.path().join("app.db")).unwrap();
                let mut asked = file.prepare(sql).unwrap();
                let mut rows = asked.query([]).unwrap();
                let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
                match rows.next().unwrap().map(value).transpose().unwrap() {
                    Some(rusqlite::types::Value::Text(text)) => text,
                    Some(rusqlite::types::Value::Integer(number)) => number.to_string(),
                    _ => String::new(),
                }
            }
        }
    }

    /// Runs the tool itself, past Stagecraft; everything that it prints.
    pub(crate) fn itself(&self, project: &Project, words: &[&str]) -> String {
        let program = project.dir.path().join("node_modules/.bin").join(words[0]);
        let output = Command::new(program)
            .args(&words[1..])
            .current_dir(project.dir.path())
            .env("MAIN_URL", self.url(project))
            .env("HOME", project.dir.path())
            .envs(prisma_without_its_engines(project.dir.path()))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A command that a message gives in backticks, as it stands there.
    #[track_caller]
    pub(crate) fn does(&self, project: &Project, message: &str, command: &str) -> String {
        let from = message.find(&format!("`npx {command}"));
        let text = &message[from.unwrap_or_else(|| panic!("no `{command}`: {message}")) + 1..];
        let words = text.split('`').next().unwrap();
        let words: Vec<&str> = words.split(' ').skip(1).collect();
        self.itself(project, &words)
    }

    /// Migration `n`, of these statements.
    pub(crate) fn write_of(&self, project: &Project, n: u32, statements: &[&str]) {
        let id = self.id(n);
        let script = statements.join(";\n") + ";\n";
        match self.tool {
            Tool::Raw => project.write(&id, &script),
            Tool::NodePgMigrate => {
                project.write(&format!("{id}.sql"), &format!("-- Up Migration\n{script}"));
            }
            Tool::Knex => {
                let calls = statements
                    .iter()
                    .map(|statement| format!("await k.raw({}); ", json!(statement)))
                    .collect::<String>();
                let code = format!(
                    "exports.up = async k => {{ {calls}}};\nexports.down = async () => {{}};\n"
                );
                project.write(&id, &code);
            }
            Tool::Prisma => {
                let _ = std::fs::create_dir(project.dir.path().join("db/migrations").join(&id));
                project.write(&format!("{id}/migration.sql"), &script);
            }
            Tool::Drizzle => {
                let script = statements.join(";\n--> statement-breakpoint\n") + ";\n";
                project.write(&format!("{id}.sql"), &script);
                journal(project, |n| 1_700_000_000_000 + i64::from(n));
            }
        }
    }

    /// A server goes on with a statement whose client is gone.
    pub(crate) fn end_what_goes_on(&self, project: &Project) {
        match self.on {
            On::Postgres => {
                self.sql(project, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'");
            }
            On::Mysql => {
                let sleeping = self.sql(project, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DO SLEEP%'");
                for id in sleeping.lines() {
                    self.sql(project, &format!("KILL {id}"));
                }
            }
            On::Sqlite => {}
        }
    }

    /// Whether a failed migration leaves behind what it did: there the tests
    /// of every engine let it fail before it does anything.
    fn keeps_halves(&self) -> bool {
        self.on == On::Mysql || (self.on, self.tool) == (On::Sqlite, Tool::Prisma)
    }

    fn has(&self, project: &Project, table: &str) -> bool {
        let sql = match self.on {
            On::Postgres => {
                format!("SELECT count(*) FROM pg_class WHERE oid = to_regclass('{table}')")
            }
            On::Mysql => format!(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
            On::Sqlite => format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'"),
        };
        self.sql(project, &sql) == "1"
    }
}

impl Contestant for Tried {
    fn project(&self) -> Project {
        // SQLite's own is set below.
        let mut project = Project::new("");
        if let Some(kind) = self.on.kind() {
            self.scratch.borrow_mut().push(Scratch::new(kind));
        }
        project.set("MAIN_URL", &self.url(&project));
        let main = project.main();
        main.engine = match self.tool {
            Tool::Raw => "raw",
            Tool::Knex => "knex",
            Tool::NodePgMigrate => "node-pg-migrate",
            Tool::Prisma => "prisma",
            Tool::Drizzle => "drizzle",
        }
        .to_owned();
        if self.tool != Tool::Raw {
            settings(&project, self.tool, self.on);
        }
        if self.tool == Tool::Prisma {
            let more = prisma_without_its_engines(project.dir.path());
            for (name, value) in more {
                project.clear(&name, &value);
            }
        }
        project
    }

    fn write(&self, project: &Project, n: u32, work: Work) {
        let table = format!("CREATE TABLE t{n} (id integer)");
        let slow = match self.on {
            On::Postgres => "SELECT pg_sleep(30)".to_owned(),
            On::Mysql => "DO SLEEP(30)".to_owned(),
            On::Sqlite => format!(
                "INSERT INTO t{n} WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000000) SELECT max(x) FROM c"
            ),
        };
        let more = match work {
            Work::Good => return self.write_of(project, n, &[&table]),
            Work::Broken => "INSERT INTO nowhere VALUES (1)",
            Work::Slow => &slow,
        };
        match self.keeps_halves() {
            true => self.write_of(project, n, &[more, &table]),
            false => self.write_of(project, n, &[&table, more]),
        }
    }

    fn id(&self, n: u32) -> String {
        match self.tool {
            Tool::Raw => format!("{n:03}_t.sql"),
            Tool::Knex => format!("2024010{n}000000_t.js"),
            Tool::NodePgMigrate => format!("170000000000{n}_t"),
            Tool::Prisma => format!("2024010{n}000000_t"),
            Tool::Drizzle => format!("{n:04}_t"),
        }
    }

    fn happened(&self, project: &Project, n: u32) -> bool {
        self.has(project, &format!("t{n}"))
    }

    fn untouched(&self, project: &Project) -> bool {
        let count = match self.on {
            On::Postgres => {
                "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')"
            }
            On::Mysql => {
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()"
            }
            On::Sqlite => return !project.dir.path().join("app.db").exists(),
        };
        self.sql(project, count) == "0"
    }

    fn is_slow(&self, project: &Project) -> bool {
        let count = match self.on {
            On::Postgres => {
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%' AND query NOT LIKE '%pg_stat_activity%'"
            }
            On::Mysql => {
                "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DO SLEEP%'"
            }
            On::Sqlite => return project.dir.path().join("app.db-journal").exists(),
        };
        self.sql(project, count) != "0"
    }

    fn repair(&self, project: &Project, n: u32) {
        self.end_what_goes_on(project);
        if self.tool == Tool::Prisma {
            let id = self.id(n);
            let said = self.itself(
                project,
                &["prisma", "migrate", "resolve", "--rolled-back", &id],
            );
            assert!(said.contains("marked as rolled back"), "{said}");
        }
    }
}

/// What the tools want beside the migrations.
fn settings(project: &Project, tool: Tool, on: On) {
    let dir = project.dir.path();
    let modules = Path::new(&lab("LAB_NODE_TOOLS")).join("node_modules");
    std::os::unix::fs::symlink(modules, dir.join("node_modules")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("package.json", "{}");
    match tool {
        Tool::Raw | Tool::NodePgMigrate => {}
        Tool::Knex => {
            let connection = match on {
                On::Postgres => "client: 'pg', connection: process.env.MAIN_URL",
                On::Mysql => "client: 'mysql2', connection: process.env.MAIN_URL",
                On::Sqlite => {
                    "client: class extends require('knex/lib/dialects/better-sqlite3') { _driver() { return require('libsql'); } }, connection: { filename: process.env.MAIN_URL.replace('file:', '') }, useNullAsDefault: true"
                }
            };
            write(
                "knexfile.js",
                &format!(
                    "module.exports = {{ {connection}, migrations: {{ directory: './db/migrations' }} }};"
                ),
            );
        }
        Tool::Drizzle => {
            let dialect = match on {
                On::Postgres => "postgresql",
                On::Mysql => "mysql",
                On::Sqlite => "sqlite",
            };
            write(
                "drizzle.config.js",
                &format!(
                    "module.exports = {{ dialect: '{dialect}', schema: './schema.js', out: './db/migrations', dbCredentials: {{ url: process.env.MAIN_URL }} }};"
                ),
            );
        }
        Tool::Prisma => {
            let (provider, config) = match on {
                On::Postgres => (
                    "postgresql",
                    prisma::config("./schema.prisma", "./db/migrations", "MAIN_URL"),
                ),
                On::Mysql => ("mysql", String::new()),
                On::Sqlite => ("sqlite", prisma::ON_SQLITE.to_owned()),
            };
            write("prisma.config.ts", &config);
            write(
                "schema.prisma",
                &format!(
                    "datasource db {{\n  provider = \"{provider}\"\n  url = env(\"MAIN_URL\")\n}}\n"
                ),
            );
            write(
                "db/migrations/migration_lock.toml",
                &format!("provider = \"{provider}\"\n"),
            );
            write("dummy.so.node", "");
            // Asked by one command only, whether the database can be reached.
            write("dummy-engine", "#!/bin/sh\nexit 0\n");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(dir.join("dummy-engine"), executable).unwrap();
        }
    }
}

fn prisma_without_its_engines(dir: &Path) -> Vec<(String, String)> {
    let place = |name: &str| dir.join(name).display().to_string();
    vec![
        ("CHECKPOINT_DISABLE".to_owned(), "1".to_owned()),
        (
            "PRISMA_QUERY_ENGINE_LIBRARY".to_owned(),
            place("dummy.so.node"),
        ),
        (
            "PRISMA_SCHEMA_ENGINE_BINARY".to_owned(),
            place("dummy-engine"),
        ),
    ]
}

/// Lists every file, with a time each.
pub(crate) fn journal(project: &Project, when: impl Fn(u32) -> i64) {
    let folder = project.dir.path().join("db/migrations");
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut tags: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".sql").map(str::to_owned)
        })
        .collect();
    tags.sort();
    let entries: Vec<_> = tags
        .iter()
        .enumerate()
        .map(|(idx, tag)| {
            let when = when(tag[..4].parse().unwrap());
            json!({ "idx": idx, "version": "7", "when": when, "tag": tag, "breakpoints": true })
        })
        .collect();
    std::fs::create_dir_all(folder.join("meta")).unwrap();
    let journal = json!({ "version": "7", "dialect": "postgresql", "entries": entries });
    std::fs::write(folder.join("meta/_journal.json"), journal.to_string()).unwrap();
}
