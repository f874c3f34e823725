//! `project.registry` and `build`: where the image comes from and goes to.

use indexmap::IndexMap;

use crate::model::project::{BuildSpec, ImageSource, Registry};

use super::super::file;
use super::super::problem::Findings;
use super::super::source::Span;
use super::Context;

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    found: &mut Findings,
) -> (Option<Registry>, ImageSource) {
    let registry = section
        .project
        .value()
        .and_then(|project| registry(project, found));
    (registry, source(context, section, found))
}

fn registry(project: &file::Project, found: &mut Findings) -> Option<Registry> {
    let user = project.registry_username_env.given();
    let password = project.registry_password_env.given();
    let Some(repository) = project.registry.given() else {
        if let (true, Some(name)) = (project.registry.is_absent(), user.or(password)) {
            found
                .error(name.at, "credentials without a registry")
                .help("add `registry`, or take them away: without one, images travel straight to the hosts");
        }
        return None;
    };
    match (user, password) {
        (Some(one), None) | (None, Some(one)) => {
            found.error(
                one.at,
                "`registry_username_env` and `registry_password_env` belong together",
            );
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(problem) = not_a_repository(&repository.value) {
        found
            .error(repository.at, problem)
            .help("write the image repository, such as `ghcr.io/acme/shop`");
    }
    Some(Registry {
        repository: repository.value.clone(),
        username_env: user.map(|name| name.value.0.clone()),
        password_env: password.map(|name| name.value.0.clone()),
    })
}

fn not_a_repository(text: &str) -> Option<&'static str> {
    let last = text.rsplit('/').next().unwrap_or_default();
    let path = text.split_once('/').map_or(text, |(_, path)| path);
    if text.contains("://") {
        Some("a repository has no scheme")
    } else if text.contains('@') || (text.contains('/') && last.contains(':')) {
        Some("a repository has no tag and no digest: releases are told apart by digest")
    } else if text.is_empty()
        || last.is_empty()
        || text.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        Some("this is not an image repository")
    } else if path.contains(|c: char| c.is_ascii_uppercase()) {
        Some("a repository's path is lower-case")
    } else {
        None
    }
}

fn source(context: &Context<'_>, section: &file::Environment, found: &mut Findings) -> ImageSource {
    let absent = file::Build::default();
    let build = section.build.value().unwrap_or(&absent);
    if let Some(image) = build.image.given() {
        check_image(&image.value, image.at, found);
        return ImageSource::Prebuilt(image.value.clone());
    }
    let context_path = build.context.value().map_or(".", |path| path.0.as_str());
    let folder = context.path(context_path);
    let dockerfile = match build.dockerfile.value() {
        Some(path) => context.path(&path.0),
        None => folder.join("Dockerfile"),
    };
    if let Some(platform) = build.platform.given()
        && !matches!(platform.value.split('/').collect::<Vec<_>>()[..], [os, arch] | [os, arch, _] if !os.is_empty() && !arch.is_empty())
    {
        found
            .error(platform.at, "this is not a platform")
            .help("write it as `linux/amd64` or `linux/arm64`");
    }
    let mut args = IndexMap::new();
    for (name, value) in build.args.value().map_or(&[][..], |args| &args.0) {
        if super::looks_secret(&name.value) {
            found
                .warning(
                    name.at,
                    format!(
                        "`{}` looks like a secret, and build arguments stay in the image",
                        name.value
                    ),
                )
                .help("move the name to `build.secrets`");
        }
        args.insert(name.value.clone(), value.value.value.clone());
    }
    let secrets = build.secrets.value().map(|secrets| secrets.values());
    ImageSource::Build(BuildSpec {
        context: folder,
        dockerfile,
        target: build.target.value().cloned(),
        args,
        secrets: secrets
            .unwrap_or_default()
            .into_iter()
            .map(|name| name.0)
            .collect(),
        platform: build.platform.value().cloned(),
    })
}

/// Enough to catch a slip; the engine knows the whole grammar.
pub(super) fn check_image(image: &str, at: Span, found: &mut Findings) {
    if image.is_empty()
        || image.starts_with('-')
        || image.contains("://")
        || image.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        found
            .error(at, "this is not an image")
            .help("write it as `repository:tag` or `repository@sha256:…`");
    }
}
