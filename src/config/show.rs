//! The merged and expanded result, for people and programs, without secrets.
//!
//! A variable that is a secret by its role in the file (`env.secret`,
//! `connection_env` and the like) or by its name is shown as a placeholder
//! wherever it is expanded, whatever its default text says; passwords inside
//! URLs are hidden as well.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use serde_json::Value as Json;

use super::engines::Engines;
use super::interpolate::{self, Variables};
use super::load::{Document, load_with, process_variable};
use super::mask::without_passwords;
use super::problem::{Findings, Problems};
use super::resolve::looks_secret;
use super::tree::{Node, Scalar, Style, Value, to_json};

const HIDDEN: &str = "[secret]";
/// Keys whose values are names of variables that hold secrets.
const SECRET_NAMES: [&str; 6] = [
    "secret",
    "secrets",
    "connection_env",
    "direct_connection_env",
    "registry_username_env",
    "registry_password_env",
];

/// What `config show` prints.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub yaml: String,
    pub json: Json,
}

/// The merged result of one environment with secrets masked.
///
/// # Errors
/// The same as [`super::load`]: what cannot be loaded is not shown.
pub fn show(path: &Path, environment: &str, engines: &Engines) -> Result<Shown, Problems> {
    show_with(path, environment, engines, &process_variable)
}

pub(super) fn show_with(
    path: &Path,
    environment: &str,
    engines: &Engines,
    variables: Variables<'_>,
) -> Result<Shown, Problems> {
    load_with(path, Some(environment), engines, variables)?;
    let document = Document::open(path)?;
    let mut json = Json::Null;
    if let Some(entry) = document.entry(environment) {
        let mut merged = document.merged(entry);
        let mut secret = BTreeSet::new();
        secret_names(&merged, false, &mut secret);
        let masked = |name: &str| {
            if secret.contains(name) || looks_secret(name) {
                Some(OsString::from(HIDDEN))
            } else {
                variables(name)
            }
        };
        // What can go wrong here went wrong in `load_with` already.
        let mut found = Findings::default();
        interpolate::expand(&mut merged, &document.source, &masked, &mut found);
        settle(&mut merged, &mut Vec::new());
        json = to_json(&merged);
    }
    let yaml = serde_yaml::to_string(&json).unwrap_or_else(|_| format!("{json:#}\n"));
    Ok(Shown { yaml, json })
}

/// The variables that the file itself calls secret.
fn secret_names(node: &Node, naming: bool, names: &mut BTreeSet<String>) {
    match &node.value {
        Value::Scalar(scalar) if naming => {
            names.insert(scalar.text.clone());
        }
        Value::Scalar(_) => {}
        Value::List(items) => items
            .iter()
            .for_each(|item| secret_names(item, naming, names)),
        Value::Map(entries) => entries.iter().for_each(|entry| {
            let naming = SECRET_NAMES.contains(&entry.key.as_str());
            secret_names(&entry.value, naming, names);
        }),
    }
}

/// Gives every scalar the look that its key gives it: values for processes
/// stay text, other expansions become what they say.
fn settle(node: &mut Node, path: &mut Vec<String>) {
    match &mut node.value {
        Value::Scalar(scalar) => {
            settle_scalar(scalar, path);
        }
        Value::List(items) => items.iter_mut().for_each(|item| settle(item, path)),
        Value::Map(entries) => {
            for entry in entries {
                path.push(entry.key.clone());
                settle(&mut entry.value, path);
                path.pop();
            }
        }
    }
}

fn settle_scalar(scalar: &mut Scalar, path: &[String]) {
    let text = matches!(path, [env, clear, _] if env == "env" && clear == "clear")
        || matches!(path, [build, args, _] if build == "build" && args == "args");
    if text {
        scalar.style = Style::Quoted;
    } else if scalar.style == Style::Expanded
        && scalar
            .text
            .parse::<i64>()
            .is_ok_and(|number| number.to_string() == scalar.text)
    {
        scalar.style = Style::Plain;
    }
    scalar.text = without_passwords(&scalar.text, HIDDEN);
}
