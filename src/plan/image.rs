//! Where a release's image comes from: built and pushed, or made already.

use serde::Serialize;

use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::project::{Environment, ImageSource};

use super::deploy::Step;
use super::facts::Facts;

#[derive(Debug, Clone, Serialize)]
pub struct BuildStep {
    /// What the image will be called in this machine's engine; holds the
    /// release's id.
    #[serde(skip)]
    pub reference: String,
    pub platform: Option<String>,
    pub context: String,
    pub dockerfile: String,
    pub target: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushStep {
    /// Push what was built to the registry, under this tag.
    Registry { repository: String, tag: String },
    /// Carry what was built to the hosts that lack it.
    Direct { hosts: usize },
    /// A prebuilt image: nothing to push, it is pinned already.
    Pinned(PinnedImage),
}

pub(super) fn image_steps(
    environment: &Environment,
    facts: &Facts,
    reference: &str,
    version: &str,
) -> Result<(Step<BuildStep>, Step<PushStep>), Fault> {
    match &environment.source {
        ImageSource::Prebuilt(written) => {
            let image = facts.image.clone().ok_or_else(|| {
                Fault::internal(format!("the image `{written}` was not resolved"))
            })?;
            Ok((
                Step::Skip(format!("prebuilt image {written}")),
                Step::Do(PushStep::Pinned(image)),
            ))
        }
        ImageSource::Build(spec) => {
            let build = BuildStep {
                reference: reference.to_owned(),
                platform: match &spec.platform {
                    Some(platform) => Some(platform.clone()),
                    None => common_platform(facts)?,
                },
                context: spec.context.display().to_string(),
                dockerfile: spec.dockerfile.display().to_string(),
                target: spec.target.clone(),
            };
            let push = match &environment.registry {
                Some(registry) => PushStep::Registry {
                    repository: registry.repository.clone(),
                    tag: tag(version),
                },
                None => PushStep::Direct {
                    hosts: environment.hosts.len(),
                },
            };
            Ok((Step::Do(build), Step::Do(push)))
        }
    }
}

/// A tag takes letters, digits, `_`, `.` and `-`, at most 128 of them, and
/// starts with neither dot nor hyphen.
fn tag(version: &str) -> String {
    let mut tag: String = version
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_.-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(128)
        .collect();
    if tag.is_empty() || tag.starts_with(['.', '-']) {
        tag.insert(0, 'v');
        tag.truncate(128);
    }
    tag
}

fn common_platform(facts: &Facts) -> Result<Option<String>, Fault> {
    let Some(first) = facts.hosts.first() else {
        return Ok(None);
    };
    match facts
        .hosts
        .iter()
        .find(|host| host.engine.platform != first.engine.platform)
    {
        None => Ok(Some(first.engine.platform.clone())),
        Some(other) => Err(Fault::config(format!(
            "`{}` is {} and `{}` is {}: one build makes one platform",
            first.address, first.engine.platform, other.address, other.engine.platform
        ))
        .state("nothing was changed")
        .hint("set `build.platform`, or `build.image` to an image that has them all")),
    }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn a_version_becomes_a_tag_that_a_registry_takes() {
        assert_eq!(tag("1.4.2"), "1.4.2");
        assert_eq!(tag("feature/x y"), "feature-x-y");
        assert_eq!(tag("-x"), "v-x");
        assert_eq!(tag("").len(), 1);
    }
}
