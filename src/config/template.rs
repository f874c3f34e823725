//! The short file that `init` writes: what most projects need, fitted to what
//! was found, with the next steps as comments. It loads as it is.

use crate::model::names::ProjectName;

/// What `init` found in the project's folder.
#[derive(Debug, Clone, Default)]
pub struct Template<'a> {
    /// Any text, such as the folder's name; made into a name.
    pub project: &'a str,
    /// Relative to the folder.
    pub dockerfile: Option<&'a str>,
    pub migrations: Option<FoundMigrations<'a>>,
    /// The port that the Dockerfile exposes.
    pub port: Option<u16>,
}

/// A folder of migrations and the engine that runs such.
#[derive(Debug, Clone)]
pub struct FoundMigrations<'a> {
    pub engine: &'a str,
    /// Relative to the folder.
    pub path: &'a str,
}

/// The text of a first `stagecraft.yml`.
#[must_use]
pub fn template(found: &Template<'_>) -> String {
    let project = name(found.project);
    let port = found.port.unwrap_or(3000);
    let build = build(found.dockerfile, &project);
    let databases = databases(found.migrations.as_ref());
    format!(
        "\
# How {project} is deployed. `stagecraft check` checks this file, and
# `stagecraft config schema` prints a JSON Schema for editors.
version: 1

project:
  name: {project}
  # The image repository. Without one, images travel straight to the hosts.
  # registry: ghcr.io/acme/{project}

{build}
env:
  clear:
    LOG_LEVEL: info
  # Names only; values come from the process environment or `env_file`.
  secret: [DATABASE_URL]

roles:
  web:
    # Where the application listens inside the container; it is told as PORT.
    port: {port}
    health: {{ path: /, timeout: 30s }}
  # worker:
  #   command: [bin/jobs]

{databases}
# With a proxy on each host no request is lost when a release takes over, and
# `stagecraft maintenance on` shows a page. Without one the role publishes its
# port, and each host pauses for a moment while its container is replaced.
# proxy: {{ hosts: [{project}.example.com], role: web }}

environments:
  # Any key above can be overridden in an environment.
  prod:
    protected: true # asks before it changes anything
    hosts:
      # `local` is this machine; elsewhere write user@host.
      - {{ address: local, roles: [primary, web] }}
    env_file: .env.prod
"
    )
}

/// The nearest valid name.
fn name(text: &str) -> String {
    let text: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(40);
    let name = name.trim_end_matches('-').to_owned();
    match name.parse::<ProjectName>() {
        Ok(_) => name,
        Err(_) => "app".to_owned(),
    }
}

fn build(dockerfile: Option<&str>, project: &str) -> String {
    match dockerfile {
        Some(dockerfile) => format!(
            "\
build:
  context: .
  dockerfile: {}
  # secrets: [NPM_TOKEN]
",
            quoted(dockerfile)
        ),
        None => format!(
            "\
# No Dockerfile was found: add one, or name a prebuilt image.
# build:
#   image: ghcr.io/acme/{project}:1.0.0
"
        ),
    }
}

fn databases(found: Option<&FoundMigrations<'_>>) -> String {
    match found {
        Some(found) => format!(
            "\
databases:
  main:
    connection_env: DATABASE_URL
    migrations:
      engine: {}
      path: {}
      strategy: pre_deploy # or post_deploy, or manual
    # A backup before each migration:
    # backup: {{ before_migrate: true, keep: 5 }}
",
            quoted(found.engine),
            quoted(found.path)
        ),
        None => "\
# No migrations were found. `stagecraft migrate create NAME` begins with these:
# databases:
#   main:
#     connection_env: DATABASE_URL
#     migrations: { engine: raw, path: db/migrations }
"
        .to_owned(),
    }
}

/// Plain where YAML reads it as the same text, quoted elsewhere.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"./_-".contains(&b));
    if plain && !["true", "false", "null"].contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''").replace("${", "$${"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Case;
    use super::*;

    #[test]
    fn what_init_writes_loads_as_it_is_whatever_was_found() {
        for dockerfile in [None, Some("Dockerfile"), Some("docker files/it's ${x}")] {
            for migrations in [
                None,
                Some(("raw", "db/migrations")),
                Some(("prisma", "true")),
            ] {
                let text = template(&Template {
                    project: "My Shop (2)!",
                    dockerfile,
                    migrations: migrations.map(|(engine, path)| FoundMigrations { engine, path }),
                    port: None,
                });
                let loaded = Case::new(&text).loaded("prod");
                assert_eq!(loaded.environment.project.as_str(), "my-shop-2");
                assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
                let databases = usize::from(migrations.is_some());
                assert_eq!(loaded.environment.databases.len(), databases);
            }
        }
    }

    #[test]
    fn any_text_becomes_a_name() {
        for (text, expected) in [
            ("shop", "shop"),
            ("../My_App", "my-app"),
            ("", "app"),
            ("日本", "app"),
        ] {
            assert_eq!(name(text), expected);
        }
        assert!(name(&"x-".repeat(60)).len() <= 40);
    }
}
