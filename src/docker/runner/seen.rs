//! The engine's description of a container, as ours. Reads only the fields
//! that are needed, none of them closed: engines of any age fit.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::container::{Container, ContainerState, PortBinding};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Seen {
    id: String,
    name: String,
    image: String,
    #[serde(default)]
    restart_count: u64,
    state: SeenState,
    config: SeenConfig,
    host_config: SeenHostConfig,
    network_settings: SeenNetworks,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenState {
    #[serde(default)]
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    started_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenConfig {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenHostConfig {
    #[serde(default)]
    network_mode: String,
    port_bindings: Option<BTreeMap<String, Option<Vec<SeenBinding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenBinding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenNetworks {
    networks: Option<BTreeMap<String, SeenNetwork>>,
}

#[derive(Deserialize)]
struct SeenNetwork {
    #[serde(default, rename = "IPAddress")]
    address: String,
}

impl Seen {
    /// The network that it was made for.
    pub(super) fn network(&self) -> &str {
        &self.host_config.network_mode
    }

    pub(super) fn into_container(self) -> Container {
        let state = match self.state.status.as_str() {
            "created" => ContainerState::Created,
            "running" => ContainerState::Running,
            "restarting" => ContainerState::Restarting,
            "exited" => ContainerState::Exited,
            _ => ContainerState::Other,
        };
        let ended = matches!(state, ContainerState::Exited | ContainerState::Restarting);
        let address = self.address();
        Container {
            exit_code: ended.then_some(self.state.exit_code),
            oom_killed: self.state.oom_killed,
            restarts: self.restart_count,
            image_id: self.image,
            labels: self.config.labels.unwrap_or_default(),
            ports: ports(self.host_config.port_bindings.unwrap_or_default()),
            address,
            // The year one stands for never.
            started_at: Some(self.state.started_at)
                .filter(|at| !at.is_empty() && !at.starts_with("0001-")),
            id: self.id,
            name: self.name.trim_start_matches('/').to_owned(),
            state,
        }
    }

    fn address(&self) -> Option<String> {
        let networks = self.network_settings.networks.as_ref()?;
        networks
            .get(self.network())
            .into_iter()
            .chain(networks.values())
            .map(|network| network.address.clone())
            .find(|address| !address.is_empty())
    }
}

/// From its specification, not from what is bound now: a stopped container
/// keeps its ports.
fn ports(bindings: BTreeMap<String, Option<Vec<SeenBinding>>>) -> Vec<PortBinding> {
    let mut ports: Vec<PortBinding> = bindings
        .into_iter()
        .filter_map(|(key, bindings)| {
            let container = key.strip_suffix("/tcp")?.parse::<u16>().ok()?;
            Some((container, bindings.unwrap_or_default()))
        })
        .flat_map(|(container, bindings)| {
            bindings.into_iter().filter_map(move |binding| {
                Some(PortBinding {
                    container,
                    host: binding.host_port.parse().ok()?,
                    address: match binding.host_ip.as_str() {
                        "" => "0.0.0.0".to_owned(),
                        address => address.to_owned(),
                    },
                })
            })
        })
        .collect();
    ports.sort_by_key(|port| (port.container, port.host));
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: &str) -> Container {
        let json = serde_json::json!({
            "Id": "abc", "Name": "/shop-web-1", "Image": "sha256:1", "RestartCount": 2,
            "Platform": "linux", "State": { "Status": status, "ExitCode": 137, "OOMKilled": true,
                "StartedAt": "2026-01-01T00:00:00Z", "Health": { "Status": "a-new-word" } },
            "Config": { "Labels": { "a": "b" } },
            "HostConfig": { "NetworkMode": "net", "RestartPolicy": { "Name": "a-new-word" },
                "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }],
                    "53/udp": [{ "HostIp": "", "HostPort": "53" }], "81/tcp": null } },
            "NetworkSettings": { "Networks": { "a": { "IPAddress": "10.0.0.1" },
                "net": { "IPAddress": "10.0.0.2" } } },
        });
        serde_json::from_value::<Seen>(json)
            .unwrap()
            .into_container()
    }

    #[test]
    fn a_container_is_read_past_words_of_newer_engines() {
        let container = seen("exited");
        assert_eq!(container.name, "shop-web-1");
        assert_eq!(container.state, ContainerState::Exited);
        assert_eq!(container.exit_code, Some(137));
        assert_eq!(container.address.as_deref(), Some("10.0.0.2"));
        assert_eq!(
            container.ports,
            [PortBinding {
                container: 80,
                host: 8080,
                address: "0.0.0.0".into()
            }]
        );
        assert_eq!(seen("a-new-word").state, ContainerState::Other);
    }

    #[test]
    fn a_running_container_has_no_exit_code_of_an_earlier_life() {
        assert_eq!(seen("running").exit_code, None);
    }
}
