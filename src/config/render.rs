//! How problems look: as plain `file:line:column` lines for logs and editors,
//! or drawn beneath the source lines for a terminal.

use std::fmt::Write as _;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity,
    SourceCode,
};

use super::problem::{Problem, Problems};
use super::source::Span;

/// How [`Problems::render`] draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// One `file:line:column` line each, with the source line and a marker.
    Plain,
    /// Drawn with box characters, without colour.
    Drawn { width: usize },
    /// Drawn and coloured.
    Coloured { width: usize },
}

impl Problems {
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let mut text = String::new();
        for problem in self.list() {
            match look {
                Look::Plain => self.plain(problem, "error: ", &mut text),
                Look::Drawn { width } => {
                    let theme = GraphicalTheme::unicode_nocolor();
                    self.drawn(problem, width, theme, &mut text);
                }
                Look::Coloured { width } => {
                    let theme = GraphicalTheme::unicode();
                    self.drawn(problem, width, theme, &mut text);
                }
            }
        }
        text
    }

    /// Things that are odd but stop nothing, a text each; who prints it says
    /// that it is a warning.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let list = self.list().iter();
        list.map(|problem| {
            let mut text = String::new();
            self.plain(problem, "", &mut text);
            text.truncate(text.trim_end().len());
            text
        })
        .collect()
    }

    fn plain(&self, problem: &Problem, word: &str, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {word}{}", problem.place(), problem.message);
        if let Some(path) = &problem.key_path {
            let _ = writeln!(text, "  at {path}");
        }
        for line in self.excerpt(problem).unwrap_or_default() {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(help) = &problem.help {
            let _ = writeln!(text, "  help: {help}");
        }
    }

    /// The source line and, beneath, a marker; the same for further places.
    pub(super) fn excerpt(&self, problem: &Problem) -> Option<Vec<String>> {
        let mut lines = self.marked(problem.span?, "");
        for (span, label) in &problem.also {
            lines.extend(self.marked(*span, label));
        }
        Some(lines)
    }

    fn marked(&self, span: Span, label: &str) -> Vec<String> {
        let (line, column) = self.source.position(span.start);
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let text = self.source.line_at(span.start).replace('\t', " ");
        let first = self.source.first_line(span);
        let width = self.source.slice(first).chars().count().max(1);
        let marker = format!("{}{}", " ".repeat(column - 1), "^".repeat(width));
        vec![
            format!("{number} | {text}"),
            format!("{margin} | {marker} {label}").trim_end().to_owned(),
        ]
    }

    fn drawn(&self, problem: &Problem, width: usize, theme: GraphicalTheme, text: &mut String) {
        let report = Report {
            problem,
            source: NamedSource::new(&self.source.name, self.source.shown.clone()),
        };
        let drawn = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false)
            .with_context_lines(1)
            .render_report(text, &report);
        if drawn.is_err() {
            self.plain(problem, "error: ", text);
        }
    }
}

/// One problem as miette wants it.
#[derive(Debug)]
struct Report<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.message)?;
        if self.problem.span.is_none() {
            write!(f, " ({})", self.problem.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn std::fmt::Display + 'b>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.problem.span.map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span?;
        let range = |span: Span| (span.start, span.end.saturating_sub(span.start));
        let main = LabeledSpan::new_primary_with_span(self.problem.key_path.clone(), range(span));
        let also = self.problem.also.iter();
        let also = also.map(move |(span, label)| {
            LabeledSpan::new_with_span(Some(label.clone()), range(*span))
        });
        Some(Box::new(std::iter::once(main).chain(also)))
    }
}
