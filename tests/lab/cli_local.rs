//! The binary's words where a Docker engine answers: this machine's own.

use std::net::TcpListener;

use crate::sandbox::{Run, Sandbox};

const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
env:
  secret: [SESSION_KEY]
roles:
  web: { port: 3000, publish: $port, health: { tcp: true, interval: 200ms }, stop: { timeout: 1s } }
databases:
  main:
    connection_env: DATABASE_URL
    via: direct
    migrations: { engine: raw, path: db }
environments:
  local:
    hosts: [{ address: local, roles: [primary, web] }]
  guarded:
    protected: true
    hosts: [{ address: local, roles: [primary, web] }]
";

const DOCKERFILE: &str = "\
FROM stagecraft-lab/busybox
ARG version
RUN mkdir -p /www && echo $version >/www/index.html
CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"3000\", \"-h\", \"/www\"]
";

struct Shop {
    sandbox: Sandbox,
    port: String,
}

impl Shop {
    fn new() -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        let sandbox = Sandbox::with(&SHOP.replace("$port", &port));
        sandbox
            .file("Dockerfile", DOCKERFILE)
            .file("db/0001_notes.sql", "create table notes (id integer);\n")
            .set("DATABASE_URL", "sqlite://$shop/app.db")
            .set("SESSION_KEY", "s3cr3t-value")
            .on_this_engine();
        Self { sandbox, port }
    }

    fn run(&self, words: &str) -> Run {
        let mut run = self.sandbox.run(words).squeezed();
        for text in [&mut run.stdout, &mut run.stderr] {
            assert!(!text.contains("s3cr3t-value"), "{text}");
            *text = text.replace(&self.port, "[PORT]");
        }
        run
    }
}

