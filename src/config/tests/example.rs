//! `stagecraft.example.yml` is the documentation, so it is held to the code:
//! it loads, it holds every key, and it explains each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::super::parse::parse;
use super::super::problem::Findings;
use super::super::source::Source;
use super::super::tree::Node;
use super::super::{check_all, file, schema};
use super::engines;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("stagecraft.example.yml")
}

fn tree() -> (Source, Node) {
    let text = std::fs::read_to_string(path()).expect("the example");
    let source = Source::new(&path(), text);
    let mut found = Findings::default();
    let root = parse(&source, &mut found).expect("a tree");
    (source, root)
}

/// Every key of the schema as a path; names of the file's own are `*`, and an
/// environment's overrides are the same keys as the top level's.
fn schema_keys() -> BTreeSet<String> {
    fn walk(schema: &Json, root: &Json, path: &str, keys: &mut BTreeSet<String>) {
        if let Some(target) = schema["$ref"].as_str() {
            let target = root.pointer(&target[1..]).expect("the target");
            walk(target, root, path, keys);
        }
        for one in schema["anyOf"].as_array().into_iter().flatten() {
            walk(one, root, path, keys);
        }
        if schema["additionalProperties"].is_object() {
            let inner = if path == "environments" {
                ""
            } else {
                &format!("{path}.*")
            };
            walk(&schema["additionalProperties"], root, inner, keys);
        }
        if schema["items"].is_object() {
            walk(&schema["items"], root, &format!("{path}.*"), keys);
        }
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            keys.insert(path.clone());
            walk(value, root, &path, keys);
        }
    }
    let schema = schema();
    let mut keys = BTreeSet::new();
    walk(&schema, &schema, "", &mut keys);
    keys
}

/// Every key of the example in the same notation, with the line it is on.
fn example_keys() -> Vec<(String, usize)> {
    fn walk(
        node: &Node,
        source: &Source,
        path: &str,
        named: bool,
        keys: &mut Vec<(String, usize)>,
    ) {
        use super::super::tree::Value;
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => {
                for item in items {
                    walk(item, source, &format!("{path}.*"), false, keys);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let line = source.position(entry.key_span.start).0;
                    let (path, inner_named) = match (path, named) {
                        ("environments", _) => (String::new(), false),
                        (path, true) => (format!("{path}.*"), false),
                        ("", false) => (entry.key.clone(), true),
                        (path, false) => (format!("{path}.{}", entry.key), true),
                    };
                    if inner_named {
                        keys.push((path.clone(), line));
                    }
                    let names = [
                        "roles",
                        "databases",
                        "env.clear",
                        "build.args",
                        "environments",
                    ];
                    let named = names.contains(&path.as_str());
                    if !path.ends_with(".options") {
                        walk(&entry.value, source, &path, named, keys);
                    }
                }
            }
        }
    }
    let (source, root) = tree();
    let mut keys = Vec::new();
    walk(&root, &source, "", false, &mut keys);
    keys
}

#[test]
fn the_example_loads_without_a_problem_or_a_warning() {
    let summary = check_all(&path(), &engines()).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<&str> = summary
        .environments
        .iter()
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(names, ["prod", "fleet", "dev"]);
    assert!(summary.warnings.is_empty(), "{}", summary.warnings);
}

#[test]
fn the_example_holds_every_key_of_the_schema_and_no_other() {
    let example: BTreeSet<String> = example_keys().into_iter().map(|(key, _)| key).collect();
    assert_eq!(example, schema_keys());
}

#[test]
fn each_key_of_the_example_is_explained_where_it_first_stands() {
    let (source, _) = tree();
    let lines: Vec<&str> = source.text.lines().collect();
    let mut seen = BTreeSet::new();
    for (key, line) in example_keys() {
        if !seen.insert(key.clone()) {
            continue;
        }
        let above = lines[line - 2].trim_start();
        let same = lines[line - 1].contains(" # ");
        assert!(
            same || above.starts_with('#'),
            "`{key}` on line {line} has no comment"
        );
    }
}

#[test]
fn the_schema_lists_the_keys_that_are_read() {
    let schema = schema();
    let of = |name: &str| -> Vec<&str> {
        let section = &schema["$defs"][name]["properties"];
        let keys = section.as_object().expect("a section").keys();
        keys.map(String::as_str).collect()
    };
    assert_eq!(of("Environment"), file::Environment::KEYS);
    assert_eq!(of("Role"), file::Role::KEYS);
    assert_eq!(of("Migrations"), file::Migrations::KEYS);
    let top = schema["properties"].as_object().expect("keys").keys();
    assert_eq!(top.collect::<Vec<_>>(), file::File::KEYS);
    // What an environment can override is the whole top level.
    for key in file::File::KEYS {
        let own = ["version", "environments"].contains(key);
        assert!(own || file::Environment::KEYS.contains(key), "{key}");
    }
}

#[test]
fn the_schema_accepts_an_expansion_in_place_of_a_number_and_nothing_unknown() {
    let schema = schema();
    let port = schema["$defs"]["Role"]["properties"]["port"].to_string();
    assert!(
        port.contains("integer") && port.contains(r"\\$\\{"),
        "{port}"
    );
    assert_eq!(
        schema["$defs"]["Role"]["additionalProperties"],
        Json::Bool(false)
    );
    assert_eq!(schema["additionalProperties"], Json::Bool(false));
}
