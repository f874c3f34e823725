//! Docker as a person would use it, past the program under test.

use std::process::{Command, Output};

/// `docker` on this machine's engine.
pub(crate) fn here() -> Engine {
    Engine { inside: None }
}

/// `docker` inside a lab host, past SSH.
pub(crate) fn engine(number: u8) -> Engine {
    Engine {
        inside: Some(number),
    }
}

pub(crate) struct Engine {
    inside: Option<u8>,
}

impl Engine {
    /// What a shell script prints; as root.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        assert!(
            output.status.success(),
            "`{script}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn try_sh(&self, script: &str) -> Output {
        let mut command = match self.inside {
            None => Command::new("sh"),
            Some(number) => {
                let mut docker = Command::new("docker");
                docker.args(["exec", "-i", &format!("stagecraft-lab-{number}"), "sh"]);
                docker
            }
        };
        command
            .env("DOCKER_HOST", "unix:///var/run/docker.sock")
            .env_remove("DOCKER_CONTEXT")
            .args(["-c", script])
            .output()
            .expect("sh and docker are installed")
    }

    /// The lines that a shell script prints.
    #[track_caller]
    pub(crate) fn lines(&self, script: &str) -> Vec<String> {
        let text = self.sh(script);
        text.lines().map(str::to_owned).collect()
    }

    /// Ids of everything on this engine: containers, images, volumes, networks.
    #[track_caller]
    pub(crate) fn everything(&self) -> String {
        self.sh(
            "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | sort
             docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
             docker volume ls --quiet | sort
             docker network ls --format '{{.Name}}' | sort",
        )
    }
}
