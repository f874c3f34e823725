//! A session that begins inside a one-off container of the release's image, on
//! the application's network and volumes: SQLite files live there.
//!
//! This program copies itself into the container and speaks to itself over
//! the container's input and output. Planning makes nothing: a volume that is
//! not there yet is not mounted, and its database is one with nothing in it.

pub mod helper;
mod program;
mod protocol;
mod session;

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;

use crate::model::container::{ContainerSpec, Mount, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::project::Volume;
use crate::ports::{
    Attached, ContainerRunner, Cx, Database, HostLink, ImageCheck, Job, SessionOptions,
};

use super::route::Way;
use super::sqlite;
use super::sqlite::files::{FileReport, FileWork};
use super::url::{ConnectionUrl, Place};
use session::Remote;

const PROGRAM: &str = "/.stagecraft-helper";
/// Where the container sees a folder of the host that is not the application's.
pub(super) const BESIDE: &str = "/.stagecraft-beside";

/// What the session needs beside its job.
pub(super) struct Yard<'a> {
    pub(super) link: &'a dyn HostLink,
    pub(super) runner: &'a dyn ContainerRunner,
}

impl Yard<'_> {
    /// # Errors
    /// No image, a file outside every volume, a program that does not fit, and
    /// what the session's own opening fails with.
    pub(super) async fn open(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        url: &ConnectionUrl,
        options: &SessionOptions,
    ) -> Result<Box<dyn Database>, Fault> {
        let place = Way::Container(job.host.clone()).route(url.dialect()).words;
        let image = image(job, url, &place)?;
        let prefix = job.environment.prefix();
        let mut mounts = vec![];
        let home = home(job, url)?;
        for volume in volumes(job) {
            if options.read_only && !self.exists(cx, job, volume, &prefix).await? {
                if let (Some(home), Place::File(path)) = (home, &url.place)
                    && home == volume
                {
                    return sqlite::empty(path, options);
                }
                continue;
            }
            mounts.push(Mount {
                source: volume.engine_source(&prefix),
                target: volume.target.clone(),
                read_only: volume.read_only,
            });
        }
        self.image_there(cx, job, image, options).await?;
        let attached = self.start(cx, job, &spec(job, url, image, mounts)).await?;
        let remote = Remote::open(cx, attached.stream, url, place, options).await?;
        Ok(Box::new(remote))
    }

    /// Works on an SQLite file where it lies. `folder` of the host is
    /// [`BESIDE`] there; the helper is root, because that folder is not the
    /// application's, and gives every file it makes its proper owner.
    ///
    /// # Errors
    /// As [`Yard::open`]; the work's own.
    pub(super) async fn files(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        url: &ConnectionUrl,
        folder: &str,
        work: FileWork,
    ) -> Result<FileReport, Fault> {
        let place = Way::Container(job.host.clone()).route(url.dialect()).words;
        let image = image(job, url, &place)?;
        home(job, url)?;
        let prefix = job.environment.prefix();
        let volumes = volumes(job).iter().map(|volume| Mount {
            source: volume.engine_source(&prefix),
            target: volume.target.clone(),
            read_only: volume.read_only,
        });
        let beside = Mount {
            source: folder.to_owned(),
            target: BESIDE.to_owned(),
            read_only: false,
        };
        self.runner.ensure_image(cx, job.host, image).await?;
        let mut spec = spec(job, url, image, volumes.chain([beside]).collect());
        spec.user = Some("0".to_owned());
        let attached = self.start(cx, job, &spec).await?;
        Remote::files(cx, attached.stream, url, place, work).await
    }

    async fn start(&self, cx: &Cx, job: &Job<'_>, spec: &ContainerSpec) -> Result<Attached, Fault> {
        let platform = self.runner.engine(cx, job.host).await?.platform;
        let program = program::read(&platform).await?;
        let files = [(PROGRAM.to_owned(), 0o755, program)];
        self.runner.attach(cx, job.host, spec, &files).await
    }

    async fn exists(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        volume: &Volume,
        prefix: &str,
    ) -> Result<bool, Fault> {
        let source = volume.engine_source(prefix);
        if !source.starts_with('/') {
            return self.runner.volume_exists(cx, job.host, &source).await;
        }
        let quoted = source.replace('\'', r"'\''");
        let test = self
            .link
            .exec(job.host, &format!("test -e '{quoted}'"), &[])
            .await?;
        Ok(test.code == 0)
    }

    async fn image_there(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        image: &PinnedImage,
        options: &SessionOptions,
    ) -> Result<(), Fault> {
        if !options.read_only {
            return self.runner.ensure_image(cx, job.host, image).await;
        }
        match self.runner.has_image(cx, job.host, image).await? {
            ImageCheck::Present => Ok(()),
            ImageCheck::Absent => Err(Fault::refused(format!(
                "the database is not read: {} does not hold the image {image} yet",
                job.host
            ))),
        }
    }
}

fn image<'a>(job: &'a Job<'_>, url: &ConnectionUrl, place: &str) -> Result<&'a PinnedImage, Fault> {
    job.image.ok_or_else(|| {
        Fault::refused(format!(
            "the database {url} is opened {place} of the release's image, and there is none yet"
        ))
        .state("nothing was changed")
        .hint(format!(
            "deploy first: `stagecraft deploy --env {}`; `migrate plan` and `migrate run` take an image with `--image REF` too",
            job.environment.name
        ))
    })
}

fn volumes<'a>(job: &'a Job<'_>) -> &'a [Volume] {
    job.environment
        .roles
        .get(&job.database.migrations.role)
        .map_or(&[], |role| &role.volumes)
}

/// The volume that an SQLite file lies in. Outside of every volume it would
/// end with the container.
fn home<'a>(job: &'a Job<'_>, url: &ConnectionUrl) -> Result<Option<&'a Volume>, Fault> {
    let path = match &url.place {
        Place::File(path) if path.is_absolute() => path,
        // A relative path belongs to a folder that only the image knows.
        Place::File(_) | Place::Server(_) => return Ok(None),
    };
    let home = volumes(job)
        .iter()
        .filter(|volume| path.starts_with(Path::new(&volume.target)))
        .max_by_key(|volume| volume.target.len());
    if home.is_none() {
        let role = &job.database.migrations.role;
        return Err(Fault::config(format!(
            "the SQLite file {} is in no volume of the role `{role}`: it would end with its container",
            path.display()
        ))
        .hint(format!(
            "give the role `{role}` a volume such as `data:{}`",
            path.parent().unwrap_or(path).display()
        )));
    }
    Ok(home)
}

fn spec(
    job: &Job<'_>,
    url: &ConnectionUrl,
    image: &PinnedImage,
    mounts: Vec<Mount>,
) -> ContainerSpec {
    let environment = job.environment;
    let labels = [
        (label::PROJECT, environment.project.to_string()),
        (label::ENVIRONMENT, environment.name.to_string()),
        (label::JOB, "database".to_owned()),
    ];
    let unique = uuid::Uuid::now_v7().simple().to_string();
    ContainerSpec {
        name: format!(
            "{}-{}-session-{}",
            environment.prefix(),
            job.database.name,
            &unique[20..]
        ),
        image: image.clone(),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        command: Some(vec!["helper".to_owned(), "database".to_owned()]),
        env: IndexMap::new(),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        mounts,
        made_folders: vec![],
        user: None,
        network: match &url.place {
            Place::Server(_) => environment.prefix(),
            // A file needs none, and planning must not make one.
            Place::File(_) => "none".to_owned(),
        },
        aliases: vec![],
        ports: vec![],
        stop: StopPolicy::default(),
        restart: false,
    }
}
