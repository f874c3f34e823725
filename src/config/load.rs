//! The pipeline: read, parse, check as written, merge, expand, resolve.
//!
//! The file is checked twice: once as written, which finds what is wrong in
//! any part of it, and once for each environment asked for, which finds what
//! only the merged and expanded result shows. What both find is said once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::model::project::Environment;

use super::engines::Engines;
use super::file;
use super::interpolate::{self, Variables};
use super::merge::merge;
use super::parse::parse;
use super::problem::{Finding, Findings, Problems, suggestion};
use super::read::{Reader, Stage};
use super::resolve::{self, Context};
use super::source::{Source, Span};
use super::tree::{Entry, Node, Value, to_json};

/// The format that this version reads and writes.
const FORMAT: u16 = 1;
/// Far above any real file.
const LARGEST_FILE: usize = 1 << 20;

/// An environment, and what is odd about it but stops nothing.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub environment: Environment,
    pub warnings: Problems,
}

/// Every environment of a file.
#[derive(Debug, Clone)]
pub struct Summary {
    pub config_file: PathBuf,
    /// In file order.
    pub environments: Vec<Environment>,
    pub warnings: Problems,
}

/// One environment, merged, expanded and checked. No name is no environment:
/// none is ever chosen by itself.
///
/// # Errors
/// Everything that is wrong with the file as a whole or with this environment.
pub fn load(path: &Path, environment: Option<&str>, engines: &Engines) -> Result<Loaded, Problems> {
    load_with(path, environment, engines, &process_variable)
}

/// The names of the environments, in file order.
///
/// # Errors
/// The file cannot be read or is not valid YAML.
pub fn environments(path: &Path) -> Result<Vec<String>, Problems> {
    let document = Document::open(path)?;
    let entries = document.environments().iter();
    Ok(entries.map(|entry| entry.key.clone()).collect())
}

/// Checks the file and every environment in it.
///
/// # Errors
/// Everything that is wrong, of all environments together.
pub fn check_all(path: &Path, engines: &Engines) -> Result<Summary, Problems> {
    check_all_with(path, engines, &process_variable)
}

pub(super) fn process_variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

pub(super) fn load_with(
    path: &Path,
    environment: Option<&str>,
    engines: &Engines,
    variables: Variables<'_>,
) -> Result<Loaded, Problems> {
    let mut document = Document::open(path)?;
    document.check_as_written();
    let entry = document.choose(environment).cloned();
    let resolved = entry.and_then(|entry| document.resolve(&entry, engines, variables));
    let warnings = std::mem::take(&mut document.found.warnings);
    match resolved {
        Some(environment) if document.found.errors.is_empty() => Ok(Loaded {
            environment,
            warnings: document.problems(warnings),
        }),
        _ => Err(document.failed()),
    }
}

pub(super) fn check_all_with(
    path: &Path,
    engines: &Engines,
    variables: Variables<'_>,
) -> Result<Summary, Problems> {
    let mut document = Document::open(path)?;
    document.check_as_written();
    let entries = document.environments().to_vec();
    let environments: Vec<Environment> = entries
        .iter()
        .filter_map(|entry| document.resolve(entry, engines, variables))
        .collect();
    if !document.found.errors.is_empty() {
        return Err(document.failed());
    }
    let warnings = std::mem::take(&mut document.found.warnings);
    Ok(Summary {
        config_file: document.source.path.clone(),
        environments,
        warnings: document.problems(warnings),
    })
}

/// A file that is valid YAML, and what was found wrong with it so far.
pub(super) struct Document {
    pub(super) source: Arc<Source>,
    root: Node,
    found: Findings,
}

impl Document {
    pub(super) fn open(path: &Path) -> Result<Self, Problems> {
        let source = Arc::new(read(path)?);
        let mut found = Findings::default();
        let root = parse(&source, &mut found);
        match root {
            Some(root) if matches!(root.value, Value::Map(_)) => Ok(Self {
                source,
                root,
                found,
            }),
            root => {
                if let Some(root) = &root {
                    found.error(root.at, "the file is a map of keys such as `version: 1`");
                }
                Err(Problems::new(&source, root.as_ref(), found.errors))
            }
        }
    }

    fn environments(&self) -> &[Entry] {
        self.root.get("environments").map_or(&[], Node::entries)
    }

