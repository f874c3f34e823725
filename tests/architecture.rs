//! The house keeps its own rules: who may import whom, one home for each
//! foreign crate, short files, one place that prints.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module → the modules it may import besides itself. `lib.rs` shows the same
/// table to readers.
const IMPORTS: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("ports", &["model"]),
    ("plan", &["model"]),
    ("config", &["model", "ports"]),
    ("deploy", &["plan", "ports", "model"]),
    ("release", &["ports", "model"]),
    ("migrate", &["ports", "model"]),
    ("database", &["ports", "model"]),
    ("rollout", &["ports", "model"]),
    ("docker", &["ports", "model"]),
    ("ssh", &["ports", "model"]),
    ("proxy", &["ports", "model"]),
    ("http", &["ports", "model"]),
    ("ui", &["model", "plan"]),
    (
        "cli",
        &[
            "model", "ports", "plan", "config", "deploy", "release", "migrate", "database",
            "rollout", "docker", "ssh", "proxy", "http", "ui",
        ],
    ),
];

/// Foreign crate → the only module that may name it.
const HOMES: &[(&str, &str)] = &[
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("anyhow", "cli"),
    ("serde_yaml", "config"),
    ("granit_parser", "config"),
    ("miette", "config"),
    ("shellexpand", "config"),
    ("bollard", "docker"),
    ("bollard_buildkit_proto", "docker"),
    ("tonic", "docker"),
    ("openssh", "ssh"),
    ("tokio_postgres", "database"),
    ("mysql_async", "database"),
    ("rusqlite", "database"),
    ("squawk_syntax", "migrate"),
    ("squawk_linter", "migrate"),
    ("indicatif", "ui"),
];

const LONGEST: usize = 500;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = vec![];
    walk(&root().join("src"), &mut found);
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(root().join("src")).unwrap();
            let first = inside
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_str()
                .unwrap();
            Source {
                module: first.trim_end_matches(".rs").to_owned(),
                text: fs::read_to_string(&path).unwrap(),
                path,
            }
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines that are code: no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let allowed: BTreeMap<_, _> = IMPORTS.into_iter().collect();
    let mut wrong = vec![];
    for source in sources()
        .iter()
        .filter(|source| !matches!(source.module.as_str(), "lib" | "main"))
    {
        let Some(may) = allowed.get(source.module.as_str()) else {
            wrong.push(format!(
                "{} is in no module of the table",
                source.path.display()
            ));
            continue;
        };
        for (other, _) in &IMPORTS {
            let imports = code(&source.text).any(|line| {
                line.contains(&format!("crate::{other}::"))
                    || line.contains(&format!("crate::{other};"))
            });
            if imports && *other != source.module && !may.contains(other) {
                wrong.push(format!("{} imports {other}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_foreign_crate_has_one_home() {
    let mut wrong = vec![];
    for source in sources() {
        for &(foreign, home) in HOMES {
            let named = code(&source.text).any(|line| {
                line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .any(|word| word.starts_with(&format!("{foreign}::")))
            });
            if named && source.module != home {
                wrong.push(format!(
                    "{} names {foreign}, whose home is {home}",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let mut lengths: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .collect();
    lengths.sort();
    let long: Vec<_> = lengths
        .iter()
        .filter(|(lines, _)| *lines > LONGEST)
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines: {long:?}");
    let above_400 = lengths.iter().filter(|(lines, _)| *lines > 400).count();
    assert!(
        above_400 * 20 <= lengths.len(),
        "{above_400} of {} files are above 400 lines",
        lengths.len()
    );
    let median = lengths[lengths.len() / 2].0;
    assert!(median <= 160, "the median file has {median} lines");
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        // A trait a file: the trait's own words are the first.
        .filter(|source| source.module != "ports" || source.path.ends_with("mod.rs"))
        .filter(|source| !source.path.ends_with("tests.rs"))
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn only_ui_prints_and_nobody_panics_on_purpose() {
    let mut wrong = vec![];
    let tests_alone = |path: &Path| {
        path.components().any(|part| {
            matches!(
                part.as_os_str().to_str(),
                Some("tests" | "tests.rs" | "test_support.rs")
            )
        })
    };
    for source in sources()
        .into_iter()
        .filter(|source| !tests_alone(source.path.strip_prefix(root()).unwrap()))
    {
        let own_tests = source
            .text
            .find("#[cfg(test)]")
            .unwrap_or(source.text.len());
        for line in code(&source.text[..own_tests]) {
            for banned in ["println!(", "eprintln!(", "print!(", "eprint!("] {
                if line.contains(banned) && source.module != "ui" {
                    wrong.push(format!("{}: {}", source.path.display(), line.trim()));
                }
            }
            if line.contains(".unwrap()") || line.contains("panic!(") || line.contains("todo!(") {
                wrong.push(format!("{}: {}", source.path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_top_level_holds_what_it_should_and_nothing_else() {
    let mut names: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    names.sort();
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "examples",
        "src",
        "stagecraft.example.yml",
        "tests",
    ];
    assert_eq!(names, expected);
}

/// Every number of sections C and D stands in `tests/requirements.md`, and what
/// is named there exists.
#[test]
fn every_requirement_of_migrations_is_tested_or_replaced() {
    let text = fs::read_to_string(root().join("tests/requirements.md")).unwrap();
    let mut known = BTreeMap::new();
    let mut wrong = vec![];
    for line in text.lines().filter_map(|line| line.strip_prefix("- ")) {
        let (number, says) = line.split_once(": ").unwrap();
        if known.insert(number.to_owned(), ()).is_some() {
            wrong.push(format!("{number} stands twice"));
        }
        let tests = says
            .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
            .filter(|word| word.contains("::") && word.contains(".rs"));
        let mut named = 0;
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = fs::read_to_string(root().join(file)).unwrap_or_default();
            if !source.contains(&format!("fn {name}(")) {
                wrong.push(format!("{number}: there is no {test}"));
            }
            named += 1;
        }
        if named == 0 && !says.contains("DESIGN ") {
            wrong.push(format!("{number} names neither a test nor the design"));
        }
    }
    for (section, last) in [("C", 42), ("D", 86)] {
        let missing = (1..=last)
            .map(|number| format!("{section}{number}"))
            .filter(|number| !known.contains_key(number));
        wrong.extend(missing.map(|number| format!("{number} is missing")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
