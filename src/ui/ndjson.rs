//! One JSON object a line: `v`, `ts`, `seq`, then the event. The last line is
//! the result, whose `event` is `result`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::model::event::Event;

use super::out::Out;

/// Raised when a line's meaning changes; new fields and kinds do not.
const VERSION: u64 = 1;

#[derive(Default)]
pub(super) struct Ndjson {
    seq: u64,
    /// The result is the last line: what comes late is dropped.
    ended: bool,
}

impl Ndjson {
    pub(super) fn event(&mut self, event: &Event, out: &mut Out) {
        let fields = match serde_json::to_value(event) {
            Ok(Value::Object(fields)) => fields,
            Ok(other) => Map::from_iter([("value".to_owned(), other)]),
            Err(error) => Map::from_iter([("unreadable".to_owned(), error.to_string().into())]),
        };
        self.line(event.at, fields, out);
    }

    pub(super) fn result(&mut self, document: &Value, at: DateTime<Utc>, out: &mut Out) {
        let mut fields = Map::from_iter([("event".to_owned(), json!("result"))]);
        match document {
            Value::Object(more) => fields.extend(more.clone()),
            other => {
                fields.insert("result".to_owned(), other.clone());
            }
        }
        self.line(at, fields, out);
        self.ended = true;
    }

    fn line(&mut self, at: DateTime<Utc>, mut fields: Map<String, Value>, out: &mut Out) {
        if self.ended {
            return;
        }
        fields.shift_remove("at");
        let mut line = Map::from_iter([
            ("v".to_owned(), json!(VERSION)),
            ("ts".to_owned(), json!(at)),
            ("seq".to_owned(), json!(self.seq)),
        ]);
        line.extend(fields);
        self.seq += 1;
        out.lines(&Value::Object(line).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::super::report;
    use super::super::samples::{self, Memory};
    use super::*;
    use crate::model::fault::Fault;

    fn rendered(events: &[Event], result: &Value) -> String {
        let memory = Memory::default();
        let mut out = memory.out();
        let mut lines = Ndjson::default();
        for event in events {
            lines.event(event, &mut out);
        }
        lines.result(result, samples::start(), &mut out);
        lines.event(&events[0], &mut out);
        memory.text()
    }

    #[test]
    fn a_completed_run() {
        insta::assert_snapshot!(rendered(&samples::completed(), &json!({"status": "done"})));
    }

    #[test]
    fn a_failed_run() {
        let fault = Fault::failed("rollout failed");
        insta::assert_snapshot!(rendered(&samples::failed(), &report::document(&fault, 23)));
    }

    #[test]
    fn every_kind_of_event_on_one_sheet() {
        insta::assert_snapshot!(rendered(&samples::every_kind(), &json!([1, 2])));
    }

    #[test]
    fn every_line_can_be_read_back_as_the_event_it_was() {
        let text = rendered(&samples::every_kind(), &json!({}));
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), samples::every_kind().len() + 1);
        for (event, mut line) in samples::every_kind().into_iter().zip(lines) {
            line["at"] = line["ts"].clone();
            let read: Event = serde_json::from_value(line).expect("an event");
            assert_eq!(read, event);
        }
    }
}
