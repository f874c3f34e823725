//! What a registry's refusal means, and the way out of it.

use crate::docker::auth::{LoginFrom, registry_of};
use crate::model::fault::Fault;

/// Why a registry gave no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Unreachable,
    PlainHttp,
    Certificate,
    Login,
    Unknown,
    Other,
}

impl Refusal {
    /// Registries and engines tell only by their words.
    pub(super) fn of(message: &str) -> Self {
        let message = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if says(&["http response to https client"]) {
            Self::PlainHttp
        } else if says(&["x509", "certificate"]) {
            Self::Certificate
        } else if says(&[
            "connection refused",
            "no such host",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "tls handshake timeout",
            "deadline exceeded",
            "client.timeout",
            "connection reset",
            "server misbehaving",
        ]) {
            Self::Unreachable
        } else if says(&[
            "no basic auth credentials",
            "unauthorized",
            "authentication required",
            "insufficient_scope",
            "denied",
            "forbidden",
        ]) {
            Self::Login
        } else if says(&[
            "manifest unknown",
            "not found",
            "name unknown",
            "no such image",
        ]) {
            Self::Unknown
        } else {
            Self::Other
        }
    }

    /// `doing` is what was tried: `push shop:1`.
    pub(super) fn fault(
        self,
        doing: &str,
        repository: &str,
        message: &str,
        login: &LoginFrom,
    ) -> Fault {
        let registry = registry_of(repository);
        let what = format!("cannot {doing}");
        match self {
            Self::Unreachable => Fault::unreachable(what)
                .because(format!("the registry `{registry}` cannot be reached"))
                .because(message)
                .hint(format!("see whether it answers: `curl -i {}`", asked(registry, message))),
            Self::PlainHttp => Fault::unreachable(what)
                .because(format!("the registry `{registry}` speaks HTTP, not HTTPS"))
                .because(message)
                .hint(format!(
                    "if that is meant, add `\"insecure-registries\": [\"{registry}\"]` to `/etc/docker/daemon.json` of this machine and of every host"
                )),
            Self::Certificate => Fault::unreachable(what)
                .because(format!("the certificate of the registry `{registry}` is not trusted"))
                .because(message)
                .hint(format!(
                    "put its authority into `/etc/docker/certs.d/{registry}/ca.crt` on this machine and on every host"
                )),
            Self::Login => Fault::failed(what)
                .because(format!("the registry `{registry}` refused: {message}"))
                .hint(log_in(registry, login))
                .hint(format!("see that this login may use the repository `{repository}`")),
            Self::Unknown => Fault::failed(what)
                .because(format!("the registry `{registry}` does not know it: {message}")),
            Self::Other => Fault::failed(what)
                .because(format!("the registry `{registry}` answered: {message}")),
        }
    }
}

/// The address that the engine asked, which is not always that of the name.
fn asked(registry: &str, message: &str) -> String {
    let quoted = message.split('"').nth(1);
    match quoted.filter(|address| address.starts_with("http")) {
        Some(address) => address.to_owned(),
        None => format!("https://{registry}/v2/"),
    }
}

fn log_in(registry: &str, login: &LoginFrom) -> String {
    match login {
        LoginFrom::Variables { username, password } => {
            format!("see whether `{username}` and `{password}` hold a login of `{registry}`")
        }
        LoginFrom::Store => {
            let command = match registry {
                "docker.io" => "docker login".to_owned(),
                registry => format!("docker login {registry}"),
            };
            format!(
                "log in with `{command}`, or name the variables that hold the credentials in `project.registry_username_env` and `project.registry_password_env`"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::FaultKind;

    #[test]
    fn the_words_of_engines_and_registries_are_told_apart() {
        for (message, expected) in [
            ("no basic auth credentials", Refusal::Login),
            ("unauthorized: authentication required", Refusal::Login),
            (
                "denied: requested access to the resource is denied",
                Refusal::Login,
            ),
            (
                "Get \"https://r:1/v2/\": dial tcp 10.0.0.1:1: connect: connection refused",
                Refusal::Unreachable,
            ),
            (
                "http: server gave HTTP response to HTTPS client",
                Refusal::PlainHttp,
            ),
            (
                "x509: certificate signed by unknown authority",
                Refusal::Certificate,
            ),
            ("manifest unknown: manifest unknown", Refusal::Unknown),
            ("blob upload invalid", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(message), expected, "{message}");
        }
    }

    #[test]
    fn an_unreachable_registry_is_asked_by_hand_where_the_engine_asked() {
        let hint = |registry: &str, message: &str| {
            let image = format!("{registry}/shop");
            let fault = Refusal::Unreachable.fault("push", &image, message, &LoginFrom::Store);
            fault.hints[0].clone()
        };
        let said = "Get \"http://localhost:1/v2/\": dial tcp: connection refused";
        assert!(hint("localhost:1", said).ends_with("`curl -i http://localhost:1/v2/`"));
        assert!(hint("ghcr.io", "i/o timeout").ends_with("`curl -i https://ghcr.io/v2/`"));
    }

    #[test]
    fn a_refused_login_says_how_to_log_in() {
        let refused = |login| {
            let doing = "push `ghcr.io/acme/shop:1`";
            Refusal::Login.fault(doing, "ghcr.io/acme/shop", "denied", login)
        };
        let fault = refused(&LoginFrom::Store);
        assert_eq!(fault.kind, FaultKind::Failed);
        assert_eq!(
            fault.to_string(),
            "cannot push `ghcr.io/acme/shop:1`: the registry `ghcr.io` refused: denied"
        );
        assert!(fault.hints[0].contains("`docker login ghcr.io`"));
        let fault = refused(&LoginFrom::Variables {
            username: "HUB_USER".into(),
            password: "HUB_PASSWORD".into(),
        });
        assert_eq!(
            fault.hints[0],
            "see whether `HUB_USER` and `HUB_PASSWORD` hold a login of `ghcr.io`"
        );
        let hub = Refusal::Unreachable.fault(
            "push `acme/shop:1`",
            "acme/shop",
            "no such host",
            &LoginFrom::Store,
        );
        assert_eq!(hub.kind, FaultKind::Unreachable);
    }
}
