//! From what a process said to a result or a fault. Imports `model`.

use serde::de::DeserializeOwned;

use crate::model::fault::{Fault, FaultKind};

use super::call::{Caller, Said};
use super::protocol::{Answer, Class, Failure, PROTOCOL};

/// How a call can go wrong.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The engine said so.
    Failed(Failure),
    /// It did not keep to the protocol, or did not come to its end.
    Broken(Fault),
}

pub(super) fn read<T: DeserializeOwned>(caller: &Caller<'_>, said: Said) -> Result<T, Wrong> {
    let broken = |why: &str| {
        caller.failed(why).showing(
            format!("last lines of `{}`", caller.name()),
            said.tail.clone(),
        )
    };
    let mut documents = serde_json::Deserializer::from_slice(&said.answer).into_iter::<Answer>();
    let answer = match documents.next() {
        Some(Ok(answer)) => answer,
        None if said.status.success() => {
            return Err(Wrong::Broken(broken("ended without an answer")));
        }
        None => {
            let fault = broken("ended without an answer").because(said.status.to_string());
            return Err(Wrong::Broken(fault));
        }
        Some(Err(error)) => {
            let why = format!("its standard output is not an answer of the protocol: {error}");
            let fault = broken("printed something that is not understood").because(why);
            let fault = match said.status.success() {
                true => fault,
                false => fault.because(said.status.to_string()),
            };
            return Err(Wrong::Broken(fault.showing(
                "the beginning of its standard output",
                beginning(&said.answer),
            ).hint("standard output is for the one answer; what is meant for people goes to standard error")));
        }
    };
    let rest = &said.answer[documents.byte_offset()..];
    if !rest.trim_ascii().is_empty() {
        let fault = broken("printed more after its answer");
        return Err(Wrong::Broken(fault.showing("what came after it", beginning(rest)).hint(
            "standard output is for the one answer; what is meant for people goes to standard error",
        )));
    }
    if answer.protocol != PROTOCOL {
        let theirs = answer.protocol;
        let older = theirs < PROTOCOL;
        let fault = Fault::config(format!(
            "`{}` speaks protocol {theirs}, and this version of stagecraft speaks {PROTOCOL}",
            caller.name()
        ));
        return Err(Wrong::Broken(fault.hint(match older {
            true => format!("install a newer `{}`", caller.name()),
            false => "install a newer stagecraft".to_owned(),
        })));
    }
    match (answer.result, answer.error) {
        (None, Some(failure)) => Err(Wrong::Failed(failure)),
        (Some(result), None) if said.status.success() => {
            serde_json::from_value(result).map_err(|error| {
                let why = format!("its result is not that of the call: {error}");
                Wrong::Broken(broken("printed something that is not understood").because(why))
            })
        }
        (Some(_), None) => {
            let why = format!("it gave a result, and then: {}", said.status);
            Err(Wrong::Broken(broken("contradicts itself").because(why)))
        }
        (Some(_), Some(_)) | (None, None) => Err(Wrong::Broken(
            broken("contradicts itself").because("an answer has either a `result` or an `error`"),
        )),
    }
}

impl Wrong {
    /// As a fault, whatever it is.
    pub(super) fn fault(self, program: &str) -> Fault {
        let failure = match self {
            Wrong::Broken(fault) => return fault,
            Wrong::Failed(failure) => failure,
        };
        let (kind, what) = match failure.class {
            Class::InvalidConfig => (FaultKind::Config, "does not accept the configuration"),
            Class::Unsupported => (FaultKind::Refused, "cannot do what is asked"),
            Class::DependencyMissing => (FaultKind::Config, "lacks something on this machine"),
            Class::ConnectionFailed => (FaultKind::Unreachable, "cannot reach the database"),
            Class::MigrationFailed => (FaultKind::Failed, "could not apply a migration"),
            Class::Internal => (FaultKind::Internal, "has a defect"),
        };
        let mut fault = Fault::new(kind, format!("`{program}` {what}"));
        let mut lines = failure.message.lines();
        fault = fault.because(lines.next().unwrap_or_default());
        let rest: Vec<String> = lines.map(str::to_owned).collect();
        fault = fault.showing(format!("what `{program}` says"), rest);
        match failure.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

fn beginning(bytes: &[u8]) -> Vec<String> {
    const LINES: usize = 5;
    const LONG: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINES * LONG)]).into_owned();
    text.trim()
        .lines()
        .take(LINES)
        .map(|line| line.chars().take(LONG).collect())
        .collect()
}