#[test]
fn a_plan_is_printed_and_nothing_is_changed() {
    let shop = Shop::new();
    shows!(shop.run("deploy --env local --version v1 --dry-run"), @r#"
        exit 0
        --- stdout
        deploy v1 of shop-######## to local
        live now  nothing
        build
        build [SHOP] with Dockerfile
        for linux/amd64
        push
        carry the image to 1 host, only the layers they lack
        pre-deploy migrations
        main: 0001_notes.sql (1 statement, one transaction)
        rollout
        recreate: 1 host in 1 batch
        1. local: make web-1, port [PORT] to 3000, nothing to replace
        post-deploy migrations
        skipped: nothing pending
        finalize
        record the release
        plan id  [PLAN]
        --- stderr
        nothing was changed, and no lock was taken (--dry-run)
        "#);
    assert!(!shop.sandbox.path(".stagecraft").exists());
    assert!(!shop.sandbox.path("app.db").exists());
}

#[test]
fn a_protected_environment_is_never_changed_without_approval() {
    let shop = Shop::new();
    let run = shop.run("deploy --env guarded --version v1");
    assert!(run.stdout.contains("guarded"), "the plan is printed: {run}");
    let refused = Run {
        stdout: String::new(),
        ..run
    };
    shows!(refused, @r#"
        exit 12
        --- stderr
        error: nobody approved the plan
          caused by: the environment is protected, and there is no terminal to ask at

        state: nothing was changed
        hint: when the plan above is right, run the same command with `--yes`
        "#);
    assert!(!shop.sandbox.path("app.db").exists());
}

#[test]
fn a_missing_secret_is_named_before_anything_is_built() {
    let shop = Shop::new();
    shop.sandbox.set("SESSION_KEY", "");
    let unset = SHOP
        .replace("SESSION_KEY", "OTHER_KEY")
        .replace("$port", &shop.port);
    shop.sandbox.file("stagecraft.yml", &unset);
    shows!(shop.run("deploy --env local --version v1"), @r#"
        exit 10
        --- stderr
        error: the secret `OTHER_KEY` has no value
          caused by: `OTHER_KEY` is named by `env.secret`
          caused by: looked in the environment of this command

        state: nothing was changed
        hint: set it: `export OTHER_KEY=…`, or name an `env_file` or a `secrets_command` in stagecraft.yml
        "#);
}

#[test]
fn deploys_and_a_rollback_end_with_what_is_live() {
    let shop = Shop::new();
    let first = shop.run("deploy --env local --version v1");
    assert_eq!(first.code, 0, "{first}");
    let run = shop.run("deploy --env local --version v2");
    shows!(Run { stderr: String::new(), ..run }, @r#"
        exit 0
        --- stdout
        rel-YYYYMMDD-HHMMSSmmm (v2) is live in local
        "#);
    shows!(shop.run("status --env local"), @r#"
        exit 0
        --- stdout
        live: rel-YYYYMMDD-HHMMSSmmm (v2)

        HOST  SLOT  ROLE  VERSION  STATE  HEALTH  PORTS  CONTAINER
        local  live  web  v2  running  healthy  [PORT]:3000  shop-########-local-web-1-rel-YYYYMMDD-HHMMSSmmm
        "#);
    let run = shop.run("rollback --env local");
    shows!(Run { stderr: String::new(), ..run }, @r#"
        exit 0
        --- stdout
        rel-YYYYMMDD-HHMMSSmmm (v1) is live in local
        the databases were not rolled back: v1 runs against today's schema and data
        "#);
    shows!(shop.run("rollback --env local"), @r#"
        exit 12
        --- stderr
        error: there is no release to roll back to in `local`
          caused by: no good release came before the live one: one that was live, did not fail, is not marked bad, and was not rolled back from

        state: nothing was changed; rel-YYYYMMDD-HHMMSSmmm (v1) is still live
        hint: choose one yourself: `stagecraft rollback --env local --to ID`, from `stagecraft releases list --env local`
        "#);
}

#[test]
fn a_rollback_to_code_that_misses_a_column_is_refused_in_these_words() {
    let shop = Shop::new();
    shop.sandbox.file(
        "db/0001_notes.sql",
        "create table notes (id integer, body text);\n",
    );
    let run = shop.run("deploy --env local --version v1");
    assert_eq!(run.code, 0, "{run}");
    shop.sandbox
        .file("db/0002_body.sql", "alter table notes drop column body;\n");
    let run = shop.run("deploy --env local --version v2 --dry-run");
    let warned = "after `0002_body.sql`, a rollback to v1";
    assert!(run.stderr.contains(warned), "{run}");
    let run = shop.run("deploy --env local --version v2");
    assert_eq!(run.code, 0, "{run}");
    shows!(undated(shop.run("rollback --env local")), @r#"
        exit 12
        --- stderr
        error: release rel-YYYYMMDD-HHMMSSmmm (v1) cannot be rolled back to: its code does not know today's schema
          caused by: `0002_body.sql` of `main` (applied [TIME] by rel-YYYYMMDD-HHMMSSmmm): `db/0002_body.sql:1` drops the column `notes.body`: `alter table notes drop column body`

        state: nothing was changed; rel-YYYYMMDD-HHMMSSmmm (v2) is still live
        hint: go forward: mend the code and run `stagecraft deploy --env local`
        hint: or, when you know that v1 works on this schema, see the plan with `stagecraft rollback --env local --to rel-YYYYMMDD-HHMMSSmmm --force-schema --dry-run`, and run it with `--approve` and its id
        "#);
    let run = shop.run("rollback --env local --force-schema --yes");
    assert_eq!(run.code, 12, "{run}");
    assert!(run.stdout.contains("overruled by --force-schema"), "{run}");
    assert!(run.stderr.contains("`--yes` does not answer this"), "{run}");
}

fn undated(mut run: Run) -> Run {
    let start = run
        .stderr
        .find("(applied ")
        .map(|at| at + "(applied ".len());
    let end = run.stderr.find(" UTC by").map(|at| at + " UTC".len());
    if let (Some(start), Some(end)) = (start, end) {
        run.stderr.replace_range(start..end, "[TIME]");
    }
    run
}

#[test]
fn what_runs_is_looked_at_and_worked_in() {
    let shop = Shop::new();
    shows!(shop.run("exec --env local -- true"), @r#"
        exit 12
        --- stderr
        error: no container of role `web` runs in `local`

        state: nothing was changed
        hint: see what runs: `stagecraft status --env local`
        "#);
    let first = shop.run("deploy --env local --version v1");
    assert_eq!(first.code, 0, "{first}");
    let words = [
        "exec",
        "--env",
        "local",
        "--",
        "sh",
        "-c",
        "echo here; exit 7",
    ];
    shows!(shop.sandbox.run_words(&words), @r#"
        exit 7
        --- stdout
        here
        "#);
    shows!(shop.run("logs --env local --role wbe"), @r#"
        exit 10
        --- stderr
        error: there is no role `wbe` in `local`

        state: nothing was changed
        hint: name `web` after `--role`
        "#);
    shows!(shop.run("logs --env local --host web2"), @r#"
        exit 10
        --- stderr
        error: there is no host `web2` in `local`

        state: nothing was changed
        hint: name `local` after `--host`
        "#);
    shows!(shop.run("exec --env local --role worker -- true"), @r#"
        exit 10
        --- stderr
        error: there is no role `worker` in `local`

        state: nothing was changed
        hint: name `web` after `--role`
        "#);
}
