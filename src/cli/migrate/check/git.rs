//! The program `git` in one folder, read-only, its words in English.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why git gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No such program, or the folder is in no repository.
    NoRepository(String),
    /// Its own words.
    Said(String),
}

/// Standard output of a command that succeeded.
pub(super) async fn git(folder: &Path, args: &[&str]) -> Result<Vec<u8>, Trouble> {
    read(run(folder, args, &[]).await?)
}

/// The same, with something on its standard input.
pub(super) async fn git_given(
    folder: &Path,
    args: &[&str],
    input: &[u8],
) -> Result<Vec<u8>, Trouble> {
    read(run(folder, args, input).await?)
}

/// The text of a command; `None` where it ends with 1, which means no.
pub(super) async fn answer(folder: &Path, args: &[&str]) -> Result<Option<String>, Trouble> {
    let output = run(folder, args, &[]).await?;
    match output.status.code() {
        Some(1) => Ok(None),
        _ => Ok(Some(
            String::from_utf8_lossy(&read(output)?).trim().to_owned(),
        )),
    }
}

fn read(output: Output) -> Result<Vec<u8>, Trouble> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("fatal: ").to_owned();
    Err(match said.starts_with("not a git repository") {
        true => Trouble::NoRepository("this is no git repository".to_owned()),
        false => Trouble::Said(said),
    })
}

async fn run(folder: &Path, args: &[&str], input: &[u8]) -> Result<Output, Trouble> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::NoRepository("there is no `git` here".to_owned()),
        _ => Trouble::Said(format!("cannot run `git`: {error}")),
    };
    let mut child = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        // A read-only look must not take git's own lock.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    let stdin = child.stdin.take();
    // Both at once: either pipe may fill up.
    let (_, output) = tokio::join!(
        async move {
            if let Some(mut stdin) = stdin {
                // Who reads no input has an answer of its own.
                let _ = stdin.write_all(input).await;
            }
        },
        child.wait_with_output()
    );
    output.map_err(cannot)
}
