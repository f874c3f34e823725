//! The migration files of an image (`source: image`), from the primary host's
//! engine. Imports `ports`, `model`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::model::container::{ContainerSpec, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::ports::{Cx, FolderEntry, Job};

use crate::migrate::files::shown;

pub(super) async fn read(
    cx: &Cx,
    job: &Job<'_>,
    image: &PinnedImage,
) -> Result<Vec<FolderEntry>, Fault> {
    let folder = shown(&job.database.migrations);
    let spec = spec(job, image);
    let found = job.runner.folder(cx, job.host, &spec, folder).await?;
    found.ok_or_else(|| {
        Fault::config(format!("the image {image} has no folder `{folder}`"))
            .because(format!(
                "`source: image` reads the migrations of `{}` there",
                job.database.name
            ))
            .hint(
                "copy the folder into the image, or write `migrations.path` as the image has it \
                 (relative to its working directory), or set `source: checkout`",
            )
    })
}

/// A container that is never started.
fn spec(job: &Job<'_>, image: &PinnedImage) -> ContainerSpec {
    let environment = job.environment;
    let labels = [
        (label::PROJECT, environment.project.to_string()),
        (label::ENVIRONMENT, environment.name.to_string()),
        (label::JOB, "files".to_owned()),
    ];
    ContainerSpec {
        name: format!(
            "{}-files-{}",
            environment.prefix(),
            uuid::Uuid::now_v7().simple()
        ),
        image: image.clone(),
        // An image without a command could not be made a container of.
        entrypoint: Some(vec!["/never-started".to_owned()]),
        command: Some(vec![]),
        env: IndexMap::new(),
        labels: labels
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        mounts: vec![],
        made_folders: vec![],
        user: None,
        network: "none".to_owned(),
        aliases: vec![],
        ports: vec![],
        stop: StopPolicy::default(),
        restart: false,
    }
}
