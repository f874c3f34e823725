//! The engines of framework tools with the tools themselves, from npm, on
//! PostgreSQL: the scenarios of every engine, and the traps of each. Their
//! containers are processes of this machine here; `engine_in_a_deploy` has one
//! in a container on a host.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use stagecraft::model::fault::FaultKind;
use stagecraft::model::migration::MigrationRequest;

use crate::support::conformance::{
    Contestant, Work, applies_once, lets_one_of_two_run, refuses_what_was_edited, survives_a_kill,
    tells_a_failure_and_goes_on_when_it_is_mended,
};
use crate::support::database::{Kind, Scratch, Seen, psql};
use crate::support::lab::lab;
use crate::support::migrations::{Project, states};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Raw,
    Knex,
    NodePgMigrate,
    Prisma,
    Drizzle,
}

/// A tool, and the databases of its projects, the newest last.
struct Tried {
    tool: Tool,
    scratch: RefCell<Vec<Scratch>>,
}

impl Tried {
    fn new(tool: Tool) -> Self {
        Self {
            tool,
            scratch: RefCell::default(),
        }
    }

    fn sql(&self, sql: &str) -> String {
        let scratch = self.scratch.borrow();
        psql(&scratch.last().unwrap().url(Seen::Here), sql)
    }

    /// Runs the tool itself, past stagecraft; everything that it prints.
    fn itself(&self, project: &Project, words: &[&str]) -> String {
        let url = self.scratch.borrow().last().unwrap().url(Seen::Here);
        let output = Command::new("npx")
            .arg("--no-install")
            .args(words)
            .current_dir(project.dir.path())
            .env("MAIN_URL", url)
            .env("HOME", project.dir.path())
            .envs(prisma_without_its_engines(project.dir.path()))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn body(n: u32, work: Work) -> String {
        let more = match work {
            Work::Good => "",
            Work::Broken => "INSERT INTO nowhere VALUES (1);\n",
            Work::Slow => "SELECT pg_sleep(30);\n",
        };
        format!("CREATE TABLE t{n} (id integer);\n{more}")
    }
}

/// What the tools want beside the migrations.
fn settings(project: &Project, tool: Tool) {
    let dir = project.dir.path();
    let modules = Path::new(&lab("LAB_NODE_TOOLS")).join("node_modules");
    std::os::unix::fs::symlink(modules, dir.join("node_modules")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write("package.json", "{}");
    match tool {
        Tool::Raw | Tool::NodePgMigrate => {}
        Tool::Knex => write(
            "knexfile.js",
            "module.exports = { client: 'pg', connection: process.env.MAIN_URL, migrations: { directory: './db/migrations' } };",
        ),
        Tool::Drizzle => write(
            "drizzle.config.js",
            "module.exports = { dialect: 'postgresql', schema: './schema.js', out: './db/migrations', dbCredentials: { url: process.env.MAIN_URL } };",
        ),
        Tool::Prisma => {
            write("prisma.config.ts", PRISMA);
            write(
                "schema.prisma",
                "datasource db {\n  provider = \"postgresql\"\n  url = env(\"MAIN_URL\")\n}\n",
            );
            write(
                "db/migrations/migration_lock.toml",
                "provider = \"postgresql\"\n",
            );
            write("dummy.so.node", "");
            write("dummy-engine", "#!/bin/sh\nexit 9\n");
            Command::new("chmod")
                .args(["+x", "dummy-engine"])
                .current_dir(dir)
                .status()
                .unwrap();
        }
    }
}

/// Prisma's engines cannot be fetched here: it works through the driver, which
/// is told about a type that it does not know, and to send scripts whole.
const PRISMA: &str = r#"
import { PrismaPg } from '@prisma/adapter-pg';

class Whole extends PrismaPg {
  async connect() {
    const adapter: any = await super.connect();
    const query = adapter.client.query.bind(adapter.client);
    adapter.client.query = async (...args: any[]) => {
      const result = await query(...args);
      for (const field of result.fields ?? []) if (field.dataTypeID === 19) field.dataTypeID = 25;
      return result;
    };
    adapter.executeScript = async (script: string) => {
      try { await query(script); } catch (error) { adapter.onError(error); }
    };
    return adapter;
  }
}

export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: './schema.prisma',
  migrations: { path: './db/migrations' },
  adapter: async () => new Whole({ connectionString: process.env.MAIN_URL }),
};
"#;

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

impl Contestant for Tried {
    fn project(&self) -> Project {
        let scratch = Scratch::new(Kind::Postgres);
        let mut project = Project::new(&scratch.url(Seen::Here));
        self.scratch.borrow_mut().push(scratch);
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
            settings(&project, self.tool);
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
        let body = Self::body(n, work);
        let id = self.id(n);
        match self.tool {
            Tool::Raw => project.write(&id, &body),
            Tool::NodePgMigrate => {
                project.write(&format!("{id}.sql"), &format!("-- Up Migration\n{body}"));
            }
            Tool::Knex => project.write(
                &id,
                &format!("exports.up = async k => {{ await k.raw({}); }};\nexports.down = async () => {{}};\n", json!(body)),
            ),
            Tool::Prisma => {
                let _ = std::fs::create_dir(project.dir.path().join("db/migrations").join(&id));
                project.write(&format!("{id}/migration.sql"), &body);
            }
            Tool::Drizzle => {
                project.write(&format!("{id}.sql"), &body);
                journal(project, |n| 1_700_000_000_000 + i64::from(n));
            }
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

    fn happened(&self, _: &Project, n: u32) -> bool {
        self.sql(&format!("SELECT to_regclass('public.t{n}') IS NOT NULL")) == "t"
    }

    fn untouched(&self, _: &Project) -> bool {
        self.sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')") == "0"
    }

    fn is_slow(&self, _: &Project) -> bool {
        self.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%' AND query NOT LIKE '%pg_stat_activity%'") != "0"
    }

    fn repair(&self, _: &Project, _: u32) {
        // A server goes on with a statement whose client is gone.
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'");
        if self.tool == Tool::Prisma {
            // What `prisma migrate resolve --rolled-back` writes, which needs
            // the engine that cannot be had here.
            self.sql(
                "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL",
            );
        }
    }
}

/// Lists every file, with a time each.
fn journal(project: &Project, when: impl Fn(u32) -> i64) {
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

fn allowing() -> MigrationRequest {
    MigrationRequest {
        allow_out_of_order: true,
        ..MigrationRequest::default()
    }
}

/// One and three are applied, two comes late.
async fn late(with: &Tried) -> Project {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 3, Work::Good);
    project.run().await.outcome.unwrap();
    with.write(&project, 2, Work::Good);
    project
}

#[tokio::test]
async fn raw_on_postgres_conforms() {
    let with = &Tried::new(Tool::Raw);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn knex_conforms() {
    let with = &Tried::new(Tool::Knex);
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn knex_agrees_and_its_traps_are_told_before_it_runs() {
    let with = &Tried::new(Tool::Knex);
    let project = late(with).await;
    let refusals = project.plan().await.refusals;
    assert!(refusals[0].contains("--allow-out-of-order"), "{refusals:?}");
    let plans = project.plans(&allowing()).await.unwrap();
    project.run_plans(&plans).await.outcome.unwrap();
    let said = with.itself(&project, &["knex", "migrate:list"]);
    assert!(said.contains("No Pending Migration files Found"), "{said}");

    // A run that was killed leaves its lock; the tool's own repair frees it.
    with.sql("UPDATE knex_migrations_lock SET is_locked = 1");
    let refusals = project.plan().await.refusals;
    assert!(
        refusals[0].contains("`npx knex migrate:unlock`"),
        "{refusals:?}"
    );
    with.itself(&project, &["knex", "migrate:unlock"]);
    assert_eq!(project.plan().await.refusals, [] as [String; 0]);

    // A file that is gone would stop every command of Knex.
    project.remove(&with.id(1));
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("the migration directory is corrupt"),
        "{:?}",
        plan.refusals
    );
    let said = with.itself(&project, &["knex", "migrate:latest"]);
    assert!(said.contains("migration directory is corrupt"), "{said}");
}

#[tokio::test]
async fn node_pg_migrate_conforms() {
    let with = &Tried::new(Tool::NodePgMigrate);
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn node_pg_migrate_agrees_and_its_order_is_kept_or_overruled() {
    let with = &Tried::new(Tool::NodePgMigrate);
    let project = late(with).await;
    let refusals = project.plan().await.refusals;
    assert!(refusals[0].contains("`--no-check-order`"), "{refusals:?}");
    let up = [
        "node-pg-migrate",
        "up",
        "-m",
        "db/migrations",
        "-d",
        "MAIN_URL",
    ];
    let said = with.itself(&project, &up);
    assert!(
        said.contains("is preceding already run migration"),
        "{said}"
    );
    let plans = project.plans(&allowing()).await.unwrap();
    project.run_plans(&plans).await.outcome.unwrap();
    assert!(with.happened(&project, 2));
    let said = with.itself(&project, &[&up[..], &["--no-check-order"]].concat());
    assert!(said.contains("No migrations to run"), "{said}");
}

#[tokio::test]
async fn prisma_conforms() {
    let with = &Tried::new(Tool::Prisma);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn prisma_s_failure_is_told_with_its_repair_and_refused_until_then() {
    let with = &Tried::new(Tool::Prisma);
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    let project = with.project();
    with.write(&project, 1, Work::Broken);
    let ran = project.run().await;
    let fault = ran.fault();
    let repair = format!("`npx prisma migrate resolve --rolled-back {}`", with.id(1));
    assert!(
        fault.hints.iter().any(|hint| hint.contains(&repair)),
        "{fault:#?}"
    );
    assert!(
        format!("{fault:?}").contains("nowhere"),
        "the reason: {fault:#?}"
    );
    let plan = project.plan().await;
    assert_eq!(states(&plan), [format!("{} failed", with.id(1))]);
    assert!(plan.refusals[0].contains(&repair), "{:?}", plan.refusals);
    assert_eq!(
        project.run_plans(&[plan]).await.fault().kind,
        FaultKind::Refused
    );
}

#[tokio::test]
async fn drizzle_conforms() {
    let with = &Tried::new(Tool::Drizzle);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn what_drizzle_would_skip_for_ever_is_refused_and_drizzle_does_skip_it() {
    let with = &Tried::new(Tool::Drizzle);
    let project = late(with).await;
    for request in [MigrationRequest::default(), allowing()] {
        let plan = project.plans(&request).await.unwrap().remove(0);
        assert!(
            plan.refusals[0].contains("skip it for ever"),
            "{:?}",
            plan.refusals
        );
    }
    let said = with.itself(&project, &["drizzle-kit", "migrate"]);
    assert!(said.contains("applied successfully"), "{said}");
    assert!(!with.happened(&project, 2));
    // As the message says: a later time.
    let later = |n| 1_700_000_000_000 + i64::from(if n == 2 { 9 } else { n });
    journal(&project, later);
    let plan = project.plan().await;
    assert!(
        plan.refusals[0].contains("no later time"),
        "{:?}",
        plan.refusals
    );
    std::fs::rename(
        project.dir.path().join("db/migrations/0002_t.sql"),
        project.dir.path().join("db/migrations/0004_t.sql"),
    )
    .unwrap();
    journal(&project, |n| 1_700_000_000_000 + i64::from(n));
    project.run().await.outcome.unwrap();
    assert!(with.happened(&project, 2));
}
