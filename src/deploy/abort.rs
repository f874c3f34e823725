//! `deploy --abort`: undoes the rollout of a release that was cut off.

use chrono::Utc;
use indexmap::IndexMap;

use crate::model::fault::{Fault, FaultKind};
use crate::model::names::RoleName;
use crate::model::phase::{Mark, Phase, Status};
use crate::model::release::{Outcome, Release};
use crate::plan::{Facts, ReadyRole, Recipe, RolloutOutline};
use crate::ports::Cx;

use super::deployer::Deployer;
use super::fleet::rollout_plan;
use super::journal::Stopped;

impl Deployer<'_> {
    /// Puts every host back to what served before and closes the record. Its
    /// migrations stay: they are listed by the caller from the record.
    ///
    /// # Errors
    /// Hosts that could not be put back (`UndoFailed`): the release stays
    /// open. The record could not be saved.
    pub async fn abort(
        &self,
        cx: &Cx,
        mut release: Release,
        outline: &RolloutOutline,
        facts: &Facts,
        roles: &IndexMap<RoleName, ReadyRole>,
    ) -> Result<Release, Stopped> {
        // Without an image nothing was started anywhere.
        if let Some(image) = release
            .image
            .clone()
            .filter(|_| release.phase(Phase::Rollout).status != Status::Pending)
        {
            let plan = rollout_plan(
                &Recipe {
                    environment: self.environment,
                    image: &image,
                    release: &release.id,
                    version: &release.version,
                },
                outline,
                facts,
                roles,
            );
            if let Err(failure) = self
                .strategy
                .put_back(&cx.in_phase(Phase::Rollout), &plan)
                .await
            {
                let mut fault = Fault::new(FaultKind::UndoFailed, failure.fault.what);
                for (host, reason) in &failure.not_undone {
                    fault = fault.state(format!("{host} could not be put back: {reason}"));
                }
                let fault = fault
                    .state("the other hosts serve the old release; the release stays open")
                    .hint(format!(
                        "when the hosts can be reached: `stagecraft deploy --env {} --abort`",
                        release.environment
                    ));
                return Err(Stopped {
                    phase: Some(Phase::Rollout),
                    fault,
                    release: Box::new(release),
                    unsaved: false,
                });
            }
        }
        close(&mut release).map_err(|fault| Stopped {
            phase: None,
            fault,
            release: Box::new(release.clone()),
            unsaved: false,
        })?;
        release.revision += 1;
        match self.ledger.save(&release).await {
            Ok(()) => Ok(release),
            Err(fault) => Err(Stopped {
                phase: None,
                fault: fault.state("every host was put back, but the record does not say so yet"),
                release: Box::new(release),
                unsaved: false,
            }),
        }
    }
}

fn close(release: &mut Release) -> Result<(), Fault> {
    let now = Utc::now();
    for phase in Phase::ALL {
        let (mark, reason) = match release.phase(phase).status {
            Status::Running => (Mark::Fail, "aborted"),
            Status::Pending => (Mark::Skip, "not reached: aborted"),
            Status::Completed | Status::Failed | Status::Skipped => continue,
        };
        release
            .mark(phase, mark, now, Some(reason.to_owned()))
            .map_err(|illegal| {
                Fault::internal("the record does not allow this").caused_by(&illegal)
            })?;
    }
    release.outcome = Outcome::Aborted;
    Ok(())
}
