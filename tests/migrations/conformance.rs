//! The scenarios of every engine, for those that work on SQLite: `raw`, an
//! external one (the example, in Python), and `command` with a tool of a few
//! lines. PostgreSQL and the tools from npm are in `tests/lab`.

use std::path::Path;

use serde_json::json;

use super::contest::{
    Contestant, Work, applies_once, lets_one_of_two_run, refuses_what_was_edited, survives_a_kill,
    tells_a_failure_and_goes_on_when_it_is_mended,
};
use super::support::Project;

/// `.sql` files for an SQLite file.
struct Files(Engine);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Raw,
    External,
    Command,
}

/// A migration tool: keeps what it did in `done`, answers `plan` by lines.
const TOOL: &str = r#"
import os, pathlib, sqlite3, sys
db = sqlite3.connect(os.environ['MAIN_URL'].removeprefix('sqlite:'), isolation_level=None)
done = pathlib.Path('done')
done.touch()
for file in sorted(pathlib.Path('db/migrations').glob('*.sql')):
    applied = file.name in done.read_text().split()
    if sys.argv[1] == 'plan':
        print('{"id": "%s", "state": "%s"}' % (file.name, 'applied' if applied else 'pending'))
    elif not applied:
        db.executescript('BEGIN;' + file.read_text() + 'COMMIT;')
        done.write_text(done.read_text() + file.name + '\n')
"#;

impl Contestant for Files {
    fn project(&self) -> Project {
        let mut project = Project::sqlite();
        match self.0 {
            Engine::Raw => {}
            Engine::External => {
                let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
                project.path = Some(examples.join("external-engine"));
                project.main().engine = "sqlfiles".to_owned();
                // Relative ones are the container's.
                let url = format!("sqlite:{}/app.db", project.dir.path().display());
                project.set("MAIN_URL", &url);
            }
            Engine::Command => {
                std::fs::write(project.dir.path().join("tool.py"), TOOL).unwrap();
                let call = |word| json!(["/usr/bin/env", "python3", "tool.py", word]);
                let options = json!({ "plan": call("plan"), "run": call("run") });
                let main = project.main();
                main.engine = "command".to_owned();
                main.options = options.as_object().unwrap().clone();
            }
        }
        project
    }

    fn write(&self, project: &Project, n: u32, work: Work) {
        let more = match work {
            Work::Good => "",
            Work::Broken => "INSERT INTO nowhere VALUES (1);\n",
            Work::Slow => {
                "INSERT INTO t1 WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000000) SELECT max(x) FROM c;\n"
            }
        };
        let sql = format!("CREATE TABLE t{n} (id integer);\n{more}");
        project.write(&self.id(n), &sql);
    }

    fn id(&self, n: u32) -> String {
        format!("{n:03}_t.sql")
    }

    fn happened(&self, project: &Project, n: u32) -> bool {
        let file = project.dir.path().join("app.db");
        let found = rusqlite::Connection::open(file).unwrap().query_row(
            "SELECT count(*) FROM sqlite_master WHERE name = ?1",
            [format!("t{n}")],
            |row| row.get::<_, u32>(0),
        );
        found.unwrap() == 1
    }

    fn untouched(&self, project: &Project) -> bool {
        // The tool of `command` opens its database whatever it is asked.
        let file = project.dir.path().join("app.db");
        std::fs::metadata(file).map_or(true, |about| about.len() == 0)
    }

    fn is_slow(&self, project: &Project) -> bool {
        project.dir.path().join("app.db-journal").exists()
    }
}

#[tokio::test]
async fn raw_on_sqlite_conforms() {
    let with = &Files(Engine::Raw);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    lets_one_of_two_run(with).await;
}

#[tokio::test]
async fn the_external_engine_of_the_example_conforms() {
    let with = &Files(Engine::External);
    applies_once(with).await;
    refuses_what_was_edited(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
    lets_one_of_two_run(with).await;
}

/// It cannot tell an edited file, and it is the container's name that keeps two
/// apart, which needs an engine: `tests/lab`.
#[tokio::test]
async fn a_tool_behind_command_conforms_as_far_as_it_tells() {
    let with = &Files(Engine::Command);
    applies_once(with).await;
    tells_a_failure_and_goes_on_when_it_is_mended(with).await;
    survives_a_kill(with).await;
}
