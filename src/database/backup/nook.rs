//! The folder of an environment's backups, and the ledger in it.
//!
//! Its modes let in nobody but its owner; in the folder that the host's users
//! of the group `docker` share, those too (they are root on that host anyway).

use crate::model::backup::{BackupLedger, BackupRecord};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::{Environment, Via};
use crate::ports::{HostLink, RemoteExit, StateFolders};

use super::quoted;

const LEDGER: &str = "backups.json";
/// What the name of an unfinished file ends with.
pub(super) const PARTIAL: &str = ".partial";
/// Where the state folders are that several users of a host share.
const SHARED: &str = "/var/lib/stagecraft/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nook {
    pub(super) host: HostAddress,
    /// Absolute.
    pub(super) folder: String,
}

/// What the folder says before a file is made in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    /// `uid:gid`: a container that writes there has to be this user.
    pub(super) owner: String,
    pub(super) free: u64,
}

/// A file as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) size: u64,
    pub(super) checksum: String,
}

impl Nook {
    /// # Errors
    /// The host cannot be reached.
    pub(super) async fn of(
        folders: &dyn StateFolders,
        environment: &Environment,
        via: Via,
    ) -> Result<Self, Fault> {
        let primary = &environment.primary().address;
        if primary.is_local() || via == Via::Direct {
            let here = environment.root.join(".stagecraft").join("backups");
            let folder = here.join(environment.name.as_str());
            return Ok(Self {
                host: "local".parse().map_err(|_| Fault::internal("no `local`"))?,
                folder: folder.to_string_lossy().into_owned(),
            });
        }
        Ok(Self {
            folder: format!("{}/backups", folders.folder(primary).await?),
            host: primary.clone(),
        })
    }

