//! What is said about a file that is wrong.

use super::super::Look;
use super::super::load::load_with;
use super::{Case, SMALL, engines, variables};
use crate::model::fault::{Fault, FaultKind};

/// The messages alone, in their order.
#[track_caller]
fn messages(text: &str) -> Vec<String> {
    let problems = Case::new(text).problems();
    let messages = problems
        .lines()
        .filter_map(|line| line.split_once(": error: "));
    messages.map(|(_, message)| message.to_owned()).collect()
}

/// The only problem of [`SMALL`] with one thing changed: its place, message,
/// key path and help.
#[track_caller]
fn only(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    let problems = Case::new(SMALL.replace(from, to)).problems();
    assert_eq!(problems.matches(": error: ").count(), 1, "{problems}");
    problems
}

#[test]
fn every_problem_is_told_at_once_with_its_place_its_line_and_the_way_out() {
    let text = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/broken.yml"),
    );
    insta::assert_snapshot!("broken", Case::new(text.expect("the fixture")).problems());
}

#[test]
fn on_a_terminal_the_problem_is_drawn_beneath_its_line() {
    let case = Case::new(SMALL.replace("port: 3000", "prot: 3000"));
    let problems = case.load("prod").expect_err("an unknown key");
    let drawn = problems.render(Look::Drawn { width: 80 });
    let folder = format!("{}/", case.path().parent().expect("a folder").display());
    insta::assert_snapshot!("drawn", drawn.replace(&folder, ""));
    let coloured = problems.render(Look::Coloured { width: 80 });
    assert!(coloured.contains("\u{1b}["));
}

#[test]
fn a_mistyped_key_is_one_problem_and_not_a_missing_key_too() {
    let problem = only("address: local", "adress: local");
    assert!(
        problem.contains("stagecraft.yml:7:15: error: unknown key `adress`"),
        "{problem}"
    );
    assert!(
        problem.contains("at environments.prod.hosts[0].adress"),
        "{problem}"
    );
    assert!(
        problem.contains("help: did you mean `address`?"),
        "{problem}"
    );
}

#[test]
fn a_key_that_stands_twice_shows_both_places() {
    let problem = only("{ port: 3000 }", "{ port: 3000, port: 4000 }");
    assert!(
        problem.contains("the key `port` stands here twice"),
        "{problem}"
    );
    assert_eq!(problem.matches("  4 | ").count(), 2, "{problem}");
}

#[test]
fn a_value_of_another_type_is_named_with_what_was_expected() {
    for (value, said) in [
        (
            "port: web",
            "expected a port from 1 to 65535, found the text `web`",
        ),
        ("port: 70000", "found the number `70000`"),
        ("port: 0", "found the number `0`"),
        ("port: \"3000\"", "found the text `3000`"),
        ("port: 30.5", "found the number `30.5`"),
        ("port: [3000]", "found a list"),
        (
            "overlap: yes",
            "expected `true` or `false`, found the text `yes`",
        ),
        (
            "command: bin/jobs",
            "expected a list, found the text `bin/jobs`",
        ),
        (
            "stop: { signal: 15 }",
            "expected text, found the number `15`",
        ),
        (
            "stop: { timeout: 30 }",
            "expected a length of time such as `30s`",
        ),
        ("volumes: [data]", "a volume is `name:/path`"),
        ("replicas: -1", "expected a whole number from 0 to 65535"),
    ] {
        let problem = only("port: 3000", value);
        assert!(problem.contains(said), "{value}: {problem}");
    }
}

#[test]
fn the_nearest_word_of_a_closed_list_is_offered() {
    let problem = only("    hosts:", "    mode: deplyo\n    hosts:");
    assert!(
        problem.contains("expected `deploy` or `dev`, found the text `deplyo`"),
        "{problem}"
    );
    assert!(problem.contains("did you mean `deploy`?"), "{problem}");
}

#[test]
fn every_environment_needs_a_primary_host() {
    let problem = only("[primary, web]", "[web]");
    assert!(
        problem.contains("no host has the role `primary`"),
        "{problem}"
    );
}

#[test]
fn a_role_that_does_not_exist_is_named_with_the_nearest() {
    let problem = only("[primary, web]", "[primary, web, wbe]");
    assert!(problem.contains("there is no role `wbe`"), "{problem}");
    assert!(problem.contains("did you mean `web`?"), "{problem}");
}

#[test]
fn an_engine_is_looked_up_in_the_registry() {
    let database =
        "databases: { main: { connection_env: URL, migrations: { engine: rwa, path: db } } }\n";
    let problems = Case::small_with(database).problems();
    assert!(problems.contains("there is no engine `rwa`"), "{problems}");
    assert!(problems.contains("did you mean `raw`?"), "{problems}");
}

