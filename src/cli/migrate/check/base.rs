//! What was merged, asked of git: a handful of processes however many files
//! there are.

use std::collections::BTreeMap;
use std::path::Path;

use crate::migrate::policy::Base;
use crate::model::complaint::{Complaint, Rule, Weight};
use crate::model::fault::Fault;

use super::git::{Trouble, answer, git, git_given};

/// Where the main branch may be, the likeliest first.
const BRANCHES: [&str; 5] = [
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
];

/// The files of a folder as they were merged, or why that cannot be told.
///
/// # Errors
/// `wanted` is no commit.
pub(super) async fn find(
    folder: &Path,
    shown: &str,
    wanted: Option<&str>,
) -> Result<Result<Base, Complaint>, Fault> {
    match look(folder, wanted).await {
        Ok(base) => Ok(Ok(base)),
        Err(Missing::Wanted(name)) => Err(Fault::config(format!("there is no commit `{name}`"))
            .state("nothing was checked")
            .hint("fetch it first: `git fetch origin`, in GitHub Actions `fetch-depth: 0`")),
        Err(Missing::Why(weight, what, hint)) => {
            let complaint = Complaint::new(weight, Rule::Base, shown, what);
            Ok(Err(complaint.hint(hint)))
        }
    }
}

enum Missing {
    Wanted(String),
    Why(Weight, String, String),
}

impl From<Trouble> for Missing {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoRepository(why) => Missing::Why(
                Weight::Warning,
                format!("what was merged is not known: {why}"),
                "run it in a clone of the repository".to_owned(),
            ),
            Trouble::Said(why) => Missing::Why(
                Weight::Violation,
                format!("what was merged is not known: git says: {why}"),
                "see what `git status` says here".to_owned(),
            ),
        }
    }
}