    pub(super) fn words(&self) -> String {
        match self.host.is_local() {
            true => self.folder.clone(),
            false => format!("{} on {}", self.folder, self.host),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// What every script here begins with.
    pub(super) fn preamble(&self) -> String {
        format!("umask {}\nd={}\n", self.umask(), quoted(&self.folder))
    }

    pub(super) fn umask(&self) -> &'static str {
        if self.shared() { "007" } else { "077" }
    }

    fn shared(&self) -> bool {
        self.folder.starts_with(SHARED)
    }

    /// Makes the folder, and removes what a run that was killed left behind:
    /// whoever calls holds the environment lock, so nobody is at it now.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub(super) async fn prepare(&self, link: &dyn HostLink) -> Result<Room, Fault> {
        // The folders above have the modes that other files there get.
        let above = if self.shared() {
            r#"(umask 002; mkdir -p "${d%/*}")"#
        } else {
            r#"mkdir -p "${d%/*}""#
        };
        let script = format!(
            r#"[ -d "$d" ] || {{ {above} && mkdir "$d"; }} || exit 1
[ -w "$d" ] || {{ echo "no permission to write $d" >&2; exit 1; }}
rm -f "$d"/*{PARTIAL}*
set -- $(ls -nd "$d/.")
echo "owner $(id -u):$4"
df -Pk "$d" | tail -n 1
"#
        );
        let exit = self
            .run(link, "prepare the folder of backups", &script)
            .await?;
        let said = String::from_utf8_lossy(&exit.stdout).into_owned();
        let owner = said.lines().find_map(|line| line.strip_prefix("owner "));
        // … blocks used AVAILABLE percent% mount
        let words: Vec<&str> = said.lines().last().unwrap_or_default().split(' ').collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let percent = words.iter().rposition(|word| word.ends_with('%'));
        let free = percent
            .and_then(|at| words.get(at.checked_sub(1)?)?.parse::<u64>().ok())
            .map(|blocks| blocks.saturating_mul(1024));
        match (owner, free) {
            (Some(owner), Some(free)) => Ok(Room {
                owner: owner.to_owned(),
                free,
            }),
            _ => Err(self.wrong("prepare the folder of backups", &exit)),
        }
    }

    /// # Errors
    /// There is no such file, or it cannot be read.
    pub(super) async fn look(&self, link: &dyn HostLink, path: &str) -> Result<Seen, Fault> {
        let script = format!(
            "f={}\n[ -f \"$f\" ] || {{ echo \"there is no file $f\" >&2; exit 1; }}\nwc -c <\"$f\" && {{ sha256sum \"$f\" 2>/dev/null || shasum -a 256 \"$f\"; }}\n",
            quoted(path)
        );
        let exit = self.run(link, "read the backup", &script).await?;
        let said = String::from_utf8_lossy(&exit.stdout).into_owned();
        let mut words = said.split_whitespace();
        match (
            words.next().and_then(|size| size.parse().ok()),
            words.next(),
        ) {
            // A name with a backslash in it makes sha256sum write one more.
            (Some(size), Some(sum)) => Ok(Seen {
                size,
                checksum: sum.trim_start_matches('\\').to_owned(),
            }),
            _ => Err(self.wrong("read the backup", &exit)),
        }
    }

    /// Gives a verified file its own name, durably.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) async fn settle(&self, link: &dyn HostLink, name: &str) -> Result<(), Fault> {
        let script = format!(
            "f=\"$d\"/{}\nsync \"$f{PARTIAL}\" 2>/dev/null || sync\nmv \"$f{PARTIAL}\" \"$f\" || exit 1\nsync \"$d\" 2>/dev/null || sync\n",
            quoted(name)
        );
        self.run(link, "keep the backup", &script).await.map(|_| ())
    }

    /// Removes an unfinished file, and whatever was made beside it.
    pub(super) async fn clear(&self, link: &dyn HostLink, name: &str) -> Result<(), Fault> {
        let script = format!("rm -f \"$d\"/{}{PARTIAL}*\n", quoted(name));
        self.run(link, "remove the unfinished backup", &script)
            .await
            .map(|_| ())
    }

    /// Removes a finished file that no ledger came to name, and what was made
    /// beside it.
    pub(super) async fn withdraw(&self, link: &dyn HostLink, name: &str) -> Result<(), Fault> {
        let script = format!(
            "n={}\ngrep -qF -- \"/$n\\\"\" \"$d/{LEDGER}\" 2>/dev/null || rm -f \"$d/$n\"\nrm -f \"$d/$n\"{PARTIAL}*\n",
            quoted(name)
        );
        self.run(link, "remove the unfinished backup", &script)
            .await
            .map(|_| ())
    }

    /// # Errors
    /// It cannot be read, or is of a later version.
    pub(super) async fn ledger(&self, link: &dyn HostLink) -> Result<BackupLedger, Fault> {
        let script = format!("[ -e \"$d/{LEDGER}\" ] || exit 0\ncat \"$d/{LEDGER}\"\n");
        let exit = self
            .run(link, "read the ledger of backups", &script)
            .await?;
        if exit.stdout.is_empty() {
            return Ok(BackupLedger::default());
        }
        let damaged = || {
            Fault::failed(format!(
                "the ledger of backups in {} cannot be read",
                self.words()
            ))
            .state("the backups themselves lie beside it")
        };
        let ledger: BackupLedger =
            serde_json::from_slice(&exit.stdout).map_err(|error| damaged().caused_by(&error))?;
        match ledger.format {
            BackupLedger::FORMAT => Ok(ledger),
            later => Err(damaged().because(format!("it has format {later}, of a later version"))),
        }
    }

    /// # Errors
    /// The disk does not take it: the old one stays.
    pub(super) async fn write(
        &self,
        link: &dyn HostLink,
        ledger: &BackupLedger,
    ) -> Result<(), Fault> {
        let mut bytes = serde_json::to_vec_pretty(ledger)
            .map_err(|error| Fault::internal("cannot write JSON").caused_by(&error))?;
        bytes.push(b'\n');
        // Input that a dying connection cut short ends like a whole one.
        let script = format!(
            r#"t=$d/.{LEDGER}.$$
trap 'rm -f "$t"' EXIT
cat >"$t" && [ "$(wc -c <"$t")" -eq {} ] || exit 1
sync "$t" 2>/dev/null || sync
mv -f "$t" "$d/{LEDGER}" || exit 1
trap - EXIT
sync "$d" 2>/dev/null || sync
"#,
            bytes.len()
        );
        let script = format!("{}{script}", self.preamble());
        let what = "write the ledger of backups";
        let exit = link.exec(&self.host, &script, &bytes).await?;
        match exit.code {
            0 => Ok(()),
            _ => Err(self.wrong(what, &exit)),
        }
    }

    /// Takes them out of the ledger, then removes their files: a ledger never
    /// names a file that is gone.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) async fn forget(
        &self,
        link: &dyn HostLink,
        backups: &[&BackupRecord],
    ) -> Result<(), Fault> {
        let mut ledger = self.ledger(link).await?;
        let goes = |known: &BackupRecord| {
            let mut backups = backups.iter();
            backups.any(|one| one.id == known.id && one.database == known.database)
        };
        let (gone, stay) = ledger.backups.into_iter().partition(goes);
        ledger.backups = stay;
        self.write(link, &ledger).await?;
        let gone: Vec<BackupRecord> = gone;
        let files: Vec<String> = gone.iter().map(|one| quoted(&one.path)).collect();
        let script = format!("rm -f {}\n", files.join(" "));
        self.run(link, "remove backups", &script).await.map(|_| ())
    }

    async fn run(
        &self,
        link: &dyn HostLink,
        what: &str,
        script: &str,
    ) -> Result<RemoteExit, Fault> {
        let script = format!("{}{script}", self.preamble());
        let exit = link.exec(&self.host, &script, b"").await?;
        match exit.code {
            0 => Ok(exit),
            _ => Err(self.wrong(what, &exit)),
        }
    }

    fn wrong(&self, what: &str, exit: &RemoteExit) -> Fault {
        let said = String::from_utf8_lossy(&exit.stderr).into_owned();
        let fault = Fault::failed(format!("cannot {what} in {}", self.words()));
        match said.lines().next_back() {
            Some(line) => fault.because(line.trim()),
            None => fault,
        }
    }
}
