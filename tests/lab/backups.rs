//! Backups of real servers: copied while they are used, restored while the
//! application is connected, in the database's own image, on a host.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};
use crate::support::database::{Kind, Scratch, Seen, lab, mysql, psql};
use crate::support::lab::{Host, Project, engine, here};

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
  bold:
    hosts: [{ address: local, roles: [primary, web] }]
    on_failure: restore
    databases: { main: { backup: { before_migrate: true } } }
";

/// A database of its own with one migration applied.
pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
    pub(crate) scratch: Scratch,
    kind: Kind,
    url: String,
}

impl Shop {
    pub(crate) fn new(kind: Kind) -> Self {
        let scratch = Scratch::new(kind);
        // A user who may make databases.
        let url = match kind {
            Kind::Postgres => {
                let admin = lab("LAB_POSTGRES_ADMIN_URL");
                let (server, _) = admin.rsplit_once('/').unwrap();
                format!("{server}/{}", scratch.name)
            }
            Kind::Mysql => scratch.url(Seen::Here),
        };
        let sandbox = Sandbox::with(SHOP);
        sandbox
            .file(
                "db/001_notes.sql",
                "CREATE TABLE notes (id int PRIMARY KEY);\nINSERT INTO notes VALUES (1);\n",
            )
            .set("DATABASE_URL", &url);
        let shop = Self {
            sandbox,
            scratch,
            kind,
            url,
        };
        let _ = shop.ran("migrate run --env prod");
        shop
    }

    #[track_caller]
    pub(crate) fn ran(&self, words: &str) -> Run {
        let run = self.sandbox.run(words);
        assert_eq!(run.code, 0, "{run}");
        run
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        match self.kind {
            Kind::Postgres => psql(&self.url, sql),
            Kind::Mysql => mysql(&self.url, sql),
        }
    }

