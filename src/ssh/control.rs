//! The private folder of this process: the SSH configuration of its connections,
//! their control sockets and the local ends of their forwards. Imports `model`.
//!
//! Only this user can enter it. It goes when the process ends. For one that is
//! killed a small shell stands by: its input closes with the process, and then it
//! ends the connections and removes the folder. What even that leaves is found by
//! its free lock and tidied up by the next process.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::model::fault::Fault;

/// Ours first, because OpenSSH keeps the first value it reads; it is handed on
/// to jump hosts too. `ClearAllForwardings` drops what the user's configuration
/// forwards for interactive logins; a patience of their own stays theirs. `USER`
/// becomes [`login_name`].
const CONFIG: &str = "\
Host *
  BatchMode yes
  StrictHostKeyChecking yes
  ServerAliveInterval 5
  ServerAliveCountMax 3
  StreamLocalBindUnlink yes
  ClearAllForwardings yes
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  RemoteCommand none
  RequestTTY no
  UpdateHostKeys no
  LogLevel INFO
Match all
Include ~USER/.ssh/config
Match all
Include /etc/ssh/ssh_config
Match all
  ConnectTimeout 10
";

const PREFIX: &str = "stagecraft-";
/// A socket's path may have 103 bytes on macOS; OpenSSH adds 17 to its own.
const LONGEST_BASE: usize = 45;
const PATIENCE: Duration = Duration::from_secs(2);

/// Stands by in folder `$1`. An `ssh` that is still connecting has no socket yet.
const STAND_BY: &str = r#"
read -r _
cd "$1" 2>/dev/null || exit 0
for h in h*; do
  i=0
  while [ -d "$h" ] && [ ! -S "$h/master" ] && [ $i -lt 20 ]; do sleep 1; i=$((i + 1)); done
  ssh -F none -O exit -S "$1/$h/master" any
done
cd / && rm -rf "$1"
"#;

pub(super) struct ControlDir {
    dir: TempDir,
    /// Locked while this process lives.
    _alive: File,
    tidied: AtomicBool,
    /// Held, with its input open, while this process lives.
    standby: OnceLock<Child>,
}

impl ControlDir {
    pub(super) fn create() -> Result<Self, Fault> {
        Self::create_in(&base()).map_err(|error| {
            Fault::internal("cannot make a private folder for SSH connections").caused_by(&error)
        })
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let dir = private_folder(PREFIX, base)?;
        // Nobody may find it before it is locked: that is what a killed one looks like.
        let unlocked = dir.path().join("unlocked");
        let alive = File::create_new(&unlocked)?;
        alive.lock()?;
        fs::rename(unlocked, dir.path().join("alive"))?;
        let config = CONFIG.replace("USER", &login_name());
        fs::write(dir.path().join("config"), config)?;
        Ok(Self {
            dir,
            _alive: alive,
            tidied: AtomicBool::new(false),
            standby: OnceLock::new(),
        })
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// A folder for one connection.
    pub(super) fn folder(&self) -> io::Result<TempDir> {
        private_folder("h", self.dir.path())
    }

    /// Ends the connections and removes the folders of processes that were
    /// killed, and stands by for this one. Once a process.
    pub(super) async fn tidy_up(&self) {
        if self.tidied.swap(true, Ordering::Relaxed) {
            return;
        }
        // Without it, the next process still tidies up.
        if let Ok(child) = self.stand_by() {
            let _ = self.standby.set(child);
        }
        for folder in self.leftovers() {
            for socket in entries(&folder).map(|entry| entry.join("master")) {
                end_master(&socket).await;
            }
            let _ = fs::remove_dir_all(&folder);
        }
    }

    /// In its own process group: what kills a whole group does not reach it.
    fn stand_by(&self) -> io::Result<Child> {
        Command::new("sh")
            .args(["-c", STAND_BY, "sh"])
            .arg(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let own = self.dir.path();
        let (Some(base), Ok(mine)) = (own.parent(), fs::metadata(own)) else {
            return vec![];
        };
        entries(base)
            .filter(|path| {
                let named = path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
                named && path != own
            })
            .filter(|path| {
                fs::symlink_metadata(path)
                    .is_ok_and(|entry| entry.is_dir() && entry.uid() == mine.uid())
            })
            .filter(|path| {
                File::open(path.join("alive")).is_ok_and(|alive| alive.try_lock().is_ok())
            })
            .collect()
    }
}

/// Ends the connection behind a control socket at once, with everything that
/// runs over it; one that is gone is fine. (The crate's own way waits until the
/// last stream is closed.)
pub(super) async fn end_master(socket: &Path) {
    if !socket.exists() {
        return;
    }
    let asked = Command::new("ssh")
        .args(["-F", "none", "-O", "exit", "-S"])
        .arg(socket)
        .arg("any")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .status();
    // One that is stopped in its tracks is left to its own end.
    let _ = timeout(PATIENCE, asked).await;
}

fn base() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir() && dir.as_os_str().len() <= LONGEST_BASE)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Names the home where `ssh` reads its user's configuration: the password
/// database's, which is not `HOME` in many containers of CI. Empty (`HOME`
/// counts then) where this user has no name.
fn login_name() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    let asked = || known_name().or_else(asked_name);
    let usable = |name: &String| {
        name.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    let name = NAME.get_or_init(|| asked().filter(usable).unwrap_or_default());
    name.clone()
}

/// From the password file; most users stand there.
fn known_name() -> Option<String> {
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

/// From a directory service.
fn asked_name() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| name.trim().to_owned())
}

fn private_folder(prefix: &str, base: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(base)
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_enter_the_folder_and_it_goes_with_its_process() {
        let base = tempfile::tempdir().expect("a folder");
        let control = ControlDir::create_in(base.path()).expect("a control folder");
        let path = control.dir.path().to_owned();
        let mode = fs::metadata(&path).expect("its metadata").mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(control);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn whoever_stands_by_removes_the_folder_once_its_input_closes() {
        let base = tempfile::tempdir().expect("a folder");
        let control = ControlDir::create_in(base.path()).expect("a control folder");
        let mut standby = control.stand_by().expect("sh starts");
        drop(standby.stdin.take());
        let ended = timeout(PATIENCE, standby.wait()).await.expect("it ends");
        assert!(ended.expect("a status").success());
        assert!(!control.dir.path().exists());
    }

    #[tokio::test]
    async fn a_killed_process_s_folder_is_removed_and_a_living_one_s_is_not() {
        let base = tempfile::tempdir().expect("a folder");
        let living = ControlDir::create_in(base.path()).expect("a control folder");
        let killed = base.path().join("stagecraft-killed");
        fs::create_dir(&killed).expect("a folder");
        fs::write(killed.join("alive"), "").expect("its file");
        let new = ControlDir::create_in(base.path()).expect("a control folder");
        new.tidy_up().await;
        assert!(!killed.exists());
        assert!(living.config().exists());
    }
}
