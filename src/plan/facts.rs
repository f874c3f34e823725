//! What is true now. Taken under the environment lock (except for a dry run),
//! read-only.

use crate::model::container::{Container, EngineFacts, label};
use crate::model::history::History;
use crate::model::host::{HostAddress, TakenPorts};
use crate::model::image::PinnedImage;
use crate::model::migration::MigrationPlan;
use crate::model::names::{DatabaseName, RoleName};
use crate::model::project::Environment;
use crate::model::release::ReleaseId;
use crate::model::route::Traffic;

/// The checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFacts {
    pub commit: Option<String>,
    /// Tracked files differ from the commit, or new ones are there.
    pub dirty: bool,
}

#[derive(Debug, Clone)]
pub struct HostFacts {
    pub address: HostAddress,
    pub engine: EngineFacts,
    /// Those of this project and environment, running or not.
    pub containers: Vec<Container>,
    /// Whosever they are. Empty where this environment chooses none.
    pub taken_ports: TakenPorts,
    /// How the environment stands at the host's proxy. `None`: no proxy there,
    /// or it was not asked.
    pub traffic: Option<Traffic>,
}

impl HostFacts {
    /// The containers of one role that do not belong to `release`.
    pub fn others_of<'a>(
        &'a self,
        role: &'a RoleName,
        release: &'a ReleaseId,
    ) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| {
            container.label(label::JOB).is_none()
                && container.label(label::ROLE) == Some(role.as_str())
                && container.label(label::RELEASE) != Some(release.as_str())
        })
    }
}

#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub history: History,
    /// In the order of the configuration.
    pub hosts: Vec<HostFacts>,
    pub source: SourceFacts,
    /// A prebuilt image, resolved to its digest.
    pub image: Option<PinnedImage>,
    /// In the order of the configuration.
    pub migrations: Vec<MigrationPlan>,
    /// Databases that a rollback could not read, with the reason.
    pub unread: Vec<(DatabaseName, String)>,
}

impl Facts {
    #[must_use]
    pub fn host(&self, address: &HostAddress) -> Option<&HostFacts> {
        self.hosts.iter().find(|host| host.address == *address)
    }

    /// As if there were only the containers of these roles; none: of all.
    #[must_use]
    pub fn limited_to(&self, roles: &[RoleName]) -> Facts {
        let mut facts = self.clone();
        if roles.is_empty() {
            return facts;
        }
        for host in &mut facts.hosts {
            host.containers.retain(|container| {
                let of = container.label(label::ROLE);
                roles.iter().any(|role| of == Some(role.as_str()))
            });
        }
        facts
    }

    /// That nobody sees what runs now, where it is so.
    #[must_use]
    pub fn in_maintenance(&self, environment: &Environment) -> Option<String> {
        let on = |host: &&HostFacts| {
            let traffic = host.traffic.as_ref();
            traffic.is_some_and(|traffic| traffic.maintenance)
        };
        let hosts: Vec<&str> = self
            .hosts
            .iter()
            .filter(on)
            .map(|host| host.address.as_str())
            .collect();
        (!hosts.is_empty()).then(|| {
            format!(
                "maintenance is on at {}, and stays on: end it with `stagecraft maintenance off --env {}`",
                hosts.join(", "),
                environment.name
            )
        })
    }
}
