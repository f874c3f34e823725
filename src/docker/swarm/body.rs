//! A [`ServiceSpec`] as the body of the engine's calls. Pure.
//!
//! The body holds secrets in clear: it has no `Debug` and goes nowhere but
//! into the request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::container::{Mount, label};
use crate::model::service::{ServiceCheck, ServiceSpec, UpdateOrder};

/// How long a changed task must live until the engine goes on.
const WATCHED: Duration = Duration::from_secs(2);
/// Between the end of a task and its next start.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// One health check; its command may have to start an interpreter first.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct ServiceBody(Value);

impl ServiceBody {
    pub(super) fn of(spec: &ServiceSpec) -> Self {
        let container = &spec.container;
        let policy = |order: UpdateOrder, on_failure: &str| {
            json!({
                "Parallelism": spec.update.parallelism,
                "Delay": nanos(spec.update.pause),
                "FailureAction": on_failure,
                "Monitor": nanos(WATCHED),
                "MaxFailureRatio": 0,
                "Order": order,
            })
        };
        let mut placement = json!({});
        if let Some(most) = spec.per_node {
            placement["MaxReplicas"] = json!(most);
        }
        Self(json!({
            "Name": container.name,
            "Labels": container.labels,
            "TaskTemplate": {
                "ContainerSpec": container_spec(spec),
                "RestartPolicy": { "Condition": "any", "Delay": nanos(RESTART_PAUSE) },
                "Placement": placement,
                "Networks": [{ "Target": container.network, "Aliases": container.aliases }],
            },
            "Mode": { "Replicated": { "Replicas": spec.replicas } },
            // The engine goes back by itself, should nobody be left to say so.
            "UpdateConfig": policy(spec.update.order, "rollback"),
            "RollbackConfig": policy(spec.update.order, "pause"),
            "EndpointSpec": {
                // Names of services resolve to their tasks: no virtual address
                // has to be balanced by the kernel.
                "Mode": "dnsrr",
                "Ports": container.ports.iter().map(|port| json!({
                    "Protocol": "tcp",
                    "TargetPort": port.container,
                    "PublishedPort": port.host,
                    "PublishMode": "host",
                })).collect::<Vec<_>>(),
            },
        }))
    }
}

fn container_spec(spec: &ServiceSpec) -> Value {
    let container = &spec.container;
    let env = container.env.iter();
    let env: Vec<String> = env
        .map(|(name, value)| format!("{name}={}", value.reveal()))
        .collect();
    let mut body = json!({
        // By digest: what a node pulls later is the same.
        "Image": container.image.reference(),
        "Env": env,
        "Labels": container.labels,
        "StopSignal": container.stop.signal,
        "StopGracePeriod": nanos(container.stop.timeout),
        "Mounts": container.mounts.iter().map(|mount| mounted(mount, &owner(spec)))
            .collect::<Vec<_>>(),
    });
    // The engine calls the command of an image that keeps its own entry point
    // `Args`.
    if let Some(command) = &container.command {
        body["Args"] = json!(command);
    }
    if let Some(entrypoint) = &container.entrypoint {
        body["Command"] = json!(entrypoint);
    }
    if let Some(user) = &container.user {
        body["User"] = json!(user);
    }
    if let Some(check) = &spec.check {
        body["HealthCheck"] = health(check);
    }
    body
}

fn health(check: &ServiceCheck) -> Value {
    let mut test = vec!["CMD".to_owned()];
    test.extend(check.command.iter().cloned());
    json!({
        "Test": test,
        "Interval": nanos(check.interval.max(Duration::from_millis(1))),
        "Timeout": nanos(CHECK_TIMEOUT),
        // Failures before that do not count.
        "StartPeriod": nanos(check.patience),
        "Retries": 3,
    })
}

fn mounted(mount: &Mount, owner: &BTreeMap<&str, &str>) -> Value {
    let mut value = json!({
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    });
    if mount.source.starts_with('/') {
        value["Type"] = json!("bind");
    } else {
        value["Type"] = json!("volume");
        value["VolumeOptions"] = json!({ "Labels": owner });
    }
    value
}

/// The labels of what outlives a service.
fn owner(spec: &ServiceSpec) -> BTreeMap<&str, &str> {
    [label::PROJECT, label::ENVIRONMENT]
        .into_iter()
        .filter_map(|key| Some((key, spec.container.labels.get(key)?.as_str())))
        .collect()
}

/// One-off containers join it too.
pub(super) fn network_body(spec: &ServiceSpec) -> Value {
    json!({
        "Name": spec.container.network,
        "CheckDuplicate": true,
        "Driver": "overlay",
        "Attachable": true,
        "Labels": owner(spec),
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::runner::test_support;
    use crate::model::service::UpdatePolicy;

    fn spec() -> ServiceSpec {
        ServiceSpec {
            container: test_support::spec(),
            replicas: 3,
            per_node: Some(1),
            check: Some(ServiceCheck {
                command: vec!["/bin/ready".into()],
                interval: Duration::from_millis(500),
                patience: Duration::from_secs(30),
            }),
            update: UpdatePolicy {
                parallelism: 1,
                pause: Duration::from_secs(5),
                order: UpdateOrder::StopFirst,
            },
        }
    }

    #[test]
    fn a_service_is_the_whole_specification() {
        let body = ServiceBody::of(&spec());
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn the_image_is_named_by_its_digest_alone() {
        let ServiceBody(body) = ServiceBody::of(&spec());
        let image = body["TaskTemplate"]["ContainerSpec"]["Image"].as_str();
        let digest = format!("ghcr.io/acme/shop@sha256:{}", "a".repeat(64));
        assert_eq!(image, Some(digest.as_str()));
    }

    #[test]
    fn what_the_engine_does_not_check_has_no_check_and_no_bound_of_its_own() {
        let mut spec = spec();
        (spec.check, spec.per_node) = (None, None);
        let ServiceBody(body) = ServiceBody::of(&spec);
        let task = &body["TaskTemplate"];
        assert!(task["ContainerSpec"].get("HealthCheck").is_none());
        assert_eq!(task["Placement"], json!({}));
    }
}
