//! What the sources of COPY and ADD lead to: symbolic links on the way, and
//! what they point at, belong to what must be sent. Nothing leads out of the
//! context: its root is the root of every absolute link. Imports nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use crate::docker::dockerignore::{Matched, Patterns, clean};

/// More links than this behind one source are a circle.
const MOST_LINKS: usize = 255;

/// The sources and what their links lead to, as include patterns.
pub(super) fn resolve(root: &Path, sources: &[String]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        follow(root, &clean(source), &mut found, MOST_LINKS);
    }
    found.into_iter().collect()
}

fn follow(root: &Path, source: &str, found: &mut BTreeSet<String>, links_left: usize) {
    let mut reached = String::new();
    let parts: Vec<&str> = source.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let rest = parts[index + 1..].join("/");
        for (link, target) in links(root, &reached, part) {
            let known = !found.insert(link);
            if links_left > 0 && !(known && rest.is_empty()) {
                let whole = clean(&format!("{target}/{rest}"));
                follow(root, &whole, found, links_left - 1);
            }
        }
        if !reached.is_empty() {
            reached.push('/');
        }
        reached.push_str(part);
    }
    found.insert(source.to_owned());
}

/// The links among the entries of `folder` that `part` names or matches, with
/// their targets seen from the root.
fn links(root: &Path, folder: &str, part: &str) -> Vec<(String, String)> {
    let names: Vec<String> = if part.contains(['*', '?', '[', '\\']) {
        let Ok(pattern) = Patterns::parse([part]) else {
            return vec![];
        };
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            return vec![];
        };
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| pattern.check(name, &Matched::default()).0)
            .collect()
    } else {
        vec![part.to_owned()]
    };
    let mut links = vec![];
    for name in names {
        let path = clean(&format!("{folder}/{name}"));
        let Ok(target) = fs::read_link(root.join(&path)) else {
            continue;
        };
        let absolute = target.components().next() == Some(Component::RootDir);
        let target = target.to_string_lossy();
        let from_root = if absolute {
            clean(&target)
        } else {
            clean(&format!("{folder}/{target}"))
        };
        links.push((path, from_root));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolved(root: &Path, sources: &[&str]) -> Vec<String> {
        let sources: Vec<String> = sources.iter().map(|s| (*s).to_owned()).collect();
        resolve(root, &sources)
    }

    #[test]
    fn a_link_brings_what_it_points_at_and_absolute_ones_stay_inside() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("a/b")).expect("folders");
        symlink("../c", dir.path().join("a/link")).expect("a link");
        symlink("/a/b", dir.path().join("c")).expect("a link");
        assert_eq!(
            resolved(dir.path(), &["a/link/file"]),
            ["a/b/file", "a/link", "a/link/file", "c", "c/file"]
        );
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().expect("a folder");
        symlink("b", dir.path().join("a")).expect("a link");
        symlink("a", dir.path().join("b")).expect("a link");
        assert_eq!(resolved(dir.path(), &["a"]), ["a", "b"]);
        assert!(!resolved(dir.path(), &["a/x"]).is_empty());
    }

    #[test]
    fn a_pattern_stays_a_pattern_and_its_links_are_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("plain.js"), "").expect("a file");
        symlink("real/x.js", dir.path().join("link.js")).expect("a link");
        assert_eq!(
            resolved(dir.path(), &["*.js"]),
            ["*.js", "link.js", "real/x.js"]
        );
    }
}
