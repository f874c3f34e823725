//! Who runs a database's own programs: a one-off container of the database's
//! image that shares the network of its container, or the machine itself.
//!
//! A script says what is done in the words of `sh`. It sets `w` to the process
//! that does the work and, where another one takes its output, `z` to that; `f`
//! is the file. Values travel as environment: in the body of the engine's call,
//! or over the script's input, whose end also ends the work.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;

use crate::model::container::{Container, ContainerSpec, Mount, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::image::{Carriage, PinnedImage};
use crate::model::secret::Secret;
use crate::ports::{Cx, Dialect, Job};

use super::super::dial::target;
use super::super::route;
use super::super::url::Server;
use super::nook::{Nook, Room};
use super::{Vault, quoted};
use crate::ports::Target;

/// A dump may take long; one that hangs ends some day.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// Where a container sees the folder of backups.
const FOLDER: &str = "/.stagecraft-backups";
/// What a shell answers for a program that is not there.
const NOT_THERE: i64 = 127;
const LAST_LINES: usize = 20;
pub(super) const FULL: &str = "No space left on device";

/// Who can do it, the best first.
pub(super) struct Hands {
    container: Option<Container>,
    /// As the machine that runs scripts sees the server.
    host: String,
    port: u16,
    /// Inside its container.
    inner_port: u16,
}

/// Something to be done with one file.
pub(super) struct Task<'a> {
    /// Such as `copy the database`.
    pub(super) what: &'a str,
    /// See the module's own words.
    pub(super) script: &'a str,
    /// The file, in the folder of backups.
    pub(super) name: &'a str,
    /// Which database of the server.
    pub(super) database: &'a str,
    /// What becomes of the file when it fails.
    pub(super) file: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// It is being made: removed.
    Made,
    Read,
}

/// How a script ended.
struct End {
    code: i64,
    lines: Vec<String>,
}

