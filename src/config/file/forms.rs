//! Values that may be one of several shapes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::leaf::Port;
use super::super::read::{Read, Reader};
use super::super::tree::{Kind, Node, Scalar, Value};
use super::{HealthSection, TlsFiles};

/// `health`: `none`, or how.
#[derive(Debug, Clone)]
pub(in crate::config) enum HealthForm {
    None,
    Check(Box<HealthSection>),
}

impl Read for HealthForm {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(_) => HealthSection::read(node, reader)
                .map(|section| HealthForm::Check(Box::new(section))),
            Value::Scalar(scalar) if scalar.text == "none" => Some(HealthForm::None),
            Value::Scalar(_) | Value::List(_) => {
                reader.wrong_type(node, "`none`, or a map with `path`, `command` or `tcp`");
                None
            }
        }
    }
}

/// `tls`: a word, or files.
#[derive(Debug, Clone)]
pub(in crate::config) enum TlsForm {
    Auto,
    Off,
    Internal,
    Files(TlsFiles),
}

impl Read for TlsForm {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let word = match &node.value {
            Value::Map(_) => return TlsFiles::read(node, reader).map(TlsForm::Files),
            Value::Scalar(Scalar { text, .. }) => text.as_str(),
            Value::List(_) => "",
        };
        match word {
            "auto" => Some(TlsForm::Auto),
            "off" => Some(TlsForm::Off),
            "internal" => Some(TlsForm::Internal),
            _ => {
                reader.wrong_type(
                    node,
                    "`auto`, `off`, `internal`, or a map with `cert` and `key`",
                );
                None
            }
        }
    }
}

/// `publish`: a port, or `false`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum PublishForm {
    No,
    Port(u16),
}

impl Read for PublishForm {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match truth(node) {
            Some(false) => Some(PublishForm::No),
            Some(true) => {
                reader.wrong_type(node, "a port of the host, or `false`");
                None
            }
            None => Port::read(node, reader).map(|port| PublishForm::Port(port.0)),
        }
    }
}

/// `tcp`: `true` for the role's port, a port, or `false`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum TcpForm {
    No,
    RolePort,
    Port(u16),
}

impl Read for TcpForm {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match truth(node) {
            Some(false) => Some(TcpForm::No),
            Some(true) => Some(TcpForm::RolePort),
            None => Port::read(node, reader).map(|port| TcpForm::Port(port.0)),
        }
    }
}

/// A truth value; `0` says no as well.
fn truth(node: &Node) -> Option<bool> {
    let Value::Scalar(scalar) = &node.value else {
        return None;
    };
    match (scalar.kind(), scalar.text.as_str()) {
        (Kind::Bool(value), _) => Some(value),
        (Kind::Integer(0), _) => Some(false),
        (_, "true") if scalar.written.is_some() => Some(true),
        (_, "false" | "0") if scalar.written.is_some() => Some(false),
        _ => None,
    }
}

macro_rules! form_schema {
    ($type:ty, $name:literal, [$($word:tt),*], $other:ty) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let other = generator.subschema_for::<$other>();
                json_schema!({ "anyOf": [{ "enum": [$($word),*] }, other] })
            }
        }
    };
}

form_schema!(HealthForm, "Health", ["none"], HealthSection);
form_schema!(TlsForm, "Tls", ["auto", "off", "internal"], TlsFiles);
form_schema!(PublishForm, "Publish", [false, 0], Port);
form_schema!(TcpForm, "Tcp", [true, false], Port);
