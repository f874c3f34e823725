//! What an edge's container is made of: Caddy's configuration and the script
//! that starts it. Pure.
//!
//! Invariant: nothing here depends on an environment. Which names have a
//! certificate is asked of HAProxy, name by name, so a deploy never touches it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::route::Acme;

/// Never a line of JSON or of a certificate.
const END: &str = "end-of-stagecraft-file";

/// Where certificates come from decides which Caddy has them: one asks by name
/// whether to get one, and gets it from one place alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An authority of the world.
    Auto,
    /// The host's own authority.
    Internal,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Auto => "auto",
            Kind::Internal => "internal",
        }
    }

    /// Of its container, and of its volumes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Auto => "stagecraft-edge",
            Kind::Internal => "stagecraft-edge-internal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EdgeBase {
    pub(super) kind: Kind,
    pub(super) image: String,
    pub(super) http_port: u16,
    pub(super) https_port: u16,
    pub(super) acme: Acme,
}

impl EdgeBase {
    /// Names this base; part of its sockets' names.
    pub(super) fn version(&self) -> String {
        let text = format!("{self:?}{}", self.filled(""));
        let hash = Sha256::digest(text.as_bytes());
        hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For the image's `sh -c`.
    pub(super) fn script(&self) -> String {
        self.filled(&self.version())
    }

    fn filled(&self, version: &str) -> String {
        let config = self.config();
        let config = serde_json::to_string_pretty(&config).unwrap_or_default();
        include_str!("boot.sh")
            .replace("@CONFIG@", &config)
            .replace("@AUTHORITY@", self.acme.authority.trim_end())
            .replace("@KIND@", self.kind.word())
            .replace("@VERSION@", version)
            .replace("@END@", END)
    }

    fn config(&self) -> Value {
        let socket = |middle: &str| {
            format!(
                "unix//run/stagecraft-edge/{}.{middle}@VERSION@.sock|0666",
                self.kind.word()
            )
        };
        // HTTP/3 needs the port itself, which only one can have.
        let (listen, protocols) = match self.kind {
            Kind::Auto => (
                json!([socket(""), format!("udp/:{}", self.https_port)]),
                json!([["h1", "h2"], ["h3"]]),
            ),
            Kind::Internal => (json!([socket("")]), json!([["h1", "h2"]])),
        };
        let forward = json!({
            "handler": "reverse_proxy",
            "upstreams": [{ "dial": "unix//run/stagecraft-edge/http.sock" }],
            // The proxy may be about to be replaced or started again.
            "load_balancing": { "try_duration": "10s", "try_interval": "100ms" },
            // A connection that is kept would ask a proxy that was replaced
            // once more, which still knows those who served then.
            "transport": { "protocol": "http", "versions": ["1.1"], "keep_alive": { "enabled": false } },
        });
        let nothing = json!({ "handler": "static_response", "status_code": 404 });
        let ask = format!(
            "http://127.0.0.1:{}/.well-known/stagecraft/{}",
            self.http_port,
            self.kind.word()
        );
        json!({
            "admin": { "disabled": true, "config": { "persist": false } },
            "apps": {
                "http": {
                    "http_port": self.http_port,
                    "https_port": self.https_port,
                    "servers": {
                        "tls": {
                            "listen": listen,
                            "listen_protocols": protocols,
                            "listener_wrappers": [
                                { "wrapper": "proxy_protocol", "timeout": "5s" },
                                { "wrapper": "tls" },
                            ],
                            "tls_connection_policies": [{}],
                            "automatic_https": { "disable": true },
                            "routes": [{ "handle": [forward] }],
                        },
                        // Caddy itself answers those it has begun.
                        "challenges": {
                            "listen": [socket("challenges.")],
                            "protocols": ["h1"],
                            "automatic_https": { "disable": true },
                            "routes": [{ "handle": [nothing] }],
                        },
                    },
                },
                "tls": { "automation": {
                    "policies": [self.policy()],
                    "on_demand": { "permission": { "module": "http", "endpoint": ask } },
                }},
                "pki": { "certificate_authorities": { "local": {
                    "name": "Stagecraft",
                    "install_trust": false,
                }}},
            },
        })
    }

    fn policy(&self) -> Value {
        let issuer = match self.kind {
            Kind::Internal => json!({ "module": "internal" }),
            Kind::Auto => self.acme_issuer(),
        };
        json!({ "on_demand": true, "issuers": [issuer] })
    }

    fn acme_issuer(&self) -> Value {
        let mut issuer = json!({
            "module": "acme",
            "challenges": {
                "http": { "alternate_port": self.http_port },
                "tls-alpn": { "alternate_port": self.https_port },
            },
        });
        if !self.acme.directory.is_empty() {
            issuer["ca"] = json!(self.acme.directory);
        }
        if !self.acme.email.is_empty() {
            issuer["email"] = json!(self.acme.email);
        }
        if !self.acme.authority.is_empty() {
            issuer["trusted_roots_pem_files"] = json!(["/config/authority.pem"]);
        }
        issuer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(kind: Kind) -> EdgeBase {
        EdgeBase {
            kind,
            image: "caddy:2".into(),
            http_port: 80,
            https_port: 443,
            acme: Acme::default(),
        }
    }

    #[test]
    fn what_was_given_out_is_on_record() {
        insta::assert_snapshot!("auto", base(Kind::Auto).script());
        insta::assert_snapshot!("internal", base(Kind::Internal).script());
    }

    #[test]
    fn an_acme_server_of_ones_own_is_trusted_by_its_own_authority() {
        let acme = Acme {
            directory: "https://acme.example/dir".into(),
            authority: "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n".into(),
            email: "ops@example.com".into(),
        };
        let own = EdgeBase {
            acme,
            ..base(Kind::Auto)
        };
        let issuer = own.acme_issuer();
        assert_eq!(issuer["ca"], "https://acme.example/dir");
        assert_eq!(issuer["email"], "ops@example.com");
        assert!(own.script().contains("\nMII=\n-----END CERTIFICATE-----\n"));
        assert_ne!(own.version(), base(Kind::Auto).version());
    }

    #[test]
    fn another_port_or_image_is_another_version() {
        let mut versions = vec![base(Kind::Auto).version(), base(Kind::Internal).version()];
        for change in [
            |base: &mut EdgeBase| base.http_port = 8080,
            |base: &mut EdgeBase| base.https_port = 8443,
            |base: &mut EdgeBase| base.image = "caddy:2.11".into(),
        ] {
            let mut other = base(Kind::Auto);
            change(&mut other);
            versions.push(other.version());
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), 5);
    }
}