impl Vault {
    /// # Errors
    /// As opening a session.
    pub(super) async fn hands(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        nook: &Nook,
        server: &Server,
    ) -> Result<Hands, Fault> {
        let name = &server.host;
        let mut hands = Hands {
            container: None,
            host: name.clone(),
            port: server.port,
            inner_port: server.port,
        };
        if nook.host != *job.host {
            return Ok(hands);
        }
        if let Some(found) = route::container(cx, &*self.runner, job.host, name).await? {
            if let Some(address) = &found.address
                && let Target::Tcp(host, port) = target(server, address)
            {
                (hands.host, hands.port) = (host, port);
            }
            hands.container = Some(found);
        } else if matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1") {
            // An engine that does not answer has no container to offer.
            let publisher = self.runner.publisher_of(cx, job.host, server.port).await;
            if let Ok(Some(publisher)) = publisher
                && let Ok(Some(found)) = self.runner.inspect(cx, job.host, &publisher).await
            {
                let inner = found.ports.iter().find(|port| port.host == server.port);
                if let Some(port) = inner {
                    hands.inner_port = port.container;
                    hands.container = Some(found);
                }
            }
        }
        Ok(hands)
    }

    /// Does it by the first hands that have the program. Returns whose they
    /// were, in words.
    ///
    /// # Errors
    /// Nobody has it; it failed, with its last lines.
    pub(super) async fn work(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        nook: &Nook,
        room: &Room,
        server: &Server,
        task: &Task<'_>,
    ) -> Result<String, Fault> {
        let hands = self.hands(cx, job, nook, server).await?;
        if let Some(container) = &hands.container {
            let inside = self.inside(cx, job, nook, room, server, &hands, container, task);
            let end = inside.await?;
            if end.code != NOT_THERE {
                let place = format!("in the image of `{}`", container.name);
                return judged(end, &place, job, task).map(|()| place);
            }
        }
        let end = self.outside(cx, nook, server, &hands, task).await?;
        let place = match nook.host.is_local() {
            true => "on this machine".to_owned(),
            false => format!("on {}", nook.host),
        };
        if end.code == NOT_THERE {
            return Err(nobody(server.dialect, &place, task.what));
        }
        judged(end, &place, job, task).map(|()| place)
    }

    #[expect(clippy::too_many_arguments, reason = "one caller")]
    async fn inside(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        nook: &Nook,
        room: &Room,
        server: &Server,
        hands: &Hands,
        container: &Container,
        task: &Task<'_>,
    ) -> Result<End, Fault> {
        let digest = container
            .image_id
            .parse()
            .map_err(|error| Fault::internal("the engine gave no image id").caused_by(&error))?;
        let script = format!(
            "umask {}\nf={}\n{}\n{}exit $code\n",
            nook.umask(),
            quoted(&format!("{FOLDER}/{}", task.name)),
            task.script,
            ending(task.file),
        );
        let unique = uuid::Uuid::now_v7().simple().to_string();
        let environment = job.environment;
        let labels = [
            (label::PROJECT, environment.project.to_string()),
            (label::ENVIRONMENT, environment.name.to_string()),
            (label::JOB, "backup".to_owned()),
        ];
        let spec = ContainerSpec {
            name: format!(
                "{}-{}-backup-{}",
                environment.prefix(),
                job.database.name,
                &unique[20..]
            ),
            image: PinnedImage {
                repository: container.image_id.clone(),
                digest,
                id: None,
                carriage: Carriage::Direct,
                local_reference: container.image_id.clone(),
            },
            entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned(), script]),
            command: Some(vec![]),
            env: variables(
                server,
                "127.0.0.1",
                hands.inner_port,
                task.database,
                Seat::Inside,
            ),
            labels: labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
            mounts: vec![Mount {
                source: nook.folder.clone(),
                target: FOLDER.to_owned(),
                read_only: task.file == File::Read,
            }],
            made_folders: vec![],
            user: Some(room.owner.clone()),
            network: format!("container:{}", container.id),
            aliases: vec![],
            ports: vec![],
            stop: StopPolicy::default(),
            restart: false,
        };
        let exit = self.runner.run(cx, job.host, &spec, PATIENCE).await?;
        Ok(End {
            code: exit.code,
            lines: exit.tail,
        })
    }

    async fn outside(
        &self,
        cx: &Cx,
        nook: &Nook,
        server: &Server,
        hands: &Hands,
        task: &Task<'_>,
    ) -> Result<End, Fault> {
        let seat = match nook.host.is_local() {
            true => Seat::Here,
            false => Seat::Away,
        };
        let values = variables(server, &hands.host, hands.port, task.database, seat);
        let script = format!(
            r#"{}f="$d"/{}
while IFS= read -r l && [ -n "$l" ]; do export "$l"; done
exec 3<&0
{}
{{ cat <&3; kill "$w"; {} }} >/dev/null 2>&1 &
k=$!
{}kill "$k" 2>/dev/null
exit $code
"#,
            nook.preamble(),
            quoted(task.name),
            task.script,
            match task.file {
                File::Made => "rm -f \"$f\" \"$f.pipe\";",
                File::Read => "",
            },
            ending(task.file),
        );
        let work = async {
            let mut process = self.link.spawn(&nook.host, &script).await?;
            for (name, value) in &values {
                let value = value.reveal();
                if value.contains('\n') {
                    return Err(Fault::config(
                        "a line break in the connection URL cannot be handed to the database's programs",
                    ));
                }
                process.write_line(&format!("{name}={value}")).await?;
            }
            process.write_line("").await?;
            while process.read_line().await?.is_some() {}
            process.finish().await
        };
        let exit = cx
            .or_interrupted(async {
                tokio::time::timeout(PATIENCE, work)
                    .await
                    .unwrap_or_else(|_| {
                        Err(Fault::failed(format!(
                            "cannot {}: it does not end",
                            task.what
                        )))
                    })
            })
            .await?;
        let said = String::from_utf8_lossy(&exit.stderr).into_owned();
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        Ok(End {
            code: exit.code.into(),
            lines: lines[lines.len().saturating_sub(LAST_LINES)..].to_vec(),
        })
    }
}

