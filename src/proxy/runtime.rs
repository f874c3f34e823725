//! HAProxy's runtime interface: commands in, answers out, in one connection
//! and one round trip. Imports `ports`, `model`.
//!
//! Invariant: an answer is complete, one for each command, or there is none.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{HostLink, Target};

/// Through a link of the folder that points to the proxy's own socket.
pub(super) const SOCKET: &str = "/run/stagecraft-proxy/admin.sock";

/// For all commands of a batch; HAProxy itself takes no time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of all answers together: thousands of servers.
const MOST: u64 = 8 << 20;

/// HAProxy reads a line into one of its buffers.
const LONGEST: usize = 15_000;

/// What stands between two answers.
const PROMPT: &str = "\n> ";

/// Nobody answers there, or not as HAProxy does; why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent(pub(super) String);

impl Silent {
    pub(super) fn fault(self, host: &HostAddress) -> Fault {
        Fault::unreachable(format!("the proxy on `{host}` does not answer"))
            .because(self.0)
            .hint(format!(
                "look at it, on `{host}`: `docker logs --tail 50 stagecraft-proxy`"
            ))
    }
}

/// One command; its words are escaped. It may hold a key: it has no `Debug`.
#[derive(Clone)]
pub(super) struct Command(String);

#[cfg(test)]
impl Command {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl Command {
    pub(super) fn new(words: &[&str]) -> Self {
        let words: Vec<String> = words.iter().map(|word| escaped(word)).collect();
        Self(words.join(" "))
    }

    /// With lines that follow it, none of them empty.
    pub(super) fn with_payload(words: &[&str], payload: &str) -> Self {
        let Self(command) = Self::new(words);
        Self(format!("{command} <<\n{payload}"))
    }
}

/// A blank, a semicolon and a backslash would end a word.
fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for char in word.chars() {
        if matches!(char, ' ' | ';' | '\\') {
            escaped.push('\\');
        }
        if !char.is_control() {
            escaped.push(char);
        }
    }
    escaped
}

/// Of the proxy of that version, whoever has the link now.
pub(super) fn socket_of(version: &str) -> String {
    format!("/run/stagecraft-proxy/{version}.sock")
}

/// The answers, in the order of the commands, trimmed.
pub(super) async fn ask(
    link: &dyn HostLink,
    host: &HostAddress,
    commands: &[Command],
) -> Result<Vec<String>, Silent> {
    ask_at(link, host, SOCKET, commands).await
}

/// The same of the one that listens there.
pub(super) async fn ask_at(
    link: &dyn HostLink,
    host: &HostAddress,
    socket: &str,
    commands: &[Command],
) -> Result<Vec<String>, Silent> {
    let mut lines = "prompt\n".to_owned();
    for Command(line) in commands {
        if line.len() > LONGEST {
            return Err(Silent("a command is longer than it reads".to_owned()));
        }
        lines.push_str(line);
        lines.push('\n');
    }
    lines.push_str("quit\n");
    let seconds = PATIENCE.as_secs();
    let text = timeout(PATIENCE, exchange(link, host, socket, &lines))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {seconds} s")))
        .map_err(Silent)?;
    answers(&text, commands.len()).ok_or_else(|| {
        let first: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        Silent(format!("its answer cannot be read: `{first}`"))
    })
}

async fn exchange(
    link: &dyn HostLink,
    host: &HostAddress,
    socket: &str,
    lines: &str,
) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let target = Target::Unix(socket.to_owned());
    let stream = link.dial(host, &target).await;
    let mut stream = stream.map_err(|fault| fault.to_string())?;
    let mut bytes = vec![];
    let written = async {
        stream.write_all(lines.as_bytes()).await?;
        stream.flush().await
    };
    // Where nobody listens, the reason comes with the reading.
    let written = written.await;
    let read = (&mut stream).take(MOST).read_to_end(&mut bytes).await;
    read.map_err(said)?;
    if bytes.is_empty() {
        written.map_err(said)?;
        return Err("it closed the connection without a word".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "its answer is no text".to_owned())
}

