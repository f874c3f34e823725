//! The record of releases: read, damaged, newer, not writable, mended.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

/// As `shows!`, for a recorded history: its ids and times are fixed.
macro_rules! shows_ids {
    ($run:expr, @$expected:literal) => {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!($run, @$expected);
        });
    };
}

/// One release done, one failed in its rollout, one live, and a migration of
/// another environment.
const RECORD: &str = include_str!("../fixtures/cli/releases.json");

const DONE: &str = "rel-20260114-101502001";
const FAILED: &str = "rel-20260115-090000000";
const LIVE: &str = "rel-20260116-120000500";

const SHOP: &str = "\
version: 1
project: { name: $project }
build: { context: . }
roles:
  web: { port: 3000, health: { path: /up } }
environments:
  prod:
    hosts: [{ address: local, roles: [primary, web] }]
  staging:
    hosts: [{ address: local, roles: [primary, web] }]
";

fn empty() -> Sandbox {
    Sandbox::with(SHOP)
}

fn with(record: &str) -> Sandbox {
    let sandbox = Sandbox::with(SHOP);
    sandbox.file(".stagecraft/releases.json", record);
    sandbox
}

fn damaged() -> String {
    RECORD[..RECORD.len() - 20].to_owned()
}

#[test]
fn without_releases_a_list_says_so() {
    shows!(empty().run("releases list"), @r#"
        exit 0
        --- stdout
        no releases yet
        "#);
    shows!(empty().run("releases list --env prod"), @r#"
        exit 0
        --- stdout
        no releases of prod yet
        "#);
}

#[test]
fn without_a_project_there_is_no_history_to_be_empty() {
    shows!(Sandbox::empty().run("releases list"), @r#"
        exit 10
        --- stderr
        error: no `stagecraft.yml` found
          caused by: searched `[SHOP]`

        state: nothing was changed
        hint: write a first one with `stagecraft init`, or name it with `--config FILE`
        "#);
}

#[test]
fn a_state_file_that_was_named_needs_no_project() {
    let sandbox = Sandbox::empty();
    sandbox.file("elsewhere.json", RECORD);
    sandbox.set("STAGECRAFT_STATE_FILE", "$shop/elsewhere.json");
    let listed = sandbox.run("releases list --format json").document();
    assert_eq!(listed["releases"].as_array().unwrap().len(), 4);
}

#[test]
fn releases_are_listed_with_what_became_of_them() {
    let sandbox = with(RECORD);
    shows_ids!(sandbox.run("releases list"), @r#"
        exit 0
        --- stdout
        RELEASE                 ENVIRONMENT  KIND     VERSION     TIME (UTC)           OUTCOME            IMAGE         NOTE
        rel-20260116-120000500  prod         deploy   v3          2026-01-16 12:00:00  done               333333333333  live
        rel-20260115-090000000  prod         deploy   v2 (dirty)  2026-01-15 09:00:00  failed in rollout  222222222222
        rel-20260114-101502001  prod         deploy   v1          2026-01-14 10:15:02  done               111111111111
        rel-20260117-080000000  staging      migrate  4f2a9c13    2026-01-17 08:00:00  done
        "#);
    shows_ids!(sandbox.run("releases list --env prod"), @r#"
        exit 0
        --- stdout
        RELEASE                 KIND    VERSION     TIME (UTC)           OUTCOME            IMAGE         NOTE
        rel-20260116-120000500  deploy  v3          2026-01-16 12:00:00  done               333333333333  live
        rel-20260115-090000000  deploy  v2 (dirty)  2026-01-15 09:00:00  failed in rollout  222222222222
        rel-20260114-101502001  deploy  v1          2026-01-14 10:15:02  done               111111111111
        "#);
}

#[test]
fn a_release_is_shown_with_its_phases_completed_failed_and_skipped() {
    let sandbox = with(RECORD);
    shows_ids!(sandbox.run(&format!("releases show {DONE}")), @r#"
        exit 0
        --- stdout
             release  rel-20260114-101502001
         environment  prod
                kind  deploy
             version  v1
              commit  4f2a9c11
                time  2026-01-14 10:15:02 UTC
                  by  ann@laptop
             outcome  done
               image  ghcr.io/acme/shop@sha256:1111111111111111111111111111111111111111111111111111111111111111
              schema  main none to 1

               build  completed               1.0 s
                push  completed    +2.0 s     1.0 s
         migrate_pre  completed    +4.0 s     1.0 s
             rollout  completed    +6.0 s     1.0 s
        migrate_post  completed    +8.0 s     1.0 s
            finalize  completed   +10.0 s     1.0 s

        DATABASE  MIGRATION       OUTCOME   TOOK
        main      0001_notes.sql  applied  95 ms

        HOST   SLOT                    CONTAINERS
        local  rel-20260114-101502001  shop-prod-web-1-rel-20260114-101502001
        "#);
    shows_ids!(sandbox.run(&format!("releases show {FAILED}")), @r#"
        exit 0
        --- stdout
             release  rel-20260115-090000000
         environment  prod
                kind  deploy
             version  v2 (dirty)
              commit  4f2a9c12
                time  2026-01-15 09:00:00 UTC
                  by  ann@laptop
             outcome  failed in rollout
               image  ghcr.io/acme/shop@sha256:2222222222222222222222222222222222222222222222222222222222222222
            previous  rel-20260114-101502001

               build  completed     +0 ms     1.0 s
                push  completed    +2.0 s     1.0 s
         migrate_pre  skipped                        nothing to migrate
             rollout  failed       +6.0 s    31.0 s  `web` on local did not become healthy within 30 s
        migrate_post  skipped                        not reached: rollout failed
            finalize  skipped                        not reached: rollout failed
        "#);
}

#[test]
fn a_release_is_shown_to_programs_as_it_is_recorded() {
    let document = with(RECORD)
        .run(&format!("releases show {LIVE} --format json"))
        .document();
    assert_eq!(document["phases"]["rollout"]["status"], "completed");
    assert_eq!(
        (&document["live"], &document["good"]),
        (&true.into(), &true.into())
    );
}

#[test]
fn an_unknown_release_is_answered_with_the_newest_ones() {
    shows_ids!(with(RECORD).run("releases show rel-20260101-000000000"), @r#"
        exit 12
        --- stderr
        error: there is no release `rel-20260101-000000000`
          caused by: neither this machine nor the hosts that were asked know it
          caused by: the newest are rel-20260117-080000000 (4f2a9c13), rel-20260116-120000500 (v3), rel-20260115-090000000 (v2)

        state: nothing was changed
        hint: see `stagecraft releases list`, with `--env NAME` to ask the hosts too
        "#);
    shows!(empty().run("releases show rel-20260101-000000000 --env prod"), @r#"
        exit 12
        --- stderr
        error: there is no release `rel-YYYYMMDD-HHMMSSmmm`
          caused by: neither this machine nor the hosts that were asked know it
          caused by: there are no releases yet

        state: nothing was changed
        hint: see `stagecraft releases list --env prod`
        "#);
}

#[test]
fn a_damaged_record_is_named_with_its_place_and_left_alone() {
    let damaged = damaged();
    let sandbox = with(&damaged);
    for command in [
        "releases list",
        "releases list --env prod",
        "rollback --env prod",
    ] {
        let run = sandbox.run(command);
        assert_eq!(run.code, 1, "{run}");
    }
    shows!(sandbox.run("releases list"), @r#"
        exit 1
        --- stderr
        error: the release history `[SHOP]/.stagecraft/releases.json` is damaged
          caused by: EOF while parsing a string at line 241 column 13

        state: the file was left as it is, and nothing else was changed
        hint: run `stagecraft releases rebuild --env prod` to read the history again from the hosts; the damaged file is kept beside it
        hint: run `stagecraft releases rebuild --env staging` to read the history again from the hosts; the damaged file is kept beside it
        "#);
    assert_eq!(sandbox.read(".stagecraft/releases.json"), damaged);
}

#[test]
fn a_rebuild_keeps_the_damaged_file_and_says_what_came_back() {
    let sandbox = with(&damaged());
    shows!(sandbox.run("releases rebuild --env prod"), @r#"
        exit 0
        --- stdout
        the damaged record is kept as [SHOP]/.stagecraft/releases.json.damaged-[STAMP]
        3 releases could still be read out of it
        0 releases came from the hosts of prod
        [SHOP]/.stagecraft/releases.json holds 3 releases now
        --- stderr
        another environment's releases come back with the next command on it
        "#);
    shows_ids!(sandbox.run("releases list --env prod"), @r#"
        exit 0
        --- stdout
        RELEASE                 KIND    VERSION     TIME (UTC)           OUTCOME            IMAGE         NOTE
        rel-20260116-120000500  deploy  v3          2026-01-16 12:00:00  done               333333333333  live
        rel-20260115-090000000  deploy  v2 (dirty)  2026-01-15 09:00:00  failed in rollout  222222222222
        rel-20260114-101502001  deploy  v1          2026-01-14 10:15:02  done               111111111111
        "#);
    let kept = fs::read_dir(sandbox.path(".stagecraft"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.display().to_string().contains("damaged"))
        .unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), damaged());
}

#[test]
fn a_rebuild_brings_back_what_only_a_host_knows() {
    let sandbox = with(RECORD);
    // What is saved on a host comes back after the file here is lost.
    let marked = sandbox.run(&format!("releases mark-bad {DONE} --env prod"));
    assert_eq!(marked.code, 0, "{marked}");
    sandbox.file(".stagecraft/releases.json", "{ \"format\": 1, \"rel");
    shows!(sandbox.run("releases rebuild --env prod --format json"), @r#"
        exit 0
        --- stdout
        {
          "status": "done",
          "file": "[SHOP]/.stagecraft/releases.json",
          "kept": "[SHOP]/.stagecraft/releases.json.damaged-[STAMP]",
          "salvaged": 0,
          "adopted": [
            "rel-YYYYMMDD-HHMMSSmmm"
          ],
          "releases": 1
        }
        --- stderr
        another environment's releases come back with the next command on it
        "#);
    let listed = sandbox.run("releases list --format json").document();
    assert_eq!(listed["releases"][0]["id"], DONE);
    assert_eq!(listed["releases"][0]["bad"], true);
}

#[test]
fn a_rebuild_of_a_sound_record_changes_nothing() {
    let sandbox = with(RECORD);
    shows!(sandbox.run("releases rebuild --env prod"), @r#"
        exit 0
        --- stdout
        the record was not damaged
        0 releases came from the hosts of prod
        [SHOP]/.stagecraft/releases.json holds 4 releases now
        "#);
    let listed = sandbox.run("releases list --format json").document();
    assert_eq!(listed["releases"].as_array().unwrap().len(), 4);
}

#[test]
fn a_record_of_a_newer_version_is_read_with_a_warning_and_never_written() {
    let newer = RECORD.replacen("\"format\": 1", "\"format\": 2", 1);
    let sandbox = with(&newer);
    shows_ids!(sandbox.run("releases list --env prod"), @r#"
        exit 0
        --- stdout
        RELEASE                 KIND    VERSION     TIME (UTC)           OUTCOME            IMAGE         NOTE
        rel-20260116-120000500  deploy  v3          2026-01-16 12:00:00  done               333333333333  live
        rel-20260115-090000000  deploy  v2 (dirty)  2026-01-15 09:00:00  failed in rollout  222222222222
        rel-20260114-101502001  deploy  v1          2026-01-14 10:15:02  done               111111111111
        --- stderr
             warning  the release history has format 2, this version knows 1
        "#);
    shows!(sandbox.run(&format!("releases mark-bad {DONE} --env prod")), @r#"
        exit 12
        --- stderr
             warning  the release history has format 2, this version knows 1
        error: the release history `[SHOP]/.stagecraft/releases.json` was written by a newer version of stagecraft
          caused by: it has format 2, this version writes format 1

        state: the history was read, nothing was written
        hint: install the newer stagecraft here too: `stagecraft --version` shows which one this is
        "#);
    shows!(sandbox.run("releases rebuild --env prod"), @r#"
        exit 12
        --- stderr
        error: the release history `[SHOP]/.stagecraft/releases.json` was written by a newer version of stagecraft
          caused by: it has format 2, this version writes format 1

        state: the history was read, nothing was written
        hint: install the newer stagecraft here too: `stagecraft --version` shows which one this is
        "#);
    assert_eq!(sandbox.read(".stagecraft/releases.json"), newer);
}

#[test]
fn a_record_that_cannot_be_written_is_named_with_a_way_out() {
    let sandbox = empty();
    // A file where the folder should be: even root cannot write below it.
    sandbox.file("state", "");
    sandbox.set("STAGECRAFT_STATE_FILE", "$shop/state/releases.json");
    shows!(sandbox.run(&format!("releases mark-bad {DONE} --env prod")), @r#"
        exit 1
        --- stderr
        error: cannot read the release history `[SHOP]/state/releases.json`
          caused by: Not a directory (os error 20)

        state: nothing was changed
        "#);
}

#[test]
fn a_release_that_is_marked_bad_is_no_target_any_more() {
    let sandbox = with(RECORD);
    shows_ids!(sandbox.run(&format!("releases mark-bad {DONE} --env prod")), @r#"
        exit 0
        --- stdout
        rel-20260114-101502001 (v1) is marked bad: no rollback goes back to it
        "#);
    let again = sandbox.run(&format!(
        "releases mark-bad {DONE} --env prod --format json"
    ));
    assert_eq!(
        again.document()["release"]["revision"],
        15,
        "once is enough"
    );
    shows_ids!(sandbox.run("releases list --env prod"), @r#"
        exit 0
        --- stdout
        RELEASE                 KIND    VERSION     TIME (UTC)           OUTCOME            IMAGE         NOTE
        rel-20260116-120000500  deploy  v3          2026-01-16 12:00:00  done               333333333333  live
        rel-20260115-090000000  deploy  v2 (dirty)  2026-01-15 09:00:00  failed in rollout  222222222222
        rel-20260114-101502001  deploy  v1          2026-01-14 10:15:02  done               111111111111  marked bad
        "#);
}

#[test]
fn marking_the_live_release_says_that_it_still_serves() {
    shows_ids!(with(RECORD).run(&format!("releases mark-bad {LIVE} --env prod")), @r#"
        exit 0
        --- stdout
        rel-20260116-120000500 (v3) is marked bad: no rollback goes back to it
        it is still live in prod: `stagecraft rollback --env prod` leaves it
        "#);
}

#[test]
fn a_release_of_another_environment_is_not_marked() {
    shows_ids!(with(RECORD).run(&format!("releases mark-bad {DONE} --env staging")), @r#"
        exit 12
        --- stderr
        error: release `rel-20260114-101502001` is not of `staging`
          caused by: it was made in `prod`

        state: nothing was changed
        hint: `stagecraft releases mark-bad rel-20260114-101502001 --env prod`
        "#);
}

#[test]
fn a_state_file_that_this_user_may_not_read_is_named() {
    let sandbox = with(RECORD);
    let path = sandbox.path(".stagecraft/releases.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        // Root reads everything: a folder in the file's place stands in.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    }
    let run = sandbox.run("releases list");
    assert_eq!(run.code, 1, "{run}");
    assert!(
        run.stderr.contains("cannot read the release history"),
        "{run}"
    );
}
