//! The live release is asked whether it tolerates the schema to come, before
//! a pre-deploy migration brings it: old code serves on it until the switch,
//! and after a rollback.

use futures_util::future::try_join_all;

use crate::model::fault::Fault;
use crate::model::migration::MigrationPlan;
use crate::model::project::Environment;
use crate::model::release::{Release, ReleaseId};
use crate::plan::{Facts, Meets, Question, Tolerance, tolerance};
use crate::ports::{Cx, Fetch, schema_status};

use super::deployer::Deployer;

/// Before `migrate run`: no release follows that could bring other code.
///
/// # Errors
/// As in a deploy.
pub async fn live_tolerates_all(
    cx: &Cx,
    environment: &Environment,
    fetch: &dyn Fetch,
    facts: &Facts,
    release: &ReleaseId,
    plans: &[MigrationPlan],
) -> Result<(), Fault> {
    let judged = tolerance(environment, facts, release, plans, Meets::All);
    obey(cx, fetch, judged).await
}

impl Deployer<'_> {
    /// # Errors
    /// `Refused` (12): a live replica does not tolerate it, or cannot say so.
    pub(super) async fn live_tolerates(
        &self,
        cx: &Cx,
        release: &Release,
        facts: &Facts,
        plans: &[MigrationPlan],
    ) -> Result<(), Fault> {
        let meets = Meets::UntilTheSwitch;
        let judged = tolerance(self.environment, facts, &release.id, plans, meets);
        obey(cx, self.fetch, judged).await
    }
}

async fn obey(cx: &Cx, fetch: &dyn Fetch, judged: Tolerance) -> Result<(), Fault> {
    match judged {
        Tolerance::NotNeeded => Ok(()),
        Tolerance::NobodyServes(why) => {
            cx.step(format!(
                "no running code has to tolerate the new schema: {why}"
            ));
            Ok(())
        }
        Tolerance::CannotAsk(why) => Err(refused(None).because(why)),
        Tolerance::Ask(question) => ask_live(cx, fetch, &question).await,
    }
}

async fn ask_live(cx: &Cx, fetch: &dyn Fetch, question: &Question) -> Result<(), Fault> {
    let Question { live, version, .. } = question;
    let answers = try_join_all(question.asked.iter().map(|(host, container)| async move {
        let cx = cx.on_host(host);
        let answer = schema_status(&cx, fetch, &question.gate, host, container).await?;
        Ok::<_, Fault>((host, container, answer))
    }))
    .await?;
    let mut fault = refused(Some(question));
    let mut tolerated = true;
    for (host, container, answer) in &answers {
        let name = &container.name;
        let why = match answer {
            Err(why) => why.clone(),
            Ok(status) => match status.tolerates(*version) {
                Ok(()) => continue,
                Err(why) => {
                    let title = format!("answer of {name} on {host}");
                    fault = fault.showing(title, status.lines());
                    why
                }
            },
        };
        tolerated = false;
        fault = fault.because(format!("`{name}` on {host}: {why}"));
    }
    if tolerated {
        cx.step(format!("{live} tolerates schema version {version}"));
        return Ok(());
    }
    Err(fault.hint(format!(
            "release code first whose `code_max_schema_version` reaches {version}, without this migration; then the migration"
        )))
}

fn refused(question: Option<&Question>) -> Fault {
    let what = match question {
        None => "the schema gate refused the migrations (stage `probe`)".to_owned(),
        Some(Question { live, version, .. }) => format!(
            "the schema gate refused the migrations (stage `probe`): {live} serves, and does not agree to schema version {version}"
        ),
    };
    Fault::refused(what).state("no migration was applied")
}
