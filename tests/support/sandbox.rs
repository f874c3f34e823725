//! The real binary in a folder of its own: nothing of this machine's
//! environment, no Docker engine, and output without times, ids and paths.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What every run sees of a project's own name: eight characters of it differ
/// from one sandbox to the next, because hosts keep files by project.
const PROJECT: &str = "shop-########";

/// A project folder and a home.
pub(crate) struct Sandbox {
    root: tempfile::TempDir,
    project: String,
    variables: RefCell<Vec<(String, String)>>,
}

impl Sandbox {
    /// An empty project folder.
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let project = format!("shop-{}", &unique[24..]);
        fs::create_dir(root.path().join("shop")).expect("a folder");
        fs::create_dir(root.path().join("home")).expect("a folder");
        Self {
            root,
            project,
            variables: RefCell::default(),
        }
    }

    /// With this configuration; `$project` in it is the sandbox's own project.
    pub(crate) fn with(config: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.file("stagecraft.yml", config);
        sandbox
    }

    /// Writes a file of the project folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text.replace("$project", &self.project)).expect("written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a readable file")
    }

    /// A file of the project folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("shop").join(name)
    }

    /// Sets a variable for later runs.
    pub(crate) fn set(&self, name: &str, value: &str) -> &Self {
        let folder = self.root.path().join("shop").display().to_string();
        let value = value.replace("$shop", &folder);
        self.variables.borrow_mut().push((name.to_owned(), value));
        self
    }

    /// Runs `stagecraft` with these words, split at blanks.
    pub(crate) fn run(&self, words: &str) -> Run {
        self.run_words(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_words(&self, words: &[&str]) -> Run {
        self.ended(self.command(words).output().expect("it runs"))
    }

    /// Starts a run that goes on beside the test.
    pub(crate) fn start(&self, words: &str) -> Running<'_> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.command(&words);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Running {
            sandbox: self,
            child: child.expect("it starts"),
        }
    }

    /// Runs it at a terminal of its own, where this line is typed. Both
    /// outputs come as one.
    pub(crate) fn at_a_terminal(&self, typed: &str, words: &str) -> Run {
        let run = self.command(&[]);
        let binary = run.get_program().to_string_lossy().into_owned();
        let mut script = Command::new("script");
        script
            .args(["-qec", &format!("{binary} {words}"), "/dev/null"])
            .current_dir(self.path(""))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in run.get_envs() {
            script.env(name, value.unwrap_or_default());
        }
        let mut child = script.spawn().expect("`script` of util-linux");
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, format!("{typed}\n").as_bytes()).expect("typed");
        let output = child.wait_with_output().expect("it ends");
        drop(input);
        self.ended(output)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stagecraft"));
        command
            .args(words)
            .stdin(Stdio::null())
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.root.path().join("home"))
            .env("TMPDIR", self.root.path())
            .env("USER", "ann")
            .env("GIT_CEILING_DIRECTORIES", self.root.path())
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1")
            .env("DOCKER_HOST", "unix:///nonexistent.sock")
            .envs(self.variables.borrow().iter().cloned());
        command
    }

    fn ended(&self, output: Output) -> Run {
        let text = |bytes: &[u8]| self.normal(&String::from_utf8_lossy(bytes));
        Run {
            code: output.status.code().expect("no signal"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Lets later runs reach this machine's Docker engine.
    pub(crate) fn on_this_engine(&self) -> &Self {
        self.set("DOCKER_HOST", "")
    }

    /// What deploys made on this machine's engine.
    fn remove_containers(&self) {
        let used = |(name, value): &(String, String)| name == "DOCKER_HOST" && value.is_empty();
        if !self.variables.borrow().iter().any(used) {
            return;
        }
        let project = &self.project;
        let script = format!(
            "docker ps -aq --filter label=stagecraft.project={project} | xargs -r docker rm -f
             docker network ls -q --filter name={project} | xargs -r docker network rm
             docker volume ls -q --filter name={project} | xargs -r docker volume rm
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep {project} | xargs -r docker rmi -f"
        );
        let mut sh = Command::new("sh");
        let _ = sh
            .args(["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// The sandbox's own names, which `insta`'s filters cannot know.
    fn normal(&self, text: &str) -> String {
        let folder = self.root.path().join("shop").display().to_string();
        let state = format!("/var/lib/stagecraft/{}", self.project);
        let home = format!("{}/home", self.root.path().display());
        text.replace(&folder, "[SHOP]")
            .replace(&state, "[STATE]")
            .replace(&format!("{home}/.stagecraft/{}", self.project), "[STATE]")
            .replace(&home, "[HOME]")
            .replace(&self.project, PROJECT)
            .replace(&machine(), "[MACHINE]")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.remove_containers();
        // Where this user may write there, it is the folder of `local`.
        let _ = fs::remove_dir_all(Path::new("/var/lib/stagecraft").join(&self.project));
    }
}

fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "no name".to_owned(),
        name => name.to_owned(),
    }
}

/// A run that goes on.
pub(crate) struct Running<'a> {
    sandbox: &'a Sandbox,
    child: Child,
}

impl Running<'_> {
    /// Reads what it says until this many lines have `words` in them, or until
    /// it says no more.
    pub(crate) fn until_said(&mut self, words: &str, times: usize) {
        let said = self.child.stderr.as_mut().expect("piped");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(said));
        let mut left = times;
        while left > 0 {
            match lines.next() {
                Some(line) if line.as_ref().is_ok_and(|line| line.contains(words)) => left -= 1,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Kills it without warning.
    #[expect(
        clippy::wrong_self_convention,
        reason = "a sentence of a test, not a question"
    )]
    pub(crate) fn is_killed(mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("it is gone");
    }

    /// As Ctrl-C does.
    pub(crate) fn is_interrupted(&self) {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Run {
        let output = self.child.wait_with_output().expect("it ends");
        self.sandbox.ended(output)
    }
}

/// What a run left: look at it with `shows!`, or take it apart.
#[must_use = "snapshot it, or assert its code"]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// With every gap two blanks wide: for tables of paths and machine names.
    pub(crate) fn squeezed(mut self) -> Self {
        let squeeze = |line: &str| {
            let cells = line.split("  ").filter(|cell| !cell.is_empty());
            cells.map(str::trim).collect::<Vec<_>>().join("  ")
        };
        self.stdout = self
            .stdout
            .lines()
            .map(squeeze)
            .collect::<Vec<_>>()
            .join("\n");
        self
    }

    /// The one JSON document on standard output.
    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("one JSON document")
    }
}

/// All three at once, empty parts left out.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end_matches('\n'))?;
            }
        }
        Ok(())
    }
}

/// What differs from one run to the next, and its width, so that tables stay
/// tables.
pub(crate) const FILTERS: [(&str, &str); 9] = [
    (r"rel-\d{8}-\d{9}", "rel-YYYYMMDD-HHMMSSmmm"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD HH:MM:SS"),
    (r"\d{8}T\d{9}Z", "[STAMP]"),
    (r"\((\d+ ms|\d+\.\d s)\)", "([TOOK])"),
    (r"  +(\d+ ms|\d+\.\d s)\b", "  [TOOK]"),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "[UUID]",
    ),
    (r"\b[0-9a-f]{64}\b", "[SHA256]"),
    (r"plan id  [0-9a-f]{12}", "plan id  [PLAN]"),
];

/// A run's code, standard output and standard error, as an inline snapshot.
macro_rules! shows {
    ($run:expr, @$expected:literal) => {
        insta::with_settings!({ filters => $crate::sandbox::FILTERS.to_vec(), omit_expression => true }, {
            insta::assert_snapshot!($run, @$expected);
        });
    };
}
