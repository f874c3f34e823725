//! What bollard and hyper call errors, as faults: a host that cannot be
//! reached, an engine that refused, a connection that was lost.

use std::error::Error as StdError;
use std::time::Duration;

use bollard::errors::Error;

use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;

/// The fault of a failed call. `what` is a fragment such as ``cannot start
/// `shop-web-1` ``; the host is added to it.
#[must_use]
pub fn fault(host: &HostAddress, what: impl AsRef<str>, error: Error) -> Fault {
    let what = format!("{} on `{host}`", what.as_ref());
    if let Some(inner) = dialing(&error) {
        let mut fault = Fault::new(inner.kind, what).because(inner.what.clone());
        fault.causes.extend(inner.causes.clone());
        fault.evidence.extend(inner.evidence.clone());
        fault.hints.extend(inner.hints.clone());
        return fault;
    }
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => Fault::failed(what).because(said(status_code, &message)),
        Error::DockerStreamError { error } => Fault::failed(what).because(one_line(&error)),
        Error::RequestTimeoutError => Fault::unreachable(what)
            .because("the engine took the connection but did not answer in time")
            .hint(engine_hint(host)),
        Error::JsonDataError { message, .. } => {
            Fault::failed(what).because(format!("the engine's answer cannot be read: {message}"))
        }
        error @ (Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. }) => Fault::unreachable(what)
            .because("the connection to the engine was lost")
            .caused_by(innermost(&error)),
        error => Fault::new(FaultKind::Internal, what).caused_by(&error),
    }
}

/// The fault of work that went on, and then did not for so long.
#[must_use]
pub fn stalled(host: &HostAddress, what: impl AsRef<str>, silence: Duration) -> Fault {
    Fault::unreachable(format!("{} on `{host}`", what.as_ref()))
        .because(format!(
            "it began, and then nothing moved for {}s",
            silence.as_secs()
        ))
        .hint(engine_hint(host))
}

/// The engine's HTTP status, when it answered with a refusal.
#[must_use]
pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The link's own fault, which hyper carries inside its error.
fn dialing(error: &Error) -> Option<&Fault> {
    let mut next: Option<&(dyn StdError + 'static)> = match error {
        // Transparent: it would name its source's source.
        Error::IOError { err } => Some(err),
        error => Some(error),
    };
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return Some(fault);
        }
        // An I/O error hides what it carries from the chain of sources.
        if let Some(carried) = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|carried| carried.downcast_ref::<Fault>())
        {
            return Some(carried);
        }
        next = error.source();
    }
    None
}

/// Hyper's outer texts say the same in other words; the last one says why.
fn innermost(error: &Error) -> &dyn StdError {
    let mut at: &dyn StdError = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at
}

fn said(status: u16, message: &str) -> String {
    let message = one_line(message);
    if message.is_empty() {
        format!("the engine answered with status {status}")
    } else {
        message
    }
}

fn one_line(text: &str) -> String {
    let visible: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn engine_hint(host: &HostAddress) -> String {
    format!(
        "see whether its engine works: `{}`",
        host.command("docker version")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostAddress {
        "deploy@web1".parse().unwrap()
    }

    #[test]
    fn an_engines_refusal_is_a_failure_with_its_own_words() {
        let error = Error::DockerResponseServerError {
            status_code: 409,
            message: "the container name is\n \x1b already in use".into(),
        };
        assert_eq!(status(&error), Some(409));
        let fault = fault(&host(), "cannot make `x`", error);
        assert_eq!(fault.kind, FaultKind::Failed);
        assert_eq!(
            fault.to_string(),
            "cannot make `x` on `deploy@web1`: the container name is already in use"
        );
    }

    #[test]
    fn work_that_stands_still_says_for_how_long_and_where_to_look() {
        let fault = stalled(&host(), "cannot take it", Duration::from_secs(300));
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert_eq!(
            fault.to_string(),
            "cannot take it on `deploy@web1`: it began, and then nothing moved for 300s"
        );
        assert!(fault.hints[0].contains("`ssh deploy@web1 docker version`"));
    }

    #[test]
    fn a_links_fault_keeps_its_kind_and_hints_through_hyper() {
        let inner = Fault::unreachable("cannot reach `deploy@web1`")
            .because("connection refused")
            .hint("start it");
        let error = Error::IOError {
            err: std::io::Error::other(inner),
        };
        let fault = fault(&host(), "cannot list containers", error);
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert_eq!(
            fault.causes,
            ["cannot reach `deploy@web1`", "connection refused"]
        );
        assert_eq!(fault.hints, ["start it"]);
    }
}
