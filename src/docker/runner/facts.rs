//! What an engine says of itself.

use serde::Deserialize;

use crate::docker::client::{Call, Engine, fault};
use crate::model::container::EngineFacts;
use crate::model::fault::Fault;
use crate::model::service::Member;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default)]
    server_version: String,
    #[serde(default, rename = "OSType")]
    os: String,
    #[serde(default)]
    architecture: String,
    driver_status: Option<Vec<(String, String)>>,
    swarm: Option<Swarm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm {
    #[serde(default, rename = "NodeID")]
    node: String,
    #[serde(default)]
    local_node_state: String,
    #[serde(default)]
    control_available: bool,
    nodes: Option<u64>,
}

pub(super) async fn read(engine: &Engine) -> Result<EngineFacts, Fault> {
    match engine.json::<Info>(Call::get("/info")).await {
        Ok(info) => Ok(facts(info)),
        Err(error) => Err(fault(engine.host(), "cannot ask the engine", error)),
    }
}

fn facts(info: Info) -> EngineFacts {
    EngineFacts {
        platform: format!("{}/{}", info.os, architecture(&info.architecture)),
        containerd_store: info
            .driver_status
            .unwrap_or_default()
            .iter()
            .any(|(_, value)| value.starts_with("io.containerd.snapshotter")),
        member: info.swarm.and_then(member),
        id: info.id,
        version: info.server_version,
    }
}

fn member(swarm: Swarm) -> Option<Member> {
    (swarm.local_node_state == "active").then_some(Member {
        node: swarm.node,
        manager: swarm.control_available,
        nodes: swarm.nodes.filter(|_| swarm.control_available),
    })
}

/// The kernel's word as the word of image platforms.
fn architecture(kernel: &str) -> &str {
    match kernel {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm/v7",
        "armv6l" => "arm/v6",
        "i386" | "i686" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_node_is_a_member_of_a_swarm() {
        let info = |json| facts(serde_json::from_value(json).unwrap()).member;
        let part = |state: &str, manages: bool| {
            info(
                serde_json::json!({ "Swarm": { "NodeID": "n1", "LocalNodeState": state,
                "ControlAvailable": manages, "Nodes": 3 } }),
            )
        };
        assert_eq!(info(serde_json::json!({})), None);
        assert_eq!(part("inactive", false), None);
        assert_eq!(part("locked", true), None);
        let member = |manager, nodes| {
            Some(Member {
                node: "n1".into(),
                manager,
                nodes,
            })
        };
        assert_eq!(part("active", true), member(true, Some(3)));
        assert_eq!(part("active", false), member(false, None));
    }

    #[test]
    fn both_image_stores_and_the_platform_are_told_apart() {
        let info = |json| facts(serde_json::from_value(json).unwrap());
        let old = info(serde_json::json!({
            "ID": "a", "ServerVersion": "20.10.24", "OSType": "linux", "Architecture": "x86_64",
            "DriverStatus": [["Backing Filesystem", "extfs"]],
        }));
        assert_eq!(
            (old.platform.as_str(), old.containerd_store),
            ("linux/amd64", false)
        );
        let new = info(serde_json::json!({
            "ID": "b", "ServerVersion": "28.5.2", "OSType": "linux", "Architecture": "aarch64",
            "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        }));
        assert_eq!(
            (new.platform.as_str(), new.containerd_store),
            ("linux/arm64", true)
        );
    }
}
