//! Whole deploys of the examples, whose migrations their own tool runs in a
//! one-off container of the release's image.
//!
//! What differs from an example as it stands: where it runs, the registry in
//! between, and the images of its `build.args`. These are the lab's own, and the first of them has the
//! packages of the lock file in npm's cache, because a build reaches no
//! registry here. Prisma gets a stand-in for its engine.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::database::{Kind, Scratch, Seen, psql};
use crate::support::lab::{Host, PATIENCE, Project, engine, lab, within};
use crate::support::prisma;

/// One tool, as its example uses it.
struct Tool {
    /// The folder of its example, which is the engine's id.
    example: &'static str,
    migrations: &'static str,
    table: &'static str,
    /// Makes SQL its next migration, which always has this name.
    next: &'static str,
    writes: fn(&Project, &str),
    /// What a person asks it in a container of the live release, and its answer
    /// when nothing is pending.
    asked: &'static [&'static str],
    answers: &'static str,
    /// What it prints of [`BROKEN`].
    complains: &'static str,
    /// Undoes what stands in the way of another attempt after a failure.
    repair: Option<&'static str>,
}

const KNEX: Tool = Tool {
    example: "knex",
    migrations: "migrations",
    table: "knex_migrations",
    next: "20260102000000_more.js",
    writes: |project, sql| {
        let sql = json!(sql);
        let text = format!("exports.up = (knex) => knex.raw({sql});\nexports.down = () => {{}};\n");
        project.file("migrations/20260102000000_more.js", &text);
    },
    asked: &["npx", "knex", "migrate:list"],
    answers: "No Pending Migration files Found",
    complains: "relation \"nowhere\" does not exist",
    repair: None,
};

const NODE_PG_MIGRATE: Tool = Tool {
    example: "node-pg-migrate",
    migrations: "migrations",
    table: "pgmigrations",
    next: "1767312000000_more",
    writes: |project, sql| {
        let text = format!("-- Up Migration\n{sql}\n");
        project.file("migrations/1767312000000_more.sql", &text);
    },
    asked: &["npx", "node-pg-migrate", "up"],
    answers: "No migrations to run",
    complains: "relation \"nowhere\" does not exist",
    repair: None,
};

const PRISMA: Tool = Tool {
    example: "prisma",
    migrations: "prisma/migrations",
    table: "_prisma_migrations",
    next: "20260102000000_more",
    writes: |project, sql| {
        project.file("prisma/migrations/20260102000000_more/migration.sql", sql);
    },
    asked: &["npx", "prisma", "migrate", "status"],
    answers: "Database schema is up to date",
    complains: "No such table: nowhere",
    // What `prisma migrate resolve --rolled-back` writes.
    repair: Some("UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL"),
};

const DRIZZLE: Tool = Tool {
    example: "drizzle",
    migrations: "drizzle",
    table: "drizzle.__drizzle_migrations",
    next: "0001_more",
    writes: |project, sql| drizzle(project, "0001_more", sql),
    asked: &["node", "migrate.js"],
    answers: "",
    complains: "relation \"nowhere\" does not exist",
    repair: None,
};

/// A file of Drizzle's, and its line in the journal.
fn drizzle(project: &Project, tag: &str, sql: &str) {
    project.file(&format!("drizzle/{tag}.sql"), sql);
    let journal = project.path().join("drizzle/meta/_journal.json");
    let mut entries: Value = serde_json::from_slice(&fs::read(&journal).unwrap()).unwrap();
    let list = entries["entries"].as_array_mut().unwrap();
    list.retain(|entry| entry["tag"] != tag);
    let idx = list.len();
    let when = 1_767_225_600_000 + idx;
    list.push(json!({ "idx": idx, "version": "7", "when": when, "tag": tag, "breakpoints": true }));
    fs::write(journal, entries.to_string()).unwrap();
}

/// An example on hosts, with a database of its own.
struct Shop {
    tool: Tool,
    project: Project,
    scratch: Scratch,
}

