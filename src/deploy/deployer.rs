//! One deploy from end to end, in the order in which it happens.

use indexmap::IndexMap;

use crate::model::container::label;
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::image::{BuiltImage, PinnedImage};
use crate::model::names::RoleName;
use crate::model::phase::Phase;
use crate::model::project::{Environment, ImageSource};
use crate::model::release::{HostRecord, Release};
use crate::plan::{DeployPlan, PushStep, ReadyRole, Recipe, RollbackPlan, Step, forgettable};
use crate::ports::{
    Builder, ContainerRunner, Cx, Fetch, Ledger, Migrator, Pusher, RolloutPlan, RolloutReport,
    RolloutStrategy,
};

use super::fleet::rollout_plan;
use super::journal::{Journal, Stopped};
use super::migrate::recall;
use super::safety;
use super::standing::{what_became, with_standing};
use crate::plan::Facts;

/// The pipeline over its ports.
pub struct Deployer<'a> {
    pub environment: &'a Environment,
    pub builder: &'a dyn Builder,
    pub pusher: &'a dyn Pusher,
    pub migrator: &'a dyn Migrator,
    pub runner: &'a dyn ContainerRunner,
    pub strategy: &'a dyn RolloutStrategy,
    pub fetch: &'a dyn Fetch,
    pub ledger: &'a dyn Ledger,
}

