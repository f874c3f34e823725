//! The schema gate with a real application: SQLite in a volume, an endpoint
//! that reads its version, and hosts that replace their container in place.

use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Host, Project, engine, within};

const DOCKERFILE: &str = "FROM stagecraft-lab/python
COPY www /www
COPY app.py /app.py
CMD [\"python3\", \"-u\", \"/app.py\"]
";

/// Serves `/www` to users, and the status to whoever asks at the internal
/// port; how it answers is decided by `www/mood`, its bounds by `www/bounds`.
const APP: &str = r#"
import http.server, json, os, signal, sqlite3, sys, threading, time

MIN, MAX = [int(word) for word in open('/www/bounds').read().split()]
MOOD = open('/www/mood').read().strip()
os.chdir('/www')

def version():
    with sqlite3.connect('/data/app.db') as db:
        return db.execute('SELECT max(version) FROM version').fetchone()[0]

class Users(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass

class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if MOOD == 'hangs':
            time.sleep(60)
        now = version()
        status = {
            'current_schema_version': now,
            'code_min_schema_version': MIN,
            'code_max_schema_version': MAX,
            'pending_migrations': [f'{n:03}_next.sql' for n in range(now + 1, MIN + 1)],
            'compatible': MIN <= now <= MAX,
        }
        if MOOD == 'forgets':
            del status['compatible']
        body = json.dumps(status).encode()
        if MOOD == 'floods':
            body = b'{"x": "' + b'x' * (2 << 20) + b'"}'
        self.send_response(500 if MOOD == 'breaks' else 200)
        self.end_headers()
        self.wfile.write(body)
        print('asked', self.path, flush=True)
    def log_message(self, *_): pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
inside = ('', int(os.environ['INTERNAL_PORT']))
if MOOD != 'is-silent':
    internal = http.server.ThreadingHTTPServer(inside, Status)
    threading.Thread(target=internal.serve_forever, daemon=True).start()
print('this is', open('/www/up').read(), flush=True)
http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), Users).serve_forever()
"#;

fn shop(name: &str, hosts: &[u8]) -> Project {
    let mut shop = Project::new(name).on(hosts);
    shop.file("Dockerfile", DOCKERFILE);
    shop.file("app.py", APP);
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.set("/roles/web/stop/timeout", json!("2s"));
    shop.set(
        "/env/clear",
        json!({ "DATABASE_URL": "sqlite:///data/app.db" }),
    );
    shop.variable("DATABASE_URL", "sqlite:///data/app.db");
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": { "engine": "raw", "path": "db" },
        }),
    );
    shop.set(
        "/schema_gate",
        json!({ "path": "/schema/status", "port": 9090, "timeout": "2s" }),
    );
    shop.file(
        "db/001_first.sql",
        "CREATE TABLE version (version int);\nINSERT INTO version VALUES (1);\n",
    );
    code(&shop, (1, 2), "is-well");
    shop
}

/// What the next build's code works on, and how its endpoint behaves.
fn code(shop: &Project, bounds: (i64, i64), mood: &str) {
    shop.file("www/bounds", &format!("{} {}", bounds.0, bounds.1));
    shop.file("www/mood", mood);
}

fn migration(shop: &Project, number: i64, name: &str) {
    shop.file(
        &format!("db/{number:03}_{name}.sql"),
        &format!("INSERT INTO version VALUES ({number});\n"),
    );
}

/// The container that serves, and since when.
fn serving(shop: &Project, host: Host) -> String {
    engine(host.0).sh(&format!(
        "docker ps --filter label=stagecraft.project={} --format '{{{{.ID}}}}' | xargs docker inspect --format '{{{{.Id}}}} {{{{.State.StartedAt}}}}'",
        shop.name
    ))
}