    fn check_as_written(&mut self) {
        self.check_version();
        let mut reader = Reader {
            stage: Stage::Written,
            found: &mut self.found,
        };
        let file = reader.item::<file::File>(&self.root);
        interpolate::warn_about_near_misses(&self.root, &mut self.found);
        if let Some(file) = file {
            let top = self.source.first_line(self.root.span);
            file.value.version.need(
                &mut self.found,
                top,
                "version",
                "begin the file with `version: 1`",
            );
            let environments = file.value.environments.need(
                &mut self.found,
                top,
                "environments",
                "name a target: `environments: { prod: { hosts: [{ address: local, roles: [primary, web] }] } }`",
            );
            if let Some(empty) = environments.filter(|named| named.value.0.is_empty()) {
                self.found.error(empty.at, "there is no environment");
            }
        }
    }

    fn check_version(&mut self) {
        let Some(version) = self.root.get("version") else {
            return;
        };
        if let Value::Scalar(scalar) = &version.value
            && let Ok(number) = scalar.text.parse::<u16>()
            && number != FORMAT
        {
            self.found
                .error(
                    version.at,
                    format!("format {number} of this file is not known here"),
                )
                .help(format!(
                    "this version of Stagecraft reads `version: {FORMAT}`"
                ));
        }
    }

    fn choose(&mut self, name: Option<&str>) -> Option<&Entry> {
        let known: Vec<&str> = self
            .environments()
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        let at = self
            .root
            .entry("environments")
            .map(|entry| entry.key_span)?;
        let (message, help) = match name {
            None if known.is_empty() => return None,
            None => (
                "no environment was named".to_owned(),
                format!("name one, such as `--env {}`", known[0]),
            ),
            Some(name) if known.contains(&name) => {
                return self.environments().iter().find(|entry| entry.key == name);
            }
            Some(name) => (
                format!("there is no environment `{name}`"),
                suggestion(name, &known),
            ),
        };
        self.found.error(at, message).help(help);
        None
    }

    fn resolve(
        &mut self,
        entry: &Entry,
        engines: &Engines,
        variables: Variables<'_>,
    ) -> Option<Environment> {
        let mut merged = self.merged(entry);
        let config_hash = hash(&merged);
        interpolate::expand(&mut merged, &self.source, variables, &mut self.found);
        let mut reader = Reader {
            stage: Stage::Expanded,
            found: &mut self.found,
        };
        let section = reader.item::<file::Environment>(&merged)?;
        let context = Context {
            config_file: &self.source.path,
            config_hash,
            engines,
            name: &entry.key,
            at: entry.key_span,
        };
        resolve::resolve(&context, &section.value, &mut self.found)
    }

    /// The top level with one environment laid over it. What the environment
    /// leaves alone keeps its place in the file.
    pub(super) fn merged(&self, entry: &Entry) -> Node {
        let shared = self.root.entries().iter();
        let shared = shared
            .filter(|entry| file::Environment::KEYS.contains(&entry.key.as_str()))
            .filter(|entry| file::File::KEYS.contains(&entry.key.as_str()));
        let base = Node {
            value: Value::Map(shared.cloned().collect()),
            ..self.root.clone()
        };
        match entry.value.value {
            Value::Map(_) => merge(base, entry.value.clone()),
            Value::Scalar(_) | Value::List(_) => base,
        }
    }

    pub(super) fn entry(&self, environment: &str) -> Option<&Entry> {
        self.environments()
            .iter()
            .find(|entry| entry.key == environment)
    }

    fn problems(&self, findings: Vec<Finding>) -> Problems {
        Problems::new(&self.source, Some(&self.root), findings)
    }

    fn failed(mut self) -> Problems {
        if self.found.errors.is_empty() {
            // Resolving gave nothing and blamed nobody: a defect, said as one.
            self.found
                .error(Span::default(), "the environment could not be resolved");
        }
        let errors = std::mem::take(&mut self.found.errors);
        self.problems(errors)
    }
}

/// Of the merged result as written: comments, quoting and layout do not
/// matter, order does (databases run in the order of the file).
fn hash(merged: &Node) -> String {
    let digest = Sha256::digest(to_json(merged).to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<Source, Problems> {
    let unreadable = |message: String, help: Option<&str>| {
        let source = Source::new(path, String::new());
        Problems::unreadable(source, message, help.map(str::to_owned))
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let help = (error.kind() == std::io::ErrorKind::NotFound).then_some(
                "`stagecraft init` writes a first one; another place is named with `--config`",
            );
            return Err(unreadable(format!("cannot be read: {error}"), help));
        }
    };
    if bytes.len() > LARGEST_FILE {
        return Err(unreadable("is larger than a mebibyte".to_owned(), None));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            return Err(unreadable(
                format!("is not UTF-8 text: line {line} holds bytes that are none"),
                Some("save it as UTF-8"),
            ));
        }
    };
    Ok(Source::new(path, text))
}
