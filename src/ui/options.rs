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
        Surroundings {
            variable: &|name| env::var(name).ok().filter(|value| !value.is_empty()),
            stdout: Stream::of(&io::stdout()),
            stderr: Stream::of(&io::stderr()),
            width: terminal_width(),
        }
        .options(format, verbosity, style)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Terminal,
    Redirected,
}

impl Stream {
    fn of(stream: &impl IsTerminal) -> Self {
        if stream.is_terminal() {
            Stream::Terminal
        } else {
            Stream::Redirected
        }
    }
}

/// All that is looked at, so that the choice itself is pure.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    stdout: Stream,
    stderr: Stream,
    width: Option<usize>,
}

impl Surroundings<'_> {
    fn options(&self, format: Format, verbosity: Verbosity, style: Style) -> UiOptions {
        UiOptions {
            format,
            verbosity,
            audience: self.audience(),
            stdout_style: self.style(self.stdout, style),
            style: self.style(self.stderr, style),
            // Narrower cannot be read, wider is tiring.
            width: self.width.map(|width| width.clamp(40, 120)),
        }
    }

    fn audience(&self) -> Audience {
        if self.says("GITHUB_ACTIONS", "true") {
            Audience::GitHub
        } else if self.stderr == Stream::Terminal && !self.is_dumb() && !self.is_set("CI") {
            Audience::Terminal
        } else {
            Audience::Log
        }
    }

    fn style(&self, stream: Stream, asked: Style) -> Style {
        if stream == Stream::Terminal && !self.is_set("NO_COLOR") && !self.is_dumb() {
            asked
        } else {
            Style::Plain
        }
    }

    fn is_dumb(&self) -> bool {
        self.says("TERM", "dumb")
    }

    fn says(&self, name: &str, value: &str) -> bool {
        (self.variable)(name).is_some_and(|found| found == value)
    }

    fn is_set(&self, name: &str) -> bool {
        (self.variable)(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], stderr: Stream, asked: Style) -> (Audience, Style) {
        let options = Surroundings {
            variable: &|name| {
                let mut found = variables.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| (*value).to_owned())
            },
            stdout: Stream::Redirected,
            stderr,
            width: Some(300),
        }
        .options(Format::Text, Verbosity::Normal, asked);
        assert_eq!(options.stdout_style, Style::Plain, "it is redirected");
        assert_eq!(options.width, Some(120));
        (options.audience, options.style)
    }

    #[test]
    fn a_terminal_is_redrawn_in_colour_unless_somebody_objects() {
        use Audience::{GitHub, Log, Terminal};
        use Style::{Color, Plain};
        let screen = Stream::Terminal;
        assert_eq!(chosen(&[], screen, Color), (Terminal, Color));
        assert_eq!(chosen(&[], screen, Plain), (Terminal, Plain));
        assert_eq!(
            chosen(&[("NO_COLOR", "1")], screen, Color),
            (Terminal, Plain)
        );
        assert_eq!(chosen(&[("TERM", "dumb")], screen, Color), (Log, Plain));
        assert_eq!(chosen(&[("CI", "1")], screen, Color), (Log, Color));
        let github = [("GITHUB_ACTIONS", "true")];
        assert_eq!(chosen(&github, Stream::Redirected, Color), (GitHub, Plain));
        assert_eq!(chosen(&[], Stream::Redirected, Color), (Log, Plain));
    }
}
