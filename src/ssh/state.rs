//! The folder in which a host keeps what belongs to one environment, and the
//! small files in it. Imports `ports`, `model`.
//!
//! It is `/var/lib/stagecraft/<project>/<environment>` where this user can write
//! there, else the same below `~/.stagecraft`. Reading makes nothing; a file is
//! replaced whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::{EnvironmentName, ProjectName};
use crate::ports::{HostLink, RemoteExit};

/// What a host may take for one small file. A disk that is busy syncs within
/// seconds, and SSH itself notices a dead connection after 15; only a system
/// that is stuck is still silent by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The code of a script for "there is no such file".
const ABSENT: i32 = 44;
/// Above the folder that every user who may write there shares.
pub(super) const COMMON: &str = "/var/lib/stagecraft";

/// Sets `$d` to the folder, and the mode of what is made there: everybody of the
/// folder's group shares the common one.
pub(super) fn folder_script(project: &ProjectName, environment: &EnvironmentName) -> String {
    format!(
        r#"may() {{ p=$1; while [ ! -e "$p" ]; do p=${{p%/*}}; [ -n "$p" ] || p=/; done; [ -d "$p" ] && [ -w "$p" ]; }}
if may {COMMON}/{project}/{environment}; then d={COMMON}/{project}/{environment}; umask 002
else d=$HOME/.stagecraft/{project}/{environment}; umask 077; fi
"#
    )
}

/// Where a host keeps this environment's files; makes nothing.
///
/// # Errors
/// The host cannot be reached.
pub async fn host_state_dir(
    link: &dyn HostLink,
    host: &HostAddress,
    project: &ProjectName,
    environment: &EnvironmentName,
) -> Result<String, Fault> {
    let script = format!(
        "{}printf '%s\\n' \"$d\"\n",
        folder_script(project, environment)
    );
    let exit = within(PATIENCE, link, host, "find the state folder", &script, b"").await?;
    let text = String::from_utf8_lossy(&exit.stdout).into_owned();
    match text.lines().next_back() {
        Some(folder) if exit.code == 0 && folder.starts_with('/') => Ok(folder.to_owned()),
        _ => Err(went_wrong(host, "find the state folder", &exit)),
    }
}

/// The small files of one environment on its hosts.
pub struct HostFiles {
    pub(super) link: Arc<dyn HostLink>,
    pub(super) folder: String,
    patience: Duration,
}

impl HostFiles {
    #[must_use]
    pub fn new(
        link: Arc<dyn HostLink>,
        project: &ProjectName,
        environment: &EnvironmentName,
    ) -> Self {
        Self {
            link,
            folder: folder_script(project, environment),
            patience: PATIENCE,
        }
    }

    /// `None` when there is no such file. Read-only.
    ///
    /// # Errors
    /// The host cannot be reached, or the file cannot be read.
    pub async fn read(&self, host: &HostAddress, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let script = format!(
            "{}f=$d/{}\n[ -e \"$f\" ] || exit {ABSENT}\nexec cat \"$f\"\n",
            self.folder,
            file_name(name)?
        );
        let what = format!("read `{name}`");
        let exit = self.run(host, &what, &script, b"").await?;
        match exit.code {
            0 => Ok(Some(exit.stdout)),
            ABSENT => Ok(None),
            _ => Err(went_wrong(host, &what, &exit)),
        }
    }

