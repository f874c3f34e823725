//! A folder with an application and its configuration, a home, and the
//! environment of whoever runs the program there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Host, Run, Running};

/// What a version of the sample application does instead of only serving.
#[derive(Clone, Copy)]
pub(crate) enum Breakage {
    /// It runs and answers, but never well.
    NeverHealthy,
    /// It says why and ends with 7.
    DiesAtOnce,
    /// It becomes healthy only when [`super::Project::gives_leave`] is called.
    WaitsForLeave,
    /// It serves for three more seconds after it was asked to end.
    EndsSlowly,
    /// It serves, and does not hear that it should end.
    IgnoresSigterm,
    /// It takes all memory as soon as there is a limit to it.
    EatsMemory,
}

pub(crate) struct Checkout {
    pub(crate) name: String,
    /// Where its role `web` is published on each host, or its proxy answers.
    pub(crate) port: u16,
    /// The `Host` that requests name.
    pub(crate) answers_to: String,
    folder: tempfile::TempDir,
    home: tempfile::TempDir,
    user: &'static str,
    variables: BTreeMap<String, String>,
    configuration: Value,
    hosts: Vec<u8>,
    /// What nobody else may have meanwhile.
    locks: Vec<fs::File>,
}

impl Checkout {
    pub(super) fn new(name: String, port: u16) -> Self {
        let configuration = json!({
            "version": 1,
            "project": { "name": &name },
            "roles": { "web": {
                "port": 8080,
                "publish": port,
                "health": { "path": "/up", "timeout": "20s", "interval": "200ms" },
                "stop": { "timeout": "5s" },
            }},
            "environments": { "prod": { "hosts": [] } },
        });
        let checkout = Self {
            name,
            port,
            answers_to: "shop".to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
            home: tempfile::tempdir().expect("a folder"),
            user: "dana",
            variables: BTreeMap::new(),
            configuration,
            hosts: vec![],
            locks: vec![],
        };
        checkout.file("Dockerfile", DOCKERFILE);
        checkout.serves_well();
        checkout
    }

    /// Everything but the state, for somebody else.
    pub(super) fn copied(&self, user: &'static str) -> Self {
        let copy = Self {
            name: self.name.clone(),
            port: self.port,
            answers_to: self.answers_to.clone(),
            folder: tempfile::tempdir().expect("a folder"),
            home: tempfile::tempdir().expect("a folder"),
            user,
            variables: self.variables.clone(),
            configuration: self.configuration.clone(),
            hosts: self.hosts.clone(),
            locks: vec![],
        };
        let copied = Command::new("cp")
            .args(["-a", "."])
            .arg(copy.path())
            .current_dir(self.path())
            .status();
        assert!(copied.expect("cp").success());
        let _ = fs::remove_dir_all(copy.path().join(".stagecraft"));
        copy
    }

    /// Becomes an example of this repository. Its configuration is its own but
    /// for its name, its port, and its environment, which is called `prod`.
    pub(super) fn takes(&mut self, example: &str) {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        fs::remove_file(self.path().join("app")).expect("removed");
        let copied = Command::new("cp")
            .args(["-a", "."])
            .arg(self.path())
            .current_dir(examples.join(example))
            .status();
        assert!(copied.expect("cp").success());
        let _ = fs::remove_dir_all(self.path().join("node_modules"));
        let text = fs::read_to_string(self.path().join("stagecraft.yml")).expect("its file");
        self.configuration = serde_yaml::from_str(&text).expect("YAML");
        let environments = &mut self.configuration["environments"];
        *environments = json!({ "prod": environments["local"].take() });
        self.set("/project/name", json!(self.name));
        self.set("/roles/web/publish", json!(self.port));
    }

    pub(super) fn on(&mut self, hosts: &[u8]) {
        self.hosts = hosts.to_vec();
        let addresses: Vec<String> = hosts.iter().map(|host| Host(*host).address()).collect();
        self.on_addresses(&addresses);
    }

    /// Hosts as the configuration writes them; the first is the primary.
    pub(crate) fn on_addresses(&mut self, addresses: &[String]) {
        let hosts: Vec<Value> = addresses
            .iter()
            .enumerate()
            .map(|(index, address)| match index {
                0 => json!({ "address": address, "roles": ["primary", "web"] }),
                _ => json!({ "address": address, "roles": ["web"] }),
            })
            .collect();
        self.set("/environments/prod/hosts", json!(hosts));
    }

