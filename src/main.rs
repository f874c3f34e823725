//! The binary: everything is in the library, see its `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stagecraft::cli::main()
}
