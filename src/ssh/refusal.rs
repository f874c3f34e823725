//! Why a connection could not be opened, from what `ssh` wrote: pure text in,
//! a fault out. Imports `model`.
//!
//! The order of the questions matters: a refused host key is followed by a
//! closed connection, a key without permission by a denied login.

use crate::model::fault::Fault;
use crate::model::host::{HostAddress, SshTarget};

/// `log` is all that `ssh` wrote before it gave up.
pub(super) fn explain(host: &HostAddress, log: &str) -> Fault {
    let Some(target) = host.ssh_target() else {
        return Fault::internal("`local` has no SSH connection");
    };
    let by_hand = target.by_hand();
    let cannot = |why: &str| Fault::unreachable(format!("cannot connect to `{host}`")).because(why);
    let fault = if log.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        changed_key(
            cannot("its host key is not the one on record"),
            &target,
            log,
        )
    } else if log.contains("host key is known for") || log.contains("Host key verification failed")
    {
        cannot("its host key is not known on this machine").hint(format!(
            "connect once by hand with `{by_hand}`, compare the fingerprint, and answer yes; in CI, put the host's key into `known_hosts`"
        ))
    } else if log.contains("UNPROTECTED PRIVATE KEY FILE") {
        cannot("a private key may be read by others, so `ssh` does not use it")
            .hint("make it private with `chmod 600 KEYFILE`")
    } else if log.contains("Too many authentication failures") {
        cannot("the agent offered too many wrong keys").hint(format!(
            "name the right one for `{}` in `~/.ssh/config`: `IdentityFile …` and `IdentitiesOnly yes`",
            target.host
        ))
    } else if log.contains("Permission denied (") {
        denied(
            cannot("it accepts none of this machine's SSH keys"),
            &by_hand,
            log,
        )
    } else if log.contains("Could not resolve hostname") {
        cannot(&format!(
            "the name `{}` is not known",
            name_in(log).unwrap_or(&target.host)
        ))
        .hint("check the address in the configuration and `~/.ssh/config`")
    } else if log.contains("Connection refused") {
        cannot("nothing listens on its SSH port").hint(format!(
            "check that `sshd` runs there and the port is right: `{by_hand}`"
        ))
    } else if log.contains("timed out") {
        cannot("it does not answer").hint(format!(
            "check the address, the network and the firewall: `{by_hand}`"
        ))
    } else if log.contains("No route to host") || log.contains("Network is unreachable") {
        cannot("there is no way to it through the network").hint("check the network, or the VPN")
    } else if log.contains("Bad configuration option") || log.contains("bad configuration options")
    {
        Fault::config("the SSH configuration of this user is not valid")
            .hint(format!("see what `ssh` says: `{by_hand}`"))
    } else if log.contains("Connection closed by") || log.contains("Connection reset by") {
        cannot("its SSH server closed the connection before the login").hint(format!(
            "try `{by_hand}`; a server that limits new connections (MaxStartups, fail2ban) accepts again after a while"
        ))
    } else {
        cannot("`ssh` gave up").hint(format!("see what it says: `{by_hand}`"))
    };
    fault.showing(format!("what `ssh` said of {host}"), said(log))
}

fn changed_key(fault: Fault, target: &SshTarget, log: &str) -> Fault {
    // OpenSSH names the exact command where it can: it knows the file.
    let remove = log
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("ssh-keygen "))
        .map_or_else(
            || match target.port {
                Some(port) if port != 22 => format!("ssh-keygen -R '[{}]:{port}'", target.host),
                _ => format!("ssh-keygen -R {}", target.host),
            },
            str::to_owned,
        );
    fault
        .hint("somebody may stand between you and the host: ask whoever runs it whether its key changed")
        .hint(format!(
            "if it did, remove the old key with `{remove}`, then connect once with `{}` and compare the fingerprint",
            target.by_hand()
        ))
}

fn denied(fault: Fault, by_hand: &str, log: &str) -> Fault {
    let missing = log.lines().find_map(|line| {
        line.contains("no such identity")
            .then(|| line.trim().to_owned())
    });
    fault
        .because(missing.unwrap_or_default())
        .hint("see which keys the agent holds with `ssh-add -l`, add one with `ssh-add` (a key with a passphrase works only through the agent)")
        .hint(format!("the login must work without a question: `{by_hand} true`"))
}

fn name_in(log: &str) -> Option<&str> {
    let (_, rest) = log.split_once("Could not resolve hostname ")?;
    Some(rest.split(':').next().unwrap_or(rest).trim())
}

/// Its last lines, without the frame of its warnings.
fn said(log: &str) -> Vec<String> {
    let lines: Vec<String> = log
        .lines()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.trim_matches(['@', ' ']).is_empty())
        .collect();
    lines[lines.len().saturating_sub(8)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(log: &str) -> Fault {
        let host = "deploy@web1:2222".parse().expect("an address");
        explain(&host, log)
    }

    #[test]
    fn a_changed_host_key_is_told_apart_from_an_unknown_one() {
        let changed = told(
            "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@\nHost key verification failed.",
        );
        assert_eq!(
            changed.to_string(),
            "cannot connect to `deploy@web1:2222`: its host key is not the one on record"
        );
        assert!(changed.hints[1].contains("`ssh-keygen -R '[web1]:2222'`"));
        let unknown = told(
            "No ED25519 host key is known for [web1]:2222 and you have requested strict checking.\nHost key verification failed.",
        );
        assert!(unknown.causes[0].contains("not known"));
        assert!(unknown.hints[0].contains("`ssh -p 2222 deploy@web1`"));
    }

    #[test]
    fn every_common_refusal_has_its_own_words_and_a_way_out() {
        let mut seen = vec![];
        for log in [
            "deploy@web1: Permission denied (publickey).",
            "ssh: connect to host web1 port 2222: Connection refused",
            "ssh: Could not resolve hostname web1: Name or service not known",
            "Connection timed out during banner exchange",
            "ssh: connect to host web1 port 22: No route to host",
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22",
            "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
            "/root/.ssh/config: line 1: Bad configuration option: nonsense",
            "something else",
        ] {
            let fault = told(log);
            assert!(!fault.hints.is_empty(), "{log}");
            let said = fault.to_string();
            assert!(!seen.contains(&said), "{said} is said twice");
            seen.push(said);
        }
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let fault = told(
            "no such identity: /home/me/.ssh/prod: No such file or directory\ndeploy@web1: Permission denied (publickey).",
        );
        assert!(fault.causes[1].contains("/home/me/.ssh/prod"));
    }
}
