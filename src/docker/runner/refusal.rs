//! Why the engine would not make or start a container, and what to do.

use bollard::errors::Error;
use serde::Deserialize;

use crate::docker::client::{Call, Engine, fault};
use crate::model::container::PortBinding;
use crate::model::fault::Fault;

/// The image that was named is not there.
pub(super) fn lacks_image(error: &Error) -> bool {
    said(error, 404).is_some_and(|text| {
        names_image(&text) || text.contains("image") && !text.contains("network")
    })
}

/// The network that was named is not there.
pub(super) fn lacks_network(error: &Error) -> bool {
    let missing = |text: String| text.contains("network") && !names_image(&text);
    // An engine in a Swarm asks its manager too, and hands its answer on.
    let of_a_swarm = |error: &Error| match error {
        Error::DockerResponseServerError { message, .. } => {
            message.contains("Could not attach to network") && message.contains("not found")
        }
        _ => false,
    };
    said(error, 404).is_some_and(missing) || of_a_swarm(error)
}

/// By whole phrases: a project, and so its network, may be called `images`.
fn names_image(text: &str) -> bool {
    text.contains("no such image") || text.contains("image not known")
}

fn said(error: &Error, status: u16) -> Option<String> {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } if *status_code == status => Some(message.to_lowercase()),
        _ => None,
    }
}

/// The fault for `error`, the engine's answer to making or starting `name`.
pub(super) async fn refused(
    engine: &Engine,
    name: &str,
    ports: &[PortBinding],
    error: Error,
) -> Fault {
    let message = match &error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        _ => String::new(),
    };
    let failed = fault(engine.host(), format!("cannot start `{name}`"), error);
    if let Some(port) = taken_port(&message, ports) {
        return port_taken(engine, name, port).await;
    }
    if message.contains("executable file not found")
        || message.contains("no such file or directory: unknown")
    {
        return failed.hint("the command is not in the image: see `command` of the role");
    }
    if message.contains("bind source path does not exist") {
        return failed.hint(format!(
            "make the folder on `{}` first, or use a named volume",
            engine.host()
        ));
    }
    if message.contains("address pool") {
        return failed.hint("remove networks that nobody uses: `docker network prune`");
    }
    failed
}

/// Engines say it in their own words for a container's port, and in the
/// system's for everybody else's.
fn taken_port<'a>(message: &str, ports: &'a [PortBinding]) -> Option<&'a PortBinding> {
    let about_ports = ["already allocated", "already in use", "bind host port"];
    if !about_ports.iter().any(|words| message.contains(words)) {
        return None;
    }
    ports.iter().find(|port| {
        let needle = format!(":{}", port.host);
        message.match_indices(&needle).any(|(at, _)| {
            !message[at + needle.len()..].starts_with(|char: char| char.is_ascii_digit())
        })
    })
}

async fn port_taken(engine: &Engine, name: &str, port: &PortBinding) -> Fault {
    let (host, number) = (engine.host(), port.host);
    let fault = Fault::failed(format!("port {number} of `{host}` is in use"))
        .because(format!("`{name}` is to publish it"));
    match publisher(engine, number).await.ok().flatten() {
        Some(holder) => fault
            .because(format!("the container `{holder}` publishes it now"))
            .hint(format!(
                "see what it is: `{}`",
                host.command(&format!("docker inspect {holder}"))
            )),
        None => fault
            .because("no container publishes it: another program on the host listens there")
            .hint(format!(
                "see who listens, on the host: `sudo ss -ltnp 'sport = :{number}'`"
            )),
    }
}

/// The running container that publishes a port.
pub(super) async fn publisher(engine: &Engine, number: u16) -> Result<Option<String>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        names: Vec<String>,
        ports: Option<Vec<Published>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Published {
        public_port: Option<u16>,
    }
    let listed: Vec<Listed> = engine
        .json(Call::get("/containers/json"))
        .await
        .map_err(|error| fault(engine.host(), "cannot ask who publishes a port", error))?;
    let holder = listed.into_iter().find(|listed| {
        let ports = listed.ports.as_deref().unwrap_or_default();
        ports.iter().any(|port| port.public_port == Some(number))
    });
    let name = holder.and_then(|holder| holder.names.into_iter().next());
    Ok(name.map(|name| name.trim_start_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_found_in_the_words_of_each_engine() {
        let port = |host| PortBinding {
            container: 80,
            host,
            address: "0.0.0.0".into(),
        };
        let ports = [port(80), port(8080)];
        for message in [
            "driver failed programming external connectivity on endpoint x (1): Bind for 0.0.0.0:8080 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "failed to set up container networking: failed to bind host port for 0.0.0.0:8080:172.17.0.2:3000/tcp: address already in use",
        ] {
            assert_eq!(
                taken_port(message, &ports).map(|port| port.host),
                Some(8080),
                "{message}"
            );
        }
        assert_eq!(taken_port("no space left on device :8080", &ports), None);
    }

    #[test]
    fn a_missing_image_and_a_missing_network_are_told_apart() {
        let error = |message: &str| Error::DockerResponseServerError {
            status_code: 404,
            message: message.into(),
        };
        let image = error("No such image: stagecraft/network:1");
        assert!(lacks_image(&image) && !lacks_network(&image));
        for name in ["shop-prod", "images-prod"] {
            let network = error(&format!("network {name} not found"));
            assert!(lacks_network(&network) && !lacks_image(&network), "{name}");
        }
    }
}