impl Deployer<'_> {
    /// Runs a plan, or what is left of it in a resumed release.
    ///
    /// # Errors
    /// The phase that failed; the release is recorded as failed by then and
    /// the fault says where the world stands.
    pub async fn deploy(
        &self,
        cx: &Cx,
        release: Release,
        plan: &DeployPlan,
        facts: &Facts,
        roles: &IndexMap<RoleName, ReadyRole>,
    ) -> Result<Release, Stopped> {
        self.phases(cx, release, plan, facts, roles)
            .await
            .map_err(with_standing)
    }

    async fn phases(
        &self,
        cx: &Cx,
        mut release: Release,
        plan: &DeployPlan,
        facts: &Facts,
        roles: &IndexMap<RoleName, ReadyRole>,
    ) -> Result<Release, Stopped> {
        recall(&mut release, &plan.migrations);
        let mut journal = Journal::open(cx, self.ledger, release);
        let image = self.image(&mut journal, plan).await?;
        self.migrations(
            &mut journal,
            plan,
            facts,
            Phase::MigratePre,
            &plan.migrate_pre,
            &image,
        )
        .await?;
        let rollout = rollout_plan(
            &Recipe {
                environment: self.environment,
                image: &image,
                release: &plan.release,
                version: &plan.version,
            },
            &plan.rollout,
            facts,
            roles,
        );
        journal
            .run(Phase::Rollout, async |cx, release| {
                self.roll_out(cx, release, &rollout).await
            })
            .await?;
        self.migrations(
            &mut journal,
            plan,
            facts,
            Phase::MigratePost,
            &plan.migrate_post,
            &image,
        )
        .await?;
        journal
            .run(Phase::Finalize, async |cx, release| {
                self.finalize(cx, release, &rollout, plan, facts).await
            })
            .await?;
        Ok(journal.into_release())
    }

    /// Brings an older image back: nothing is built, pushed or migrated.
    ///
    /// # Errors
    /// As [`Deployer::deploy`].
    pub async fn roll_back(
        &self,
        cx: &Cx,
        release: Release,
        plan: &RollbackPlan,
        facts: &Facts,
        roles: &IndexMap<RoleName, ReadyRole>,
    ) -> Result<Release, Stopped> {
        let back = async {
            let mut journal = Journal::open(cx, self.ledger, release);
            let reason = plan.reason();
            for phase in [Phase::Build, Phase::Push, Phase::MigratePre] {
                journal.skip(phase, &reason)?;
            }
            let rollout = rollout_plan(
                &Recipe {
                    environment: self.environment,
                    image: &plan.image,
                    release: &plan.release,
                    version: &plan.version,
                },
                &plan.rollout,
                facts,
                roles,
            );
            journal
                .run(Phase::Rollout, async |cx, release| {
                    self.pusher.deliver(cx, &plan.image).await?;
                    let report = self.roll_out(cx, release, &rollout).await?;
                    stays(release, plan);
                    Ok(report)
                })
                .await?;
            journal.skip(Phase::MigratePost, &reason)?;
            journal
                .run(Phase::Finalize, async |cx, release| {
                    safety::remember(self.environment, facts, &[], release);
                    self.finish(cx, &rollout).await
                })
                .await?;
            Ok(journal.into_release())
        };
        back.await.map_err(with_standing)
    }

    /// Build and push: what comes out is pinned by digest.
    async fn image(
        &self,
        journal: &mut Journal<'_>,
        plan: &DeployPlan,
    ) -> Result<PinnedImage, Stopped> {
        let built: Option<BuiltImage> = match (&plan.build, &self.environment.source) {
            (Step::Do(build), ImageSource::Build(spec)) => Some(
                journal
                    .run(Phase::Build, async |cx, _| {
                        self.builder
                            .build(cx, spec, build.platform.as_deref(), &build.reference)
                            .await
                    })
                    .await?,
            ),
            (Step::Skip(reason), _) => {
                journal.skip(Phase::Build, reason)?;
                None
            }
            (Step::Do(_), ImageSource::Prebuilt(_)) => None,
        };
        let step = &plan.push;
        journal
            .run(Phase::Push, async |cx, release| {
                let image = match (step, &built) {
                    (Step::Do(PushStep::Pinned(image)), _) => {
                        self.pusher.deliver(cx, image).await?;
                        image.clone()
                    }
                    (Step::Do(PushStep::Registry { tag, .. }), Some(built)) => {
                        self.pusher.push(cx, built, tag).await?
                    }
                    (Step::Do(PushStep::Direct { .. }), Some(built)) => {
                        self.pusher.push(cx, built, &release.version).await?
                    }
                    (Step::Skip(_), _) | (Step::Do(_), None) => {
                        return Err(Fault::internal("there is no image to push"));
                    }
                };
                release.image = Some(image.clone());
                Ok(image)
            })
            .await
    }

    async fn roll_out(
        &self,
        cx: &Cx,
        release: &mut Release,
        plan: &RolloutPlan,
    ) -> Result<RolloutReport, Fault> {
        let report = self.strategy.roll(cx, plan).await.map_err(|failure| {
            let became = what_became(&failure, plan);
            let mut fault = cx.explained(failure.fault);
            if !failure.not_undone.is_empty() {
                fault.kind = FaultKind::UndoFailed;
            }
            became.into_iter().fold(fault, Fault::state)
        })?;
        release.hosts = report
            .hosts
            .iter()
            .map(|(host, containers)| {
                let record = HostRecord {
                    digest: plan.image.digest.to_string(),
                    containers: containers.clone(),
                    slot: slot_of(plan, host),
                };
                (host.clone(), record)
            })
            .collect();
        Ok(report)
    }

    /// A deploy also forgets images that are no way back any more; a rollback,
    /// which may be the first of several, forgets none.
    async fn finalize(
        &self,
        cx: &Cx,
        release: &mut Release,
        rollout: &RolloutPlan,
        plan: &DeployPlan,
        facts: &Facts,
    ) -> Result<(), Fault> {
        safety::remember(self.environment, facts, &plan.migrations, release);
        self.finish(cx, rollout).await?;
        let images = forgettable(&facts.history, self.environment, release);
        for problem in self.pusher.forget(cx, &images).await {
            cx.warn(format!("an old image stays behind: {problem}"));
        }
        Ok(())
    }

    /// The old containers have no purpose any more once the rollout is
    /// recorded as completed. What stays behind is said, and stops nothing.
    async fn finish(&self, cx: &Cx, rollout: &RolloutPlan) -> Result<(), Fault> {
        for problem in self.strategy.retire(cx, rollout).await {
            cx.warn(format!("an old container stays behind: {problem}"));
        }
        Ok(())
    }
}

/// What a restart left as it was belongs to the release all the same.
fn stays(release: &mut Release, plan: &RollbackPlan) {
    for (host, names) in &plan.stays {
        let record = release.hosts.entry(host.clone());
        let record = record.or_insert_with(|| HostRecord {
            digest: plan.image.digest.to_string(),
            containers: vec![],
            slot: plan.target.to_string(),
        });
        record.containers.extend(names.iter().cloned());
    }
}

/// The release whose containers a host runs: a rollback may start those of
/// its target again.
fn slot_of(plan: &RolloutPlan, host: &HostAddress) -> String {
    let slots = plan
        .batches
        .iter()
        .flatten()
        .filter(|step| step.host == *host);
    slots
        .flat_map(|step| &step.slots)
        .find_map(|slot| slot.new.labels.get(label::RELEASE).cloned())
        .unwrap_or_else(|| plan.release.to_string())
}
