//! From one environment's merged sections to the model: defaults, relative
//! paths, and every rule that needs more than one key to judge.
//!
//! Nothing returns at the first problem. A part that cannot be made is `None`
//! and has been reported, so an environment is whole exactly when nothing was.

mod conflicts;
mod databases;
mod hosts;
mod image;
mod migrations;
mod proxy;
mod roles;
mod rollout;
mod schema_gate;

use std::path::{Path, PathBuf};

use crate::model::names::{EnvironmentName, ProjectName};
use crate::model::project::{ClearValue, EnvSpec, Environment, Mode, OnFailure};

use super::engines::Engines;
use super::file;
use super::problem::Findings;
use super::source::Span;

/// What resolving needs beside the sections.
pub(super) struct Context<'a> {
    pub(super) config_file: &'a Path,
    pub(super) config_hash: String,
    pub(super) engines: &'a Engines,
    /// The environment and its key in the file.
    pub(super) name: &'a str,
    pub(super) at: Span,
}

impl Context<'_> {
    fn root(&self) -> PathBuf {
        let parent = self.config_file.parent();
        parent.unwrap_or_else(|| Path::new("/")).to_owned()
    }

    /// A path as written, from the configuration's folder, with `~` expanded.
    fn path(&self, written: &str) -> PathBuf {
        let written = shellexpand::tilde(written);
        self.root()
            .join(written.as_ref())
            .components()
            .collect::<PathBuf>()
    }
}

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    found: &mut Findings,
) -> Option<Environment> {
    let name = named::<EnvironmentName>(context.name, context.at, found);
    let project = project(context, section, found);
    let (registry, source) = image::resolve(context, section, found);
    let env = env(section, found);
    let proxy = proxy::resolve(context, section, found);
    let roles = roles::resolve(context, section, proxy.as_ref(), found);
    let hosts = hosts::resolve(context, section, found);
    let databases = databases::resolve(context, section, &source, found);
    let schema_gate = schema_gate::resolve(section, proxy.as_ref(), found);
    let rollout = rollout::resolve(section, found);
    conflicts::check(section, &roles, &hosts, proxy.as_ref(), found);
    let health = section.health_checks.value();
    let secrets_command = section.secrets_command.given().map(|command| {
        if command.value.0.is_empty() {
            found.error(command.at, "a command has at least one word");
        }
        command.value.values()
    });
    Some(Environment {
        project: project?,
        name: name?,
        root: context.root(),
        config_file: context.config_file.to_owned(),
        config_hash: context.config_hash.clone(),
        mode: section.mode.or(Mode::Deploy),
        protected: section.protected.or(false),
        hosts,
        registry,
        source,
        env,
        roles,
        databases,
        rollout,
        schema_gate,
        proxy,
        health_before: health.is_none_or(|health| health.before.or(true)),
        health_after: health.is_none_or(|health| health.after.or(true)),
        on_failure: section.on_failure.or(OnFailure::Stop),
        env_file: section.env_file.value().map(|path| context.path(&path.0)),
        secrets_command,
    })
}

fn project(
    context: &Context<'_>,
    section: &file::Environment,
    found: &mut Findings,
) -> Option<ProjectName> {
    let help = "name the application: `project: { name: shop }`";
    let project = section
        .project
        .need(found, Span::default(), "project", help)?;
    let name = project.value.name.need(found, project.at, "name", help)?;
    let parsed = named::<ProjectName>(&name.value, name.at, found)?;
    // A container's name is also its host name on the network: 63 characters.
    let prefix = parsed.as_str().len() + context.name.len();
    if prefix > 50 {
        found
            .error(
                name.at,
                "the project's and the environment's names are longer than 50 characters together",
            )
            .help("containers and volumes are named after both");
        return None;
    }
    Some(parsed)
}

fn env(section: &file::Environment, found: &mut Findings) -> EnvSpec {
    let mut spec = EnvSpec::default();
    let Some(env) = section.env.value() else {
        return spec;
    };
    for secret in env.secret.value().map_or(&[][..], |list| &list.0) {
        if spec.secret.contains(&secret.value.0) {
            let message = format!("`{}` is named twice", secret.value.0);
            found.error(secret.at, message);
        }
        spec.secret.push(secret.value.0.clone());
    }
    for (name, value) in env.clear.value().map_or(&[][..], |entries| &entries.0) {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            found.error(name.at, "this is not the name of a variable");
        }
        if value.value.value.contains('\0') {
            found.error(value.at, "a variable cannot hold a NUL character");
        }
        if spec.secret.contains(&name.value) {
            found
                .error(
                    name.at,
                    format!("`{}` is both a clear value and a secret", name.value),
                )
                .help(format!(
                    "keep one; an environment takes a clear value away with `{}: null`",
                    name.value
                ));
        } else if looks_secret(&name.value) && !value.value.value.is_empty() {
            found
                .warning(
                    name.at,
                    format!(
                        "`{}` looks like a secret, and clear values are kept in records",
                        name.value
                    ),
                )
                .help("move the name to `env.secret`");
        }
        if !super::mask::passwords(&value.value.written).is_empty() {
            found
                .warning(
                    value.at,
                    "this URL holds a password, and clear values are kept in records",
                )
                .help("move the name to `env.secret`");
        }
        spec.clear.insert(
            name.value.clone(),
            ClearValue {
                written: value.value.written.clone(),
                value: value.value.value.clone(),
            },
        );
    }
    spec
}

/// Names that hold secrets by everyone's habit.
pub(super) fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let ends = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "PRIVATE_KEY",
        "SECRET_KEY",
        "ACCESS_KEY",
        "SECRET_KEY_BASE",
        "CREDENTIALS",
    ];
    ends.iter().any(|end| name.ends_with(end))
}

/// A name of the file as the model's type.
fn named<T: std::str::FromStr<Err = crate::model::names::NotAName>>(
    text: &str,
    at: Span,
    found: &mut Findings,
) -> Option<T> {
    match text.parse() {
        Ok(name) => Some(name),
        Err(problem) => {
            found.error(at, problem.to_string());
            None
        }
    }
}

/// The names of the roles as the file has them.
fn role_names(section: &file::Environment) -> Vec<&str> {
    let roles = section.roles.value().map_or(&[][..], |roles| &roles.0);
    roles.iter().map(|(name, _)| name.value.as_str()).collect()
}

/// Reports a reference to a role that is not there.
fn known_role(section: &file::Environment, name: &str, at: Span, found: &mut Findings) -> bool {
    let known = role_names(section);
    let there = known.contains(&name) || section.roles.given().is_none();
    if !there {
        found
            .error(at, format!("there is no role `{name}`"))
            .help(super::problem::suggestion(name, &known));
    }
    there
}
