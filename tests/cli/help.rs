//! The command line's own words.

use crate::sandbox::Sandbox;

#[test]
fn the_help_of_every_command_is_the_reference() {
    let sandbox = Sandbox::empty();
    let mut commands = vec![String::new()];
    let mut pages = vec![];
    let mut globals: Option<String> = None;
    while let Some(command) = commands.pop() {
        let page = sandbox.run(&format!("{command} --help"));
        assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{command}");
        let below = subcommands(&page.stdout);
        commands.extend(
            below
                .into_iter()
                .rev()
                .map(|name| format!("{command} {name}")),
        );
        // The global options are the same everywhere: they stand on the first page.
        let (own, shared) = page.stdout.split_once("\nGlobal options:\n").unwrap();
        assert_eq!(
            shared,
            globals.get_or_insert(shared.to_owned()),
            "{command}"
        );
        pages.push(format!("$ stagecraft{command} --help\n\n{own}"));
    }
    assert!(pages.len() > 20, "{}", pages.len());
    pages.insert(1, format!("Global options:\n{}", globals.unwrap()));
    insta::assert_snapshot!(pages.join("\n\n"));
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return vec![];
    };
    rest.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn the_version_is_one_line() {
    let run = Sandbox::empty().run("--version");
    assert_eq!(
        run.stdout,
        format!("stagecraft {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(run.code, 0);
}

#[test]
fn no_arguments_are_answered_with_the_commands_and_2() {
    let run = Sandbox::empty().run("");
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("\nCommands:\n"), "{run}");
}

#[test]
fn misuse_is_2_and_names_what_is_near() {
    let sandbox = Sandbox::empty();
    shows!(sandbox.run("deplyo --env prod"), @r#"
        exit 2
        --- stderr
        error: unrecognized subcommand 'deplyo'

          tip: a similar subcommand exists: 'deploy'

        Usage: stagecraft [OPTIONS] <COMMAND>

        For more information, try '--help'.
        "#);
    shows!(sandbox.run("deploy --env prod --resume --abort"), @r#"
        exit 2
        --- stderr
        error: the argument '--resume' cannot be used with '--abort'

        Usage: stagecraft deploy --env <NAME> --resume

        For more information, try '--help'.
        "#);
    shows!(sandbox.run("rollback --env prod --to v1"), @r#"
        exit 2
        --- stderr
        error: invalid value 'v1' for '--to <ID>': `v1` is not a release id: expected `rel-YYYYMMDD-HHMMSSmmm`

        For more information, try '--help'.
        "#);
    shows!(sandbox.run("migrate plan --env prod --strategy later"), @r#"
        exit 2
        --- stderr
        error: invalid value 'later' for '--strategy <STRATEGY>'
          [possible values: pre_deploy, post_deploy, manual]

        For more information, try '--help'.
        "#);
}

#[test]
fn a_completion_script_names_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let run = Sandbox::empty().run(&format!("completions {shell}"));
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("rollback"), "{shell}");
    }
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let sandbox = Sandbox::empty();
    shows!(sandbox.run("man pages"), @r#"
        exit 0
        --- stdout
        wrote 44 pages into pages; read one with `man pages/stagecraft.1`
        "#);
    let page = sandbox.read("pages/stagecraft-migrate-create.1");
    assert!(page.contains("Create a new migration file"), "{page}");
    let list = sandbox.run("man pages --format json");
    let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let names = list["files"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    insta::assert_snapshot!(names.join("\n"), @r#"
        stagecraft.1
        stagecraft-init.1
        stagecraft-check.1
        stagecraft-config.1
        stagecraft-config-show.1
        stagecraft-config-schema.1
        stagecraft-deploy.1
        stagecraft-migrate.1
        stagecraft-migrate-plan.1
        stagecraft-migrate-run.1
        stagecraft-migrate-status.1
        stagecraft-migrate-reset.1
        stagecraft-migrate-create.1
        stagecraft-migrate-schema.1
        stagecraft-migrate-schema-dump.1
        stagecraft-migrate-drift.1
        stagecraft-migrate-rehearse.1
        stagecraft-migrate-baseline.1
        stagecraft-migrate-repair.1
        stagecraft-migrate-check.1
        stagecraft-migrate-adopt.1
        stagecraft-releases.1
        stagecraft-releases-list.1
        stagecraft-releases-show.1
        stagecraft-releases-mark-bad.1
        stagecraft-releases-rebuild.1
        stagecraft-rollback.1
        stagecraft-backup.1
        stagecraft-backup-create.1
        stagecraft-backup-list.1
        stagecraft-backup-restore.1
        stagecraft-backup-prune.1
        stagecraft-restart.1
        stagecraft-maintenance.1
        stagecraft-maintenance-on.1
        stagecraft-maintenance-off.1
        stagecraft-status.1
        stagecraft-logs.1
        stagecraft-exec.1
        stagecraft-lock.1
        stagecraft-lock-show.1
        stagecraft-lock-release.1
        stagecraft-completions.1
        stagecraft-man.1
        "#);
    shows!(sandbox.run("man /dev/null/pages"), @r#"
        exit 1
        --- stderr
        error: the manual pages cannot be written into `/dev/null/pages`
          caused by: Not a directory (os error 20)

        state: nothing was changed
        hint: name a folder that you may write to: `stagecraft man DIR`
        "#);
}

#[test]
fn the_manual_is_a_page_that_names_the_commands() {
    let run = Sandbox::empty().run("man");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains(".TH stagecraft 1"), "{run}");
    assert!(run.stdout.contains("rollback"));
}
