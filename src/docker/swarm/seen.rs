//! What a manager says of services, tasks and nodes, as ours. Reads only the
//! fields that are needed, none of them closed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::container::label;
use crate::model::service::{Node, Service, Task, TaskState, UpdateState};

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SeenService {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) version: SeenVersion,
    /// Goes back to the engine as it came; it may hold secrets.
    pub(super) spec: serde_json::Value,
    previous_spec: Option<SeenSpec>,
    update_status: Option<SeenUpdate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SeenVersion {
    pub(super) index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenSpec {
    labels: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenUpdate {
    #[serde(default)]
    state: String,
    #[serde(default)]
    message: String,
}

impl SeenService {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.spec["Labels"][key].as_str()
    }

    pub(super) fn release(&self) -> Option<&str> {
        self.label(label::RELEASE)
    }

    pub(super) fn into_service(self) -> Service {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let labels = self.spec["Labels"].as_object();
        Service {
            name: text(&self.spec["Name"]),
            labels: labels
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
            replicas: self.spec["Mode"]["Replicated"]["Replicas"]
                .as_u64()
                .unwrap_or(0),
            update: self
                .update_status
                .filter(|update| !update.state.is_empty())
                .map(|update| UpdateState {
                    state: update.state,
                    message: update.message,
                }),
            labels_before: self
                .previous_spec
                .map(|spec| spec.labels.unwrap_or_default()),
            id: self.id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SeenTask {
    #[serde(rename = "ID")]
    id: String,
    pub(super) created_at: String,
    #[serde(default)]
    slot: u64,
    #[serde(default, rename = "NodeID")]
    node: String,
    spec: SeenTaskSpec,
    status: SeenStatus,
    #[serde(default)]
    desired_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenTaskSpec {
    container_spec: Option<SeenSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenStatus {
    #[serde(default)]
    state: String,
    #[serde(default)]
    err: String,
    container_status: Option<SeenContainer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenContainer {
    #[serde(default, rename = "ContainerID")]
    id: String,
}

impl SeenTask {
    pub(super) fn into_task(self) -> Task {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let labels = self.spec.container_spec.and_then(|spec| spec.labels);
        Task {
            id: self.id,
            replica: self.slot,
            release: labels.and_then(|mut labels| labels.remove(label::RELEASE)),
            node: some(self.node),
            state: match self.status.state.as_str() {
                "running" => TaskState::Running,
                "failed" | "rejected" | "orphaned" => TaskState::Failed,
                "complete" | "shutdown" | "remove" => TaskState::Ended,
                _ => TaskState::Coming,
            },
            wanted: matches!(
                self.desired_state.as_str(),
                "running" | "ready" | "accepted"
            ),
            error: some(self.status.err),
            container: self.status.container_status.and_then(|seen| some(seen.id)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SeenNode {
    #[serde(rename = "ID")]
    id: String,
    description: Option<SeenDescription>,
    spec: SeenNodeSpec,
    status: SeenNodeStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenDescription {
    #[serde(default)]
    hostname: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenNodeSpec {
    #[serde(default)]
    availability: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenNodeStatus {
    #[serde(default)]
    state: String,
}

impl SeenNode {
    pub(super) fn into_node(self) -> Node {
        let (state, availability) = (self.status.state, self.spec.availability);
        Node {
            name: self.description.map_or_else(String::new, |it| it.hostname),
            available: state == "ready" && availability == "active",
            state: format!("{state}, {availability}"),
            id: self.id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SeenNetwork {
    #[serde(default)]
    pub(super) scope: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_tells_its_labels_and_those_it_had_before() {
        let seen: SeenService = serde_json::from_value(json!({
            "ID": "s1", "Version": { "Index": 7 },
            "Spec": { "Name": "shop-prod-web", "Labels": { "stagecraft.release": "r2" },
                "Mode": { "Replicated": { "Replicas": 3 } } },
            "PreviousSpec": { "Name": "shop-prod-web", "Labels": { "stagecraft.release": "r1" } },
            "UpdateStatus": { "State": "paused", "Message": "why" },
        }))
        .unwrap();
        assert_eq!(seen.release(), Some("r2"));
        let service = seen.into_service();
        assert_eq!(
            (service.name.as_str(), service.replicas),
            ("shop-prod-web", 3)
        );
        assert_eq!(service.labels_before.unwrap()["stagecraft.release"], "r1");
        assert!(service.update.unwrap().gave_up());
    }

    #[test]
    fn a_task_is_read_past_words_of_newer_engines() {
        let task = |state: &str, desired: &str| {
            let seen: SeenTask = serde_json::from_value(json!({
                "ID": "t1", "CreatedAt": "2026-01-01T00:00:00Z", "Slot": 2, "NodeID": "n1",
                "Spec": { "ContainerSpec": { "Labels": { "stagecraft.release": "r2" } } },
                "Status": { "State": state, "Err": "boom" }, "DesiredState": desired,
            }))
            .unwrap();
            seen.into_task()
        };
        assert_eq!(task("running", "running").state, TaskState::Running);
        assert_eq!(task("rejected", "shutdown").state, TaskState::Failed);
        assert_eq!(task("a-new-word", "running").state, TaskState::Coming);
        assert!(!task("running", "shutdown").wanted);
        assert_eq!(task("failed", "running").error.as_deref(), Some("boom"));
        assert_eq!(task("failed", "running").release.as_deref(), Some("r2"));
    }
}
