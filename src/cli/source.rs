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

async fn git(root: &Path, args: &[&str]) -> Option<String> {
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
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
