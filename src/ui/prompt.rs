//! Questions. Asked only of a person at a terminal, and never for ever.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::time::Duration;

use tokio::sync::oneshot;

use super::words::printable;

/// After this nobody is there.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The answer that lets the work go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// `y` or `yes`.
    Yes,
    /// This very text, such as the environment's name.
    Typed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    TimedOut,
    /// Nobody can be asked: standard input is no terminal.
    NoTerminal,
}

/// Asks, and waits for one line.
pub(super) async fn confirm(question: &str, expected: Expected) -> Answer {
    if !io::stdin().is_terminal() {
        return Answer::NoTerminal;
    }
    // The question must be seen even where standard error goes to a file.
    let mut screen: Box<dyn Write> = match File::options().write(true).open("/dev/tty") {
        Ok(terminal) => Box::new(terminal),
        Err(_) => Box::new(io::stderr()),
    };
    ask(
        &mut *screen,
        BufReader::new(io::stdin()),
        question,
        expected,
        PATIENCE,
    )
    .await
}

async fn ask(
    screen: &mut dyn Write,
    mut input: impl BufRead + Send + 'static,
    question: &str,
    expected: Expected,
    patience: Duration,
) -> Answer {
    let call = match &expected {
        Expected::Yes => "[y/N]".to_owned(),
        Expected::Typed(text) => format!("type `{text}` to go on:"),
    };
    let asked = write!(screen, "{} {call} ", printable(question)).and_then(|()| screen.flush());
    if asked.is_err() {
        return Answer::NoTerminal;
    }
    // A thread of its own: a read cannot be cancelled, and the runtime would
    // wait for its own threads when the process wants to end.
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = input.read_line(&mut line);
        let _ = send.send(read.map(|_| line));
    });
    match tokio::time::timeout(patience, receive).await {
        Ok(Ok(Ok(line))) => judge(&line, &expected),
        Ok(Ok(Err(_)) | Err(_)) => Answer::No,
        Err(_) => {
            let _ = writeln!(screen);
            Answer::TimedOut
        }
    }
}

fn judge(line: &str, expected: &Expected) -> Answer {
    let line = line.trim();
    let agreed = match expected {
        Expected::Yes => line.eq_ignore_ascii_case("y") || line.eq_ignore_ascii_case("yes"),
        Expected::Typed(text) => line == text,
    };
    if agreed { Answer::Yes } else { Answer::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(typed: &'static str, expected: Expected) -> (Answer, String) {
        let mut screen = vec![];
        let answer = ask(
            &mut screen,
            typed.as_bytes(),
            "deploy to prod?",
            expected,
            PATIENCE,
        )
        .await;
        (answer, String::from_utf8(screen).expect("text"))
    }

    #[tokio::test]
    async fn only_a_clear_yes_is_a_yes() {
        for (typed, answer) in [
            ("y\n", Answer::Yes),
            ("YES\n", Answer::Yes),
            ("\n", Answer::No),
            ("yess\n", Answer::No),
            ("", Answer::No),
        ] {
            let (got, screen) = answered(typed, Expected::Yes).await;
            assert_eq!(got, answer, "{typed:?}");
            assert_eq!(screen, "deploy to prod? [y/N] ");
        }
    }

    #[tokio::test]
    async fn a_name_must_be_typed_as_it_is() {
        let expected = || Expected::Typed("prod".to_owned());
        assert_eq!(answered("prod\n", expected()).await.0, Answer::Yes);
        for typed in ["Prod\n", "yes\n", "\n"] {
            assert_eq!(answered(typed, expected()).await.0, Answer::No);
        }
        let (_, screen) = answered("prod\n", expected()).await;
        assert_eq!(screen, "deploy to prod? type `prod` to go on: ");
    }

    #[tokio::test]
    async fn nobody_there_is_a_time_out_not_a_hang() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        let answer = ask(
            &mut io::sink(),
            BufReader::new(reader),
            "well?",
            Expected::Yes,
            Duration::from_millis(20),
        )
        .await;
        assert_eq!(answer, Answer::TimedOut);
    }
}
