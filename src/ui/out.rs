//! Standard output and error as the rest of this folder sees them. A reader
//! that went away (a closed pipe) is no failure and stops no deploy; what is
//! written afterwards is dropped.

use std::io::{self, ErrorKind, Write};

use super::mask::Mask;

pub(super) struct Out {
    to: Box<dyn Write + Send>,
    mask: Mask,
    state: State,
}

enum State {
    Open,
    /// Nobody reads any more.
    Closed,
    Broken(io::Error),
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    pub(super) fn stderr() -> Self {
        Self::to(Box::new(io::stderr()))
    }

    pub(super) fn to(to: Box<dyn Write + Send>) -> Self {
        Self {
            to,
            mask: Mask::default(),
            state: State::Open,
        }
    }

    pub(super) fn masked(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Writes the text as whole lines, at once.
    pub(super) fn lines(&mut self, text: &str) {
        let mut text = self.mask.apply(text).into_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.write(text.as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Open) {
            return;
        }
        if let Err(error) = self.to.write_all(bytes).and_then(|()| self.to.flush()) {
            self.state = match error.kind() {
                ErrorKind::BrokenPipe => State::Closed,
                _ => State::Broken(error),
            };
        }
    }

    /// What kept the text from its reader, such as a full disk.
    pub(super) fn error(&self) -> Option<&io::Error> {
        match &self.state {
            State::Broken(error) => Some(error),
            State::Open | State::Closed => None,
        }
    }
}

/// The columns of the terminal that shows standard error.
pub(super) fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stderr())?;
    Some(usize::from(width.0))
}