#[test]
fn what_an_engine_needs_is_asked_for_and_nothing_more() {
    let with = |database: &str| format!("{SMALL}databases: {{ main: {database} }}\n");
    assert_eq!(
        messages(&with("{ migrations: { engine: raw } }")),
        [
            "the key `connection_env` is missing",
            "the key `path` is missing"
        ]
    );
    Case::new(with("{ migrations: { engine: command } }")).loaded("prod");
    let gated = |database: &str| format!("{}{GATE}", with(database));
    Case::new(gated("{ migrations: { engine: app } }")).loaded("prod");
    for strategy in ["pre_deploy", "post_deploy"] {
        let app = format!("{{ migrations: {{ engine: app, strategy: {strategy} }} }}");
        assert_eq!(
            messages(&gated(&app)),
            [format!(
                "`strategy: {strategy}` cannot be kept with `engine: app`"
            )]
        );
    }
}

const GATE: &str = "schema_gate: { path: /schema/status, port: 9090, role: web }\n";

#[test]
fn an_application_that_migrates_itself_needs_the_gate_that_is_about_it() {
    let app = "databases: { main: { migrations: { engine: app } } }\n";
    let problems = Case::small_with(app).problems();
    assert!(
        problems.contains("`engine: app` needs `schema_gate`"),
        "{problems}"
    );
    assert!(
        problems.contains("add `schema_gate: { path: /schema/status, port: 9090 }`"),
        "{problems}"
    );
    let two = format!(
        "databases: {{ main: {{ migrations: {{ engine: app }} }}, other: {{ connection_env: U, migrations: {{ engine: raw, path: db }} }} }}\n{}",
        GATE.replace("role: web", "role: web, database: other")
    );
    let problems = Case::small_with(&two).problems();
    assert!(problems.contains("which is about `other`"), "{problems}");
}

#[test]
fn an_inner_limit_that_could_never_strike_is_a_problem() {
    let with = |limits: &str| {
        format!(
            "{SMALL}databases: {{ main: {{ connection_env: U, migrations: {{ engine: raw, path: db, {limits} }} }} }}\n"
        )
    };
    assert_eq!(
        messages(&with("statement_timeout: 20m, timeout: 10m")),
        ["`statement_timeout` is longer than `timeout`, so it would never strike"]
    );
    assert_eq!(
        messages(&with("lock_timeout: 20m, statement_timeout: 10m")),
        ["`lock_timeout` is longer than `statement_timeout`, so it would never strike"]
    );
    // Defaults give way to what is written.
    Case::new(with("timeout: 10m")).loaded("prod");
    Case::new(with("statement_timeout: 45m")).loaded("prod");
    Case::new(with("timeout: 1s")).loaded("prod");
}

#[test]
fn an_unset_variable_is_an_error_where_it_is_used() {
    let problem = only("port: 3000", "port: 3000, stop: { signal: \"SIG${NOPE}\" }");
    assert!(
        problem.contains("stagecraft.yml:4:42: error: the variable `NOPE` is not set"),
        "{problem}"
    );
    assert!(problem.contains("at roles.web.stop.signal"), "{problem}");
}

#[test]
fn a_variable_of_another_environment_is_not_asked_for() {
    let case = Case::small_with(
        "  dev:\n    env: { clear: { X: \"${NOPE}\" } }\n    hosts: [{ address: local, roles: [primary, web] }]\n",
    );
    case.loaded("prod");
    assert!(case.load("dev").is_err());
}

#[test]
fn the_value_of_a_variable_is_never_repeated() {
    let problem = only("port: 3000", "port: \"${DB_PASSWORD}\"");
    assert!(
        problem.contains("found the value of `${DB_PASSWORD}`"),
        "{problem}"
    );
    assert!(!problem.contains("hunter2"), "{problem}");
    let url = "databases: { main: { connection_env: 'postgres://u:hunter2@h/d', migrations: { engine: raw, path: db } } }\n";
    let problems = Case::small_with(url);
    let fault = Fault::from(problems.load("prod").expect_err("not a name"));
    assert!(fault.what.contains("has a problem"), "{fault:?}");
    assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    assert!(!problems.problems().contains("hunter2"));
    let typed = SMALL.replace("port: 3000", "port: postgres://u:hunter2@h/d");
    assert!(!Case::new(typed).problems().contains("hunter2"));
}

#[test]
fn two_roles_cannot_publish_one_port_of_one_host() {
    let text = SMALL
        .replace(
            "web: { port: 3000 }",
            "web: { port: 3000 }\n  api: { port: 3000 }",
        )
        .replace("[primary, web]", "[primary, web, api]");
    assert_eq!(
        messages(&text),
        ["the role `api` and the role `web` both want port 3000 of `local`"]
    );
    Case::new(text.replace("api: { port: 3000 }", "api: { port: 3000, publish: 0 }"))
        .loaded("prod");
    assert_eq!(
        messages(&SMALL.replace("port: 3000", "port: 3000, replicas: 2")),
        ["2 replicas cannot all publish port 3000 of their host"]
    );
}

#[test]
fn a_health_check_is_of_one_kind_and_has_a_port() {
    assert_eq!(
        messages(&SMALL.replace("port: 3000", "port: 3000, health: { path: /up, tcp: true }")),
        ["a health check has one of `path`, `command` and `tcp`"]
    );
    assert_eq!(
        messages(&SMALL.replace("port: 3000", "health: { path: /up }")),
        ["the role has no port that could be asked"]
    );
}

