//! `roles`: what the containers are for.

use super::super::leaf::{List, Period, Port, VolumeText};
use super::super::read::section;
use super::{HealthForm, PublishForm, TcpForm};

section! {
    /// What a container on a host is for.
    Role {
        /// Inside the container.
        port: Port,
        /// On the host, where no proxy stands in front; left out, the same number; `false` for none.
        publish: PublishForm,
        /// Replaces the image's command.
        command: List<String>,
        /// How a container proves that it is ready; left out, its port accepts a connection.
        health: HealthForm,
        /// Containers on each host.
        replicas: u16,
        /// `name:/path`, `/folder:/path`, each with `:ro` if it is only read.
        volumes: List<VolumeText>,
        /// How it is asked to end.
        stop: Stop,
        /// `false`: the old one stops before the new one starts.
        overlap: bool,
    }
}

section! {
    /// How a container proves that it is ready: one of `path`, `command`, `tcp`.
    HealthSection {
        /// `GET` of this path answers with 2xx or 3xx.
        path: String,
        /// The port of that request; left out, the role's.
        port: Port,
        /// The `Host` header of that request.
        host: String,
        /// Runs inside the container and exits 0.
        command: List<String>,
        /// `true`, or the port that accepts a connection.
        tcp: TcpForm,
        /// How long it may take until it is healthy.
        timeout: Period,
        /// Between two probes.
        interval: Period,
    }
}

section! {
    /// How a container is asked to end.
    Stop {
        /// Such as `SIGTERM`.
        signal: String,
        /// After this it is killed.
        timeout: Period,
    }
}
