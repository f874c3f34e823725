//! `secrets_command`: a program that prints secrets as dotenv, or as one JSON
//! object.
//!
//! It runs in the configuration's folder, with nothing on its standard input,
//! and is ended after [`DEADLINE`].

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::process::Command;

use crate::model::fault::Fault;
use crate::model::secret::Secret;

use super::dotenv;

/// Long enough to unlock a password manager by hand.
const DEADLINE: Duration = Duration::from_secs(120);
const SHOWN_LINES: usize = 10;

pub(super) async fn run(
    words: &[String],
    folder: &Path,
) -> Result<IndexMap<String, Secret>, Fault> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Fault::config("the secrets_command is empty"));
    };
    let failed = |why: &str| Fault::config(format!("the secrets_command `{program}` {why}"));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(DEADLINE, output).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(failed("cannot be started").caused_by(&error).hint(format!(
                "install `{program}`, or change `secrets_command` in stagecraft.yml"
            )));
        }
        Err(_) => {
            return Err(failed("did not end")
                .because(format!("it was ended after {} seconds", DEADLINE.as_secs()))
                .hint("it gets no standard input: let it ask for nothing, or log in beforehand"));
        }
    };
    if !output.status.success() {
        let shown = without_output(&output.stderr, &output.stdout);
        return Err(failed("failed")
            .because(output.status.to_string())
            .showing(format!("last lines of `{program}`"), shown)
            .hint("run it by hand: its values are needed here"));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| failed("printed something that is not UTF-8 text"))?;
    let hint = "it prints lines `NAME=value`, or one JSON object of texts";
    if text.trim_start().starts_with('{') {
        json(&text).map_err(|why| {
            failed("printed JSON that cannot be used")
                .because(why)
                .hint(hint)
        })
    } else {
        dotenv::parse(&text).map_err(|wrong| {
            failed("printed something that is not dotenv")
                .because(wrong.to_string())
                .hint(hint)
        })
    }
}

/// Numbers and truth values are taken as they are written; null is no value.
fn json(text: &str) -> Result<IndexMap<String, Secret>, String> {
    use serde_json::Value;
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        // serde's own words may repeat what stands there.
        format!(
            "line {}, column {}: not a JSON object",
            error.line(),
            error.column()
        )
    })?;
    let mut values = IndexMap::new();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("the value of `{name}` is not a text"));
            }
        };
        values.insert(name, Secret::new(value));
    }
    Ok(values)
}

/// The last lines of what it complained about, without anything that it also
/// printed as a value.
fn without_output(complaint: &[u8], output: &[u8]) -> Vec<String> {
    let output = String::from_utf8_lossy(output);
    let mut secret: Vec<&str> = output
        .split(['\n', '\r', '=', '"', '\'', ',', ' '])
        .filter(|part| part.len() >= 4)
        .collect();
    secret.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let complaint = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = complaint.lines().collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    last.iter()
        .map(|line| {
            secret.iter().fold((*line).to_owned(), |line, part| {
                line.replace(part, "[secret]")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn script(script: &str) -> Result<IndexMap<String, Secret>, Fault> {
        let folder = tempfile::tempdir().expect("a folder");
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, folder.path()).await
    }

    #[tokio::test]
    async fn dotenv_and_json_are_both_understood() {
        let values = script("printf 'A=one two\\nB='").await.expect("values");
        assert_eq!(values["A"].reveal(), "one two");
        assert_eq!(values["B"].reveal(), "");
        let json = r#"printf %s '{"A": "x\ny", "B": 5, "C": true, "D": null}'"#;
        let values = script(json).await.expect("values");
        assert_eq!(values["A"].reveal(), "x\ny");
        assert_eq!(values["B"].reveal(), "5");
        assert_eq!(values["C"].reveal(), "true");
        assert!(!values.contains_key("D"));
    }

    #[tokio::test]
    async fn a_failure_shows_what_the_command_said_but_never_a_value() {
        let fault = script("echo A=hunter2; echo 'locked: hunter2 refused' >&2; exit 3")
            .await
            .expect_err("it failed");
        let shown = format!("{fault:?}");
        assert!(shown.contains("locked: [secret] refused"), "{shown}");
        assert!(shown.contains("exit status: 3"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn output_that_cannot_be_read_is_refused_without_repeating_it() {
        for bad in [
            "echo hunter2",
            "echo '{\"A\": hunter2}'",
            "echo '{\"A\": [\"hunter2\"]}'",
        ] {
            let fault = script(bad).await.expect_err("refused");
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_named() {
        let words = ["no-such-program-here".to_owned()];
        let fault = run(&words, Path::new("/")).await.expect_err("not there");
        assert!(
            fault
                .what
                .contains("`no-such-program-here` cannot be started")
        );
    }
}