#[test]
fn blue_green_without_a_proxy_and_certificates_without_names_are_refused() {
    assert_eq!(
        messages(&format!("{SMALL}rollout: {{ strategy: blue_green }}\n")),
        ["`blue_green` needs a proxy to switch"]
    );
    assert_eq!(
        messages(&format!("{SMALL}proxy: {{ tls: auto }}\n")),
        ["`tls: auto` needs names to ask certificates for"]
    );
    assert_eq!(
        messages(&format!(
            "{SMALL}proxy: {{ tls: auto, hosts: [a.example.com, '*.example.com'] }}\n"
        )),
        ["`tls: auto` cannot get a certificate for a name with a star"]
    );
    let internal = "proxy: { tls: internal, hosts: ['*.example.com'] }";
    assert!(
        Case::new(format!("{SMALL}{internal}\n"))
            .load("prod")
            .is_ok()
    );
}

#[test]
fn the_schema_gates_port_is_never_the_one_that_users_reach() {
    assert_eq!(
        messages(&format!(
            "{SMALL}proxy: {{}}\nschema_gate: {{ path: /schema/status, port: 3000 }}\n"
        )),
        ["the gate's port is the one that users reach"]
    );
}

#[test]
fn the_schema_gate_asks_beside_the_old_one_and_so_no_role_that_never_runs_twice() {
    let gate = "schema_gate: { path: /schema/status, port: 9090 }\n";
    let alone = SMALL.replace("port: 3000", "port: 3000, overlap: false");
    assert_eq!(
        messages(&format!("{alone}{gate}")),
        ["the gate asks a container of the role that runs beside the old one"]
    );
    Case::new(format!("{SMALL}{gate}")).loaded("prod");
}

#[test]
fn restoring_after_a_failure_needs_a_backup() {
    let text = format!(
        "{SMALL}on_failure: restore\ndatabases: {{ main: {{ connection_env: U, migrations: {{ engine: raw, path: db }} }} }}\n"
    );
    assert_eq!(
        messages(&text),
        ["`on_failure: restore` needs a backup, and this database takes none"]
    );
}

#[test]
fn what_is_not_yaml_is_shown_where_it_breaks() {
    let problems = Case::new("version: 1\nproject: { name: shop\nroles: x\n").problems();
    assert!(problems.contains("not valid YAML"), "{problems}");
    let tabs = Case::new("version: 1\nproject:\n\tname: x\n").problems();
    assert!(tabs.contains("spaces, never with tabs"), "{tabs}");
    let flow = Case::new("env: { clear: { A: ${A} } }\n").problems();
    assert!(flow.contains("an expansion stands in quotes"), "{flow}");
    assert!(Case::new("").problems().contains("the file is empty"));
    assert!(Case::new("- a").problems().contains("the file is a map"));
    assert!(
        Case::new("a: 1\n---\nb: 2")
            .problems()
            .contains("a second document")
    );
    assert!(
        Case::new(b"version: \xff")
            .problems()
            .contains("not UTF-8 text: line 1")
    );
}

#[test]
fn a_file_of_another_format_is_named_as_such() {
    let problem = only("version: 1", "version: 2");
    assert!(
        problem.contains("format 2 of this file is not known here"),
        "{problem}"
    );
}

#[test]
fn an_environment_is_never_chosen_by_itself_and_a_mistyped_one_is_offered() {
    let case = Case::new(SMALL);
    let none = load_with(&case.path(), None, &engines(), &variables).expect_err("none named");
    assert!(none.list()[0].help.as_deref() == Some("name one, such as `--env prod`"));
    let other = case.load("prdo").expect_err("no such environment");
    assert_eq!(other.list()[0].message, "there is no environment `prdo`");
    assert_eq!(
        other.list()[0].help.as_deref(),
        Some("did you mean `prod`?")
    );
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_way_out() {
    let case = Case::new(SMALL);
    let path = case.path().with_file_name("gone.yml");
    let problems = load_with(&path, Some("prod"), &engines(), &variables).expect_err("gone");
    assert!(problems.list()[0].message.contains("cannot be read"));
    assert!(
        problems.list()[0]
            .help
            .as_deref()
            .is_some_and(|help| help.contains("stagecraft init"))
    );
}

#[test]
fn as_the_error_of_every_port_problems_exit_as_configuration_with_their_lines() {
    let case = Case::new(SMALL.replace("port: 3000", "prot: 3000, replicas: x"));
    let problems = case.load("prod").expect_err("two problems");
    let json = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(json[0]["line"], 4);
    assert_eq!(json[0]["column"], 10);
    assert_eq!(json[0]["key_path"], "roles.web.prot");
    assert_eq!(json[1]["source_line"], "  web: { prot: 3000, replicas: x }");
    let fault = Fault::from(problems);
    assert_eq!(fault.kind, FaultKind::Config);
    assert!(fault.what.ends_with("has 2 problems"), "{fault}");
    assert_eq!((fault.causes.len(), fault.evidence.len()), (2, 2));
}
