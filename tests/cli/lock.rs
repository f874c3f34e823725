//! The environment lock, held by a command that waits for a database.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::sandbox::Sandbox;

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
    migrations: { engine: raw, path: db, lock_timeout: 60s }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

/// A database that somebody else is writing, for as long as the connection
/// lives.
fn busy() -> (Sandbox, Connection) {
    let sandbox = Sandbox::with(SHOP);
    sandbox
        .file("db/0001_notes.sql", "create table notes (id integer);\n")
        .set("DATABASE_URL", "sqlite://$shop/app.db");
    let writer = Connection::open(sandbox.path("app.db")).unwrap();
    writer.execute_batch("begin immediate").unwrap();
    (sandbox, writer)
}

fn locks(sandbox: &Sandbox) -> Vec<Value> {
    let document = sandbox.run("lock show --env prod --format json").document();
    document["locks"].as_array().unwrap().clone()
}

fn wait_until_held(sandbox: &Sandbox) {
    let deadline = Instant::now() + Duration::from_secs(20);
    // Here and on the host.
    while locks(sandbox).len() < 2 {
        assert!(Instant::now() < deadline, "the lock was never taken");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_lock_that_somebody_holds_is_shown_and_refuses_others() {
    let (sandbox, writer) = busy();
    let running = sandbox.start("migrate run --env prod");
    wait_until_held(&sandbox);
    shows!(sandbox.run("lock show --env prod").squeezed(), @r#"
        exit 0
        --- stdout
        WHERE  WHO  MACHINE  SINCE (UTC)  COMMAND
        this folder ([SHOP]/.stagecraft/lock-prod)  ann  [MACHINE]  YYYY-MM-DD HH:MM:SS  stagecraft migrate run
        local  ann  [MACHINE]  YYYY-MM-DD HH:MM:SS  stagecraft migrate run
        "#);
    shows!(sandbox.run("migrate run --env prod"), @r#"
        exit 11
        --- stderr
        error: the environment `prod` is locked by ann on [MACHINE] since YYYY-MM-DD HH:MM:SS UTC (running `stagecraft migrate run`)
          caused by: it is held in this folder, by `[SHOP]/.stagecraft/lock-prod`

        state: nothing was changed
        hint: wait until it is done, or add `--wait-lock` to wait here
        hint: see who holds it with `stagecraft lock show --env prod`
        "#);
    drop(writer);
    let run = running.end();
    assert_eq!(run.code, 0, "{run}");
    shows!(sandbox.run("lock show --env prod"), @r#"
        exit 0
        --- stdout
        nobody holds the lock of prod
        "#);
}

#[test]
fn a_lock_that_is_taken_away_ends_its_command() {
    let (sandbox, writer) = busy();
    let running = sandbox.start("migrate run --env prod");
    wait_until_held(&sandbox);
    shows!(sandbox.run("lock release --env prod"), @r#"
        exit 0
        --- stdout
        the lock of prod was taken from ann on [MACHINE]: `stagecraft migrate run` stops and undoes what it can
        --- stderr
        next: `stagecraft status --env prod` shows where it stopped
        "#);
    // Its statement waits for the database; the loss counts once that is free.
    drop(writer);
    shows!(running.end(), @r#"
        exit 22
        --- stderr
             release  rel-YYYYMMDD-HHMMSSmmm
         migrate_pre  running
         migrate_pre  main   is healthy (4 checks)
         migrate_pre  failed  [TOOK]  the environment lock on `local` was lost: the connection that held it ended, or it was taken by `stagecraft lock release`, or somebody else works on the host's engine
            finalize  skipped              not reached: pre-deploy migrations failed
        error: the environment lock on `local` was lost
          caused by: the connection that held it ended, or it was taken by `stagecraft lock release`, or somebody else works on the host's engine

        state: no container was touched
        hint: see who holds it now: `stagecraft lock show --env prod`; when it is free, run the same command again
        "#);
    assert_eq!(sandbox.run("migrate run --env prod").code, 0);
}

#[test]
fn a_free_lock_needs_no_release() {
    shows!(Sandbox::with(SHOP).run("lock release --env prod"), @r#"
        exit 0
        --- stdout
        nobody holds the lock of prod
        "#);
}
