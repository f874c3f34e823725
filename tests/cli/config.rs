//! The configuration file: what is wrong with it, all at once and with its
//! place; what it means; its schema; and a first one.

use crate::sandbox::Sandbox;

/// A whole configuration that is right.
const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
env:
  clear: { LOG_LEVEL: info }
  secret: [SESSION_KEY]
roles:
  web: { port: 3000, health: { path: /up } }
environments:
  staging:
    hosts: [{ address: local, roles: [primary, web] }]
  prod:
    protected: true
    hosts:
      - { address: deploy@10.0.0.10, roles: [primary, web] }
      - { address: deploy@10.0.0.11, roles: [web] }
";

fn check(config: &str) -> crate::sandbox::Run {
    Sandbox::with(config).run("check")
}

#[test]
fn a_valid_file_is_said_to_be_valid() {
    shows!(check(SHOP), @r#"
        exit 0
        --- stdout
        [SHOP]/stagecraft.yml is valid: 2 environments
        "#);
}

#[test]
fn what_is_odd_is_a_warning_each_and_the_file_is_valid() {
    let odd = SHOP
        .replace("LOG_LEVEL: info", "API_TOKEN: abc")
        .replace("  web: {", "  worker:\n  web: {");
    shows!(check(&odd), @r#"
        exit 0
        --- stdout
        [SHOP]/stagecraft.yml is valid: 2 environments
        --- stderr
        warning: stagecraft.yml:5:12: `API_TOKEN` looks like a secret, and clear values are kept in records
          at env.clear.API_TOKEN
          5 |   clear: { API_TOKEN: abc }
            |            ^^^^^^^^^
          help: move the name to `env.secret`
        warning: stagecraft.yml:8:3: no host runs the role `worker`
          at roles.worker
          8 |   worker:
            |   ^^^^^^
          help: add it to a host's `roles`
        "#);
}

#[test]
fn an_unknown_key_is_shown_where_it_stands_with_the_nearest_valid_name() {
    shows!(check(&SHOP.replace("  web: { port: 3000", "  web: { prot: 3000")), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:8:10: unknown key `prot` (did you mean `port`?)

          stagecraft.yml:8:10
            8 |   web: { prot: 3000, health: { path: /up } }
              |          ^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn several_problems_are_told_at_once() {
    shows!(check("\
version: 1
project: { name: $project }
build: { contxt: . }
roles:
  web: { port: many, health: { path: up } }
  worker: { replicas: 0 }
environments:
  prod:
    hosts: [{ address: local, roles: [wbe] }]
    rollout: { strategy: sideways }
"), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has 6 problems
          caused by: stagecraft.yml:3:10: unknown key `contxt` (did you mean `context`?)
          caused by: stagecraft.yml:5:16: expected a port from 1 to 65535, found the text `many`
          caused by: stagecraft.yml:5:38: a path begins with `/` and holds no blanks (write `/up`)
          caused by: stagecraft.yml:9:5: no host has the role `primary` (add `primary` to the roles of the host that runs migrations and other one-off jobs)
          caused by: stagecraft.yml:9:39: there is no role `wbe` (did you mean `web`?)
          caused by: stagecraft.yml:10:26: expected `blue_green`, `rolling`, `recreate` or `swarm`, found the text `sideways`

          stagecraft.yml:3:10
            3 | build: { contxt: . }
              |          ^^^^^^

          stagecraft.yml:5:16
            5 |   web: { port: many, health: { path: up } }
              |                ^^^^

          stagecraft.yml:5:38
            5 |   web: { port: many, health: { path: up } }
              |                                      ^^

          stagecraft.yml:9:5
            9 |     hosts: [{ address: local, roles: [wbe] }]
              |     ^^^^^

          stagecraft.yml:9:39
            9 |     hosts: [{ address: local, roles: [wbe] }]
              |                                       ^^^

          stagecraft.yml:10:26
            10 |     rollout: { strategy: sideways }
               |                          ^^^^^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_places() {
    shows!(check(&SHOP.replace("build: { context: . }\n", "build: { context: . }\nbuild: { context: app }\n")), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:4:1: the key `build` stands here twice (keep one of them)

          stagecraft.yml:4:1
            4 | build: { context: app }
              | ^^^^^
            3 | build: { context: . }
              | ^^^^^ first here

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn a_file_that_is_no_yaml_is_shown_where_it_ends_to_be() {
    shows!(check("version: 1\nproject: { name: shop\nroles:\n"), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:3:6: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'

          stagecraft.yml:3:6
            3 | roles:
              |      ^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn a_host_without_a_primary_role_anywhere_is_refused() {
    shows!(check(&SHOP.replace("roles: [primary, web] }]", "roles: [web] }]")), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:11:5: no host has the role `primary` (add `primary` to the roles of the host that runs migrations and other one-off jobs)

          stagecraft.yml:11:5
            11 |     hosts: [{ address: local, roles: [web] }]
               |     ^^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn an_unknown_engine_is_answered_with_the_known_ones() {
    let config = format!(
        "{SHOP}databases:\n  main:\n    connection_env: DATABASE_URL\n    migrations: {{ engine: rwa, path: db }}\n"
    );
    shows!(check(&config), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:20:27: there is no engine `rwa` (did you mean `raw`?)

          stagecraft.yml:20:27
            20 |     migrations: { engine: rwa, path: db }
               |                           ^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn engines_judge_their_folders_options_and_files_in_every_environment_at_once() {
    let config = format!(
        "{SHOP}databases:
  main:
    connection_env: DATABASE_URL
    migrations: {{ engine: raw, path: db/main }}
  audit:
    connection_env: AUDIT_URL
    migrations: {{ engine: raw, path: db/audit, options: {{ ordre: numeric }} }}
"
    );
    let sandbox = Sandbox::with(&config);
    sandbox
        .file("db/main/9_first.sql", "select 1;")
        .file("db/main/10_second.sql", "select 1;");
    shows!(sandbox.run("check"), @r#"
        exit 10
        --- stderr
        error: 3 problems with the migrations
          caused by: database `main`: `db/main/10_second.sql`: by name `10_second.sql` runs before `9_first.sql`, by number it would be the other way round; give all numbers the same width, or set `options: { order: numeric }`
          caused by: database `audit`: `options`: unknown field `ordre`, expected one of `order`, `format`, `table`
          caused by: database `audit`: cannot read the migrations in `db/audit`: No such file or directory (os error 2)

        state: nothing was changed
        hint: mend the files or the configuration, then run `stagecraft check`
        "#);
}

#[test]
fn a_variable_that_is_not_set_is_named_where_it_is_used() {
    let sandbox = Sandbox::with(&SHOP.replace("LOG_LEVEL: info", "LOG_LEVEL: \"${LEVEL}\""));
    shows!(sandbox.run("check"), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:5:24: the variable `LEVEL` is not set (set it in the environment of this command, or write `${LEVEL:-text}`; `env_file` is not asked here)

          stagecraft.yml:5:24
            5 |   clear: { LOG_LEVEL: "${LEVEL}" }
              |                        ^^^^^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
    sandbox.set("LEVEL", "debug");
    assert_eq!(sandbox.run("check").code, 0);
}

#[test]
fn no_file_is_answered_with_the_folder_that_was_searched() {
    shows!(Sandbox::empty().run("check"), @r#"
        exit 10
        --- stderr
        error: no `stagecraft.yml` found
          caused by: searched `[SHOP]`

        state: nothing was changed
        hint: write a first one with `stagecraft init`, or name it with `--config FILE`
        "#);
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_named_again() {
    shows!(Sandbox::empty().run("check --config elsewhere.yml"), @r#"
        exit 10
        --- stderr
        error: there is no file `elsewhere.yml`

        state: nothing was changed
        hint: name another with `--config FILE`, or write a first one with `stagecraft init`
        "#);
}

#[test]
fn no_command_acts_on_an_environment_that_was_not_named() {
    let sandbox = Sandbox::with(SHOP);
    shows!(sandbox.run("deploy"), @r#"
        exit 10
        --- stderr
        error: `stagecraft deploy` acts on an environment, and none was named

        state: nothing was changed
        hint: `stagecraft deploy --env staging`
        hint: `stagecraft deploy --env prod`
        "#);
    shows!(sandbox.run("config show"), @r#"
        exit 10
        --- stderr
        error: `stagecraft config show` acts on an environment, and none was named

        state: nothing was changed
        hint: `stagecraft config show --env staging`
        hint: `stagecraft config show --env prod`
        "#);
}

#[test]
fn an_unknown_environment_is_answered_with_the_nearest_one() {
    shows!(Sandbox::with(SHOP).run("deploy --env prdo"), @r#"
        exit 10
        --- stderr
        error: there is no environment `prdo`
          caused by: `stagecraft.yml` has `staging` and `prod`

        state: nothing was changed
        hint: `stagecraft deploy --env prod`
        hint: `stagecraft deploy --env staging`
        "#);
}

#[test]
fn the_variable_names_the_environment_and_the_option_overrules_it() {
    let sandbox = Sandbox::with(SHOP);
    sandbox.set("STAGECRAFT_ENV", "staging");
    let protected = |words| sandbox.run(words).document()["protected"] == true;
    assert!(!protected("config show --format json"));
    assert!(protected("config show --format json --env prod"));
}

#[test]
fn the_merged_configuration_is_shown_with_secrets_masked() {
    let sandbox = Sandbox::with(SHOP);
    sandbox.set("SESSION_KEY", "s3cr3t-value");
    let shown = sandbox.run("config show --env prod");
    assert!(!shown.to_string().contains("s3cr3t-value"));
    shows!(shown, @r#"
        exit 0
        --- stdout
        project:
          name: shop-########
        build:
          context: .
        env:
          clear:
            LOG_LEVEL: info
          secret:
          - SESSION_KEY
        roles:
          web:
            port: 3000
            health:
              path: /up
        protected: true
        hosts:
        - address: deploy@10.0.0.10
          roles:
          - primary
          - web
        - address: deploy@10.0.0.11
          roles:
          - web
        "#);
}

#[test]
fn the_schema_is_one_json_schema_of_the_file() {
    let schema = Sandbox::empty().run("config schema").document();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    insta::assert_snapshot!(format!("{} {keys:?}", schema["$schema"]), @r#"
        "https://json-schema.org/draft/2020-12/schema" ["version", "project", "build", "env", "roles", "databases", "schema_gate", "proxy", "rollout", "health_checks", "on_failure", "env_file", "secrets_command", "environments"]
        "#);
}

#[test]
fn programs_get_the_same_problems_as_one_document() {
    let sandbox = Sandbox::with(&SHOP.replace("port: 3000", "prot: 3000"));
    let run = sandbox.run("check --format json");
    assert_eq!(run.document()["exit_code"], 10);
    shows!(run, @r#"
        exit 10
        --- stdout
        {
          "status": "error",
          "error": {
            "kind": "config",
            "what": "`stagecraft.yml` has a problem",
            "causes": [
              "stagecraft.yml:8:10: unknown key `prot` (did you mean `port`?)"
            ],
            "evidence": [
              {
                "title": "stagecraft.yml:8:10",
                "lines": [
                  "8 |   web: { prot: 3000, health: { path: /up } }",
                  "  |          ^^^^"
                ]
              }
            ],
            "state": [
              "nothing was changed"
            ],
            "hints": [
              "mend it, then run `stagecraft check`"
            ]
          },
          "exit_code": 10
        }
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:8:10: unknown key `prot` (did you mean `port`?)

          stagecraft.yml:8:10
            8 |   web: { prot: 3000, health: { path: /up } }
              |          ^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
    let lines = sandbox.run("check --format ndjson").stdout;
    assert_eq!(lines.lines().count(), 1, "{lines}");
}

#[test]
fn programs_are_told_what_is_valid() {
    shows!(Sandbox::with(SHOP).run("check --format json"), @r#"
        exit 0
        --- stdout
        {
          "status": "valid",
          "file": "[SHOP]/stagecraft.yml",
          "environments": [
            "staging",
            "prod"
          ],
          "warnings": []
        }
        "#);
}

#[test]
fn a_first_file_is_fitted_to_what_is_found_and_is_valid() {
    let sandbox = Sandbox::empty();
    sandbox
        .file("Dockerfile", "FROM scratch\nEXPOSE 8080\n")
        .file(
            "db/migrations/0001_notes.sql",
            "create table notes (id integer);",
        );
    shows!(sandbox.run("init --name shop"), @r#"
        exit 0
        --- stdout
        created stagecraft.yml
        --- stderr
        next: read it, write the values of its secrets into `.env.prod`, then `stagecraft check`
        "#);
    insta::assert_snapshot!(sandbox.read("stagecraft.yml"));
    assert_eq!(sandbox.run("check").code, 0);
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let sandbox = Sandbox::with(SHOP);
    let before = sandbox.read("stagecraft.yml");
    shows!(sandbox.run("init"), @r#"
        exit 10
        --- stderr
        error: cannot create `stagecraft.yml`
          caused by: it is there already

        state: the file was left as it is
        hint: check it with `stagecraft check`, or name another with `--config FILE`
        "#);
    assert_eq!(sandbox.read("stagecraft.yml"), before);
}