    /// Every file whose name begins with `prefix`, in order of their names, in
    /// one request.
    ///
    /// # Errors
    /// The host cannot be reached, or a file cannot be read.
    pub async fn read_all(&self, host: &HostAddress, prefix: &str) -> Result<Vec<Vec<u8>>, Fault> {
        // A record separator, which no JSON text contains, ends each file. One
        // process reads them all: there may be hundreds.
        let script = format!(
            r#"{folder}set -- "$d"/{prefix}*
[ -e "$1" ] || exit 0
if command -v awk >/dev/null 2>&1; then
  exec awk 'FNR == 1 && NR > 1 {{ printf "\036" }} {{ print }} END {{ if (NR) printf "\036" }}' "$@"
fi
for f; do cat "$f" || exit 1; printf '\036'; done
"#,
            folder = self.folder,
            prefix = file_name(prefix)?
        );
        let what = "read the files kept";
        let exit = self.run(host, what, &script, b"").await?;
        if exit.code != 0 {
            return Err(went_wrong(host, what, &exit));
        }
        Ok(exit
            .stdout
            .split(|byte| *byte == 0o36)
            .filter(|file| !file.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }

    /// Replaces the file; durable when this returns.
    ///
    /// # Errors
    /// The host cannot be reached, or the file cannot be written. The old
    /// content stays.
    pub async fn write(&self, host: &HostAddress, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        // Input that was cut short by a dying connection ends like a whole one:
        // hence the length.
        let script = format!(
            r#"{folder}[ -d "$d" ] || mkdir -p "$d" || exit 1
f=$d/{name}
t=$d/.{name}.$$
trap 'rm -f "$t"' EXIT
cat >"$t" && [ "$(wc -c <"$t")" -eq {length} ] || exit 1
sync "$t" 2>/dev/null || sync
mv -f "$t" "$f" || exit 1
trap - EXIT
sync "$d" 2>/dev/null || sync
"#,
            folder = self.folder,
            name = file_name(name)?,
            length = bytes.len(),
        );
        let what = format!("write `{name}`");
        let exit = self.run(host, &what, &script, bytes).await?;
        if exit.code == 0 {
            Ok(())
        } else {
            Err(went_wrong(host, &what, &exit))
        }
    }

    async fn run(
        &self,
        host: &HostAddress,
        what: &str,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        within(self.patience, &*self.link, host, what, script, input).await
    }
}

/// Runs a short script that must `what`.
pub(super) async fn within(
    patience: Duration,
    link: &dyn HostLink,
    host: &HostAddress,
    what: &str,
    script: &str,
    input: &[u8],
) -> Result<RemoteExit, Fault> {
    match timeout(patience, link.exec(host, script, input)).await {
        Ok(exit) => exit,
        Err(_) => Err(stuck(host, what, patience)),
    }
}

fn stuck(host: &HostAddress, what: &str, patience: Duration) -> Fault {
    let look = host.ssh_target().map_or_else(
        || "uptime; dmesg | tail".to_owned(),
        |target| format!("{} 'uptime; dmesg | tail'", target.by_hand()),
    );
    Fault::unreachable(format!("cannot {what} on `{host}`"))
        .because(format!(
            "it did not end within {}s: the connection is up, but the system or its disk is stuck",
            patience.as_secs()
        ))
        .because("whether it takes effect later is not known")
        .hint(format!("see what it does: `{look}`"))
}

/// It becomes part of a script.
fn file_name(name: &str) -> Result<&str, Fault> {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if plain && !name.is_empty() && !name.starts_with(['.', '-']) {
        Ok(name)
    } else {
        Err(Fault::internal(format!("`{name}` is no plain file name")))
    }
}

pub(super) fn went_wrong(host: &HostAddress, what: &str, exit: &RemoteExit) -> Fault {
    let said = String::from_utf8_lossy(&exit.stderr).into_owned();
    Fault::unreachable(format!("cannot {what} on `{host}`"))
        .because(said.lines().next_back().unwrap_or_default().trim())
        .hint(format!(
            "see that the disk of `{host}` is not full and that this user may write its state folder"
        ))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::super::machines::Machines;
    use super::*;

    fn folder_of(home: &str) -> Output {
        let project = "shop".parse().expect("a name");
        let environment = "prod".parse().expect("a name");
        // As a user who may write nowhere but at home, whoever runs the test.
        let script = folder_script(&project, &environment)
            .replace("/var/lib/stagecraft", "/dev/null/stagecraft");
        Command::new("sh")
            .args(["-euc", &format!("{script}printf %s \"$d\"; umask")])
            .env("HOME", home)
            .output()
            .expect("sh runs")
    }

    #[test]
    fn the_home_folder_serves_where_the_common_one_cannot_be_written() {
        let output = folder_of("/home/me");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "/home/me/.stagecraft/shop/prod0077\n"
        );
        assert!(output.stderr.is_empty(), "{output:?}");
    }

    fn files(folder: &std::path::Path, cut_after: usize) -> (HostFiles, HostAddress) {
        let host: HostAddress = "web1".parse().expect("an address");
        let machines = Machines::one(&host, folder);
        let link = Arc::new(machines.cutting_after(cut_after));
        let project = "shop".parse().expect("a name");
        let environment = "prod".parse().expect("a name");
        (HostFiles::new(link, &project, &environment), host)
    }

    #[tokio::test]
    async fn a_write_that_is_cut_off_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, host) = files(folder.path(), usize::MAX);
        assert_eq!(whole.read(&host, "record").await.expect("read"), None);
        whole.write(&host, "record", b"old").await.expect("written");
        let (cut, host) = files(folder.path(), 2);
        assert!(cut.write(&host, "record", b"newer").await.is_err());
        let read = whole.read(&host, "record").await.expect("read");
        assert_eq!(read.as_deref(), Some(&b"old"[..]));
        let left = std::fs::read_dir(folder.path().join("shop/prod")).expect("a folder");
        assert_eq!(left.count(), 1);
    }

    /// A pipe that nobody writes is a disk that never answers.
    #[tokio::test]
    async fn a_host_that_is_stuck_is_named_within_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut files, host) = files(folder.path(), usize::MAX);
        files.write(&host, "other", b"").await.expect("written");
        let pipe = folder.path().join("shop/prod/record");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo runs").success());
        files.patience = Duration::from_millis(300);
        for read in [
            files.read(&host, "record").await.map(|_| ()),
            files.read_all(&host, "rec").await.map(|_| ()),
        ] {
            let fault = read.expect_err("it hangs");
            assert_eq!(fault.kind, crate::model::fault::FaultKind::Unreachable);
            assert!(fault.causes[0].contains("did not end within"), "{fault}");
            assert_eq!(
                fault.hints,
                ["see what it does: `ssh web1 'uptime; dmesg | tail'`"]
            );
        }
    }

    #[tokio::test]
    async fn all_files_of_a_prefix_are_read_in_order_whole_and_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (files, host) = files(folder.path(), usize::MAX);
        let all = async || files.read_all(&host, "one-").await.expect("read");
        assert!(all().await.is_empty());
        let long = format!("{{\n  \"x\": \"{}\"\n}}\n", "ü\\".repeat(100_000));
        for (name, text) in [
            ("one-2", "{}\n"),
            ("one-1", long.as_str()),
            ("one-3", "3\n"),
            ("two-1", "no"),
        ] {
            files
                .write(&host, name, text.as_bytes())
                .await
                .expect("written");
        }
        assert_eq!(all().await, [long.as_bytes(), b"{}\n", b"3\n"]);
    }

    #[test]
    fn a_name_that_a_shell_could_read_as_more_is_refused() {
        for bad in ["", "../x", "a b", ".hidden", "a;b", "-n", "a/b"] {
            assert!(file_name(bad).is_err(), "{bad}");
        }
        assert_eq!(file_name("releases.json").ok(), Some("releases.json"));
    }
}
