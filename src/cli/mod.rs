//! The command line: the only clap, and the only place that sees everything.
//!
//! A file a command. `wiring` joins adapters to ports, `session` is what every
//! command on an environment shares, `keeper` keeps the record here and on the
//! hosts, `failure` knows the exit codes.

mod acme;
mod approval;
mod args;
mod backup;
mod check;
mod choice;
mod committed;
mod config;
mod deploy;
mod evidence;
mod exec;
mod failure;
mod fingerprints;
mod helper;
mod init;
mod interrupt;
mod judged;
mod keeper;
mod lock;
mod logs;
mod maintenance;
mod man;
mod migrate;
mod releases;
mod restart;
mod resume;
mod roles;
mod rollback;
mod secrets;
mod services;
mod session;
mod source;
mod status;
mod target;
mod wiring;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde_json::json;

use crate::ui::{self, Style, Ui, UiOptions, Verbosity};

use args::{Cli, Command, Format};
use failure::Failure;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    // clap answers `--help` and `--version` itself and ends with 2 on misuse.
    let cli = Cli::parse();
    // One thread: the work is waiting for others, and a message that changes
    // threads on its way costs more than it saves.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(_) => return ExitCode::from(1),
    };
    let code = runtime.block_on(run(cli));
    // Whatever still runs (a relay of a closed connection) must not hold the
    // process up.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(cli: Cli) -> u8 {
    if let Command::Helper(helper) = &cli.command {
        return helper::run(&helper.what).await;
    }
    let ui = Ui::new(options(&cli));
    let code = match dispatch(&cli, &ui).await {
        Ok(code) => code,
        Err(failure) => {
            let failure = failure.with_standing();
            let code = failure.exit_code();
            ui.report(&failure.fault, code).await;
            code
        }
    };
    match ui.finish().await {
        Ok(()) => code,
        Err(_) if code != 0 => code,
        Err(_) => 1,
    }
}

fn options(cli: &Cli) -> UiOptions {
    let format = match cli.globals.format {
        Format::Text => ui::Format::Text,
        Format::Json => ui::Format::Json,
        Format::Ndjson => ui::Format::Ndjson,
    };
    let verbosity = match (cli.globals.quiet, cli.globals.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    };
    let style = if cli.globals.no_color {
        Style::Plain
    } else {
        Style::Color
    };
    UiOptions::detect(format, verbosity, style)
}

async fn dispatch(cli: &Cli, ui: &Ui) -> Result<u8, Failure> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Init(args) => init::run(args, globals, ui).await?,
        Command::Check(_) => check::run(globals, ui).await?,
        Command::Config(args) => config::run(args, globals, ui).await?,
        Command::Deploy(args) => deploy::run(args, globals, ui).await?,
        Command::Migrate(args) => return migrate::run(args, globals, ui).await,
        Command::Releases(args) => releases::run(args, globals, ui).await?,
        Command::Rollback(args) => rollback::run(args, globals, ui).await?,
        Command::Backup(args) => backup::run(args, globals, ui).await?,
        Command::Restart(args) => restart::run(args, globals, ui).await?,
        Command::Maintenance(args) => maintenance::run(args, globals, ui).await?,
        Command::Status(_) => status::run(globals, ui).await?,
        Command::Logs(args) => logs::run(args, globals, ui).await?,
        Command::Exec(args) => return exec::run(args, globals, ui).await,
        Command::Lock(args) => lock::run(args, globals, ui).await?,
        Command::Completions(args) => {
            let mut script = vec![];
            clap_complete::generate(args.shell, &mut Cli::command(), "stagecraft", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            ui.show(script.trim_end(), &json!({ "script": script }))
                .await;
        }
        Command::Man(args) => man::run(args, ui).await?,
        Command::Helper(_) => {}
    }
    Ok(0)
}