impl Shop {
    fn new(tool: Tool, hosts: &[u8]) -> Self {
        let scratch = Scratch::new(Kind::Postgres);
        let mut project = Project::example(tool.example).on(hosts);
        let repository = format!("{}/{}", lab("LAB_REGISTRY"), project.name);
        project.set("/project/registry", json!(repository));
        project.set(
            "/build/args",
            json!({ "BUILD": lab("LAB_IMAGE_NODE_NPM"), "BASE": lab("LAB_IMAGE_NODE") }),
        );
        project.file(
            ".env",
            &format!("DATABASE_URL={}\n", scratch.url(Seen::FromHosts)),
        );
        if tool.example == "prisma" {
            let config = prisma::config("prisma/schema.prisma", tool.migrations, "DATABASE_URL");
            project.file("prisma.config.ts", &config);
        }
        Self {
            tool,
            project,
            scratch,
        }
    }

    fn sql(&self, sql: &str) -> String {
        psql(&self.scratch.url(Seen::Here), sql)
    }

    /// The code says so, and every host answers.
    fn ships(&self, version: u32) {
        for name in ["server.js", "server.mjs"] {
            let Ok(text) = fs::read_to_string(self.project.path().join(name)) else {
                continue;
            };
            let (before, rest) = text.split_once("const version = ").unwrap();
            let (_, after) = rest.split_once(';').unwrap();
            let text = format!("{before}const version = {version};{after}");
            self.project.file(name, &text);
        }
    }

    #[track_caller]
    fn serves(&self, version: u32, notes: u32) {
        let expected = format!("version {version}, {notes} notes");
        for host in self.project.hosts() {
            let answer = self.project.answer_of(host, "/up");
            assert_eq!(answer.as_deref(), Ok(expected.as_str()));
        }
    }

    /// From nothing.
    #[track_caller]
    fn begins(self) -> Self {
        let run = self.project.runs(&["deploy", "--env", "prod"]).succeeds();
        run.saying(&["migrate_pre  completed"]);
        self.serves(1, 0);
        self
    }

    /// Stagecraft and the tool itself say that both migrations are applied.
    #[track_caller]
    fn is_done(&self) {
        let plan = ["migrate", "plan", "--env", "prod", "--exit-code"];
        let plan = self.project.runs(&plan).succeeds();
        plan.saying(&["nothing to run, 2 applied"]);
        let asked = [&["exec", "--env", "prod", "--"], self.tool.asked].concat();
        let asked = self.project.runs(&asked).succeeds();
        asked.saying(&[self.tool.answers]);
        let rows = format!("SELECT count(*) FROM {}", self.tool.table);
        // Prisma keeps a row of each attempt.
        let undone = match self.tool.repair {
            Some(_) => " WHERE rolled_back_at IS NULL",
            None => "",
        };
        assert_eq!(self.sql(&(rows + undone)), "2");
    }

