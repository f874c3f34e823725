//! Colour. It never carries a meaning alone: every coloured word says by
//! itself what the colour says.

use crate::model::phase::Status;

/// Whether colour is used, and the few ways it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Color,
}

impl Style {
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    #[must_use]
    pub fn hint(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// A text in the colour of a status.
    #[must_use]
    pub fn status(self, status: Status, text: &str) -> String {
        match status {
            Status::Pending => self.dim(text),
            Status::Running => self.hint(text),
            Status::Completed => self.good(text),
            Status::Failed => self.bad(text),
            Status::Skipped => self.warning(text),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Style::Color if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Style::Color | Style::Plain => text.to_owned(),
        }
    }
}
