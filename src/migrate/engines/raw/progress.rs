//! What a run did so far, for the report and for what a failure says of the
//! world. Imports `model`.

use std::collections::HashMap;

use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
};

pub(super) struct Progress {
    report: DatabaseReport,
    /// Where each id stands in the report's results.
    places: HashMap<String, usize>,
}

impl Progress {
    pub(super) fn new(plan: &MigrationPlan) -> Self {
        let report = DatabaseReport::untouched(plan);
        let ids = report.results.iter().map(|result| result.id.clone());
        Self {
            places: ids.zip(0..).collect(),
            report,
        }
    }

    pub(super) fn found(&mut self, version: Option<i64>) {
        self.report.schema_before = version;
        self.report.schema_after = version;
    }

    pub(super) fn applied(&mut self, id: &str, version: Option<i64>, duration_ms: u64) {
        self.set(id, MigrationOutcome::Applied, duration_ms);
        self.report.schema_after = self.report.schema_after.max(version);
    }

    /// What the schema is now.
    pub(super) fn looks(&mut self, fingerprint: String) {
        self.report.fingerprint = Some(fingerprint);
    }

    pub(super) fn failed(&mut self, id: &str, duration_ms: u64) {
        self.set(id, MigrationOutcome::Failed, duration_ms);
    }

    fn set(&mut self, id: &str, outcome: MigrationOutcome, duration_ms: u64) {
        let place = self.places.get(id).copied();
        if let Some(result) = place.and_then(|place| self.report.results.get_mut(place)) {
            result.outcome = outcome;
            result.duration_ms = duration_ms;
        }
    }

    pub(super) fn done(self) -> DatabaseReport {
        self.report
    }

    /// Adds what stayed and what was not attempted.
    pub(super) fn failure(self, mut fault: Fault) -> MigrationFailure {
        let of = |outcome| -> Vec<&str> {
            let results = self.report.results.iter();
            results
                .filter(|result| result.outcome == outcome)
                .map(|result| result.id.as_str())
                .collect()
        };
        let database = &self.report.database;
        let applied = of(MigrationOutcome::Applied);
        let waiting = of(MigrationOutcome::NotAttempted);
        let begun = applied.len() + of(MigrationOutcome::Failed).len() > 0;
        if !applied.is_empty() {
            let list = words::list(&applied);
            fault = fault.state(format!("applied to `{database}` and kept: {list}"));
        }
        if begun && !waiting.is_empty() {
            fault = fault.state(format!("not attempted: {}", words::list(&waiting)));
        }
        MigrationFailure {
            fault,
            report: MigrationReport {
                databases: vec![self.report],
                backups: vec![],
            },
        }
    }
}
