//! Secrets reach the containers byte for byte, and nobody else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::database::{Kind, Scratch, Seen};
use crate::support::lab::{Project, engine, here, lab};

/// Every kind of byte that a shell, a file format or a terminal would touch.
fn awkward() -> Vec<(&'static str, String)> {
    vec![
        ("LINES", "first\nsecond\r\n\n\tfourth\n".to_owned()),
        ("QUOTES", r#"'single' "double" `back` \n \\ \"#.to_owned()),
        (
            "DOLLARS",
            "$HOME ${HOME} $$ $(id) ${NO:-x} %PATH% !!".to_owned(),
        ),
        (
            "UNICODE",
            "zażółć gęślą jaźń 😀 \u{202e}\u{feff}".to_owned(),
        ),
        ("SPACES", "  around  ".to_owned()),
        ("EQUALS", "=a=b#c;d&e|f".to_owned()),
        ("EMPTY", String::new()),
        ("LARGE", "0123456789abcdef".repeat(4096)),
    ]
}

fn sum(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn every_byte_of_a_secret_reaches_the_container() {
    let mut shop = Project::new("bytes").on(&[1, 4]);
    let values = awkward();
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    shop.set("/env/secret", json!(names));
    for (name, value) in &values {
        shop.variable(name, value);
    }
    shop.deploy("v1").succeeds();
    for host in shop.hosts() {
        for (name, value) in &values {
            let script = format!("printf %s \"${name}\" | sha256sum");
            let address = host.address();
            let words = [
                "exec", "--env", "prod", "--host", &address, "--", "sh", "-c",
            ];
            let run = shop.runs(&[&words[..], &[&script]].concat()).succeeds();
            assert_eq!(run.stdout.split(' ').next(), Some(&*sum(value)), "{name}");
        }
    }
}

#[test]
fn secrets_come_from_a_file_or_a_command_too_and_the_environment_wins() {
    let mut shop = Project::new("sources").on(&[2]);
    shop.set("/env/secret", json!(["FIRST", "SECOND", "THIRD"]));
    shop.set("/env_file", json!(".env.prod"));
    shop.set("/secrets_command", json!(["cat", "secrets.json"]));
    shop.file(
        ".env.prod",
        "FIRST=from the file\nSECOND=\"from\\nthe file\"\n",
    );
    let more = json!({ "SECOND": "no", "THIRD": "from \"the\" command\n" });
    shop.file("secrets.json", &more.to_string());
    shop.variable("FIRST", "from the environment");
    shop.deploy("v1").succeeds();
    let words = ["exec", "--env", "prod", "--", "sh", "-c"];
    let script = r#"printf '%s|%s|%s|' "$FIRST" "$SECOND" "$THIRD""#;
    let run = shop.runs(&[&words[..], &[script]].concat()).succeeds();
    assert_eq!(
        run.stdout.trim_end(),
        "from the environment|from\nthe file|from \"the\" command\n|"
    );

    // All that are missing are named at once, before anything is done.
    shop.set("/env/secret", json!(["FIRST", "FOURTH", "FIFTH"]));
    let before = shop.footprint();
    shop.runs(&["deploy", "--env", "prod"])
        .fails_with(10)
        .saying(&["FOURTH", "FIFTH"]);
    let after = shop.footprint();
    // Taking the lock and letting it go again is all that was done.
    let passing = ["stagecraft.yml", ".lock", "/released"];
    let same = |line: &&String| !passing.iter().any(|name| line.ends_with(name));
    let (before, after) = (before.iter().filter(same), after.iter().filter(same));
    assert_eq!(before.collect::<Vec<_>>(), after.collect::<Vec<_>>());
}

/// Reads every process's command line, again and again, until it is told to
/// stop; returns those that contain one of the values.
fn watch_processes(values: Vec<String>, stop: Arc<AtomicBool>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(words) = std::fs::read(process.path().join("cmdline")) else {
                continue;
            };
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            if values.iter().any(|value| words.contains(value)) {
                seen.insert(words);
            }
        }
    }
    seen
}

