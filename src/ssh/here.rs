//! The same things for `local`: direct connections and commands of this machine,
//! without SSH. Imports `ports`, `model`.

use std::io::ErrorKind;
use std::process::Stdio;

use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, Target};

use super::docker_here::{Endpoint, Surroundings, unreachable_here};
use super::master::target_name;
use super::pipes::{Closing, Pipes, lost};

pub(super) async fn dial(target: &Target) -> Result<Box<dyn ByteStream>, Fault> {
    match target {
        Target::Engine => engine().await,
        Target::Unix(path) => match UnixStream::connect(path).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(no_answer(target, &error)),
        },
        Target::Tcp(name, port) => match tcp(name, *port).await {
            Ok(stream) => Ok(stream),
            Err(error) => Err(no_answer(target, &error)),
        },
    }
}

async fn tcp(name: &str, port: u16) -> std::io::Result<Box<dyn ByteStream>> {
    let stream = TcpStream::connect((name, port)).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn no_answer(target: &Target, error: &std::io::Error) -> Fault {
    Fault::unreachable(format!(
        "cannot reach {} from this machine",
        target_name(target)
    ))
    .caused_by(error)
}

async fn engine() -> Result<Box<dyn ByteStream>, Fault> {
    let here = Surroundings::of_this_process();
    let failed = |place: String, error: &std::io::Error| match here.named_by() {
        Some((name, way_back)) => no_named_engine(&place, &name, way_back, error),
        None => no_engine(&place, error),
    };
    match here.endpoint()? {
        Endpoint::Unix(path) => match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(format!("`{}`", path.display()), &error)),
        },
        Endpoint::Tcp(name, port) => match tcp(&name, port).await {
            Ok(stream) => Ok(stream),
            Err(error) => Err(failed(format!("`{name}:{port}`"), &error)),
        },
    }
}

/// The user chose this engine: what is usual elsewhere may not be meant.
fn no_named_engine(place: &str, name: &str, way_back: &str, error: &std::io::Error) -> Fault {
    let fault = unreachable_here().because(format!("{name} says that it listens on {place}"));
    let fault = match error.kind() {
        ErrorKind::NotFound => fault.because("there is no such socket"),
        ErrorKind::ConnectionRefused => fault.because("nothing listens there"),
        ErrorKind::PermissionDenied => fault.because("this user may not open it"),
        _ => fault.caused_by(error),
    };
    fault.hint(format!(
        "start the engine that should listen there, or use the usual one: {way_back}"
    ))
}

fn no_engine(place: &str, error: &std::io::Error) -> Fault {
    let user = std::env::var("USER").unwrap_or_else(|_| "$USER".to_owned());
    match error.kind() {
        ErrorKind::PermissionDenied => unreachable_here()
            .because(format!("this user may not open {place}"))
            .hint(format!(
                "`sudo usermod -aG docker {user}`, then log out and in again"
            )),
        ErrorKind::NotFound => unreachable_here()
            .because(format!("there is no {place}"))
            .hint("install Docker, or start it: `sudo systemctl start docker`"),
        ErrorKind::ConnectionRefused => unreachable_here()
            .because(format!("nothing listens on {place}"))
            .hint("start it: `sudo systemctl start docker`"),
        _ => unreachable_here()
            .because(format!("{place} does not answer"))
            .caused_by(error)
            .hint("see what `docker info` says"),
    }
}

/// In its own process group: a Ctrl-C is for us, who decide what ends.
pub(super) fn start(host: &HostAddress, script: &str) -> Result<Pipes, Fault> {
    let cannot = || Fault::internal("cannot start `sh` on this machine");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot().caused_by(&error))?;
    let stdin = child.stdin.take().ok_or_else(cannot)?;
    let stdout = child.stdout.take().ok_or_else(cannot)?;
    let stderr = child.stderr.take().ok_or_else(cannot)?;
    let host = host.clone();
    let place = host.clone();
    Ok(Pipes {
        host,
        stdin: Box::new(Closing::new(stdin)),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        end: Box::pin(async move {
            let status = child.wait().await.map_err(|error| lost(&place, &error))?;
            Ok(status.code().unwrap_or_else(|| {
                // As a shell counts it.
                128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
            }))
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> HostAddress {
        "local".parse().expect("an address")
    }

    #[tokio::test]
    async fn a_script_gets_its_input_and_its_code_is_data() {
        let input = vec![b'x'; 300_000];
        let exit = start(&local(), "wc -c; echo oops >&2; exit 3")
            .expect("sh starts")
            .run(&input)
            .await
            .expect("it ends");
        assert_eq!(exit.code, 3);
        assert_eq!(String::from_utf8_lossy(&exit.stdout).trim(), "300000");
        assert_eq!(exit.stderr, b"oops\n");
    }

    #[tokio::test]
    async fn a_script_that_ends_without_reading_its_input_is_no_failure() {
        let exit = start(&local(), "exit 0")
            .expect("sh starts")
            .run(&vec![0; 1_000_000])
            .await
            .expect("it ends");
        assert_eq!(exit.code, 0);
    }

    #[tokio::test]
    async fn a_held_script_answers_line_by_line_until_its_input_closes() {
        let mut held = start(
            &local(),
            "while read -r l; do echo \"got $l\"; done; exit 4",
        )
        .expect("sh starts")
        .held();
        for word in ["a", "b"] {
            held.write_line(word).await.expect("it listens");
            let line = held.read_line().await.expect("it answers");
            assert_eq!(line, Some(format!("got {word}")));
        }
        assert_eq!(held.finish().await.expect("it ends").code, 4);
    }

    #[test]
    fn an_engine_that_may_not_be_opened_comes_with_the_command_that_allows_it() {
        let error = std::io::Error::from(ErrorKind::PermissionDenied);
        let fault = no_engine("`/var/run/docker.sock`", &error);
        assert!(fault.hints[0].contains("usermod -aG docker"));
    }
}
