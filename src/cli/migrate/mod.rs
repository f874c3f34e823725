//! `stagecraft migrate`: what plan, run, status and create share.

mod adopt;
mod baseline;
mod check;
mod create;
mod life;
mod plan;
mod preview;
mod rehearse;
mod repair;
mod reset;
mod run;
mod schema;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::migration::MigrationRequest;
use crate::model::names::DatabaseName;
use crate::model::phase::{Phase, Status};
use crate::model::project::Environment;
use crate::model::release::ReleaseId;
use crate::model::risk::Detail;
use crate::ports::Cx;
use crate::ui::forecast::Shown;
use crate::ui::{Format, Ui, Verbosity, words};

use super::args::{Filters, Globals, MigrateArgs, MigrateCommand, SchemaCommand};
use super::failure::Failure;
use super::session::Session;

pub(crate) async fn run(args: &MigrateArgs, globals: &Globals, ui: &Ui) -> Result<u8, Failure> {
    match &args.command {
        MigrateCommand::Plan(args) => plan::plan(args, globals, ui).await,
        MigrateCommand::Run(args) => run::run(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Reset(args) => reset::reset(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Status(args) => plan::status(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Adopt(args) => adopt::adopt(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Create(args) => create::create(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Schema(args) => match &args.command {
            SchemaCommand::Dump(args) => schema::dump(args, globals, ui).await.map(|()| 0),
        },
        MigrateCommand::Drift(args) => schema::drift(args, globals, ui).await,
        MigrateCommand::Rehearse(args) => rehearse::rehearse(args, globals, ui).await,
        MigrateCommand::Baseline(args) => baseline::baseline(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Repair(args) => repair::repair(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Check(args) => check::check(args, globals, ui).await,
    }
}

async fn request(
    session: &Session<'_>,
    cx: &Cx,
    filters: &Filters,
    history: &History,
) -> Result<MigrationRequest, Fault> {
    known(&session.environment, &filters.database)?;
    let image = image(session, cx, filters, history).await?;
    Ok(MigrationRequest {
        databases: filters.database.clone(),
        strategies: filters.strategy.iter().copied().map(Into::into).collect(),
        to: filters.to.clone(),
        steps: None,
        allow_out_of_order: false,
        files: image.clone(),
        detail: detail(session),
        image,
    })
}

pub(crate) fn known(environment: &Environment, names: &[DatabaseName]) -> Result<(), Fault> {
    let databases = &environment.databases;
    let Some(unknown) = names.iter().find(|name| !databases.contains_key(*name)) else {
        return Ok(());
    };
    let fault = Fault::config(format!(
        "there is no database `{unknown}` in `{}`",
        environment.name
    ))
    .state("nothing was changed");
    Err(if databases.is_empty() {
        fault
            .because("it has no databases")
            .hint("name one under `databases` in the configuration file")
    } else {
        let names = words::or_list(databases.keys().map(DatabaseName::as_str));
        fault.hint(format!("name {names} after `--database`"))
    })
}

/// The image that containers of this run are made of.
async fn image(
    session: &Session<'_>,
    cx: &Cx,
    filters: &Filters,
    history: &History,
) -> Result<Option<PinnedImage>, Fault> {
    if let Some(reference) = &filters.image {
        return session.house.pusher.resolve(cx, reference).await.map(Some);
    }
    if let Some(id) = &filters.release {
        let found = history
            .of(&session.environment.name)
            .find(|release| release.id == *id);
        return match found.and_then(|release| release.image.clone()) {
            Some(image) => Ok(Some(image)),
            None => Err(Fault::refused(format!(
                "release `{id}` of `{}` has no image",
                session.environment.name
            ))
            .state("nothing was changed")
            .hint(format!(
                "see `stagecraft releases list --env {}`",
                session.environment.name
            ))),
        };
    }
    Ok(
        newest_image(history, &session.environment).map(|(release, image)| {
            cx.step(format!(
                "a one-off container, where one is needed, runs the image of {release}"
            ));
            image
        }),
    )
}

/// Of the newest release whose push completed.
pub(crate) fn newest_image(
    history: &History,
    environment: &Environment,
) -> Option<(ReleaseId, PinnedImage)> {
    history
        .of(&environment.name)
        .rev()
        .filter(|release| release.phase(Phase::Push).status == Status::Completed)
        .find_map(|release| {
            release
                .image
                .clone()
                .map(|image| (release.id.clone(), image))
        })
}

/// How much of a plan is looked for: a document has the SQL.
fn detail(session: &Session<'_>) -> Detail {
    match session.ui.options().format {
        Format::Text => Detail::Forecast,
        Format::Json | Format::Ndjson => Detail::Sql,
    }
}

/// Which findings are printed.
fn shown(session: &Session<'_>) -> Shown {
    match session.ui.options().verbosity {
        Verbosity::Quiet | Verbosity::Normal => Shown::Standing,
        Verbosity::Verbose => Shown::All,
    }
}
