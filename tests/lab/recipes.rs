//! The README's recipes for the `command` engine, word for word, with the tools
//! themselves from PyPI, on PostgreSQL. Their containers are processes of this
//! machine here.

use serde_json::{Map, Value};

use crate::support::database::{Kind, Scratch, Seen, lab, psql};
use crate::support::migrations::{Project, states};

/// The options in the README's line of a tool.
fn recipe(tool: &str) -> Map<String, Value> {
    let readme = include_str!("../../README.md");
    let row = readme
        .lines()
        .find(|line| line.starts_with(&format!("- {tool}")) && line.contains(": `run: "))
        .unwrap_or_else(|| panic!("the README has no recipe of {tool}"));
    let mut options = Map::new();
    for option in row.split('`').skip(1).step_by(2) {
        let read: Map<String, Value> = serde_yaml::from_str(&format!("{{ {option} }}"))
            .or_else(|_| serde_yaml::from_str(option))
            .unwrap();
        options.extend(read);
    }
    options
}

fn project(tool: &str, url: &str, files: &[(&str, &str)]) -> Project {
    let mut project = Project::new(url);
    project.clear(
        "PATH",
        &format!("{}/bin:/usr/bin:/bin", lab("LAB_PYTHON_TOOLS")),
    );
    project.clear("PYTHONDONTWRITEBYTECODE", "1");
    let main = project.main();
    main.engine = "command".into();
    main.path = None;
    main.options = recipe(tool);
    for (name, text) in files {
        write(&project, name, text);
    }
    project
}

fn write(project: &Project, name: &str, text: &str) {
    let path = project.dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Nothing pending; one migration; one that fails, is told and mended.
async fn goes_all_the_way(project: &Project, url: &str, second: (&str, [&str; 2])) {
    let tables = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('notes', 'tags')";
    assert_eq!(states(&project.plan().await), ["command pending"]);
    assert_eq!(project.run().await.results(), ["command applied"]);
    assert_eq!(psql(url, tables).trim(), "notes");
    assert_eq!(states(&project.plan().await), [""; 0]);

    let (name, [broken, mended]) = second;
    write(project, name, broken);
    assert_eq!(states(&project.plan().await), ["command pending"]);
    let ran = project.run().await;
    assert_eq!(ran.results(), ["command failed"]);
    let said = ran.texts.join("\n");
    assert!(said.contains("\"nowhere\" does not exist"), "{said}");
    assert_eq!(psql(url, tables).trim(), "notes");

    write(project, name, mended);
    assert_eq!(project.run().await.results(), ["command applied"]);
    assert_eq!(psql(url, tables).trim(), "notes tags");
    assert_eq!(states(&project.plan().await), [""; 0]);
}

#[tokio::test]
async fn alembic_is_driven_by_the_readmes_recipe() {
    let scratch = Scratch::new(Kind::Postgres);
    let url = scratch.url(Seen::Here);
    let env = r#"
import os
from alembic import context
from sqlalchemy import create_engine

url = os.environ["MAIN_URL"].replace("postgres://", "postgresql+psycopg://")
with create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"#;
    let revision = |id: &str, before: &str, sql: &str| {
        format!(
            "from alembic import op\nrevision = '{id}'\ndown_revision = {before}\n\ndef upgrade():\n    op.execute(\"{sql}\")\n"
        )
    };
    let files = [
        ("alembic.ini", "[alembic]\nscript_location = db\n"),
        ("db/env.py", env),
        (
            "db/versions/1_notes.py",
            &revision("1", "None", "CREATE TABLE notes (id int)"),
        ),
    ];
    let project = project("Alembic", &url, &files);
    let second = ["; SELECT * FROM nowhere", ""]
        .map(|more| revision("2", "'1'", &format!("CREATE TABLE tags (id int){more}")));
    let [broken, mended] = &second;
    let second = ("db/versions/2_tags.py", [broken.as_str(), mended.as_str()]);
    goes_all_the_way(&project, &url, second).await;
}

#[tokio::test]
async fn django_is_driven_by_the_readmes_recipe() {
    let scratch = Scratch::new(Kind::Postgres);
    let url = scratch.url(Seen::Here);
    let settings = r#"
import os, urllib.parse

url = urllib.parse.urlsplit(os.environ["MAIN_URL"])
SECRET_KEY = "none"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:],
    "USER": url.username, "PASSWORD": url.password, "HOST": url.hostname, "PORT": url.port}}
"#;
    let manage = "import os, sys\nfrom django.core.management import execute_from_command_line\n\
        os.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\nexecute_from_command_line(sys.argv)\n";
    let migration = |before: &str, sql: &str| {
        format!(
            "from django.db import migrations\n\nclass Migration(migrations.Migration):\n    dependencies = [{before}]\n    operations = [migrations.RunSQL(\"{sql}\")]\n"
        )
    };
    let files = [
        ("manage.py", manage),
        ("settings.py", settings),
        ("shop/__init__.py", ""),
        ("shop/migrations/__init__.py", ""),
        (
            "shop/migrations/0001_notes.py",
            &migration("", "CREATE TABLE notes (id int)"),
        ),
    ];
    let project = project("Django", &url, &files);
    let second = ["; SELECT * FROM nowhere", ""].map(|more| {
        let sql = format!("CREATE TABLE tags (id int){more}");
        migration("('shop', '0001_notes')", &sql)
    });
    let [broken, mended] = &second;
    let second = (
        "shop/migrations/0002_tags.py",
        [broken.as_str(), mended.as_str()],
    );
    goes_all_the_way(&project, &url, second).await;
}