/// E24, E25, E27, E28, E29, E41, E42, E43, E44, E46
#[test]
fn the_schema_gate_keeps_code_from_a_schema_that_it_does_not_fit() {
    let shop = shop("gate", &[1]);
    let host = Host(1);
    let first = shop.deploy("v1").succeeds();
    let first = first.saying(&["started", "aside", "the schema gate agreed"]);
    shop.serves("v1");
    shop.is_whole();
    let v1 = serving(&shop, host);

    // E25, E27, E42: it needs a migration that nobody wrote yet.
    code(&shop, (2, 3), "is-well");
    shop.deploy("v2").fails_with(12).saying(&[
        "stage `probe`",
        "compatible: false",
        "`current_schema_version` 1 is below `code_min_schema_version` 2",
        "pending_migrations: 002_next.sql",
        "`stagecraft migrate run --env prod --database main`",
        "no container was stopped",
    ]);
    // E41, E43: every other way not to answer.
    for (mood, words) in [
        ("hangs", "no whole answer within"),
        ("forgets", "`compatible` is missing"),
        ("breaks", "answered 500"),
        ("floods", "longer than 1048576 bytes"),
        ("is-silent", "GET /schema/status on port 9090: "),
    ] {
        code(&shop, (1, 2), mood);
        let run = shop.deploy(mood).fails_with(12);
        run.saying(&[words, "last lines from"]);
        let newest = shop.newest();
        assert_eq!(newest["outcome"], "failed");
        assert_eq!(newest["phases"]["rollout"]["status"], "failed");
        assert_eq!(newest["phases"]["finalize"]["status"], "skipped");
    }
    // E46: all the while the same container served.
    shop.serves("v1");
    shop.is_whole();
    assert_eq!(serving(&shop, host), v1, "it was never stopped");

    // A migration that the live release does not tolerate is not applied.
    migration(&shop, 3, "too-far");
    code(&shop, (1, 3), "is-well");
    let run = shop.deploy("v3").fails_with(12);
    run.saying(&[
        "`code_max_schema_version` is 2, and the schema would be 3",
        "no migration was applied",
    ]);
    assert_eq!(shop.newest()["phases"]["migrate_pre"]["status"], "failed");
    assert_eq!(shop.newest()["phases"]["rollout"]["status"], "skipped");
    assert_eq!(serving(&shop, host), v1);
    // By itself neither: the code that serves would go on serving on it.
    let alone = ["migrate", "run", "--env", "prod"];
    shop.runs(&alone).fails_with(12).saying(&[
        "`code_max_schema_version` is 2, and the schema would be 3",
        "no migration was applied",
    ]);
    let plan = ["migrate", "plan", "--env", "prod", "--exit-code"];
    shop.runs(&plan).ends_with(3).saying(&["003_too-far.sql"]);
    std::fs::remove_file(shop.path().join("db/003_too-far.sql")).expect("removed");

    // One that it tolerates is, and the plan says who is asked.
    migration(&shop, 2, "notes");
    shop.runs(&["deploy", "--env", "prod", "--dry-run"])
        .succeeds()
        .saying(&["tolerates schema version 2", "runs aside on each host"]);
    let second = shop.deploy("v4").succeeds();
    second.saying(&["tolerates schema version 2", "the schema gate agreed"]);
    shop.serves("v4");
    shop.is_whole();

    // E28, E29, E44: on to version 3; v1 knows 2 at most, so there is no way
    // back to it, and v4 never stops.
    migration(&shop, 3, "further");
    let alone = shop.runs(&alone).succeeds();
    alone.saying(&["tolerates schema version 3"]);
    code(&shop, (2, 3), "is-well");
    shop.deploy("v5").succeeds();
    let v5 = serving(&shop, host);
    let target = first.release();
    let back = ["rollback", "--env", "prod", "--to", &target];
    shop.runs(&back).fails_with(12).saying(&[
        "`current_schema_version` 3 is above `code_max_schema_version` 2",
        "no container was stopped",
        "releases list",
    ]);
    shop.serves("v5");
    assert_eq!(serving(&shop, host), v5, "it was never stopped");
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v4");
    shop.is_whole();
}

/// E27, E41
#[test]
fn the_schema_gate_asks_every_host_and_one_of_them_is_enough_to_refuse() {
    // Each host has a database of its own, and they drift apart.
    let shop = shop("gate-fleet", &[1, 4]);
    let make = |host: Host, sql: &str| {
        let image = shop.newest()["image"]["local_reference"].clone();
        engine(host.0).sh(&format!(
            "docker run --rm -v {}-prod-data:/data {} python3 -c \"import sqlite3; db = sqlite3.connect('/data/app.db'); db.executescript('{sql}')\"",
            shop.name,
            image.as_str().expect("an image")
        ))
    };
    // The second host's file is not there yet: its endpoint breaks off.
    let run = shop.deploy("v0").fails_with(12);
    run.saying(&[&Host(4).address(), "GET /schema/status on port 9090: "]);
    shop.serves_nothing();
    make(
        Host(4),
        "CREATE TABLE version (version int); INSERT INTO version VALUES (1)",
    );
    shop.deploy("v1").succeeds();
    shop.serves("v1");

    make(Host(4), "INSERT INTO version VALUES (2)");
    let run = shop.deploy("v2").fails_with(12);
    run.saying(&["do not agree: `current_schema_version` is 1 on one and 2 on another"]);
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn what_a_killed_run_left_aside_for_the_schema_gate_is_removed_by_the_next() {
    let mut shop = shop("gate-killed", &[1]);
    shop.set("/schema_gate/timeout", json!("20s"));
    shop.deploy("v1").succeeds();
    let v1 = serving(&shop, Host(1));
    code(&shop, (1, 2), "hangs");
    let mut run = shop.starts_to_deploy("v2");
    run.until_step("is healthy after");
    let pid = run.pid();
    run.is_killed();
    within(Duration::from_secs(40), "the lock is free again", || {
        shop.is_unlocked()
    });
    let left = shop.containers(Host(1));
    assert_eq!(left.len(), 2, "{pid} left {left:?}");
    shop.serves("v1");
    let abort = ["deploy", "--env", "prod", "--abort"];
    shop.runs(&abort).succeeds();
    shop.serves("v1");
    assert_eq!(serving(&shop, Host(1)), v1, "it was never stopped");
    shop.is_whole();
    code(&shop, (1, 2), "is-well");
    shop.deploy("v3").succeeds();
    shop.serves("v3");
    shop.is_whole();
}