    pub(crate) fn backed_up(&self, words: &str) -> String {
        let run = self.ran(&format!("backup create --env prod --format json {words}"));
        run.document()["backups"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn listed(&self, environment: &str) -> Vec<Value> {
        let run = self.ran(&format!("backup list --env {environment} --format json"));
        run.document()["backups"].as_array().unwrap().clone()
    }

    pub(crate) fn restored(&self, id: &str) -> Run {
        self.approved(&format!("backup restore {id} --env prod"))
    }

    /// A restore in these words, with its plan approved.
    pub(crate) fn approved(&self, words: &str) -> Run {
        let plan = self
            .ran(&format!("{words} --dry-run --format json"))
            .document();
        let approve = plan["plan"]["id"].as_str().unwrap().to_owned();
        self.sandbox
            .run(&format!("{words} --accept-data-loss --approve {approve}"))
    }

    /// Databases whose names begin as this one's, which may have been cut.
    pub(crate) fn databases(&self) -> Vec<String> {
        let begin = &self.scratch.name[..36];
        let sql = match self.kind {
            Kind::Postgres => {
                format!("SELECT datname FROM pg_database WHERE datname LIKE '{begin}%' ORDER BY 1")
            }
            Kind::Mysql => format!(
                "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{begin}%' ORDER BY 1"
            ),
        };
        let all = self.scratch.admin(&sql);
        all.lines().map(str::to_owned).collect()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.sandbox.path(".stagecraft/backups/prod")
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for name in self.databases() {
            if name != self.scratch.name {
                self.scratch.admin(&format!("DROP DATABASE {name}"));
            }
        }
    }
}

/// A session of somebody else.
struct Application(Child);

impl Application {
    fn on(shop: &Shop) -> Self {
        let mut psql = Command::new("psql");
        psql.args([shop.url.as_str(), "-c", "SELECT pg_sleep(120)"])
            .env("PGAPPNAME", "the-application")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let application = Self(psql.spawn().unwrap());
        let seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'the-application' AND datname = current_database()";
        until("the application is connected", || shop.sql(seen) == "1");
        application
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// D84, D86: into a new database, swapped by rename, what was there kept.
#[test]
fn both_servers_are_copied_proved_and_restored() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let shop = Shop::new(kind);
        let id = shop.backed_up("--prove");
        assert_eq!(
            shop.databases(),
            std::slice::from_ref(&shop.scratch.name),
            "the scratch database is gone"
        );
        assert!(shop.listed("prod")[0]["proved_at"].is_string());
        shop.sql("INSERT INTO notes VALUES (2)");
        let run = shop.restored(&id);
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(shop.sql("SELECT id FROM notes"), "1");
        let kept = shop
            .databases()
            .into_iter()
            .find(|name| name.contains("_before_"));
        let kept = kept.expect("the one before is kept");
        assert!(run.stdout.contains(&kept), "{run}");
        let (server, _) = shop.url.rsplit_once('/').unwrap();
        let there = format!("{server}/{kept}");
        let rows = match kind {
            Kind::Postgres => psql(&there, "SELECT count(*) FROM notes"),
            Kind::Mysql => mysql(&there, "SELECT count(*) FROM notes"),
        };
        assert_eq!(rows, "2");
        assert_eq!(shop.databases().len(), 2, "{:?}", shop.databases());
        let _ = shop.ran("migrate status --env prod");
    }
}

/// D86: an application that is connected cannot prevent a restore.
#[test]
fn sessions_of_a_restored_database_are_ended_and_named() {
    let shop = Shop::new(Kind::Postgres);
    let id = shop.backed_up("");
    shop.sql(&format!(
        "ALTER DATABASE {} SET search_path = app, public",
        shop.scratch.name
    ));
    shop.sql(&format!(
        "GRANT CONNECT ON DATABASE {} TO app",
        shop.scratch.name
    ));
    let rights = format!(
        "SELECT datacl FROM pg_database WHERE datname = '{}'",
        shop.scratch.name
    );
    let before = shop.sql(&rights).replace(['{', '}'], "");
    let _application = Application::on(&shop);
    let run = shop.restored(&id);
    assert_eq!(run.code, 0, "{run}");
    assert!(
        run.stderr.contains("cannot be renamed: the-application"),
        "{run}"
    );
    assert_eq!(shop.sql("SELECT count(*) FROM notes"), "1");
    // What belongs to the database itself is in no dump.
    assert_eq!(shop.sql("SHOW search_path"), "app, public");
    let after = shop.sql(&rights);
    for right in before.split(',') {
        assert!(after.contains(right), "{right} in {after}");
    }
}

#[test]
fn views_that_a_rename_would_leave_behind_stop_a_restore_before_it_begins() {
    let shop = Shop::new(Kind::Mysql);
    let id = shop.backed_up("--prove");
    shop.sql("CREATE VIEW first_note AS SELECT min(id) FROM notes");
    let run = shop.restored(&id);
    assert_eq!(run.code, 12, "{run}");
    assert!(
        run.stderr.contains("view first_note") && run.stderr.contains("no database was touched"),
        "{run}"
    );
    assert_eq!(shop.databases().len(), 1);
}

/// D83: a run that is killed leaves no backup and nothing that looks like one.
#[test]
fn a_backup_that_is_killed_midway_is_none() {
    let shop = Shop::new(Kind::Postgres);
    shop.sql("CREATE TABLE big AS SELECT n, md5(n::text) AS a, md5((n + 1)::text) AS b FROM generate_series(1, 1500000) n");
    let running = shop.sandbox.start("backup create --env prod");
    let partial = || shop.files().iter().any(|name| name.ends_with(".partial"));
    until("it began", partial);
    running.is_killed();
    let dumps = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stagecraft/backup' AND datname = current_database()";
    until("its dump ended with it", || shop.sql(dumps) == "0");
    until("its file is gone", || !partial());
    assert!(shop.listed("prod").is_empty());
    shop.backed_up("");
    assert_eq!(shop.listed("prod").len(), 1);
}

/// D83: the database's size and a fifth have to be free.
#[test]
fn a_disk_without_room_is_seen_before_anything_is_written() {
    let shop = Shop::new(Kind::Postgres);
    let folder = shop.folder();
    fs::create_dir_all(&folder).unwrap();
    let disk = format!(
        "mount -t tmpfs -o size=2m,mode=700 none {}",
        folder.display()
    );
    here().sh(&disk);
    let run = shop.sandbox.run("backup create --env prod");
    let left = shop.files();
    here().sh(&format!("umount {}", folder.display()));
    assert_eq!(run.code, 26, "{run}");
    assert!(
        run.stderr.contains("too little space for a backup"),
        "{run}"
    );
    assert!(left.is_empty(), "{left:?}");
}

/// D66, D67, D68: only where nobody else can have written since the backup.
#[test]
fn a_failed_run_restores_its_database_only_when_it_was_alone() {
    let shop = Shop::new(Kind::Postgres);
    shop.sandbox
        .file(
            "db/002_body.sql",
            "ALTER TABLE notes ADD COLUMN body text;\n",
        )
        .file("db/003_bad.sql", "INSERT INTO nowhere VALUES (1);\n");
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'notes'";
    {
        let _application = Application::on(&shop);
        let run = shop.sandbox.run("migrate run --env bold");
        assert_eq!(run.code, 22, "{run}");
        assert!(
            run.stderr.contains("others may have written to it"),
            "{run}"
        );
        assert_eq!(shop.sql(columns), "2", "the second migration stays");
    }
    let id = shop.listed("bold")[0]["id"].as_str().unwrap().to_owned();
    let words = format!("backup restore {id} --env bold");
    let plan = shop
        .ran(&format!("{words} --dry-run --format json"))
        .document();
    let approve = plan["plan"]["id"].as_str().unwrap().to_owned();
    let _ = shop.ran(&format!("{words} --accept-data-loss --approve {approve}"));
    assert_eq!(shop.sql(columns), "1");

    let run = shop.sandbox.run("migrate run --env bold");
    assert_eq!(run.code, 22, "{run}");
    assert!(run.stderr.contains("was restored from backup-"), "{run}");
    assert_eq!(shop.sql(columns), "1", "as before the run");
}

/// What the lab's hosts have: an engine and a shell.
fn remote(name: &str, database: &str) -> Project {
    let mut shop = Project::new(name).on(&[1]);
    shop.variable("DATABASE_URL", database);
    shop.set("/env/secret", json!(["DATABASE_URL"]));
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": { "engine": "raw", "path": "db" },
        }),
    );
    shop.file("db/001_notes.sql", "CREATE TABLE notes (id int);\n");
    shop
}

