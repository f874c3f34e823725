//! What BuildKit says while it works, as events; and what failed, as a fault.
//!
//! Steps come as "vertices" that are reported several times; their output
//! comes in pieces that do not end at lines. Every text passes the redactor.

use std::collections::{HashMap, VecDeque};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};

use super::redact::Redactor;
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::ports::Cx;

/// Lines of a failing step that are shown.
const LAST_LINES: usize = 20;

/// The steps of one build.
pub(super) struct Trace {
    redactor: Redactor,
    steps: HashMap<String, Step>,
}

#[derive(Default)]
struct Step {
    name: String,
    said: bool,
    error: String,
    /// The beginning of a line, by output stream.
    partial: HashMap<i64, Vec<u8>>,
    last_lines: VecDeque<String>,
}

impl Trace {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            steps: HashMap::new(),
        }
    }

    pub(super) fn hear(&mut self, cx: &Cx, status: StatusResponse) {
        for vertex in status.vertexes {
            self.vertex(cx, vertex);
        }
        for log in status.logs {
            self.log(cx, log);
        }
        for status in status.statuses {
            self.progress(cx, &status);
        }
        for warning in status.warnings {
            cx.warn(
                self.redactor
                    .clean(&String::from_utf8_lossy(&warning.short)),
            );
        }
    }

    fn vertex(&mut self, cx: &Cx, vertex: Vertex) {
        let step = self.steps.entry(vertex.digest).or_default();
        step.name = self.redactor.clean(&vertex.name);
        if vertex.completed.is_none() {
            return;
        }
        step.flush(cx, &self.redactor);
        step.error = self.redactor.clean(&vertex.error);
        let ours = step.name.starts_with('[') && !step.name.starts_with("[internal]");
        if step.error.is_empty() && ours && !step.said {
            step.said = true;
            let verb = if vertex.cached { "cached" } else { "built" };
            cx.step(format!("{verb} {}", step.name));
        }
    }

    fn log(&mut self, cx: &Cx, log: VertexLog) {
        let step = self.steps.entry(log.vertex).or_default();
        let mut bytes = step.partial.remove(&log.stream).unwrap_or_default();
        bytes.extend_from_slice(&log.msg);
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let rest = bytes.split_off(whole);
        for line in String::from_utf8_lossy(&bytes).lines() {
            step.line(cx, &self.redactor, line);
        }
        if !rest.is_empty() {
            step.partial.insert(log.stream, rest);
        }
    }

    /// Layers that are pulled, and the context.
    fn progress(&self, cx: &Cx, status: &VertexStatus) {
        let (Ok(done), Ok(total)) = (u64::try_from(status.current), u64::try_from(status.total))
        else {
            return;
        };
        if done == 0 && total == 0 {
            return;
        }
        let what = match status.id.as_str() {
            "transferring context:" | "transferring" => "build context",
            id => id.trim_end_matches(':'),
        };
        cx.progress(what, done, (total > 0).then_some(total), Unit::Bytes);
    }

    /// The fault of a build that ended with `message`.
    pub(super) fn failure(&self, message: &str) -> Fault {
        let message = self.redactor.clean(message);
        // A failing step takes others with it, which are "canceled".
        let failed = self
            .steps
            .values()
            .filter(|step| !step.error.is_empty() && !step.error.contains("context canceled"))
            .find(|step| !step.name.is_empty());
        let Some(step) = failed else {
            return hinted(
                Fault::failed("the build failed").because(bare(&message)),
                &message,
            );
        };
        let why = bare(&step.error);
        let fault = Fault::failed(format!("the build failed at step `{}`", step.name))
            .because(why.clone())
            .showing(
                format!("last lines of `{}`", step.name),
                step.last_lines.iter().cloned().collect(),
            );
        hinted(fault, &why)
    }
}

impl Step {
    fn line(&mut self, cx: &Cx, redactor: &Redactor, line: &str) {
        // A program that draws a progress bar goes back to the line's start.
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
        let line = redactor.clean(line);
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        cx.output(line);
    }

    fn flush(&mut self, cx: &Cx, redactor: &Redactor) {
        for (_, bytes) in std::mem::take(&mut self.partial) {
            self.line(cx, redactor, &String::from_utf8_lossy(&bytes));
        }
    }
}

