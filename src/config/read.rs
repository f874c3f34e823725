//! The strict reading of a tree into typed sections.
//!
//! Nothing here stops at the first problem: a value that cannot be read is
//! reported and becomes [`Field::Broken`], which later steps pass over in
//! silence, so that one mistake is said once.

use std::collections::HashSet;

use super::interpolate;
use super::mask::starred;
use super::problem::{Findings, nearest, or_list, suggestion};
use super::source::Span;
use super::tree::{Kind, Node, Scalar, Style, Value};

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The file as written: values with expansions are passed over.
    Written,
    /// One environment, merged and expanded.
    Expanded,
}

/// Collects what is wrong while sections are read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) stage: Stage,
    pub(super) found: &'a mut Findings,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) at: Span,
}

/// The value of a key that may be left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Field<T> {
    #[default]
    Absent,
    /// It is there and wrong; that was reported.
    Broken,
    Given(Spanned<T>),
}

impl<T> Field<T> {
    pub(super) fn given(&self) -> Option<&Spanned<T>> {
        match self {
            Field::Given(spanned) => Some(spanned),
            Field::Absent | Field::Broken => None,
        }
    }

    pub(super) fn value(&self) -> Option<&T> {
        self.given().map(|spanned| &spanned.value)
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }

    /// Reports that a key is missing; says nothing about a broken one.
    pub(super) fn need(
        &self,
        found: &mut Findings,
        section: Span,
        key: &str,
        help: &str,
    ) -> Option<&Spanned<T>> {
        if self.is_absent() {
            found
                .error(section, format!("the key `{key}` is missing"))
                .help(help);
        }
        self.given()
    }
}

impl<T: Clone> Field<T> {
    pub(super) fn or(&self, default: T) -> T {
        self.value().cloned().unwrap_or(default)
    }
}

/// What a node can be read as.
pub(super) trait Read: Sized {
    /// Its text is checked, so the schema must allow `${NAME}` beside it.
    const CHECKED: bool = true;

    /// `None`: it cannot be, and that was reported.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;

    /// What a key without a value means in a map of these.
    fn empty() -> Option<Self> {
        None
    }
}

impl Reader<'_> {
    pub(super) fn field<T: Read>(&mut self, node: Option<&Node>) -> Field<T> {
        match node {
            None => Field::Absent,
            Some(node) if node.is_null() => Field::Absent,
            Some(node) => self.item(node).map_or(Field::Broken, Field::Given),
        }
    }

    /// A value that must be there.
    pub(super) fn item<T: Read>(&mut self, node: &Node) -> Option<Spanned<T>> {
        if let Value::Scalar(scalar) = &node.value {
            let later = self.stage == Stage::Written && interpolate::expands(&scalar.text);
            if later || scalar.style == Style::Unset {
                return None;
            }
        }
        T::read(node, self).map(|value| Spanned { value, at: node.at })
    }

    /// A scalar that is neither a collection nor null.
    pub(super) fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind() != Kind::Null => Some(scalar),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
                self.wrong_type(node, expected);
                None
            }
        }
    }

    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let message = format!("expected {expected}, found {}", describe(node));
        self.found.error(node.at, message);
    }

    /// The entries of a section: whatever is not one of `keys` is reported,
    /// with the nearest that is.
    pub(super) fn section<'n>(
        &mut self,
        node: &'n Node,
        keys: &'static [&'static str],
    ) -> Option<Section<'n>> {
        let Value::Map(_) = node.value else {
            let example = or_list(keys.iter().copied().take(3));
            self.wrong_type(node, &format!("a map with keys such as {example}"));
            return None;
        };
        let mut meant = HashSet::new();
        for entry in node.entries() {
            if keys.contains(&entry.key.as_str()) {
                continue;
            }
            meant.extend(nearest(&entry.key, keys.iter().copied()));
            self.found
                .error(entry.key_span, format!("unknown key `{}`", entry.key))
                .help(suggestion(&entry.key, keys));
        }
        Some(Section { node, meant })
    }
}

/// A map that is being read as a section.
pub(super) struct Section<'n> {
    node: &'n Node,
    /// Keys that mistyped ones most probably mean: reporting them as missing
    /// too would say one mistake twice.
    meant: HashSet<&'static str>,
}

impl Section<'_> {
    pub(super) fn field<T: Read>(&self, key: &'static str, reader: &mut Reader<'_>) -> Field<T> {
        match reader.field(self.node.get(key)) {
            Field::Absent if self.meant.contains(key) => Field::Broken,
            field => field,
        }
    }
}

/// What a node is, for messages. Long text is not repeated: the source line is
/// shown anyway.
pub(super) fn describe(node: &Node) -> String {
    match &node.value {
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        Value::Scalar(scalar) => {
            // An expanded value may be a secret by mistake: never repeat it.
            if scalar.written.is_some() {
                return format!("the value of `{}`", scalar.written());
            }
            match scalar.kind() {
                Kind::Null => "nothing".to_owned(),
                Kind::Bool(_) => format!("the truth value `{}`", scalar.text),
                Kind::Integer(_) | Kind::Float(_) => format!("the number `{}`", scalar.text),
                Kind::Text => format!("the text `{}`", starred(&scalar.text).escape_debug()),
            }
        }
    }
}

/// Declares a section once: its struct, its strict reading, its list of keys
/// and its JSON Schema cannot drift apart. Every field is a [`Field`].
macro_rules! section {
    (
        #[doc = $doc:literal] $(#[$attribute:meta])* $name:ident {
            $( #[doc = $field_doc:literal] $field:ident : $type:ty, )+
        }
    ) => {
        #[doc = $doc]
        $(#[$attribute])*
        #[derive(Debug, Clone, Default)]
        pub(in crate::config) struct $name {
            $(
                #[doc = $field_doc]
                pub(in crate::config) $field: crate::config::read::Field<$type>,
            )+
        }

        impl $name {
            pub(in crate::config) const KEYS: &'static [&'static str] = &[$(stringify!($field)),+];
        }

        impl crate::config::read::Read for $name {
            const CHECKED: bool = false;

            fn read(
                node: &crate::config::tree::Node,
                reader: &mut crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let section = reader.section(node, Self::KEYS)?;
                Some(Self { $($field: section.field(stringify!($field), reader),)+ })
            }

            fn empty() -> Option<Self> {
                Some(Self::default())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::config::schema::section_schema($doc, vec![$((
                    stringify!($field),
                    $field_doc,
                    generator.subschema_for::<Option<crate::config::schema::Written<$type>>>(),
                )),+])
            }
        }
    };
}
pub(super) use section;
