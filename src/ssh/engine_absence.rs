//! Why a host's Docker engine cannot be used: what a look at the host found, and
//! what it means. Pure text in, a fault out. Imports `model`.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

/// Where engines listen, the usual place first, then rootless ones.
pub(super) const LOOK: &str = r#"
for s in /var/run/docker.sock "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock" "$HOME/.docker/run/docker.sock"; do
  if [ ! -S "$s" ]; then echo "missing $s"
  elif [ ! -w "$s" ]; then echo "denied $s"
  else echo "ready $s"; fi
done
echo "user $(id -un)"
if command -v docker >/dev/null 2>&1; then echo "client"; fi
if command -v dockerd >/dev/null 2>&1; then echo "engine"; fi
"#;

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Sockets that this user may open.
    pub(super) ready: Vec<String>,
    /// Sockets that are there for others.
    denied: Vec<String>,
    user: String,
    /// `docker` is installed.
    pub(super) client: bool,
    /// `dockerd` is installed.
    engine: bool,
}

impl Seen {
    pub(super) fn read(text: &str) -> Self {
        let mut seen = Self::default();
        for line in text.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("ready", socket) => seen.ready.push(socket.to_owned()),
                ("denied", socket) => seen.denied.push(socket.to_owned()),
                ("user", user) => user.clone_into(&mut seen.user),
                ("client", _) => seen.client = true,
                ("engine", _) => seen.engine = true,
                _ => {}
            }
        }
        seen
    }

    /// `forward` is why the usual socket did not answer, `client` what the
    /// client on the host said.
    pub(super) fn explain(&self, host: &HostAddress, forward: &str, client: Option<&str>) -> Fault {
        let fault = Fault::unreachable(format!("cannot reach the Docker engine on `{host}`"));
        let user = &self.user;
        if self.ready.is_empty() && !self.denied.is_empty() {
            return fault
                .because(format!(
                    "the user `{user}` may not use `{}`",
                    self.denied[0]
                ))
                .hint(format!(
                    "on that host, as root: `usermod -aG docker {user}`, then run the command again"
                ));
        }
        if self.ready.is_empty() && !self.client && !self.engine {
            return fault
                .because("Docker is not installed there")
                .hint(format!(
                    "install it there as root, on Debian and Ubuntu with `apt-get install docker.io`, then let its user in: `usermod -aG docker {user}`"
                ));
        }
        let forbidden = forward.contains("does not allow");
        let fault = fault.because(forward).because(client.unwrap_or_default());
        if self.ready.is_empty() {
            return fault
                .because("its socket is not there: the engine is not running")
                .hint("on that host, as root: `systemctl start docker`");
        }
        if forbidden {
            return fault.hint(
                "on that host set `AllowStreamLocalForwarding yes` in `/etc/ssh/sshd_config`, or install Docker's client",
            );
        }
        fault.hint(
            "on that host, as root: `systemctl restart docker`, and look at `journalctl -u docker`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seen: &str, forward: &str, client: Option<&str>) -> (String, String) {
        let host = "deploy@web1".parse().expect("an address");
        let fault = Seen::read(seen).explain(&host, forward, client);
        (fault.causes.join("; "), fault.hints.join("; "))
    }

    #[test]
    fn a_user_outside_the_docker_group_gets_the_command_that_lets_them_in() {
        let (why, hint) = told(
            "denied /var/run/docker.sock\nmissing /run/user/1000/docker.sock\nuser deploy\nclient",
            "missing, no permission, or nothing listens on it",
            Some("permission denied"),
        );
        assert_eq!(why, "the user `deploy` may not use `/var/run/docker.sock`");
        assert!(hint.contains("`usermod -aG docker deploy`"));
    }

    #[test]
    fn a_bare_host_a_stopped_engine_and_a_closed_sshd_are_told_apart() {
        let (why, hint) = told("missing /var/run/docker.sock\nuser deploy", "x", None);
        assert_eq!(why, "Docker is not installed there");
        assert!(hint.contains("`usermod -aG docker deploy`"));
        let (_, hint) = told(
            "missing /var/run/docker.sock\nuser deploy\nengine",
            "x",
            None,
        );
        assert!(hint.contains("systemctl start docker"));
        let (why, hint) = told(
            "ready /var/run/docker.sock\nuser deploy",
            "its SSH server does not allow this forward",
            None,
        );
        assert!(why.contains("does not allow"));
        assert!(hint.contains("AllowStreamLocalForwarding yes"));
    }
}
