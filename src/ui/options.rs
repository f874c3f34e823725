//! How a run is shown: what was asked, and what the surroundings can do.

use std::env;
use std::io::{self, IsTerminal};

use super::out::terminal_width;
use super::style::Style;

/// What standard output carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Tables and plans for people.
    #[default]
    Text,
    /// One document.
    Json,
    /// A line an event, the result last.
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Data, warnings and errors.
    Quiet,
    #[default]
    Normal,
    /// What tools print, too.
    Verbose,
}

/// Who watches standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person at a terminal that can be redrawn.
    Terminal,
    /// A file, or the log of a CI job.
    Log,
    /// The log of GitHub Actions, with groups and annotations.
    GitHub,
}

#[derive(Debug, Clone, Copy)]
pub struct UiOptions {
    pub format: Format,
    pub verbosity: Verbosity,
    pub audience: Audience,
    /// Of standard output and of standard error.
    pub stdout_style: Style,
    pub style: Style,
    /// Where to wrap; `None` never wraps.
    pub width: Option<usize>,
}

impl UiOptions {
    /// `style` is what `--no-color` asked for; `NO_COLOR`, `TERM=dumb` and a
    /// redirected stream have their say too.
    #[must_use]
    pub fn detect(format: Format, verbosity: Verbosity, style: Style) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let github = env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let ci = github || set("CI");
        let terminal = io::stderr().is_terminal();
        let colored = |stream_is_terminal: bool| {
            if style == Style::Color && stream_is_terminal && !set("NO_COLOR") && !dumb {
                Style::Color
            } else {
                Style::Plain
            }
        };
        Self {
            format,
            verbosity,
            audience: if github {
                Audience::GitHub
            } else if terminal && !dumb && !ci {
                Audience::Terminal
            } else {
                Audience::Log
            },
            stdout_style: colored(io::stdout().is_terminal()),
            style: colored(terminal),
            width: terminal_width().map(|width| width.clamp(40, 120)),
        }
    }
}
