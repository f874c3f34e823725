//! One history a host: the folder that this user's commands use must be the one
//! that the host's containers name, or one that was joined to it. Imports
//! `ports`, `model`.
//!
//! `joined` in a folder lists the folders whose records were brought into it, a
//! line each. A symbolic link from one folder to the other joins them too.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::{EnvironmentName, ProjectName};
use crate::ports::{HostLink, StateFolders};

use super::state::{COMMON, PATIENCE, folder_script, host_state_dir, went_wrong, within};

/// The folders of one environment on its hosts. Each host is asked once.
pub struct Folders {
    link: Arc<dyn HostLink>,
    project: ProjectName,
    environment: EnvironmentName,
    known: Mutex<HashMap<HostAddress, Arc<OnceCell<String>>>>,
}

impl Folders {
    #[must_use]
    pub fn new(
        link: Arc<dyn HostLink>,
        project: &ProjectName,
        environment: &EnvironmentName,
    ) -> Self {
        Self {
            link,
            project: project.clone(),
            environment: environment.clone(),
            known: Mutex::default(),
        }
    }

    fn split(&self, host: &HostAddress, ours: &str, other: &str) -> Fault {
        let (project, environment) = (&self.project, &self.environment);
        let target = format!("{COMMON}/{project}/{environment}");
        let sources: Vec<String> = [other, ours]
            .into_iter()
            .filter(|folder| *folder != target)
            .map(quoted)
            .collect();
        let sources = sources.join(" ");
        let join = format!(
            "install -d -m 2775 -g docker {target} && find {sources} -name 'release-*' -exec cp -u {{}} {target}/ \\; && chmod 664 {target}/release-* && printf '%s\\n' {sources} >>{target}/joined"
        );
        Fault::unreachable(format!(
            "the records of `{environment}` on `{host}` are in two folders"
        ))
        .because(format!(
            "its containers were made with `{other}`, and this user's commands use `{ours}`: the two histories do not know each other"
        ))
        .hint("connect as the user who deployed before: name it in `hosts`, as `user@host`")
        .hint(format!(
            "or join the two for every user of the group `docker`, on that host as root: `{join}`"
        ))
    }
}

#[async_trait]
impl StateFolders for Folders {
    async fn folder(&self, host: &HostAddress) -> Result<String, Fault> {
        let cell = Arc::clone(
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(host.clone())
                .or_default(),
        );
        let ask = || host_state_dir(&*self.link, host, &self.project, &self.environment);
        cell.get_or_try_init(ask).await.cloned()
    }

    async fn confirm(&self, host: &HostAddress, found: &BTreeSet<String>) -> Result<(), Fault> {
        let ours = self.folder(host).await?;
        let others: String = found
            .iter()
            .filter(|folder| **folder != ours && !folder.contains('\n'))
            .map(|folder| format!("{folder}\n"))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let script = format!(
            r#"{}cd "$d" 2>/dev/null; here=$(pwd -P)
while IFS= read -r other; do
  [ -e joined ] && grep -qxF -e "$other" joined && continue
  [ "$(cd "$other" 2>/dev/null && pwd -P)" = "$here" ] || printf '%s\n' "$other"
done
"#,
            folder_script(&self.project, &self.environment)
        );
        let (what, input) = ("compare the state folders", others.as_bytes());
        let exit = within(PATIENCE, &*self.link, host, what, &script, input).await?;
        if exit.code != 0 {
            return Err(went_wrong(host, what, &exit));
        }
        // What a login shell likes to say first is none of those.
        let text = String::from_utf8_lossy(&exit.stdout);
        match text.lines().find(|line| found.contains(*line)) {
            Some(other) => Err(self.split(host, &ours, other)),
            None => Ok(()),
        }
    }
}

/// One word for `sh`.
fn quoted(folder: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if folder.chars().all(plain) {
        folder.to_owned()
    } else {
        format!("'{}'", folder.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::machines::Machines;
    use super::*;
    use crate::model::fault::FaultKind;

    fn folders(place: &std::path::Path) -> (Folders, HostAddress) {
        let host: HostAddress = "web1".parse().expect("an address");
        let link = Arc::new(Machines::one(&host, place));
        let project = "shop".parse().expect("a name");
        let environment = "prod".parse().expect("a name");
        (Folders::new(link, &project, &environment), host)
    }

    #[tokio::test]
    async fn a_folder_that_was_never_joined_stops_with_both_and_the_command() {
        let place = tempfile::tempdir().expect("a folder");
        let (folders, host) = folders(place.path());
        let ours = folders.folder(&host).await.expect("the host answers");
        let found = BTreeSet::from([ours.clone(), "/home/bob's/prod".to_owned()]);
        let fault = folders.confirm(&host, &found).await.expect_err("two");
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert!(fault.causes[0].contains(&ours), "{fault}");
        assert!(fault.causes[0].contains("`/home/bob's/prod`"), "{fault}");
        assert!(
            fault.hints[1].contains(r"find '/home/bob'\''s/prod' "),
            "{:?}",
            fault.hints
        );
        std::fs::create_dir_all(&ours).expect("a folder");
        std::fs::write(format!("{ours}/joined"), "/x\n/home/bob's/prod\n").expect("written");
        let joined = folders.confirm(&host, &found).await;
        assert!(joined.is_ok(), "{joined:?}");
    }

    #[tokio::test]
    async fn a_link_to_the_same_folder_is_the_same_folder() {
        let place = tempfile::tempdir().expect("a folder");
        let (folders, host) = folders(place.path());
        let ours = folders.folder(&host).await.expect("the host answers");
        std::fs::create_dir_all(&ours).expect("a folder");
        let other = place.path().join("old");
        std::os::unix::fs::symlink(&ours, &other).expect("a link");
        let found = BTreeSet::from([other.display().to_string()]);
        let same = folders.confirm(&host, &found).await;
        assert!(same.is_ok(), "{same:?}");
    }
}