/// Its URL, as the hosts see it, with a password that nobody else uses.
fn with_a_login_of_its_own(scratch: &Scratch, password: &str) -> String {
    let url = scratch.url(Seen::FromHosts);
    let (_, place) = url.split_once('@').unwrap();
    let (_, name) = place.rsplit_once('/').unwrap();
    scratch.admin(&format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"));
    scratch.admin(&format!("ALTER DATABASE {name} OWNER TO {name}"));
    format!("postgres://{name}:{password}@{place}")
}

#[test]
fn a_whole_deploy_leaves_no_secret_anywhere() {
    let mut shop = Project::new("silent").on(&[1, 4]);
    let own = |what: &str| format!("{what}-{}-5f2c9a7e", shop.port);
    let (token, key, broken) = (own("token"), own("key"), own("broken"));
    let hub = lab("LAB_REGISTRY_PASSWORD");
    let scratch = Scratch::new(Kind::Postgres);
    let password = own("database");
    let database = with_a_login_of_its_own(&scratch, &password);
    let values = vec![
        token.clone(),
        key.clone(),
        broken.clone(),
        hub.clone(),
        password,
    ];

    let repository = format!("{}/{}", lab("LAB_REGISTRY_AUTH"), shop.name);
    shop.set("/project/registry", json!(repository));
    shop.set("/project/registry_username_env", json!("HUB_USER"));
    shop.set("/project/registry_password_env", json!("HUB_PASSWORD"));
    shop.set("/build/secrets", json!(["BUILD_TOKEN"]));
    shop.set("/env/secret", json!(["API_KEY", "DATABASE_URL"]));
    shop.set(
        "/databases/main",
        json!({
            "connection_env": "DATABASE_URL",
            "migrations": { "engine": "raw", "path": "db" },
        }),
    );
    shop.variable("HUB_USER", &lab("LAB_REGISTRY_USER"));
    shop.variable("HUB_PASSWORD", &hub);
    shop.variable("BUILD_TOKEN", &token);
    shop.variable("API_KEY", &key);
    shop.variable("DATABASE_URL", &database);
    shop.file("db/001_begin.sql", "CREATE TABLE silent (id int);");
    // The build prints its secret, as builds do.
    shop.file(
        "Dockerfile",
        "FROM stagecraft-lab/busybox
RUN --mount=type=secret,id=BUILD_TOKEN echo token: $(cat /run/secrets/BUILD_TOKEN) | tee /dev/stderr
COPY app /app
COPY www /www
CMD [\"sh\", \"/app\"]
",
    );

    let stop = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let (values, stop) = (values.clone(), Arc::clone(&stop));
        move || watch_processes(values, stop)
    });
    let words = ["--env", "prod", "--verbose"];
    let mut runs = vec![shop.deploy("v1").succeeds()];
    runs.push(shop.runs(&[&["deploy"], &words[..]].concat()).succeeds());
    runs.push(shop.runs(&[&["rollback"], &words[..]].concat()).succeeds());
    // One that fails, and whose words would show it.
    shop.app("echo \"no such key: $API_KEY\"; exit 1");
    shop.variable("API_KEY", &broken);
    shop.file(
        "db/002_wrong.sql",
        "-- stagecraft: phase=post\nSELECT wrong;",
    );
    for format in ["text", "json", "ndjson"] {
        let words = ["deploy", "--env", "prod", "--verbose", "--format", format];
        runs.push(shop.runs(&words).ends_with(23));
    }
    shop.serves_well();
    runs.push(
        shop.runs(&["deploy", "--env", "prod", "--verbose"])
            .ends_with(24),
    );
    for words in ["status", "releases list", "config show", "migrate status"] {
        let words: Vec<&str> = words.split(' ').chain(["--env", "prod"]).collect();
        runs.push(shop.runs(&words).succeeds());
    }
    stop.store(true, Ordering::Relaxed);
    let told = watcher.join().unwrap();

    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    assert_eq!(told, BTreeSet::new(), "in argv");
    for run in runs {
        run.never_saying(&values);
    }
    for value in values {
        // The dotenv and JSON sources are not here: these are variables.
        let grep = |folder: &str| format!("grep -rl -e '{value}' {folder} || true");
        let here_is = here().lines(&grep(&shop.path().display().to_string()));
        assert_eq!(here_is, [""; 0], "{value}");
        assert_eq!(
            here().lines(&grep(&shop.home().display().to_string())),
            [""; 0]
        );
        for host in shop.hosts() {
            let folders = "/home/deploy /var/lib/stagecraft /tmp /var/tmp 2>/dev/null";
            assert_eq!(engine(host.0).lines(&grep(folders)), [""; 0], "{value}");
        }
    }
}
