//! A migration that its tool begins: the tool's own development command, run in
//! the checkout on this machine, with this terminal. Only in `mode: dev`: what
//! it asks and changes there may be lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::migrate;
use crate::model::fault::Fault;
use crate::model::project::{DatabaseSpec, Mode};
use crate::ui::words;

use super::super::super::failure::Failure;
use super::super::super::session::Session;

pub(super) async fn create(
    session: &Session<'_>,
    database: &DatabaseSpec,
    command: &[String],
) -> Result<(), Failure> {
    let environment = &session.environment;
    let spec = &database.migrations;
    let folder = migrate::create::folder(spec)?;
    let shown = command.join(" ");
    if environment.mode == Mode::Deploy {
        let fault = Fault::refused(format!(
            "migrations of engine `{}` are begun by its own development command",
            spec.engine
        ));
        return Err(fault
            .because(format!(
                "`{}` has `mode: deploy`, in which no development command is run",
                environment.name
            ))
            .state("nothing was created")
            .hint(format!("run it yourself: `{shown}`"))
            .hint("or name an environment of `mode: dev` after `--env`")
            .into());
    }
    let before = files(folder);
    let ran = run(session, database, command).await;
    let made: Vec<String> = files(folder)
        .difference(&before)
        .map(|path| {
            let path = path.strip_prefix(&environment.root).unwrap_or(path);
            path.display().to_string()
        })
        .collect();
    ran.map_err(|fault| match made.as_slice() {
        [] => fault.state("nothing was created"),
        made => fault.state(format!("it left {}", words::and_list(made.iter()))),
    })?;
    let (text, status) = match made.as_slice() {
        [] => (
            format!("nothing was created: `{shown}` ended well, and left the folder as it was"),
            "unchanged",
        ),
        made => (format!("created {}", made.join(", ")), "created"),
    };
    let document = json!({ "status": status, "file": made.first(), "files": made });
    session.ui.show(&text, &document).await;
    Ok(())
}

/// With what this process has, and the database's own variables where they are
/// set: a tool that needs one and has none says so itself. What it prints is for
/// people, so it goes to the standard error.
async fn run(
    session: &Session<'_>,
    database: &DatabaseSpec,
    command: &[String],
) -> Result<(), Fault> {
    let shown = command.join(" ");
    let Some((program, arguments)) = command.split_first() else {
        return Err(Fault::internal("an engine begins its files by nothing"));
    };
    let mut child = Command::new(program);
    child
        .args(arguments)
        .current_dir(&session.environment.root)
        .stdout(Stdio::from(std::io::stderr()))
        .kill_on_drop(true);
    let variables = [&database.connection_env, &database.direct_connection_env];
    for name in variables.into_iter().flatten() {
        if let Ok(value) = session.house.values.get(name).await {
            child.env(name, value.reveal());
        }
    }
    let mut child = child.spawn().map_err(|error| {
        Fault::config(format!("`{program}` cannot be started"))
            .caused_by(&error)
            .hint(format!(
                "install what brings `{program}` on this machine, and the project's packages"
            ))
    })?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = session.cx.token().cancelled() => return Err(Fault::interrupted()),
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Fault::config(format!("`{shown}` failed"))
            .because(status.to_string())
            .hint("see above what it says, and mend that")),
        Err(error) => Err(Fault::internal(format!("`{shown}` was lost")).caused_by(&error)),
    }
}

/// The files of a folder and of those in it; one that cannot be read has none.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path)),
        }
    }
    found
}
