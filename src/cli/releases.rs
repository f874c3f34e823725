//! `stagecraft releases`.

use crate::model::fault::Fault;
use crate::model::release::{History, ReleaseId};
use crate::release::{self, Store};
use crate::ui::{self, Ui};

use super::args::{Globals, ReleasesArgs, ReleasesCommand};
use super::failure::Failure;
use super::keeper::Access;
use super::session::{config_file, on_environment};

pub(crate) async fn run(args: &ReleasesArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let history = history(globals, ui).await?;
    match &args.command {
        ReleasesCommand::List => list(globals, &history, ui).await,
        ReleasesCommand::Show { id } => show(id, &history, ui).await?,
    }
    Ok(())
}

/// With an environment: the merged history of this machine and its hosts.
/// Without one, or where the hosts cannot be asked: this machine's alone, and
/// it says so.
async fn history(globals: &Globals, ui: &Ui) -> Result<History, Failure> {
    if globals.env.is_none() {
        let root = config_file(globals)
            .ok()
            .and_then(|file| file.parent().map(std::path::Path::to_path_buf));
        let root = root.unwrap_or_default();
        return Ok(Store::at(release::path(
            &root,
            std::env::var_os(release::STATE_FILE_VARIABLE),
        ))
        .read()?);
    }
    on_environment(
        "stagecraft releases",
        globals,
        ui,
        None,
        async |session| match session.history(&session.cx, Access::Read).await {
            Ok(history) => Ok(history),
            Err(fault) => {
                let here = session.keeper.here()?;
                session
                    .cx
                    .warn(format!("only this machine's record is shown: {fault}"));
                Ok(here)
            }
        },
    )
    .await
}

async fn list(globals: &Globals, history: &History, ui: &Ui) {
    let environment = globals.env.as_ref();
    let style = ui.options().stdout_style;
    ui.show(
        &ui::releases::list(history, environment, style),
        &ui::releases::list_document(history, environment),
    )
    .await;
}

async fn show(id: &ReleaseId, history: &History, ui: &Ui) -> Result<(), Fault> {
    let Some(release) = history.find(id) else {
        return Err(Fault::refused(format!("there is no release `{id}`"))
            .because("neither this machine nor the hosts that were asked know it")
            .hint("see `stagecraft releases list`, with `--env NAME` to ask the hosts too"));
    };
    let style = ui.options().stdout_style;
    ui.show(
        &ui::releases::show(history, release, style),
        &ui::releases::show_document(history, release),
    )
    .await;
    Ok(())
}