/// Waits for the work; leaves `code`.
fn ending(file: File) -> String {
    let clear = match file {
        File::Made => "[ $code -eq 0 ] || rm -f \"$f\"\n",
        File::Read => "",
    };
    format!(
        "wait \"$w\"; code=$?\n[ -z \"${{z:-}}\" ] || wait \"$z\" || code=1\nrm -f \"$f.pipe\" 2>/dev/null\n{clear}"
    )
}

/// Where the program runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// Beside the server: its loopback.
    Inside,
    Here,
    Away,
}

fn variables(
    server: &Server,
    host: &str,
    port: u16,
    database: &str,
    seat: Seat,
) -> IndexMap<String, Secret> {
    let mut values: IndexMap<&str, String> = IndexMap::new();
    let password = server
        .password
        .as_ref()
        .map(|password| password.reveal().to_owned());
    match server.dialect {
        Dialect::Postgres => {
            values.insert("PGHOST", host.to_owned());
            values.insert("PGPORT", port.to_string());
            values.insert("PGUSER", server.user.clone());
            values.insert("PGPASSWORD", password.unwrap_or_default());
            values.insert("PGDATABASE", database.to_owned());
            values.insert("PGAPPNAME", super::APPLICATION.to_owned());
            values.insert("PGCONNECT_TIMEOUT", "15".to_owned());
            let mode = server.parameter(&["sslmode", "ssl-mode"]);
            if let (Some(mode), Seat::Here | Seat::Away) = (mode, seat) {
                values.insert("PGSSLMODE", mode.to_owned());
            }
            if let (Some(roots), Seat::Here) = (server.parameter(&["sslrootcert"]), seat) {
                values.insert("PGSSLROOTCERT", roots.to_owned());
            }
        }
        Dialect::Mysql | Dialect::Sqlite => {
            values.insert("DB_HOST", host.to_owned());
            values.insert("DB_PORT", port.to_string());
            values.insert("DB_USER", server.user.clone());
            values.insert("DB_NAME", database.to_owned());
            values.insert("MYSQL_PWD", password.unwrap_or_default());
        }
    }
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .collect()
}

fn judged(end: End, place: &str, job: &Job<'_>, task: &Task<'_>) -> Result<(), Fault> {
    if end.code == 0 {
        return Ok(());
    }
    let said = end.lines.join("\n");
    // What reads from a program that met a full disk only sees it go.
    let full = end.lines.iter().find(|line| line.contains(FULL));
    let last = end.lines.iter().rfind(|line| !line.trim().is_empty());
    let mut fault = Fault::failed(format!(
        "cannot {} of `{}` {place}",
        task.what, job.database.name
    ))
    .because(full.or(last).map_or_else(
        || format!("it ended with code {}", end.code),
        |line| line.trim().to_owned(),
    ));
    if said.contains("version mismatch") {
        fault = fault.hint(format!(
            "install the client programs of the server's version {place}"
        ));
    }
    if task.file == File::Read && full.is_some() {
        fault = fault.hint(format!("make room on the disk {place}"));
    }
    match end.lines.len() {
        0 | 1 => Err(fault),
        _ => Err(fault.showing(format!("last lines {place}"), end.lines)),
    }
}

fn nobody(dialect: Dialect, place: &str, what: &str) -> Fault {
    let (program, package) = match dialect {
        Dialect::Postgres => ("pg_dump", "postgresql-client"),
        Dialect::Mysql | Dialect::Sqlite => ("mariadb-dump", "mariadb-client"),
    };
    Fault::failed(format!("cannot {what}: there is no `{program}` {place}")).hint(format!(
        "install the database's client programs {place}: `apt-get install {package}`"
    ))
}