/// D83: the program's absence is said, with what installs it where.
#[test]
fn a_host_without_the_databases_programs_is_named() {
    let scratch = Scratch::new(Kind::Postgres);
    let shop = remote("bk-none", &scratch.url(Seen::FromHosts));
    shop.runs(&["migrate", "run", "--env", "prod"]).succeeds();
    shop.runs(&["backup", "create", "--env", "prod"])
        .ends_with(26)
        .saying(&[
            "there is no `pg_dump` on",
            "apt-get install postgresql-client",
        ]);
    let folder = format!("/home/deploy/.stagecraft/{}/prod/backups", shop.name);
    assert_eq!(engine(1).sh(&format!("ls -A {folder}")), "");
}

/// The version always fits: the dump runs in the database's own image, and the
/// file stays on the host.
#[test]
fn a_database_in_a_container_is_copied_by_its_own_image() {
    let scratch = Scratch::new(Kind::Postgres);
    let name = format!("bk-own-{}", &scratch.name[scratch.name.len() - 6..]);
    // The server's programs in an image, and a way to the lab's server.
    let gateway = lab("LAB_GATEWAY");
    here().sh(&format!(
        "t=$(mktemp -d) && mkdir -p $t/bin $t/usr/bin $t/tmp && cp /bin/busybox $t/bin/ \
         && for p in sh nc rm; do ln -s busybox $t/bin/$p; done \
         && b=$(dirname $(readlink -f $(ls /usr/lib/postgresql/*/bin/pg_dump | tail -n 1))) \
         && cp $b/pg_dump $b/pg_restore $t/usr/bin/ \
         && for l in $(ldd $b/pg_dump $b/pg_restore | grep -o '/[^ ]*\\.so[^ ]*' | sort -u); do mkdir -p $t/$(dirname $l) && cp -L $l $t/$l; done \
         && tar -C $t -c . | docker exec -i stagecraft-lab-1 docker import - lab/{name}:1 >/dev/null; rm -rf $t"
    ));
    engine(1).sh(&format!(
        "docker run -d --name {name} --label stagecraft-test={name} lab/{name}:1 /bin/nc -ll -p 5432 -e /bin/nc {gateway} 25432"
    ));
    let url = scratch
        .url(Seen::FromHosts)
        .replace(&format!("{gateway}:25432"), &format!("{name}:5432"));
    let shop = remote("bk-own", &url);
    shop.runs(&["migrate", "run", "--env", "prod"]).succeeds();
    let taken = shop
        .runs(&["backup", "create", "--env", "prod", "--format", "json"])
        .succeeds()
        .json();
    let listed = shop.runs(&["backup", "list", "--env", "prod"]).succeeds();
    let path = taken["backups"][0]["path"].as_str().unwrap().to_owned();
    let kept = engine(1).sh(&format!("stat -c '%a %U' {path}"));
    engine(1).try_sh(&format!("docker rm -f {name}; docker rmi -f lab/{name}:1"));
    let method = taken["backups"][0]["method"].as_str().unwrap();
    assert_eq!(method, format!("pg_dump in the image of `{name}`"));
    assert_eq!(kept, "600 deploy");
    listed.saying(&["read back", &Host(1).address()]);
}