/// Without the words that every message of BuildKit begins with.
fn bare(message: &str) -> String {
    let mut text = message.trim();
    for prefix in [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve: ",
        "rpc error: code = Unknown desc = ",
        "failed to create LLB definition: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text.to_owned()
}

/// The way out, where the words tell which it is.
fn hinted(fault: Fault, why: &str) -> Fault {
    let why = why.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let hint = if has(&[
        "failed to compute cache key",
        "failed to calculate checksum",
    ]) {
        "the file must be in the build context, and no line of `.dockerignore` may leave it out"
    } else if has(&["build.secrets"]) {
        "name the secret in `build.secrets`; its value comes from the process environment, `env_file` or `secrets_command`"
    } else if has(&[
        "unauthorized",
        "authorization failed",
        "access denied",
        "403 forbidden",
    ]) {
        "give this machine a login for the base image's registry: `docker login REGISTRY`"
    } else if has(&["http response to https client"]) {
        "the base image's registry speaks HTTP: name its host and port in `insecure-registries` of `/etc/docker/daemon.json` (a network such as 10.0.0.0/8 is not enough for builds)"
    } else if has(&["dockerfile parse error"]) {
        "correct the Dockerfile, then run the command again"
    } else {
        return fault;
    };
    fault.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventKind;
    use crate::model::secret::Secret;
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio_util::sync::CancellationToken;

    fn cx() -> (Cx, UnboundedReceiver<crate::model::event::Event>) {
        let (events, heard) = unbounded_channel();
        (Cx::new(events, CancellationToken::new()), heard)
    }

    fn vertex(digest: &str, name: &str, cached: bool, error: &str) -> StatusResponse {
        StatusResponse {
            vertexes: vec![Vertex {
                digest: digest.to_owned(),
                name: name.to_owned(),
                cached,
                completed: Some(Timestamp::default()),
                error: error.to_owned(),
                ..Vertex::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn log(digest: &str, text: &str) -> StatusResponse {
        StatusResponse {
            logs: vec![VertexLog {
                vertex: digest.to_owned(),
                stream: 1,
                msg: text.as_bytes().to_vec(),
                ..VertexLog::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn texts(heard: &mut UnboundedReceiver<crate::model::event::Event>) -> Vec<String> {
        let mut texts = vec![];
        while let Ok(event) = heard.try_recv() {
            texts.push(match event.kind {
                EventKind::Step { text } => format!("step {text}"),
                EventKind::Output { line } => format!("output {line}"),
                other => format!("{other:?}"),
            });
        }
        texts
    }

    #[test]
    fn a_step_is_said_once_and_a_cached_one_as_such() {
        let (cx, mut heard) = cx();
        let mut trace = Trace::new(Redactor::default());
        trace.hear(&cx, vertex("a", "[1/2] FROM scratch", true, ""));
        trace.hear(&cx, vertex("b", "[2/2] RUN make", false, ""));
        trace.hear(&cx, vertex("b", "[2/2] RUN make", false, ""));
        trace.hear(&cx, vertex("c", "[internal] load metadata", false, ""));
        assert_eq!(
            texts(&mut heard),
            [
                "step cached [1/2] FROM scratch",
                "step built [2/2] RUN make"
            ]
        );
    }

    #[test]
    fn a_failing_step_shows_its_own_last_lines_without_secrets() {
        let (cx, mut heard) = cx();
        let mut trace = Trace::new(Redactor::new(&[Secret::new("hunter2")]));
        for number in 0..30 {
            trace.hear(&cx, log("b", &format!("line {number}\n")));
        }
        trace.hear(&cx, log("b", "the token is hun"));
        trace.hear(&cx, log("b", "ter2"));
        trace.hear(&cx, vertex("b", "[2/2] RUN make", false, "exit code: 2"));
        trace.hear(
            &cx,
            vertex("d", "[x 1/1] RUN sleep", false, "context canceled"),
        );
        let fault = trace.failure("failed to solve: exit code: 2");
        assert_eq!(
            fault.to_string(),
            "the build failed at step `[2/2] RUN make`: exit code: 2"
        );
        let lines = &fault.evidence[0].lines;
        assert_eq!(lines.len(), LAST_LINES);
        assert_eq!(lines[LAST_LINES - 1], "the token is [secret]");
        assert!(texts(&mut heard).contains(&"output the token is [secret]".to_owned()));
    }

    #[test]
    fn a_dockerfile_that_cannot_be_parsed_fails_without_a_step() {
        let trace = Trace::new(Redactor::default());
        let fault = trace.failure(
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN",
        );
        assert_eq!(
            fault.to_string(),
            "the build failed: dockerfile parse error line 2: unknown instruction: RUNN"
        );
        assert_eq!(fault.hints.len(), 1);
    }
}