    /// Keeps a lock as long as it lives.
    pub(super) fn holds(&mut self, lock: fs::File) {
        self.locks.push(lock);
    }

    pub(crate) fn hosts(&self) -> Vec<Host> {
        self.hosts.iter().copied().map(Host).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Sets a key of the configuration, such as `/roles/web/port`; whatever
    /// stands above it is made.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        let mut place = &mut self.configuration;
        for name in key.trim_start_matches('/').split('/') {
            if place.is_null() {
                *place = json!({});
            }
            place = &mut place[name];
        }
        *place = value;
    }

    /// A variable of the program's environment.
    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, text).expect("written");
        path
    }

    /// The sample application again serves its version.
    pub(crate) fn serves_well(&self) {
        self.app("trap 'exit 0' TERM\nhttpd -f -p $PORT -h /www &\nwait");
    }

    /// How long a new container may take until it is healthy.
    pub(crate) fn is_patient_for(&mut self, timeout: &str) {
        self.set("/roles/web/health/timeout", json!(timeout));
    }

    pub(crate) fn breaks(&self, how: Breakage) -> &Self {
        self.app(match how {
            Breakage::NeverHealthy => {
                "echo looking for the moon\ntrap 'exit 0' TERM\nhttpd -f -p $PORT -h /bin &\nwait"
            }
            Breakage::DiesAtOnce => "echo cannot find my way >&2\nexit 7",
            Breakage::WaitsForLeave => {
                "until [ -e /go ]; do sleep 0.1; done
                 trap 'exit 0' TERM\nhttpd -f -p $PORT -h /www &\nwait"
            }
            Breakage::EndsSlowly => {
                "trap 'echo asked to end; sleep 3; exit 0' TERM
                 httpd -f -p $PORT -h /www &
                 wait"
            }
            Breakage::IgnoresSigterm => "trap '' TERM\nhttpd -f -p $PORT -h /www &\nwait",
            Breakage::EatsMemory => {
                "limit=/sys/fs/cgroup/memory/memory.limit_in_bytes
                 until [ $(cat $limit) -lt 100000000 ]; do sleep 0.1; done
                 all=$(head -c 200000000 /dev/zero | tr '\\0' x)"
            }
        });
        self
    }

    /// What the container runs.
    pub(crate) fn app(&self, script: &str) {
        self.file(
            "app",
            &format!("echo \"this is $(cat /www/up)\"\n{script}\n"),
        );
    }

    /// Deploys the checkout as this version.
    #[track_caller]
    pub(crate) fn deploy(&self, version: &str) -> Run {
        self.ships(version);
        self.runs(&["deploy", "--env", "prod", "--version", version])
    }

    /// The same, its events as they come.
    #[track_caller]
    pub(crate) fn starts_to_deploy(&self, version: &str) -> Running {
        self.ships(version);
        self.starts(&["deploy", "--env", "prod", "--version", version])
    }

    /// What the application answers from the next build on.
    pub(crate) fn ships(&self, version: &str) {
        self.file("www/up", version);
    }

    #[track_caller]
    pub(crate) fn runs(&self, arguments: &[&str]) -> Run {
        Running::new(self.command(arguments), arguments.join(" ")).ends()
    }

    #[track_caller]
    pub(crate) fn starts(&self, arguments: &[&str]) -> Running {
        let arguments = [arguments, &["--format", "ndjson"]].concat();
        Running::new(self.command(&arguments), arguments.join(" "))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let text = serde_json::to_string_pretty(&self.configuration).expect("JSON");
        // JSON is YAML.
        self.file("stagecraft.yml", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_stagecraft"));
        command
            .current_dir(self.path())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("USER", self.user)
            .envs(&self.variables);
        command
    }

    /// The releases of this machine's record.
    #[track_caller]
    pub(crate) fn releases(&self) -> Vec<Value> {
        let file = self.path().join(".stagecraft/releases.json");
        let text = fs::read_to_string(file).expect("a record");
        let record: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(record["format"], 1);
        record["releases"].as_array().expect("releases").clone()
    }

    #[track_caller]
    pub(crate) fn newest(&self) -> Value {
        self.releases().pop().expect("a release")
    }
}

const DOCKERFILE: &str = "FROM stagecraft-lab/busybox
COPY app /app
COPY www /www
CMD [\"sh\", \"/app\"]
";
