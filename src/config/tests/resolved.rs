//! What a right file becomes.

use std::time::Duration;

use super::super::show::show_with;
use super::{Case, SMALL, engines, variables};
use crate::model::project::{
    Batch, HealthCheck, ImageSource, MigrationSource, MigrationStrategy, Mode, OnFailure, Safety,
    Strategy, Tls, Via,
};

const DATABASE: &str = "databases: { main: { connection_env: URL, migrations: { engine: raw, path: db/migrations } } }\n";

#[test]
fn the_defaults_are_those_that_are_documented() {
    let case = Case::small_with(DATABASE);
    let loaded = case.loaded("prod");
    let env = &loaded.environment;
    assert_eq!((env.mode, env.protected), (Mode::Deploy, false));
    assert_eq!(env.on_failure, OnFailure::Stop);
    assert!(env.health_before && env.health_after);
    assert_eq!(
        (env.rollout.strategy, env.rollout.keep),
        (Strategy::Recreate, 2)
    );
    assert_eq!(
        (env.rollout.batch, env.rollout.pause),
        (Batch::Hosts(1), Duration::ZERO)
    );
    let ImageSource::Build(build) = &env.source else {
        panic!("built")
    };
    assert_eq!(build.context, env.root);
    assert_eq!(build.dockerfile, env.root.join("Dockerfile"));
    let web = &env.roles[0];
    assert_eq!(
        (web.port, web.publish, web.replicas, web.overlap),
        (Some(3000), Some(3000), 1, true)
    );
    assert_eq!(web.health.check, HealthCheck::Tcp { port: 3000 });
    assert_eq!(
        (web.stop.signal.as_str(), web.stop.timeout.as_secs()),
        ("SIGTERM", 30)
    );
    let main = &env.databases[0];
    assert_eq!(
        (main.via, main.backup_before_migrate, main.backup_keep),
        (Via::Auto, false, 5)
    );
    assert_eq!(
        (main.safety_breaking, main.safety_blocking),
        (Safety::Warn, Safety::Warn)
    );
    let migrations = &main.migrations;
    assert_eq!(migrations.strategy, MigrationStrategy::PreDeploy);
    assert_eq!(migrations.source, MigrationSource::Checkout);
    assert_eq!(
        migrations.path.as_deref(),
        Some(env.root.join("db/migrations").as_path())
    );
    assert_eq!(migrations.path_written.as_deref(), Some("db/migrations"));
    assert_eq!(migrations.role.as_str(), "web");
    assert_eq!(migrations.lock_wait, Duration::from_secs(60));
    assert_eq!(
        (migrations.lock_timeout, migrations.lock_retries),
        (Duration::from_secs(5), 10)
    );
    assert_eq!(migrations.statement_timeout, Duration::from_secs(900));
    assert_eq!(migrations.timeout, Duration::from_secs(1800));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn an_environment_overrides_the_top_level_and_keeps_what_it_does_not_name() {
    let text = format!(
        "{SMALL}    health_checks: {{ before: false }}\n    databases: {{ main: {{ migrations: {{ strategy: manual, lock_retries: 0 }} }} }}\n    env: {{ clear: {{ B: null, C: 3 }} }}\n    project: {{ name: other }}\n\
         env: {{ clear: {{ A: 1, B: 2 }} }}\nprotected: {{}}\n"
    );
    assert!(
        Case::new(&text)
            .problems()
            .contains("unknown key `protected`")
    );
    let text = text.replace("protected: {}\n", DATABASE);
    let env = Case::new(&text).loaded("prod").environment;
    assert!(!env.health_before && env.health_after);
    assert_eq!(env.project.as_str(), "other");
    let migrations = &env.databases[0].migrations;
    assert_eq!(
        (migrations.strategy, migrations.lock_retries),
        (MigrationStrategy::Manual, 0)
    );
    assert_eq!(env.databases[0].connection_env.as_deref(), Some("URL"));
    let clear: Vec<(&str, &str)> = env
        .env
        .clear
        .iter()
        .map(|(name, value)| (name.as_str(), value.value.as_str()))
        .collect();
    assert_eq!(clear, [("A", "1"), ("C", "3")]);
}

#[test]
fn one_expansion_takes_the_type_of_its_key_and_records_keep_what_is_written() {
    let text = SMALL.replace("port: 3000", "port: \"${PORT}\", replicas: \"${N:-1}\", overlap: \"${O:-false}\", stop: { timeout: \"${T:-1m}\" }, volumes: [\"${WORD}-data:/x\"]");
    let text =
        format!("{text}env: {{ clear: {{ GREETING: \"${{WORD}} $5 $${{x}}\", N: 1.10 }} }}\n");
    let env = Case::new(text).loaded("prod").environment;
    let web = &env.roles[0];
    assert_eq!(
        (web.port, web.replicas, web.overlap),
        (Some(8123), 1, false)
    );
    assert_eq!(web.stop.timeout, Duration::from_secs(60));
    assert_eq!(web.volumes[0].source, "word-data");
    let greeting = &env.env.clear["GREETING"];
    assert_eq!(greeting.value, "word $5 ${x}");
    assert_eq!(greeting.written, "${WORD} $5 $${x}");
    assert_eq!(env.env.clear["N"].value, "1.10");
}

#[test]
fn with_a_proxy_roles_switch_and_the_proxied_one_publishes_nothing() {
    let case = Case::small_with(
        "proxy: { hosts: [shop.example.com] }\nschema_gate: { path: /s, port: 9090 }\n",
    );
    let env = case.loaded("prod").environment;
    assert_eq!(env.rollout.strategy, Strategy::BlueGreen);
    assert_eq!(env.roles[0].publish, None);
    let proxy = env.proxy.as_ref().expect("a proxy");
    assert_eq!((proxy.role.as_str(), &proxy.tls), ("web", &Tls::Off));
    assert_eq!((proxy.http_port, proxy.https_port), (80, 443));
    assert_eq!(proxy.max_request_body, None);
    assert_eq!(proxy.response_timeout.as_secs(), 60);
    assert_eq!(
        (proxy.image.as_str(), proxy.edge_image.as_str()),
        ("haproxy:3.2", "caddy:2")
    );
    let gate = env.schema_gate.as_ref().expect("a gate");
    assert_eq!(gate.role.as_ref().map(|role| role.as_str()), Some("web"));
    assert_eq!(gate.timeout, Duration::from_secs(5));
}

#[test]
fn a_prebuilt_image_brings_its_migrations_along() {
    let case = Case::small_with(&format!("{DATABASE}build: {{ image: \"acme/shop:1\" }}\n"));
    let env = case.loaded("prod").environment;
    assert_eq!(env.source, ImageSource::Prebuilt("acme/shop:1".to_owned()));
    assert_eq!(env.databases[0].migrations.source, MigrationSource::Image);
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = SMALL.replace(
        "  web: { port: 3000 }",
        "  web: &web\n    port: 3000\n    stop: { timeout: 9s }\n  api:\n    <<: *web\n    port: 4000",
    );
    let env = Case::new(text).loaded("prod").environment;
    assert_eq!(env.roles[1].port, Some(4000));
    assert_eq!(env.roles[1].stop.timeout, Duration::from_secs(9));
}

#[test]
fn a_role_that_no_host_runs_and_a_secret_in_the_clear_are_warnings() {
    let text = SMALL.replace("web: { port: 3000 }", "web: { port: 3000 }\n  worker:");
    let text = format!("{text}env: {{ clear: {{ API_TOKEN: abc, ODD: \"${{a b}}\" }} }}\n");
    assert_eq!(
        Case::new(text).warnings("prod"),
        [
            "no host runs the role `worker`",
            "`API_TOKEN` looks like a secret, and clear values are kept in records",
            "this is not an expansion and stays as it is"
        ]
    );
}

#[test]
fn the_hash_is_of_what_is_written_and_not_of_how_or_of_values() {
    let hash = |text: &str| Case::new(text).loaded("prod").environment.config_hash;
    let base = hash(SMALL);
    assert_eq!(base.len(), 64);
    assert_eq!(
        base,
        hash(&SMALL.replace("web: { port: 3000 }", "web: # said\n    port: 3000"))
    );
    assert_ne!(base, hash(&SMALL.replace("3000", "3001")));
    assert_ne!(
        base,
        hash(&SMALL.replace("port: 3000", "port: \"${PORT}\""))
    );
    let other = format!("{SMALL}  dev:\n    hosts: []\n");
    assert_eq!(base, hash(&other));
}

#[test]
fn what_is_shown_is_merged_and_expanded_and_without_secrets() {
    let text = format!(
        "{SMALL}env:\n  clear:\n    PLAIN: ${{WORD}}\n    HIDDEN: \"pw=${{DB_PASSWORD}}\"\n    NAMED: ${{SESSION:-fallback-secret}}\n    URL: postgres://u:hunter2@h/d\n    N: 1.10\n  secret: [SESSION]\n"
    );
    let text = text.replace("port: 3000", "port: \"${PORT}\"");
    let case = Case::new(text);
    let shown = show_with(&case.path(), "prod", &engines(), &variables)
        .unwrap_or_else(|problems| panic!("{problems}"));
    insta::assert_snapshot!("shown", shown.yaml);
    assert_eq!(shown.json["roles"]["web"]["port"], 8123);
}
