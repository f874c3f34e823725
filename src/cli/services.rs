//! The services of a Swarm, for `status`.

use crate::deploy::ours;
use crate::model::container::label;
use crate::model::project::Strategy;
use crate::model::service::Service;
use crate::ui::{Style, Table};

use super::session::Session;

/// `None` where the environment has none. A manager that does not answer takes
/// nothing from the rest.
pub(super) async fn of(session: &Session<'_>) -> Option<Vec<Service>> {
    if session.environment.rollout.strategy != Strategy::Swarm {
        return None;
    }
    let manager = &session.environment.primary().address;
    let (cx, labels) = (&session.cx, ours(&session.environment));
    match session.house.services.list(cx, manager, &labels).await {
        Ok(services) => Some(services),
        Err(fault) => {
            cx.warn(format!("the services were not read: {fault}"));
            None
        }
    }
}

pub(super) fn table(services: &[Service], style: Style) -> String {
    let mut table = Table::new(["SERVICE", "ROLE", "VERSION", "TASKS", "UPDATE"]);
    for service in services {
        table.row([
            service.name.clone(),
            service.label(label::ROLE).unwrap_or("-").to_owned(),
            service.label(label::VERSION).unwrap_or("-").to_owned(),
            service.replicas.to_string(),
            service
                .update
                .as_ref()
                .map_or_else(|| "-".to_owned(), |update| update.state.replace('_', " ")),
        ]);
    }
    table.render(style, "")
}
