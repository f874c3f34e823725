//! `stagecraft migrate plan` and `migrate status`: read-only.

use serde_json::{Value, json};

use crate::model::migration::{Files, MigrationPlan, MigrationRequest};
use crate::model::risk::Detail;
use crate::plan::{self, Broken};
use crate::ui::forecast::Shown;
use crate::ui::migrations::Listed;
use crate::ui::{self, Ui};

use super::super::args::{Globals, MigratePlanArgs, MigrateStatusArgs};
use super::super::deploy::style;
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::session::{Session, on_environment};
use super::{known, newest_image, preview, request, shown};

/// What `migrate plan --exit-code` ends with.
const PENDING: u8 = 3;
const DRIFT: u8 = 4;

pub(super) async fn plan(
    args: &MigratePlanArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<u8, Failure> {
    on_environment(
        "stagecraft migrate plan",
        globals,
        ui,
        None,
        async |session| {
            session.judge_databases(&args.filters.database).await?;
            let history = session.history(&session.cx, Access::Read).await?;
            let mut request = request(session, &session.cx, &args.filters, &history).await?;
            if args.sql {
                request.detail = Detail::Sql;
            }
            let mut plans = session.house.migrator.plan(&session.cx, &request).await?;
            plan::recall(&history, &mut plans);
            let broken = Broken::of(&session.environment, &history, &plans);
            let document = preview::document(&plans, &broken);
            ui.show(&text(session, &plans, args.sql), &Value::Object(document))
                .await;
            Ok(if args.exit_code { exit_code(&plans) } else { 0 })
        },
    )
    .await
}

fn text(session: &Session<'_>, plans: &[MigrationPlan], sql: bool) -> String {
    let look = style(session);
    let mut text = ui::migrations::text(plans, Listed::Unsettled, shown(session), look);
    if sql {
        for plan in plans {
            text += &ui::forecast::sql(plan, look);
        }
    }
    text
}

fn exit_code(plans: &[MigrationPlan]) -> u8 {
    if plans.iter().any(|plan| !plan.refusals.is_empty()) {
        DRIFT
    } else if plans
        .iter()
        // What is not known may be pending.
        .any(|plan| !plan.selected.is_empty() || plan.files == Files::Awaited)
    {
        PENDING
    } else {
        0
    }
}

pub(super) async fn status(
    args: &MigrateStatusArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate status",
        globals,
        ui,
        None,
        async |session| {
            let history = session.history(&session.cx, Access::Read).await?;
            known(&session.environment, &args.database)?;
            let newest = newest_image(&history, &session.environment).map(|(_, image)| image);
            let request = MigrationRequest {
                databases: args.database.clone(),
                files: newest.clone(),
                image: newest,
                detail: Detail::States,
                ..MigrationRequest::default()
            };
            let plans = session.house.migrator.plan(&session.cx, &request).await?;
            ui.show(
                &ui::migrations::text(&plans, Listed::All, Shown::Standing, style(session)),
                &json!({ "databases": plans }),
            )
            .await;
            Ok(())
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::risk::Outlook;

    fn plan(selected: &[&str], refusals: &[&str]) -> MigrationPlan {
        MigrationPlan {
            database: "main".parse().expect("a name"),
            engine: "raw".into(),
            migrations: vec![],
            selected: selected.iter().map(ToString::to_string).collect(),
            refusals: refusals.iter().map(ToString::to_string).collect(),
            notes: vec![],
            unread: None,
            files: Files::Final,
            schema_version: None,
            route: "directly".into(),
            outlook: Outlook::default(),
        }
    }

    #[test]
    fn drift_outranks_pending_and_pending_outranks_nothing() {
        assert_eq!(exit_code(&[plan(&[], &[])]), 0);
        assert_eq!(exit_code(&[plan(&[], &[]), plan(&["1.sql"], &[])]), PENDING);
        assert_eq!(exit_code(&[plan(&["1.sql"], &["edited"])]), DRIFT);
    }
}
