//! Which images are no way back any more.

use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::project::Environment;
use crate::model::release::{Outcome, Release};

/// Older ones than these were forgotten by earlier releases already.
const AT_ONCE: usize = 8;

/// The images of releases that are neither the one being finished, nor open,
/// nor among the last `rollout.keep` good ones before it. An image that a kept
/// release shares is kept.
#[must_use]
pub fn forgettable(
    history: &History,
    environment: &Environment,
    current: &Release,
) -> Vec<PinnedImage> {
    let with_image = || {
        history
            .of(&environment.name)
            .rev()
            .filter(|release| release.id != current.id && release.image.is_some())
    };
    let live = history.live(&environment.name).map(|release| &release.id);
    let mut good = 0;
    let (kept, gone): (Vec<_>, Vec<_>) = with_image().partition(|release| {
        // A rollback shares its target's image and takes no place of its own.
        if release.good() && release.target_id.is_none() {
            good += 1;
            return good <= usize::from(environment.rollout.keep);
        }
        release.outcome == Outcome::Open || Some(&release.id) == live
    });
    let in_use: Vec<&PinnedImage> = kept
        .iter()
        .filter_map(|release| release.image.as_ref())
        .chain(&current.image)
        .collect();
    gone.into_iter()
        .filter_map(|release| release.image.clone())
        .filter(|image| {
            !in_use.iter().any(|used| {
                used.local_reference == image.local_reference || used.digest == image.digest
            })
        })
        .take(AT_ONCE)
        .collect()
}
