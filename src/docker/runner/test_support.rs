//! A container as tests start it.

use crate::model::container::{ContainerSpec, Mount, PortBinding, StopPolicy};
use crate::model::image::{Carriage, PinnedImage};
use crate::model::secret::Secret;

pub(in crate::docker) fn spec() -> ContainerSpec {
    let mount = |source: &str, target: &str, read_only| Mount {
        source: source.into(),
        target: target.into(),
        read_only,
    };
    ContainerSpec {
        name: "shop-prod-web-1-r1".into(),
        image: PinnedImage {
            repository: "ghcr.io/acme/shop".into(),
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            id: None,
            carriage: Carriage::Registry,
            local_reference: "stagecraft/shop:r1".into(),
        },
        entrypoint: None,
        command: Some(vec!["bin/web".into(), "--port".into(), "3000".into()]),
        env: [
            ("LOG_LEVEL".to_owned(), Secret::new("info")),
            (
                "DATABASE_URL".to_owned(),
                Secret::new("postgres://u:hunter2@db/app"),
            ),
        ]
        .into(),
        labels: [
            ("stagecraft.project".to_owned(), "shop".to_owned()),
            ("stagecraft.environment".to_owned(), "prod".to_owned()),
            ("stagecraft.release".to_owned(), "r1".to_owned()),
        ]
        .into(),
        mounts: vec![
            mount("shop-prod-data", "/data", false),
            mount("/etc/ssl/certs", "/certs", true),
        ],
        made_folders: vec![],
        user: None,
        network: "shop-prod".into(),
        aliases: vec!["web".into()],
        ports: vec![PortBinding {
            container: 3000,
            host: 20001,
            address: "127.0.0.1".into(),
        }],
        stop: StopPolicy {
            signal: "SIGTERM".into(),
            timeout: std::time::Duration::from_millis(2500),
        },
        restart: true,
    }
}