/// The file lies in the application's volume, the backup beside the record of
/// the host, with the host user's rights.
#[test]
fn a_sqlite_file_in_a_volume_is_copied_and_restored_on_its_host() {
    let mut shop = remote("bk-lite", "sqlite:///data/app.db");
    shop.set("/env/secret", json!([]));
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.set("/roles/web/stop/timeout", json!("1s"));
    shop.deploy("v1").succeeds();
    let taken = shop.runs(&[
        "backup", "create", "--prove", "--env", "prod", "--format", "json",
    ]);
    let taken = taken.succeeds().json();
    let one = &taken["backups"][0];
    let (id, path) = (one["id"].as_str().unwrap(), one["path"].as_str().unwrap());
    assert_eq!(
        engine(1).sh(&format!("stat -c '%a %U' {path}")),
        "600 deploy"
    );
    shop.file(
        "db/002_more.sql",
        "ALTER TABLE notes ADD COLUMN more text;\n",
    );
    shop.deploy("v2").succeeds();
    let words = ["backup", "restore", id, "--env", "prod"];
    let plan = shop
        .runs(&[&words[..], &["--dry-run", "--format", "json"]].concat())
        .succeeds()
        .json();
    assert_eq!(
        plan["plan"]["migrations_taken_away"],
        json!(["002_more.sql"])
    );
    let approve = plan["plan"]["id"].as_str().unwrap();
    shop.runs(&[&words[..], &["--accept-data-loss", "--approve", approve]].concat())
        .succeeds()
        .saying(&["stagecraft rollback --env prod --to rel-"]);
    shop.runs(&["migrate", "plan", "--exit-code", "--env", "prod"])
        .ends_with(3)
        .saying(&["002_more.sql"]);
    shop.serves("v2");
}
