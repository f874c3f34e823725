//! What is checked before anything is asked of the engine: the context is a
//! folder that can be read, the Dockerfile a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::fault::Fault;
use crate::model::project::BuildSpec;

/// Where the build's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) context: PathBuf,
    /// The folder of the Dockerfile, inside the context or not.
    pub(super) dockerfile_folder: PathBuf,
    pub(super) dockerfile_name: String,
}

impl Recipe {
    pub(super) fn check(spec: &BuildSpec) -> Result<Self, Fault> {
        if let Err(error) = fs::read_dir(&spec.context) {
            return Err(unreadable("the build context", &spec.context, &error)
                .hint("set `build.context` to a folder"));
        }
        let dockerfile = &spec.dockerfile;
        let hint = "set `build.dockerfile` to the Dockerfile's path";
        let text = fs::read(dockerfile)
            .map_err(|error| unreadable("the Dockerfile", dockerfile, &error).hint(hint))?;
        if text.trim_ascii().is_empty() {
            return Err(Fault::config(format!(
                "the Dockerfile `{}` is empty",
                dockerfile.display()
            ))
            .hint(hint));
        }
        let (Some(folder), Some(name)) = (dockerfile.parent(), dockerfile.file_name()) else {
            return Err(
                Fault::config(format!("`{}` is not a file", dockerfile.display())).hint(hint),
            );
        };
        Ok(Self {
            context: spec.context.clone(),
            dockerfile_folder: folder.to_owned(),
            dockerfile_name: name.to_string_lossy().into_owned(),
        })
    }
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::config(format!("{what} `{}` cannot be read", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexMap;

    fn spec(context: &Path, dockerfile: &Path) -> BuildSpec {
        BuildSpec {
            context: context.to_owned(),
            dockerfile: dockerfile.to_owned(),
            target: None,
            args: IndexMap::new(),
            secrets: vec![],
            platform: None,
        }
    }

    #[test]
    fn a_dockerfile_may_lie_outside_of_the_context() {
        let dir = tempfile::tempdir().expect("a folder");
        let context = dir.path().join("app");
        fs::create_dir(&context).expect("a folder");
        let dockerfile = dir.path().join("prod.Dockerfile");
        fs::write(&dockerfile, "FROM scratch\n").expect("a file");
        let recipe = Recipe::check(&spec(&context, &dockerfile)).expect("readable");
        assert_eq!(recipe.dockerfile_folder, dir.path());
        assert_eq!(recipe.dockerfile_name, "prod.Dockerfile");
    }

    #[test]
    fn what_is_missing_or_empty_is_named_before_the_build() {
        let dir = tempfile::tempdir().expect("a folder");
        let dockerfile = dir.path().join("Dockerfile");
        let missing = Recipe::check(&spec(dir.path(), &dockerfile)).expect_err("missing");
        assert!(
            missing.what.contains("Dockerfile` cannot be read"),
            "{missing}"
        );
        fs::write(&dockerfile, "\n").expect("a file");
        let empty = Recipe::check(&spec(dir.path(), &dockerfile)).expect_err("empty");
        assert!(empty.what.ends_with("is empty"), "{empty}");
        let nowhere = Recipe::check(&spec(&dir.path().join("x"), &dockerfile)).expect_err("x");
        assert!(nowhere.what.starts_with("the build context"), "{nowhere}");
    }
}