    /// Nobody writes a note before what is returned is dropped.
    fn keeps_writers_out(&self) -> Writers {
        let mut psql = Command::new("psql")
            .args([&self.scratch.url(Seen::Here), "-Xq"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = psql.stdin.take().unwrap();
        writeln!(stdin, "BEGIN; LOCK TABLE notes IN SHARE MODE;").unwrap();
        psql.stdin = Some(stdin);
        self.until(
            "locked",
            "SELECT count(*) FROM pg_locks WHERE relation = 'notes'::regclass AND mode = 'ShareLock' AND granted",
        );
        Writers(psql)
    }

    /// Waits until a query counts one.
    fn until(&self, what: &str, sql: &str) {
        within(PATIENCE, what, || self.sql(sql) == "1");
    }
}

struct Writers(Child);

impl Drop for Writers {
    fn drop(&mut self) {
        // The end of its input is the end of its session.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
const BROKEN: &str = "CREATE TABLE half (id int); INSERT INTO nowhere VALUES (1);";
const GOOD: &str = "CREATE TABLE half (id int); INSERT INTO notes (body) VALUES ('moved');";

/// Through a failure and a killed run to a new version.
#[track_caller]
fn lives_on(mut shop: Shop) {
    // From now on what the image holds counts.
    shop.project
        .set("/databases/main/migrations/source", json!("image"));
    fails(&shop);
    is_killed_and_goes_on(&shop);
    shop.is_done();
}

fn fails(shop: &Shop) {
    (shop.tool.writes)(&shop.project, BROKEN);
    shop.ships(2);
    let run = shop.project.runs(&["deploy", "--env", "prod"]);
    let run = run.fails_with(22);
    run.saying(&[
        &format!("last lines of {} on ", shop.tool.example),
        shop.tool.complains,
        &format!("says: `{}`", shop.tool.next),
        "is still live",
        "a file that you mend needs a deploy",
    ]);
    shop.serves(1, 0);
    assert_eq!(shop.sql("SELECT to_regclass('half') IS NULL"), "t");
    shop.project.is_whole();
    if let Some(repair) = shop.tool.repair {
        let refused = shop.project.runs(&["deploy", "--env", "prod"]);
        let resolve = format!(
            "npx prisma migrate resolve --rolled-back {}",
            shop.tool.next
        );
        refused.fails_with(12).saying(&[&resolve]);
        shop.sql(repair);
    }
}

fn is_killed_and_goes_on(shop: &Shop) {
    let project = &shop.project;
    let resume = ["deploy", "--env", "prod", "--resume"];
    (shop.tool.writes)(project, GOOD);
    shop.ships(3);
    let writers = shop.keeps_writers_out();
    let run = project.starts(&["deploy", "--env", "prod"]);
    shop.until("the migration waits", WAITING);

    // In one container, on the primary host, of the new release's image, while
    // the old one serves.
    let job = format!("{}-prod-migrate-main", project.name);
    let primary = project.hosts()[0];
    let named = |host: Host| {
        let all = project.containers(host).into_iter();
        all.filter(|line| *line == format!("{job} running")).count()
    };
    assert_eq!(named(primary), 1);
    assert!(project.hosts()[1..].iter().all(|host| named(*host) == 0));
    let inspect = format!(
        "docker inspect -f '{{{{.Image}}}} {{{{index .Config.Labels \"stagecraft.release\"}}}}' {job}"
    );
    let ran = engine(primary.0).sh(&inspect);
    shop.serves(1, 0);

    // A second one beside it is refused; so is one in its place.
    let beside = project.runs(&["deploy", "--env", "prod"]);
    beside.fails_with(11).saying(&["is locked by"]);
    run.is_killed();
    let again = project.runs(&resume).fails_with(12);
    again.saying(&["an earlier run of `main` still goes on", "docker logs -f"]);
    drop(writers);
    let inspect = format!("docker inspect -f '{{{{.State.Running}}}}' {job}");
    within(PATIENCE, "it ends by itself", || {
        engine(primary.0).sh(&inspect) == "false"
    });
    shop.serves(1, 1);

    project.runs(&resume).succeeds();
    shop.serves(3, 1);
    project.is_whole();
    let live = engine(primary.0).sh(&format!(
        "docker ps --quiet --filter label=stagecraft.project={} | xargs docker inspect -f '{{{{.Image}}}} {{{{index .Config.Labels \"stagecraft.release\"}}}}'",
        project.name
    ));
    assert_eq!(ran, live);
    let release = project.newest();
    assert_eq!(release["outcome"], "done");
    assert_eq!(release["migrations"][0]["id"], shop.tool.next);
    assert_eq!(release["migrations"][0]["outcome"], "applied");
}

/// B20, D38: Knex; on two hosts, of which the first migrates.
#[test]
fn the_example_of_knex_lives() {
    lives_on(Shop::new(KNEX, &[1, 2]).begins());
}

#[test]
fn the_example_of_node_pg_migrate_lives() {
    lives_on(Shop::new(NODE_PG_MIGRATE, &[2]).begins());
}

/// B19: Prisma.
#[test]
fn the_example_of_prisma_lives() {
    lives_on(Shop::new(PRISMA, &[4]).begins());
}

/// B18: Drizzle. Its first deploy is with the engine's own command, which needs drizzle-kit
/// in the image.
#[test]
fn the_example_of_drizzle_lives() {
    let mut shop = Shop::new(DRIZZLE, &[1]);
    let options = "/databases/main/migrations/options";
    let dockerfile = shop.project.path().join("Dockerfile");
    let as_it_stands = fs::read_to_string(&dockerfile).unwrap();
    let with_kit = as_it_stands.replace("npm ci --omit=dev", "npm ci");
    shop.project.file("Dockerfile", &with_kit);
    shop.project.set(options, json!({}));
    let mut shop = shop.begins();

    shop.project.file("Dockerfile", &as_it_stands);
    let command = json!({ "command": ["node", "migrate.js"] });
    shop.project.set(options, command);
    lives_on(shop);
}
