//! Which file is meant.

use std::path::{Path, PathBuf};

use crate::model::fault::Fault;

const NAMES: [&str; 2] = ["stagecraft.yml", "stagecraft.yaml"];

/// The named file (or the one in the named folder); else the one in the
/// current folder or, inside a Git checkout, the nearest above it up to the
/// checkout's root. Folders outside a checkout are never searched upward: a
/// file that somebody else put there is not this project's.
///
/// # Errors
/// There is none, or there are two in one folder.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, Fault> {
    let here = std::env::current_dir()
        .map_err(|error| Fault::config("the current folder cannot be read").caused_by(&error))?;
    find_from(&here, explicit)
}

fn find_from(here: &Path, explicit: Option<&Path>) -> Result<PathBuf, Fault> {
    if let Some(explicit) = explicit {
        let path = here.join(shellexpand::tilde(&explicit.to_string_lossy()).as_ref());
        if path.is_dir() {
            return in_folder(&path)?.ok_or_else(|| {
                Fault::config(format!("no `stagecraft.yml` in `{}`", explicit.display()))
            });
        }
        if path.is_file() {
            return Ok(path);
        }
        return Err(
            Fault::config(format!("there is no file `{}`", explicit.display())).hint(
                "name another with `--config FILE`, or write a first one with `stagecraft init`",
            ),
        );
    }
    if let Some(found) = in_folder(here)? {
        return Ok(found);
    }
    let root = here.ancestors().find(|folder| folder.join(".git").exists());
    let above = here.ancestors().skip(1);
    for folder in above.take_while(|folder| root.is_some_and(|root| folder.starts_with(root))) {
        if let Some(found) = in_folder(folder)? {
            return Ok(found);
        }
    }
    let searched = match root {
        Some(root) if root != here => {
            format!(
                "`{}` and the folders above it up to `{}`",
                here.display(),
                root.display()
            )
        }
        Some(_) | None => format!("`{}`", here.display()),
    };
    Err(Fault::config("no `stagecraft.yml` found")
        .because(format!("searched {searched}"))
        .hint("write a first one with `stagecraft init`, or name it with `--config FILE`"))
}

fn in_folder(folder: &Path) -> Result<Option<PathBuf>, Fault> {
    let mut there = NAMES
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.is_file());
    match (there.next(), there.next()) {
        (Some(first), Some(second)) => Err(Fault::config(format!(
            "both `{}` and `{}` are there",
            first.display(),
            second.display()
        ))
        .hint("remove one of them, or name the one that counts with `--config FILE`")),
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, "version: 1").expect("a file");
        }
        root
    }

    #[test]
    fn inside_a_checkout_the_nearest_file_above_is_found() {
        let root = folder(&[".git/HEAD", "stagecraft.yml", "app/src/x"]);
        let found = find_from(&root.path().join("app/src"), None).expect("a file");
        assert_eq!(found, root.path().join("stagecraft.yml"));
    }

    #[test]
    fn outside_a_checkout_only_the_current_folder_counts() {
        let root = folder(&["stagecraft.yml", "app/x"]);
        assert!(find_from(&root.path().join("app"), None).is_err());
        assert!(find_from(root.path(), None).is_ok());
    }

    #[test]
    fn a_file_above_the_checkout_is_not_this_projects() {
        let root = folder(&["stagecraft.yml", "repo/.git/HEAD", "repo/app/x"]);
        assert!(find_from(&root.path().join("repo/app"), None).is_err());
    }

    #[test]
    fn two_files_in_one_folder_are_refused() {
        let root = folder(&["stagecraft.yml", "stagecraft.yaml"]);
        let fault = find_from(root.path(), None).expect_err("refused");
        assert!(fault.what.contains("both"), "{fault}");
    }

    #[test]
    fn a_named_file_or_folder_is_taken_and_a_missing_one_is_named() {
        let root = folder(&["other.yml", "sub/stagecraft.yaml"]);
        let found = |name: &str| find_from(root.path(), Some(Path::new(name)));
        assert_eq!(found("other.yml"), Ok(root.path().join("other.yml")));
        assert_eq!(found("sub"), Ok(root.path().join("sub/stagecraft.yaml")));
        assert_eq!(
            found("gone.yml").map_err(|fault| fault.what),
            Err("there is no file `gone.yml`".to_owned())
        );
    }
}
