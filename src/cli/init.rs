//! `stagecraft init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{self, FoundMigrations, Template};
use crate::migrate::files;
use crate::model::fault::Fault;
use crate::ui::Ui;

use super::args::{Globals, InitArgs};
use super::failure::Failure;

pub(crate) async fn run(args: &InitArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let file = globals
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from("stagecraft.yml"));
    let folder = std::path::absolute(&file)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_default();
    let name = args.name.clone().unwrap_or_else(|| folder_name(&folder));
    let dockerfile = folder.join("Dockerfile").is_file().then_some("Dockerfile");
    let migrations = MIGRATION_FOLDERS
        .into_iter()
        .find(|candidate| folder.join(candidate).is_dir());
    let text = config::template(&Template {
        project: &name,
        dockerfile,
        migrations: migrations.map(|path| FoundMigrations {
            engine: "raw",
            path,
        }),
        port: dockerfile.and_then(|file| exposed_port(&folder.join(file))),
    });
    write_new(&file, &text)?;
    let shown = file.display().to_string();
    ui.show(
        &format!("created {shown}"),
        &json!({ "status": "created", "file": shown }),
    )
    .await;
    let hint = migrations.and_then(|path| files::of_another_tool(&folder.join(path), path));
    if let Some(hint) = hint {
        ui.note(&format!("{hint} (under `databases.main.migrations`)"))
            .await;
    }
    ui.note(
        "next: read it, write the values of its secrets into `.env.prod`, then `stagecraft check`",
    )
    .await;
    Ok(())
}

/// Where plain SQL migrations usually are.
const MIGRATION_FOLDERS: [&str; 3] = ["db/migrations", "migrations", "database/migrations"];

fn folder_name(folder: &Path) -> String {
    folder.file_name().map_or_else(
        || "app".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The first port that the Dockerfile exposes.
fn exposed_port(dockerfile: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(dockerfile).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let exposes = words.next()?.eq_ignore_ascii_case("expose");
        let port = words.next()?.split('/').next()?;
        exposes.then(|| port.parse().ok()).flatten()
    })
}

fn write_new(file: &Path, text: &str) -> Result<(), Fault> {
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(|error| {
            let fault = Fault::config(format!("cannot create `{}`", file.display()));
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                fault
                    .because("it is there already")
                    .state("the file was left as it is")
                    .hint("check it with `stagecraft check`, or name another with `--config FILE`")
            } else {
                fault
                    .caused_by(&error)
                    .state("nothing was written")
                    .hint("name a file in a folder that is there: `stagecraft init --config FILE`")
            }
        })?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(|error| {
            Fault::internal(format!("cannot write `{}`", file.display()))
                .caused_by(&error)
                .state("the file may be incomplete")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_that_the_dockerfile_exposes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("Dockerfile");
        std::fs::write(&file, "FROM x\n# EXPOSE 1\nexpose 8080/tcp\n").expect("written");
        assert_eq!(exposed_port(&file), Some(8080));
    }

    #[test]
    fn a_file_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stagecraft.yml");
        std::fs::write(&file, "mine").expect("written");
        assert!(write_new(&file, "new").is_err());
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "mine");
    }
}
