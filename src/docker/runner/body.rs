//! A [`ContainerSpec`] as the body of the engine's create call. Pure.
//!
//! The body holds secrets in clear: it has no `Debug` and goes nowhere but
//! into the request.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::container::{ContainerSpec, Mount, label};

/// What the container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Stays.
    Service,
    /// Runs to its end; removed by us, after its end was read.
    Job,
    /// Spoken to over its input and output; goes when its input closes.
    Conversation,
}

#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct CreateBody(Value);

/// Networks that the engine knows by word: they take no aliases.
pub(super) fn predefined(network: &str) -> bool {
    matches!(network, "host" | "none" | "bridge" | "default") || network.starts_with("container:")
}

pub(super) fn create_body(spec: &ContainerSpec, image: &str, purpose: Purpose) -> CreateBody {
    let env: Vec<String> = spec
        .env
        .iter()
        .map(|(name, value)| format!("{name}={}", value.reveal()))
        .collect();
    let talks = purpose == Purpose::Conversation;
    let restart = match purpose {
        Purpose::Service if spec.restart => "unless-stopped",
        Purpose::Service | Purpose::Job | Purpose::Conversation => "no",
    };
    let mut body = json!({
        "Image": image,
        "Env": env,
        "Labels": spec.labels,
        "StopSignal": spec.stop.signal,
        "StopTimeout": whole_seconds(spec.stop.timeout),
        "AttachStdin": talks,
        "AttachStdout": purpose != Purpose::Service,
        "AttachStderr": purpose != Purpose::Service,
        "OpenStdin": talks,
        "StdinOnce": talks,
        "HostConfig": {
            "NetworkMode": spec.network,
            "RestartPolicy": { "Name": restart },
            "AutoRemove": talks,
            "Mounts": spec.mounts.iter().map(|mount| mounted(mount, spec)).collect::<Vec<_>>(),
        },
    });
    if !spec.made_folders.is_empty() {
        // Only this older form makes them.
        let binds: Vec<String> = spec.made_folders.iter().map(bind).collect();
        body["HostConfig"]["Binds"] = json!(binds);
    }
    if let Some(user) = &spec.user {
        body["User"] = json!(user);
    }
    if let Some(command) = &spec.command {
        body["Cmd"] = json!(command);
    }
    if let Some(entrypoint) = &spec.entrypoint {
        // The engine reads an empty list as "the image's own".
        body["Entrypoint"] = match entrypoint.is_empty() {
            true => json!([""]),
            false => json!(entrypoint),
        };
    }
    if !predefined(&spec.network) {
        let mut endpoints = serde_json::Map::new();
        endpoints.insert(spec.network.clone(), json!({ "Aliases": spec.aliases }));
        body["NetworkingConfig"] = json!({ "EndpointsConfig": endpoints });
    }
    if spec.network != "host" {
        let (exposed, bindings) = published(spec);
        body["ExposedPorts"] = json!(exposed);
        body["HostConfig"]["PortBindings"] = json!(bindings);
    }
    CreateBody(body)
}

/// The engine takes whole seconds; a shorter time than was asked for would
/// kill too early.
pub(super) fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn mounted(mount: &Mount, spec: &ContainerSpec) -> Value {
    let mut value = json!({
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    });
    if mount.source.starts_with('/') {
        value["Type"] = json!("bind");
    } else {
        value["Type"] = json!("volume");
        // Only for a volume that this container is the first to need.
        value["VolumeOptions"] = json!({ "Labels": owner(spec) });
    }
    value
}

fn bind(folder: &Mount) -> String {
    let mode = if folder.read_only { ":ro" } else { "" };
    format!("{}:{}{mode}", folder.source, folder.target)
}

/// The labels of what outlives a container.
pub(super) fn owner(spec: &ContainerSpec) -> IndexMap<&str, &str> {
    [label::PROJECT, label::ENVIRONMENT]
        .into_iter()
        .filter_map(|key| Some((key, spec.labels.get(key)?.as_str())))
        .collect()
}

type Published = (IndexMap<String, Value>, IndexMap<String, Vec<Value>>);

fn published(spec: &ContainerSpec) -> Published {
    let (mut exposed, mut bindings) = Published::default();
    for port in &spec.ports {
        let key = format!("{}/tcp", port.container);
        exposed.insert(key.clone(), json!({}));
        bindings.entry(key).or_default().push(json!({
            "HostIp": port.address,
            "HostPort": port.host.to_string(),
        }));
    }
    (exposed, bindings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::runner::test_support::spec;

    #[test]
    fn a_service_is_the_whole_specification() {
        let body = create_body(&spec(), "stagecraft/shop:r1", Purpose::Service);
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_job_never_restarts_and_keeps_its_end_for_us_to_read() {
        let CreateBody(body) = create_body(&spec(), "i", Purpose::Job);
        assert_eq!(body["HostConfig"]["RestartPolicy"]["Name"], "no");
        assert_eq!(body["HostConfig"]["AutoRemove"], false);
    }

    #[test]
    fn a_conversation_ends_with_its_input() {
        let CreateBody(body) = create_body(&spec(), "i", Purpose::Conversation);
        assert_eq!(body["StdinOnce"], true);
        assert_eq!(body["HostConfig"]["AutoRemove"], true);
    }

    #[test]
    fn on_the_hosts_network_nothing_is_published_and_nothing_has_an_alias() {
        let mut spec = spec();
        spec.network = "host".into();
        let CreateBody(body) = create_body(&spec, "i", Purpose::Service);
        assert!(body.get("NetworkingConfig").is_none());
        assert!(body["HostConfig"].get("PortBindings").is_none());
    }

    #[test]
    fn a_folder_that_may_be_missing_is_made_by_the_engine_and_the_user_is_said() {
        let mut spec = spec();
        let CreateBody(body) = create_body(&spec, "i", Purpose::Service);
        assert!(body.get("User").is_none() && body["HostConfig"].get("Binds").is_none());
        spec.user = Some("0".into());
        spec.made_folders = vec![Mount {
            source: "/run/x".into(),
            target: "/run/y".into(),
            read_only: true,
        }];
        let CreateBody(body) = create_body(&spec, "i", Purpose::Service);
        assert_eq!(body["User"], "0");
        assert_eq!(body["HostConfig"]["Binds"], json!(["/run/x:/run/y:ro"]));
    }

    #[test]
    fn the_environment_reaches_the_engine_byte_for_byte_and_prints_nowhere() {
        let mut spec = spec();
        let value = "a=b\n\"$x\" 'é' \\ \t end ";
        spec.env
            .insert("ODD".into(), crate::model::secret::Secret::new(value));
        let CreateBody(body) = create_body(&spec, "i", Purpose::Service);
        let env = body["Env"].as_array().unwrap();
        assert_eq!(env.last().unwrap(), &json!(format!("ODD={value}")));
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
