//! Roles made complete with today's values: clear ones, then secrets.

use indexmap::IndexMap;

use crate::config;
use crate::model::fault::Fault;
use crate::model::names::RoleName;
use crate::model::project::Environment;
use crate::model::release::RoleRecord;
use crate::model::secret::Secret;
use crate::plan::{self, ReadyRole};
use crate::ports::Connections;

/// The roles of the configuration.
///
/// # Errors
/// `Config`: every missing secret at once.
pub(crate) async fn of_today(
    environment: &Environment,
    values: &dyn Connections,
) -> Result<IndexMap<RoleName, ReadyRole>, Fault> {
    let secrets = secrets(environment.env.secret.iter(), values).await?;
    Ok(environment
        .roles
        .iter()
        .map(|(name, role)| {
            let mut env: IndexMap<String, Secret> = environment
                .env
                .clear
                .iter()
                .map(|(name, value)| (name.clone(), Secret::new(value.value.clone())))
                .collect();
            env.extend(secrets.clone());
            (
                name.clone(),
                ReadyRole {
                    role: role.clone(),
                    env,
                    print: None,
                },
            )
        })
        .collect())
}

/// The roles of a release's record, with today's values for its names.
///
/// # Errors
/// `Refused`: a name that has no value any more.
pub(crate) async fn of_record(
    records: &IndexMap<RoleName, RoleRecord>,
    values: &dyn Connections,
) -> Result<IndexMap<RoleName, ReadyRole>, Fault> {
    let mut ready = IndexMap::new();
    for (name, record) in records {
        let mut env = IndexMap::new();
        for (key, written) in &record.env_clear {
            let value = config::expand_text(written).map_err(|unset| {
                Fault::refused(format!("the target's `env.clear.{key}` has no value today"))
                    .because(unset)
                    .state("nothing was changed")
                    .hint("set the variable, or deploy instead of rolling back")
            })?;
            env.insert(key.clone(), Secret::new(value));
        }
        let secrets = secrets(record.env_secret.keys(), values)
            .await
            .map_err(|fault| Fault {
                kind: crate::model::fault::FaultKind::Refused,
                ..fault
            })?;
        env.extend(secrets);
        ready.insert(
            name.clone(),
            ReadyRole {
                role: plan::role_of(name, record),
                env,
                print: None,
            },
        );
    }
    Ok(ready)
}

async fn secrets<'a>(
    names: impl Iterator<Item = &'a String>,
    values: &dyn Connections,
) -> Result<IndexMap<String, Secret>, Fault> {
    let mut found = IndexMap::new();
    let mut missing: Option<Fault> = None;
    for name in names {
        match values.get(name).await {
            Ok(value) => {
                found.insert(name.clone(), value);
            }
            Err(fault) => {
                missing = Some(match missing {
                    None => fault,
                    Some(known) => known.because(fault.what),
                });
            }
        }
    }
    match missing {
        None => Ok(found),
        Some(fault) => Err(fault.state("nothing was changed")),
    }
}
