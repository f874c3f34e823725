//! The health of a database around a migration run: what was asked, and what
//! the answers mean for the run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that was asked of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// It takes a session and answers.
    Connection,
    /// Its version, and that it may be written to.
    Server,
    /// The table of migrations agrees with the plan.
    Migrations,
    /// Disk.
    Room,
    /// How far replicas are behind.
    Replicas,
    /// Transactions that have been open for long.
    Transactions,
    /// Sessions that wait for each other.
    Blockers,
    /// How many connections are left.
    Connections,
    /// What the migrations left is sound. Asked afterwards alone.
    Schema,
    /// The application gets in, by its own variable. Asked afterwards alone.
    Application,
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckName::Connection => "connection",
            CheckName::Server => "server",
            CheckName::Migrations => "migrations",
            CheckName::Room => "room",
            CheckName::Replicas => "replicas",
            CheckName::Transactions => "transactions",
            CheckName::Blockers => "blockers",
            CheckName::Connections => "connections",
            CheckName::Schema => "schema",
            CheckName::Application => "application",
        })
    }
}

/// What a check found, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    /// The server does not tell, or not to this login. No reason to stop.
    Unknown,
    /// Worth knowing.
    Info,
    Warning,
    Error,
    /// Nothing else could be asked.
    Critical,
}

/// A check and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: CheckName,
    pub verdict: Verdict,
    /// In words.
    pub said: String,
}

impl Check {
    pub fn new(name: CheckName, verdict: Verdict, said: impl Into<String>) -> Self {
        Self {
            name,
            verdict,
            said: said.into(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.said)
    }
}

/// What the checks mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Healthy,
    /// The run goes on, and says so.
    Degraded,
    /// Nothing is begun; afterwards the run has failed.
    Unhealthy,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Healthy => "healthy",
            Standing::Degraded => "degraded",
            Standing::Unhealthy => "unhealthy",
        })
    }
}

/// One look at one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: Standing,
    pub checks: Vec<Check>,
    pub duration_ms: u64,
}

impl Health {
    #[must_use]
    pub fn of(checks: Vec<Check>, duration_ms: u64) -> Self {
        let worst = checks.iter().map(|check| check.verdict).max();
        let status = match worst.unwrap_or(Verdict::Passed) {
            Verdict::Passed | Verdict::Unknown | Verdict::Info => Standing::Healthy,
            Verdict::Warning => Standing::Degraded,
            Verdict::Error | Verdict::Critical => Standing::Unhealthy,
        };
        Self {
            status,
            checks,
            duration_ms,
        }
    }

    /// The checks that found this or worse.
    pub fn at_least(&self, verdict: Verdict) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(move |check| check.verdict >= verdict)
    }
}

/// `healthy (6 checks, 1 unknown)`.
impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = self
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Unknown);
        let all = self.checks.len();
        let checks = if all == 1 { "check" } else { "checks" };
        write!(f, "{} ({all} {checks}", self.status)?;
        match unknown.count() {
            0 => f.write_str(")"),
            count => write!(f, ", {count} unknown)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D82: statuses healthy, degraded, unhealthy; severities critical to info.
    #[test]
    fn the_worst_check_decides_and_what_is_unknown_stops_nothing() {
        let standing = |verdicts: &[Verdict]| {
            let checks = verdicts
                .iter()
                .map(|verdict| Check::new(CheckName::Room, *verdict, "x"));
            Health::of(checks.collect(), 1).status
        };
        assert_eq!(standing(&[]), Standing::Healthy);
        assert_eq!(
            standing(&[Verdict::Passed, Verdict::Unknown, Verdict::Info]),
            Standing::Healthy
        );
        assert_eq!(
            standing(&[Verdict::Warning, Verdict::Info]),
            Standing::Degraded
        );
        assert_eq!(
            standing(&[Verdict::Warning, Verdict::Error]),
            Standing::Unhealthy
        );
        assert_eq!(standing(&[Verdict::Critical]), Standing::Unhealthy);
    }

    #[test]
    fn a_look_is_told_in_a_line() {
        let checks = vec![
            Check::new(CheckName::Connection, Verdict::Passed, "it answers"),
            Check::new(CheckName::Room, Verdict::Unknown, "not told"),
        ];
        let health = Health::of(checks, 3);
        assert_eq!(health.to_string(), "healthy (2 checks, 1 unknown)");
        assert_eq!(health.checks[1].to_string(), "room: not told");
        assert_eq!(health.at_least(Verdict::Warning).count(), 0);
    }
}