async fn look(folder: &Path, wanted: Option<&str>) -> Result<Base, Missing> {
    let shallow = git(folder, &["rev-parse", "--is-shallow-repository"]).await?;
    let shallow = match shallow.trim_ascii() {
        b"true" => Depth::Shallow,
        _ => Depth::Whole,
    };
    let head = answer(folder, &["rev-parse", "--verify", "--quiet", "HEAD"]).await?;
    let Some(head) = head else {
        return Err(Missing::Why(
            Weight::Note,
            "nothing is committed yet".to_owned(),
            "commit the migrations, and what is merged is compared".to_owned(),
        ));
    };
    let (name, tip) = branch(folder, wanted, shallow).await?;
    let Some(commit) = answer(folder, &["merge-base", "HEAD", &tip]).await? else {
        return Err(no_merge_base(&name, shallow));
    };
    if shallow == Depth::Shallow && commit == tip && head == commit {
        return Err(alone(&name));
    }
    let (differs, merged, newest) = tokio::join!(
        differing(folder, &commit),
        names(folder, &commit),
        names(folder, &tip)
    );
    Ok(Base {
        name,
        changed: contents(folder, differs?).await?,
        merged: merged?,
        newest: newest?,
        commit: commit.get(..12).unwrap_or(&commit).to_owned(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    /// A clone without its older commits.
    Shallow,
}

/// The name and the newest commit of the branch to compare with.
async fn branch(
    folder: &Path,
    wanted: Option<&str>,
    depth: Depth,
) -> Result<(String, String), Missing> {
    if let Some(wanted) = wanted {
        let commit = format!("{wanted}^{{commit}}");
        let args = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ];
        return match answer(folder, &args).await {
            Ok(Some(tip)) => Ok((wanted.to_owned(), tip)),
            Ok(None) | Err(Trouble::Said(_)) => Err(Missing::Wanted(wanted.to_owned())),
            Err(trouble) => Err(trouble.into()),
        };
    }
    let mut args = vec!["for-each-ref", "--format=%(refname) %(objectname)"];
    args.extend(BRANCHES);
    let known = git(folder, &args).await?;
    let known = String::from_utf8_lossy(&known).into_owned();
    let known: Vec<(&str, &str)> = known.lines().filter_map(|l| l.split_once(' ')).collect();
    let found = BRANCHES
        .iter()
        .find_map(|branch| known.iter().find(|(name, _)| name == branch));
    match (found, depth) {
        (Some((name, tip)), _) => {
            let short = name
                .trim_start_matches("refs/remotes/")
                .trim_start_matches("refs/heads/");
            Ok((short.to_owned(), (*tip).to_owned()))
        }
        (None, Depth::Shallow) => Err(too_shallow("it has no main branch")),
        (None, Depth::Whole) => Err(Missing::Why(
            Weight::Warning,
            "what was merged is not known: there is no branch `origin/HEAD`, `origin/main`, \
             `origin/master`, `main` or `master`"
                .to_owned(),
            "name it: `stagecraft migrate check --base BRANCH`".to_owned(),
        )),
    }
}

fn no_merge_base(name: &str, depth: Depth) -> Missing {
    match depth {
        Depth::Shallow => too_shallow(&format!("it does not reach back to `{name}`")),
        Depth::Whole => Missing::Why(
            Weight::Violation,
            format!("this branch and `{name}` have no commit in common"),
            "name another one: `stagecraft migrate check --base REF`".to_owned(),
        ),
    }
}

/// A clone of one commit agrees with itself.
fn alone(name: &str) -> Missing {
    Missing::Why(
        Weight::Warning,
        format!("this shallow clone is `{name}` itself: there is nothing to compare it with"),
        "fetch more (in GitHub Actions `fetch-depth: 0`) and name the commit before: \
         `stagecraft migrate check --base COMMIT`"
            .to_owned(),
    )
}

/// Nothing could be proven, and in CI nobody would notice.
fn too_shallow(why: &str) -> Missing {
    Missing::Why(
        Weight::Violation,
        format!("what was merged is not known: this clone is shallow, and {why}"),
        "fetch the rest with `git fetch --unshallow origin`; in GitHub Actions give \
         `actions/checkout` the option `fetch-depth: 0`, in GitLab set `GIT_DEPTH: 0`"
            .to_owned(),
    )
}

/// The files of a commit that are others here, with the blob that they were.
async fn differing(folder: &Path, commit: &str) -> Result<Vec<(String, String)>, Trouble> {
    let args = [
        "diff",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--no-ext-diff",
        "--relative",
        commit,
        "--",
        ".",
    ];
    let raw = git(folder, &args).await?;
    let raw = String::from_utf8_lossy(&raw);
    let mut words = raw.split('\0');
    let mut found = vec![];
    // `:100644 100644 <before> <now> M`, then the path.
    while let (Some(about), Some(path)) = (words.next(), words.next()) {
        let blob = about.split(' ').nth(2).unwrap_or_default();
        let is_new = blob.bytes().all(|byte| byte == b'0');
        if !is_new && !path.contains('/') {
            found.push((path.to_owned(), blob.to_owned()));
        }
    }
    Ok(found)
}

async fn names(folder: &Path, commit: &str) -> Result<Vec<String>, Trouble> {
    let raw = git(folder, &["ls-tree", "-z", "--name-only", commit]).await?;
    let raw = String::from_utf8_lossy(&raw);
    let names = raw.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// One process for all of them.
async fn contents(
    folder: &Path,
    files: Vec<(String, String)>,
) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked: String = files.iter().map(|(_, blob)| format!("{blob}\n")).collect();
    let batch = git_given(folder, &["cat-file", "--batch"], asked.as_bytes()).await?;
    let broken = || Trouble::Said("`git cat-file` gave another answer than expected".to_owned());
    let mut rest = batch.as_slice();
    let mut found = BTreeMap::new();
    for (name, _) in files {
        // `<blob> blob <size>`, a newline, the bytes, a newline.
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(broken)?;
        let about = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = about
            .rsplit(' ')
            .next()
            .and_then(|size| size.parse::<usize>().ok());
        let size = size.ok_or_else(broken)?;
        let bytes = rest.get(end + 1..end + 1 + size).ok_or_else(broken)?;
        found.insert(name, bytes.to_vec());
        rest = rest.get(end + size + 2..).unwrap_or_default();
    }
    Ok(found)
}
