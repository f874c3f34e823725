//! A YAML document as a tree that still knows where everything stands.
//!
//! Scalars keep their text: what it means (a number, a word) is decided by the
//! key that reads it, so `1.10` under a text key stays `1.10`.

use serde_json::Value as Json;

use super::source::Span;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// All of it.
    pub(super) span: Span,
    /// Where a problem with it is shown: a collection's key, a scalar itself.
    pub(super) at: Span,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: Style,
    /// As the file has it, where an expansion changed it.
    pub(super) written: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: its text decides what it is.
    Plain,
    /// Always text.
    Quoted,
    /// Was one `${NAME}`: takes the type of its key.
    Expanded,
    /// Names a variable that is not set: has no value.
    Unset,
}

/// What a plain scalar is, by YAML 1.2's core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

impl Scalar {
    pub(super) fn kind(&self) -> Kind {
        match self.style {
            Style::Plain => kind_of(&self.text),
            Style::Quoted | Style::Expanded | Style::Unset => Kind::Text,
        }
    }

    /// As the file has it.
    pub(super) fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }
}

fn kind_of(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Kind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Kind::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        if digits.starts_with(['+', '-']) {
            return None;
        }
        i128::from_str_radix(digits, radix).ok()
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Kind::Integer(number);
    }
    let numeric = text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !numeric {
        return Kind::Text;
    }
    if let Ok(number) = text.parse() {
        Kind::Integer(number)
    } else {
        text.parse().map_or(Kind::Text, Kind::Float)
    }
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind() == Kind::Null)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Nodes in this tree, itself included.
    pub(super) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// As JSON: plain scalars become what YAML says they are; a number that JSON
/// cannot hold stays text.
pub(super) fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|entry| (entry.key.clone(), to_json(&entry.value)));
            Json::Object(entries.collect())
        }
        Value::Scalar(scalar) => match scalar.kind() {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(value),
            Kind::Text => Json::String(scalar.text.clone()),
            Kind::Integer(number) => {
                let small = i64::try_from(number).map(Json::from);
                small
                    .or_else(|_| u64::try_from(number).map(Json::from))
                    .unwrap_or_else(|_| Json::String(scalar.text.clone()))
            }
            Kind::Float(number) => serde_json::Number::from_f64(number)
                .map_or_else(|| Json::String(scalar.text.clone()), Json::Number),
        },
    }
}

/// The path of keys to the innermost node at a place.
pub(super) fn path_at(root: &Node, at: usize) -> Option<String> {
    let mut path = String::new();
    let mut node = root;
    loop {
        match &node.value {
            Value::Map(entries) => {
                let entry = entries
                    .iter()
                    .find(|entry| entry.key_span.contains(at) || entry.value.span.contains(at));
                let Some(entry) = entry else { break };
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&entry.key);
                if entry.key_span.contains(at) {
                    break;
                }
                node = &entry.value;
            }
            Value::List(items) => {
                let Some(index) = items.iter().position(|item| item.span.contains(at)) else {
                    break;
                };
                path.push_str(&format!("[{index}]"));
                node = &items[index];
            }
            Value::Scalar(_) => break,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_yaml_1_2_says() {
        for (text, kind) in [
            ("", Kind::Null),
            ("~", Kind::Null),
            ("true", Kind::Bool(true)),
            ("yes", Kind::Text),
            ("off", Kind::Text),
            ("0", Kind::Integer(0)),
            ("-12", Kind::Integer(-12)),
            ("0x1F", Kind::Integer(31)),
            ("0o17", Kind::Integer(15)),
            ("1.5", Kind::Float(1.5)),
            ("1e3", Kind::Float(1000.0)),
            ("1.2.3", Kind::Text),
            ("30s", Kind::Text),
            ("e", Kind::Text),
            ("-", Kind::Text),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}
