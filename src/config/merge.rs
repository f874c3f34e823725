//! An environment laid over the top level: maps are merged key by key, lists
//! and scalars replaced, and the environment wins. An explicit `false`, `0` or
//! empty text wins too; an explicit null takes away what the top level says.

use super::tree::{Entry, Node, Value};

/// Ways to say how a container proves itself. One of them in an environment
/// replaces whichever the top level chose.
const HEALTH_FORMS: [&str; 5] = ["path", "port", "host", "command", "tcp"];

pub(super) fn merge(base: Node, overlay: Node) -> Node {
    merge_at(&mut Vec::new(), base, overlay)
}

fn merge_at(path: &mut Vec<String>, base: Node, overlay: Node) -> Node {
    match (base.value, overlay.value) {
        (Value::Map(entries), Value::Map(overrides)) => Node {
            span: base.span,
            at: base.at,
            value: Value::Map(merge_entries(path, entries, overrides)),
        },
        (_, value) => Node {
            value,
            span: overlay.span,
            at: overlay.at,
        },
    }
}

fn merge_entries(
    path: &mut Vec<String>,
    mut entries: Vec<Entry>,
    overrides: Vec<Entry>,
) -> Vec<Entry> {
    let form = |entry: &Entry| HEALTH_FORMS.contains(&entry.key.as_str());
    let health =
        matches!(path.as_slice(), [roles, _, health] if roles == "roles" && health == "health");
    if health && overrides.iter().any(form) {
        entries.retain(|entry| !form(entry));
    }
    for over in overrides {
        match entries.iter().position(|entry| entry.key == over.key) {
            Some(at) if over.value.is_null() => {
                entries.remove(at);
            }
            Some(at) => {
                let base = entries[at].clone();
                path.push(over.key);
                entries[at].value = merge_at(path, base.value, over.value);
                path.pop();
            }
            None => entries.push(over),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::problem::Findings;
    use super::super::source::Source;
    use super::super::tree::to_json;
    use super::*;

    fn tree(text: &str) -> Node {
        let source = Source::new(std::path::Path::new("x.yml"), text.to_owned());
        parse(&source, &mut Findings::default()).expect("a tree")
    }

    fn merged(base: &str, overlay: &str) -> String {
        to_json(&merge(tree(base), tree(overlay))).to_string()
    }

    #[test]
    fn maps_are_merged_and_everything_else_is_replaced() {
        assert_eq!(
            merged(
                "a: { x: 1, y: { z: [1, 2] } }\nb: keep",
                "a: { y: { z: [3], w: 0 } }"
            ),
            r#"{"a":{"x":1,"y":{"z":[3],"w":0}},"b":"keep"}"#
        );
    }

    #[test]
    fn an_explicit_false_zero_or_empty_text_wins_and_null_takes_away() {
        assert_eq!(
            merged(
                "{ a: true, b: 5, c: text, d: { e: 1 }, f: 1 }",
                "{ a: false, b: 0, c: '', d: null }"
            ),
            r#"{"a":false,"b":0,"c":"","f":1}"#
        );
    }

    #[test]
    fn another_kind_of_health_check_replaces_the_first() {
        assert_eq!(
            merged(
                "roles: { web: { health: { path: /up, timeout: 9s } } }",
                "roles: { web: { health: { command: [ok] } } }"
            ),
            r#"{"roles":{"web":{"health":{"timeout":"9s","command":["ok"]}}}}"#
        );
    }
}
