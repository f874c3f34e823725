//! The file's sections. Structs mirror the file key by key; their comments are
//! the descriptions of the JSON Schema.
//!
//! Every key is optional here: an environment may override any part, so what
//! must be there is only known of the merged result (`resolve`).

mod databases;
mod forms;
mod roles;

pub(super) use databases::{Database, Migrations};
pub(super) use forms::{HealthForm, PublishForm, TcpForm, TlsForm};
pub(super) use roles::{HealthSection, Role};

use crate::model::names::RoleName;
use crate::model::project::{Mode, OnFailure, Strategy};

use super::leaf::{
    Address, BatchSize, Entries, List, PathText, Period, Port, Size, Variable, Verbatim,
};
use super::read::section;

section! {
    /// The whole file.
    #[expect(dead_code, reason = "read to be checked; environments are read merged")]
    File {
        /// The format of this file: 1.
        version: u16,
        /// What is deployed.
        project: Project,
        /// How its image comes to be.
        build: Build,
        /// The environment variables of its containers.
        env: Env,
        /// What its containers are for, by name.
        roles: Entries<Role>,
        /// Its databases and their migrations, by name.
        databases: Entries<Database>,
        /// The endpoint that says which schema versions the code can use.
        schema_gate: SchemaGate,
        /// The proxy in front of one role; left out, the role publishes its port itself.
        proxy: Proxy,
        /// How new containers replace old ones.
        rollout: Rollout,
        /// Whether databases are checked around migrations.
        health_checks: HealthChecks,
        /// After a failed migration: `stop`, or `restore` the backup.
        on_failure: OnFailure,
        /// A dotenv file with secret values, asked after the process environment.
        env_file: PathText,
        /// A command that prints secret values as dotenv or JSON, asked last.
        secrets_command: List<String>,
        /// The named targets; each overrides any key above.
        environments: Entries<Environment>,
    }
}

section! {
    /// One target: where it runs, and what differs from the top level there.
    Environment {
        /// `deploy` (committed migrations only) or `dev`; never inferred from the name.
        mode: Mode,
        /// Asks for approval before anything changes.
        protected: bool,
        /// The machines, in order; at least one with the role `primary`.
        hosts: List<Host>,
        /// A dotenv file with secret values, asked after the process environment.
        env_file: PathText,
        /// A command that prints secret values as dotenv or JSON, asked last.
        secrets_command: List<String>,
        /// How new containers replace old ones.
        rollout: Rollout,
        /// Whether databases are checked around migrations.
        health_checks: HealthChecks,
        /// After a failed migration: `stop`, or `restore` the backup.
        on_failure: OnFailure,
        /// Overrides of the top level's `project`.
        project: Project,
        /// Overrides of the top level's `build`.
        build: Build,
        /// Overrides of the top level's `env`.
        env: Env,
        /// Overrides of the top level's `roles`.
        roles: Entries<Role>,
        /// Overrides of the top level's `databases`.
        databases: Entries<Database>,
        /// Overrides of the top level's `schema_gate`.
        schema_gate: SchemaGate,
        /// Overrides of the top level's `proxy`.
        proxy: Proxy,
    }
}

section! {
    /// What is deployed.
    Project {
        /// Prefix of every container, network and volume.
        name: String,
        /// The image repository; left out, images travel straight to the hosts.
        registry: String,
        /// The variable with the registry's user; left out, the Docker client's own login is used.
        registry_username_env: Variable,
        /// The variable with the registry's password.
        registry_password_env: Variable,
    }
}

section! {
    /// How the image comes to be.
    Build {
        /// The folder that the build sees.
        context: PathText,
        /// Left out: `Dockerfile` in the context.
        dockerfile: PathText,
        /// The stage of a multi-stage Dockerfile.
        target: String,
        /// Build arguments; they stay in the image's history, so no secrets.
        args: Entries<Verbatim>,
        /// Names of secrets that the build may mount.
        secrets: List<Variable>,
        /// Such as `linux/amd64`; left out, what the hosts report.
        platform: String,
        /// A prebuilt image: nothing is built, its tag is resolved to a digest once.
        image: String,
    }
}

section! {
    /// The environment variables of the containers.
    Env {
        /// Names and values.
        clear: Entries<Verbatim>,
        /// Names; the values come from the process environment, `env_file` or `secrets_command`.
        secret: List<Variable>,
    }
}

section! {
    /// The endpoint that says which schema versions the code can use.
    SchemaGate {
        /// Such as `/schema/status`.
        path: String,
        /// Inside the container; published on the host's loopback only.
        port: Port,
        /// How long one answer may take.
        timeout: Period,
        /// Left out: the proxy's role.
        role: RoleName,
        /// Whose version it reports; needed with more than one database.
        database: String,
    }
}

section! {
    /// HAProxy, and Caddy before it for TLS, on each host that runs the role.
    Proxy {
        /// Names that are answered; empty: every name.
        hosts: List<String>,
        /// The role behind it; left out, the first role with a port.
        role: RoleName,
        /// `off` (default), `auto`, `internal`, or a certificate and key.
        tls: TlsForm,
        /// HAProxy's image.
        image: String,
        /// Caddy's image.
        edge_image: String,
        /// Left out: 80.
        http_port: Port,
        /// Left out: 443.
        https_port: Port,
        /// Only requests below this path; starts with `/`.
        path_prefix: String,
        /// The largest body of a request. Left out: the application decides.
        max_request_body: Size,
        /// How long an answer may take to begin, and to go on. Left out: 60s.
        response_timeout: Period,
    }
}

section! {
    /// A certificate of your own.
    TlsFiles {
        /// The certificate with its chain, PEM.
        cert: PathText,
        /// Its private key, PEM.
        key: PathText,
    }
}

section! {
    /// How new containers replace old ones.
    Rollout {
        /// Left out: `blue_green` with a proxy, `recreate` without.
        strategy: Strategy,
        /// Hosts at a time for `rolling`: a number or a share.
        batch: BatchSize,
        /// Between two batches.
        pause: Period,
        /// Stopped releases that stay on each host for rollback.
        keep: u16,
    }
}

section! {
    /// Whether databases are checked around migrations.
    HealthChecks {
        /// Before the first migration.
        before: bool,
        /// After the last one.
        after: bool,
    }
}

section! {
    /// A machine with Docker.
    Host {
        /// `local`, or where SSH reaches it: `host`, `user@host`, `user@host:port`.
        address: Address,
        /// What runs there; `primary` marks the host that runs one-off jobs.
        roles: List<RoleName>,
    }
}
