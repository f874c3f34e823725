//! The checkout: which commit, and whether the tree differs from it.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::plan::SourceFacts;

/// Asks git. No repository, no commit yet or no git at all is a checkout
/// without a commit, not an error. Stagecraft's own folders never count as
/// changes.
pub(crate) async fn observe(root: &Path) -> SourceFacts {
    let Some(commit) = commit(root).await else {
        return SourceFacts::default();
    };
    let changes = git(
        root,
        &[
            "status",
            "--porcelain",
            "--untracked-files=normal",
            "--",
            ".",
            ":(exclude,glob)**/.stagecraft/**",
            ":(exclude,glob)**/.artifacts/**",
        ],
    )
    .await;
    SourceFacts {
        commit: Some(commit),
        dirty: changes.is_none_or(|changes| !changes.is_empty()),
    }
}

/// The commit alone, where it does not matter what the tree holds.
pub(crate) async fn commit(root: &Path) -> Option<String> {
    git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).await
}

/// The files of a folder that are in no commit, or not as they were committed:
/// ignored ones too. Empty where there is no repository.
pub(crate) async fn changed(folder: &Path) -> Vec<String> {
    let listed = printed(
        folder,
        &[
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignored",
            "--",
            ".",
        ],
    )
    .await;
    let listed = listed.unwrap_or_default();
    let entries = listed.split('\0');
    // Two letters of state, a blank, the path.
    entries
        .filter_map(|entry| entry.get(3..))
        .map(str::to_owned)
        .collect()
}

async fn git(root: &Path, args: &[&str]) -> Option<String> {
    let printed = printed(root, args).await?;
    Some(printed.trim().to_owned())
}

/// Every byte of it: blanks at the beginning of a line mean something.
async fn printed(root: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(args)
        // A read-only look must not take git's own lock.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
