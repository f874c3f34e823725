//! What stops a command before it begins: no engine to ask, nothing to act on.

use crate::sandbox::Sandbox;

const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
env:
  secret: [SESSION_KEY]
roles:
  web: { port: 3000, health: { path: /up } }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
";

fn shop() -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox.file("Dockerfile", "FROM scratch\n");
    sandbox
}

#[test]
fn without_an_engine_a_deploy_is_13_and_says_how_to_get_one() {
    shows!(shop().run("deploy --env prod"), @r#"
        exit 13
        --- stderr
        error: cannot ask the engine on `local`
          caused by: cannot reach the Docker engine on this machine
          caused by: `DOCKER_HOST` says that it listens on `/nonexistent.sock`
          caused by: there is no such socket

        state: nothing was changed
        hint: start the engine that should listen there, or use the usual one: `unset DOCKER_HOST`
        "#);
}

#[test]
fn without_a_proxy_there_is_no_page_to_show_and_nobody_is_asked() {
    assert_eq!(shop().run("maintenance off --env prod").code, 10);
    shows!(shop().run("maintenance on --env prod"), @r#"
        exit 10
        --- stderr
        error: `prod` has no proxy that could answer instead of the application
          caused by: without the key `proxy` a role publishes its port itself

        state: nothing was changed
        hint: write `proxy: { hosts: [...] }` and run `stagecraft deploy --env prod`
        "#);
}

#[test]
fn without_an_engine_every_command_that_needs_one_is_13() {
    let sandbox = shop();
    for command in [
        "deploy --env prod --dry-run",
        "rollback --env prod",
        "rollback --env prod --dry-run",
        "restart --env prod",
        "restart --env prod --dry-run",
        "status --env prod",
        "logs --env prod",
        "exec --env prod -- true",
    ] {
        let run = sandbox.run(command);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (13, ""),
            "{command}: {run}"
        );
        assert!(
            run.stderr.contains("state: nothing was changed"),
            "{command}: {run}"
        );
        assert!(run.stderr.contains("hint: "), "{command}: {run}");
    }
}

#[test]
fn programs_are_told_the_same_in_one_document() {
    let run = shop().run("deploy --env prod --format json");
    let document = run.document();
    assert_eq!(document["exit_code"], 13);
    assert_eq!(document["error"]["kind"], "unreachable");
    let run = shop().run("deploy --env prod --format ndjson");
    let last: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["exit_code"], 13, "{last}");
}

#[test]
fn a_failed_command_leaves_no_lock_behind() {
    let sandbox = shop();
    assert_eq!(sandbox.run("deploy --env prod").code, 13);
    shows!(sandbox.run("lock show --env prod"), @r#"
        exit 0
        --- stdout
        nobody holds the lock of prod
        "#);
}

#[test]
fn quiet_prints_errors_all_the_same() {
    let run = shop().run("deploy --env prod --quiet");
    assert!(run.stderr.starts_with("error: "), "{run}");
}

#[test]
fn an_unknown_docker_context_is_named() {
    let sandbox = shop();
    sandbox.set("DOCKER_HOST", "").set("DOCKER_CONTEXT", "gone");
    shows!(sandbox.run("deploy --env prod"), @r#"
        exit 13
        --- stderr
        error: cannot ask the engine on `local`
          caused by: cannot reach the Docker engine on this machine
          caused by: the Docker context `gone` cannot be read from `[HOME]/.docker/contexts/meta/[SHA256]/meta.json`
          caused by: No such file or directory (os error 2)

        state: nothing was changed
        hint: see the contexts with `docker context ls`, choose one with `docker context use NAME`
        "#);
}

#[test]
fn a_swarm_without_a_registry_is_refused_before_a_host_is_asked() {
    let refused = |from: &str, to: &str| {
        let sandbox = Sandbox::with(&SHOP.replace(from, to));
        assert_eq!(sandbox.run("check").code, 0, "the configuration is valid");
        sandbox.run("deploy --env prod")
    };
    let rollout = |strategy: &str| format!("    rollout: {{ strategy: {strategy} }}\n    hosts:");
    shows!(refused("    hosts:", &rollout("swarm")), @r#"
        exit 10
        --- stderr
        error: `rollout.strategy: swarm` needs `project.registry`
          caused by: the nodes of a Swarm pull the image themselves, whenever the engine places a task on them

        state: nothing was changed
        hint: set `project.registry` to an image repository that every node reaches
        "#);
}

#[test]
fn a_blue_green_rollout_without_a_proxy_is_no_valid_configuration() {
    let blue_green = "    rollout: { strategy: blue_green }\n    hosts:";
    let sandbox = Sandbox::with(&SHOP.replace("    hosts:", blue_green));
    shows!(sandbox.run("deploy --env prod"), @r#"
        exit 10
        --- stderr
        error: `stagecraft.yml` has a problem
          caused by: stagecraft.yml:10:26: `blue_green` needs a proxy to switch (use `recreate` or `rolling`; `blue_green` switches a proxy)

          stagecraft.yml:10:26
            10 |     rollout: { strategy: blue_green }
               |                          ^^^^^^^^^^

        state: nothing was changed
        hint: mend it, then run `stagecraft check`
        "#);
}

#[test]
fn a_host_that_cannot_be_reached_is_13() {
    let sandbox = Sandbox::with(&SHOP.replace("address: local", "address: deploy@127.0.0.1:1"));
    shows!(sandbox.run("deploy --env prod"), @r#"
        exit 13
        --- stderr
        error: cannot connect to `deploy@127.0.0.1:1`
          caused by: nothing listens on its SSH port

          what `ssh` said of deploy@127.0.0.1:1
            ssh: connect to host 127.0.0.1 port 1: Connection refused

        state: nothing was changed
        hint: check that `sshd` runs there and the port is right: `ssh -p 1 deploy@127.0.0.1`
        "#);
}
