//! What a tool's `plan` command says, by its output and exit code. Pure.
//! Imports `model`.

use serde::Deserialize;

use crate::model::container::Exit;
use crate::model::fault::Fault;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Pending(String),
    Applied(String),
    /// Exit code 3 without a list.
    SomePending,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Pending,
    Applied,
}

/// The code of a tool that has something to do.
const PENDING: i64 = 3;

pub(super) fn read(lines: &[String], exit: &Exit) -> Result<Vec<Answer>, Fault> {
    if exit.code != 0 && exit.code != PENDING {
        return Err(Fault::failed(format!(
            "the `plan` command exited with status {}",
            exit.code
        ))
        .showing("its last lines", exit.tail.clone()));
    }
    let mut answers = vec![];
    for line in lines
        .iter()
        .filter(|line| line.trim_start().starts_with('{'))
    {
        match serde_json::from_str::<Line>(line) {
            Ok(Line {
                id,
                state: State::Pending,
            }) => answers.push(Answer::Pending(id)),
            Ok(Line {
                id,
                state: State::Applied,
            }) => answers.push(Answer::Applied(id)),
            // A tool may log JSON of its own; what names a state is meant for us.
            Err(error) if line.contains("\"state\"") => {
                return Err(Fault::failed(
                    "the `plan` command printed a line that is not understood",
                )
                .caused_by(&error)
                .showing("the line", vec![line.clone()]));
            }
            Err(_) => {}
        }
    }
    let pending = answers.iter().any(|a| matches!(a, Answer::Pending(_)));
    if exit.code == PENDING && !pending {
        answers.push(Answer::SomePending);
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(code: i64, lines: &[&str]) -> Result<Vec<Answer>, Fault> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let exit = Exit {
            code,
            oom_killed: false,
            tail: lines.clone(),
        };
        read(&lines, &exit)
    }

    #[test]
    fn the_exit_code_alone_says_whether_something_is_pending() {
        assert_eq!(ask(0, &["all good"]), Ok(vec![]));
        assert_eq!(ask(3, &["2 to go"]), Ok(vec![Answer::SomePending]));
    }

    #[test]
    fn json_lines_name_what_is_pending_between_other_output() {
        let lines = [
            "connecting",
            r#"{"id":"1","state":"applied"}"#,
            r#"{"level":"info"}"#,
            r#"{"id":"2","state":"pending","more":1}"#,
        ];
        let wanted = vec![Answer::Applied("1".into()), Answer::Pending("2".into())];
        assert_eq!(ask(0, &lines), Ok(wanted));
    }

    #[test]
    fn any_other_code_and_an_unknown_state_fail_closed() {
        let fault = ask(1, &["boom"]).expect_err("fails");
        assert_eq!(fault.evidence[0].lines, ["boom"]);
        assert!(ask(0, &[r#"{"id":"1","state":"perhaps"}"#]).is_err());
    }
}
