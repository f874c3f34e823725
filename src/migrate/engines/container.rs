//! The one-off container of a tool: the release's image with the environment,
//! volumes and network of a role. Imports `ports`, `model`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::model::container::{ContainerSpec, Exit, Mount, StopPolicy, label};
use crate::model::event::EventKind;
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::project::Role;
use crate::model::secret::Secret;
use crate::ports::{Cx, Job};

/// The purpose of the container that changes the database.
pub(super) const RUN: &str = "run";

/// How a container ended, and everything it printed.
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) lines: Vec<String>,
}

/// Runs `command`; `purpose` ends the container's name.
pub(super) async fn run(
    cx: &Cx,
    job: &Job<'_>,
    purpose: &str,
    command: &[String],
) -> Result<Ended, Fault> {
    let Some(image) = job.image else {
        return Err(Fault::refused(format!(
            "engine `{}` of `{}` needs an image, and there is no release yet",
            job.database.migrations.engine, job.database.name
        )));
    };
    let spec = spec(job, image, purpose, command).await?;
    refuse_beside(cx, job, &spec.name).await?;
    // The runner's events pass through here, so that no line is missed: what
    // `Exit` keeps is only the end.
    let (events, mut arriving) = tokio::sync::mpsc::unbounded_channel();
    let listening = Cx::new(events, cx.token().clone());
    let work = async {
        let exit = job
            .runner
            .run(&listening, job.host, &spec, job.database.migrations.timeout)
            .await;
        drop(listening);
        exit
    };
    let collect = async {
        let mut lines = vec![];
        while let Some(event) = arriving.recv().await {
            if let EventKind::Output { line } = &event.kind {
                lines.push(line.clone());
            }
            cx.on_host(job.host).send(event.kind);
        }
        lines
    };
    let (exit, lines) = tokio::join!(work, collect);
    Ok(Ended { exit: exit?, lines })
}

/// Refuses while an earlier run still goes on.
pub(super) async fn refuse_second_run(cx: &Cx, job: &Job<'_>) -> Result<(), Fault> {
    refuse_beside(cx, job, &name(job)).await
}

/// Whether an earlier run still goes on: why nothing may run now, in one line.
pub(super) async fn going_on(cx: &Cx, job: &Job<'_>) -> Result<Option<String>, Fault> {
    let name = name(job);
    Ok(runs(cx, job, &name).await?.then(|| {
        format!(
            "an earlier run of `{}` still goes on in the container `{name}` on {}: watch it with `{}`, and come back when it is done",
            job.database.name,
            job.host,
            job.host.command(&format!("docker logs -f {name}"))
        )
    }))
}

/// A run whose command was killed goes on in its container: a second one beside
/// it, or in its place, could apply half of everything twice.
async fn refuse_beside(cx: &Cx, job: &Job<'_>, name: &str) -> Result<(), Fault> {
    if !runs(cx, job, name).await? {
        return Ok(());
    }
    Err(Fault::refused(format!(
        "an earlier run of `{}` still goes on",
        job.database.name
    ))
    .because(format!("container `{name}` on {} is running", job.host))
    .hint(format!(
        "watch it: `{}`; run the same command again when it is done",
        job.host.command(&format!("docker logs -f {name}"))
    ))
    .hint(format!(
        "or end it: `{}`",
        job.host.command(&format!("docker stop {name}"))
    )))
}

async fn runs(cx: &Cx, job: &Job<'_>, name: &str) -> Result<bool, Fault> {
    let found = job.runner.inspect(cx, job.host, name).await?;
    Ok(found.is_some_and(|container| container.running()))
}

async fn spec(
    job: &Job<'_>,
    image: &PinnedImage,
    purpose: &str,
    command: &[String],
) -> Result<ContainerSpec, Fault> {
    let environment = job.environment;
    let prefix = environment.prefix();
    let release = job.release.map(ToString::to_string).unwrap_or_default();
    let labels = BTreeMap::from([
        (label::PROJECT.to_owned(), environment.project.to_string()),
        (label::ENVIRONMENT.to_owned(), environment.name.to_string()),
        (label::JOB.to_owned(), "migrate".to_owned()),
        (label::RELEASE.to_owned(), release),
        (label::DIGEST.to_owned(), image.digest.to_string()),
    ]);
    let suffix = match purpose {
        // One name, so that two runs cannot go on beside each other.
        RUN => String::new(),
        // Read-only work takes no lock: another command's must not be in the way.
        purpose => format!("-{purpose}-{}", uuid::Uuid::now_v7().simple()),
    };
    Ok(ContainerSpec {
        name: name(job) + &suffix,
        image: image.clone(),
        entrypoint: None,
        command: Some(command.to_vec()),
        env: env(job).await?,
        labels,
        mounts: mounts(job)?,
        made_folders: vec![],
        user: None,
        network: prefix,
        aliases: vec![],
        ports: vec![],
        stop: StopPolicy::default(),
        restart: false,
    })
}

/// Of the container that changes the database.
fn name(job: &Job<'_>) -> String {
    let prefix = job.environment.prefix();
    format!("{prefix}-migrate-{}", job.database.name)
}

fn role<'a>(job: &'a Job<'_>) -> Result<&'a Role, Fault> {
    let name = &job.database.migrations.role;
    job.environment.roles.get(name).ok_or_else(|| {
        Fault::config(format!(
            "`migrations.role` of `{}` names `{name}`, which is no role",
            job.database.name
        ))
    })
}

/// The environment of the role, and the database's own variables, which a
/// role need not have.
async fn env(job: &Job<'_>) -> Result<IndexMap<String, Secret>, Fault> {
    // npm tells of a newer version of itself where a tool's last words stand.
    let quiet = (
        "npm_config_update_notifier".to_owned(),
        Secret::new("false"),
    );
    let mut env = IndexMap::from([quiet]);
    if let Some(port) = role(job)?.port {
        env.insert("PORT".to_owned(), Secret::new(port.to_string()));
    }
    for (name, value) in &job.environment.env.clear {
        env.insert(name.clone(), Secret::new(value.value.clone()));
    }
    let database = [
        &job.database.connection_env,
        &job.database.direct_connection_env,
    ];
    let secrets = job.environment.env.secret.iter();
    for name in secrets.chain(database.into_iter().flatten()) {
        if !env.contains_key(name) {
            env.insert(name.clone(), job.values.get(name).await?);
        }
    }
    Ok(env)
}

fn mounts(job: &Job<'_>) -> Result<Vec<Mount>, Fault> {
    let prefix = job.environment.prefix();
    let volumes = role(job)?.volumes.iter();
    Ok(volumes
        .map(|volume| Mount {
            source: volume.engine_source(&prefix),
            target: volume.target.clone(),
            read_only: volume.read_only,
        })
        .collect())
}

/// The named volumes that the container would mount.
pub(super) fn volumes(job: &Job<'_>) -> Result<Vec<String>, Fault> {
    let mounts = mounts(job)?.into_iter();
    Ok(mounts
        .map(|mount| mount.source)
        .filter(|source| !source.starts_with('/'))
        .collect())
}
