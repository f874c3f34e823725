//! The command line: the only clap, and the only place that sees everything.

mod args;
mod failure;
mod source;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let _cli = args::Cli::parse();
    ExitCode::from(1)
}