/// The prompt comes once for itself and once after each answer.
fn answers(text: &str, count: usize) -> Option<Vec<String>> {
    let mut parts = text.split(PROMPT);
    if !parts.next()?.is_empty() {
        return None;
    }
    let answers: Vec<String> = parts.map(|part| part.trim().to_owned()).collect();
    // What follows the last prompt is the end.
    (answers.len() == count + 1 && answers[count].is_empty()).then(|| answers[..count].to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;

    use super::*;
    use crate::ports::{ByteStream, RemoteExit, RemoteProcess, ReverseForward};

    /// Something on the socket that says this, whatever it is asked.
    struct Says(&'static [u8]);

    #[async_trait]
    impl HostLink for Says {
        async fn connect(&self, _: &HostAddress) -> Result<(), Fault> {
            Ok(())
        }
        async fn dial(&self, _: &HostAddress, _: &Target) -> Result<Box<dyn ByteStream>, Fault> {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let said = self.0;
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = far.read(&mut asked).await;
                let _ = far.write_all(said).await;
            });
            Ok(Box::new(near))
        }
        async fn exec(&self, _: &HostAddress, _: &str, _: &[u8]) -> Result<RemoteExit, Fault> {
            Err(Fault::internal("not asked"))
        }
        async fn spawn(&self, _: &HostAddress, _: &str) -> Result<Box<dyn RemoteProcess>, Fault> {
            Err(Fault::internal("not asked"))
        }
        async fn reverse(
            &self,
            _: &HostAddress,
            _: &Path,
        ) -> Result<Box<dyn ReverseForward>, Fault> {
            Err(Fault::internal("not asked"))
        }
        async fn close(&self) {}
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_in_words() {
        let host = "web1".parse().unwrap();
        for (said, words) in [
            (&b""[..], "closed the connection without a word"),
            (b"\xff\xfe", "no text"),
            (
                b"HTTP/1.1 400 Bad Request\r\n",
                "`HTTP/1.1 400 Bad Request`",
            ),
            (b"\n> \n> ", "cannot be read"),
        ] {
            let two = [Command::new(&["show"]), Command::new(&["show"])];
            let silent = ask(&Says(said), &host, &two).await.unwrap_err();
            let fault = silent.fault(&host);
            assert_eq!(fault.what, "the proxy on `web1` does not answer");
            assert!(fault.causes[0].contains(words), "{fault:?}");
        }
        let one = [Command::new(&["show"])];
        let answer = ask(&Says(b"\n> fine\n\n> "), &host, &one).await;
        assert_eq!(answer, Ok(vec!["fine".to_owned()]));
        let long = [Command::new(&["x".repeat(LONGEST + 1).as_str()])];
        assert!(ask(&Says(b""), &host, &long).await.is_err());
    }

    #[test]
    fn a_word_stays_one_word() {
        let command = Command::new(&["add", "map", "/tmp/x.map", r"a b;c\d"]);
        assert_eq!(command.0, r"add map /tmp/x.map a\ b\;c\\d");
        assert_eq!(Command::new(&["set", "a\nb"]).0, "set ab");
    }

    #[test]
    fn answers_are_told_apart_and_counted() {
        let text = "\n> \n> entry not found.\n\n> 0x1 a b\n0x2 c d\n\n> ";
        let read = answers(text, 3);
        assert_eq!(
            read,
            Some(vec![
                String::new(),
                "entry not found.".into(),
                "0x1 a b\n0x2 c d".into()
            ])
        );
        for garbage in ["", "HTTP/1.1 400\r\n\r\n", "\n> ", "\n> \n> x", "x\n> \n> "] {
            assert_eq!(answers(garbage, 3), None, "{garbage:?}");
        }
    }
}
