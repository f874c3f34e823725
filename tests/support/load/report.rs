//! What a load saw, and checks that read as sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};
use std::time::Duration;

use super::spans::{Span, outlived, spans};
use super::tally::{End, Ended, Failure, Seen, Tally};
use super::{Kind, Load};

/// What was seen of some hosts. Every check returns it, so that checks can be
/// chained, and fails when the load itself came short.
pub(crate) struct Report {
    plan: Load,
    hosts: Vec<usize>,
    time: Duration,
    seen: Seen,
}

/// Of what could have been asked, what must have been: machines are busy.
const AT_LEAST: f64 = 0.3;

impl Report {
    pub(super) fn new(plan: &Load, tally: &Tally) -> Self {
        Self::until(tally.now(), plan, tally)
    }

    pub(super) fn until(time: Duration, plan: &Load, tally: &Tally) -> Self {
        Self {
            plan: plan.clone(),
            hosts: (0..plan.addresses.len()).collect(),
            time,
            seen: tally.so_far(),
        }
    }

    /// The same of these hosts alone, by their place among the addresses.
    pub(crate) fn of(&self, hosts: &[usize]) -> Self {
        let mut seen = self.seen.clone();
        seen.answers.retain(|one| hosts.contains(&one.host));
        seen.failures.retain(|one| hosts.contains(&one.host));
        seen.failed.retain(|(host, _), _| hosts.contains(host));
        seen.ended.retain(|one| hosts.contains(&one.host));
        seen.opened.retain(|(host, _), _| hosts.contains(host));
        Self {
            plan: self.plan.clone(),
            hosts: hosts.to_vec(),
            time: self.time,
            seen,
        }
    }

    /// Every request was answered, whole and with 200.
    #[track_caller]
    pub(crate) fn lost_nothing(&self) -> &Self {
        self.asked_enough();
        assert!(self.failures() == 0, "nothing is lost: {self}");
        self
    }

    /// Every GET was answered, but for those whose answer had begun: who
    /// answers them dies. POSTs and streams cannot be asked for again.
    #[track_caller]
    pub(crate) fn lost_only_what_cannot_be_asked_again(&self) -> &Self {
        self.asked_enough();
        let kept = |failure: &&Failure| match failure.kind {
            Kind::KeptAlive | Kind::Fresh => true,
            Kind::Slow => !failure.reason.starts_with("the body: "),
            Kind::Post | Kind::Events | Kind::WebSocket => false,
        };
        let lost: Vec<&Failure> = self.seen.failures.iter().filter(kept).collect();
        assert!(lost.is_empty(), "no GET is lost: {lost:?}: {self}");
        self
    }

    /// Nobody but these versions ever answered.
    #[track_caller]
    pub(crate) fn saw_only(&self, versions: &[&str]) -> &Self {
        self.asked_enough();
        let others: BTreeSet<String> = self
            .versions()
            .into_iter()
            .filter(|version| !versions.contains(&version.as_str()))
            .collect();
        assert!(others.is_empty(), "only {versions:?}: {others:?}: {self}");
        self
    }

    /// Each of these versions answered new requests on every host.
    #[track_caller]
    pub(crate) fn saw(&self, versions: &[&str]) -> &Self {
        for host in &self.hosts {
            let spans = self.spans(*host);
            for version in versions {
                assert!(
                    spans.iter().any(|span| span.version == *version),
                    "{} served {version}: {self}",
                    self.plan.addresses[*host]
                );
            }
        }
        self
    }

    /// No WebSocket was broken, and none was ended while its version served.
    #[track_caller]
    pub(crate) fn websockets_survived(&self) -> &Self {
        self.websockets_outlived_their_version_by(Duration::from_millis(1))
    }

    /// The same, and each was left alone for this long after the last new
    /// request went to its version.
    #[track_caller]
    pub(crate) fn websockets_outlived_their_version_by(&self, time: Duration) -> &Self {
        self.asked_enough();
        let broken = self.failures_of(Kind::WebSocket);
        assert!(broken == 0, "WebSockets are not broken: {self}");
        let mut lives = self.seen.ended.iter().filter(|ended| self.is_socket(ended));
        let early = lives.find(|ended| self.outlived(ended) < time);
        assert!(
            early.is_none(),
            "WebSockets outlive their version by {time:?}: {early:?}: {self}"
        );
        self
    }

    pub(crate) fn failures(&self) -> u32 {
        self.seen.failed.values().sum()
    }

    /// From the first failure to the last.
    pub(crate) fn failed_for(&self) -> Duration {
        let times = self.seen.failures.iter().map(|failure| failure.at);
        let (first, last) = (times.clone().min(), times.max());
        last.unwrap_or_default() - first.unwrap_or_default()
    }

    pub(crate) fn failures_of(&self, kind: Kind) -> u32 {
        let of_kind = self.seen.failed.iter().filter(|((_, one), _)| *one == kind);
        of_kind.map(|(_, count)| count).sum()
    }

    /// Every version that ever answered.
    pub(crate) fn versions(&self) -> BTreeSet<String> {
        let answers = self.seen.answers.iter();
        answers.map(|one| one.version.clone()).collect()
    }

    /// Streams that the server ended this way.
    pub(crate) fn ends(&self, kind: Kind, how: End) -> usize {
        let ended = self.seen.ended.iter();
        ended
            .filter(|ended| ended.kind == kind && ended.how == how)
            .count()
    }

    /// The version that took the newest of the new requests on a host.
    pub(crate) fn serves(&self, host: usize) -> Option<String> {
        let newest = self.spans(host).into_iter().max_by_key(|span| span.last);
        newest.map(|span| span.version)
    }

    pub(crate) fn spans(&self, host: usize) -> Vec<Span> {
        spans(&self.seen.answers, host)
    }

    /// A check of a load that did nothing would always pass.
    #[track_caller]
    fn asked_enough(&self) {
        let mut counts: BTreeMap<(usize, Kind), u32> = BTreeMap::new();
        for one in &self.seen.answers {
            *counts.entry((one.host, one.kind)).or_default() += 1;
        }
        for host in &self.hosts {
            for kind in Kind::ALL {
                let count = counts.get(&(*host, kind)).copied().unwrap_or_default();
                let failed = self.seen.failed.get(&(*host, kind)).copied();
                let asked = count + failed.unwrap_or_default();
                let expected = self.plan.expected(kind, self.time);
                let least = (f64::from(expected) * AT_LEAST) as u32;
                assert!(
                    asked >= least.max(1),
                    "the load asked enough: {asked} of {expected} {kind:?} at {}: {self}",
                    self.plan.addresses[*host]
                );
            }
        }
    }

    fn is_socket(&self, ended: &Ended) -> bool {
        ended.kind == Kind::WebSocket
    }

    fn outlived(&self, ended: &Ended) -> Duration {
        let spans = self.spans(ended.host);
        outlived(&spans, &ended.version, ended.opened, ended.at)
    }

    /// Of the short requests, sorted.
    fn latencies(&self) -> Vec<Duration> {
        let short = self.seen.answers.iter().filter(|one| one.kind.is_short());
        let mut latencies: Vec<Duration> = short.map(|one| one.took).collect();
        latencies.sort_unstable();
        latencies
    }

    fn failure(&self, failure: &Failure) -> String {
        format!(
            "{:.3} s {:?} {}: {}",
            failure.at.as_secs_f64(),
            failure.kind,
            self.plan.addresses[failure.host],
            failure.reason
        )
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let answers = self.seen.answers.len();
        let seconds = self.time.as_secs_f64();
        writeln!(
            f,
            "load: {answers} answers in {seconds:.1} s ({:.0} a second), {} failures",
            answers as f64 / seconds,
            self.failures()
        )?;
        for kind in Kind::ALL {
            let good = self.seen.answers.iter().filter(|one| one.kind == kind);
            write!(
                f,
                "  {kind:?}: {} good, {} failed",
                good.count(),
                self.failures_of(kind)
            )?;
            let opened = self.seen.opened.iter().filter(|((_, one), _)| *one == kind);
            let opened: u32 = opened.map(|(_, count)| count).sum();
            if opened > 0 {
                let lives = self.seen.ended.iter().filter(|ended| ended.kind == kind);
                let shortest = lives.map(|ended| self.outlived(ended)).min();
                write!(
                    f,
                    ", {opened} opened, {} ended with a goodbye, {} without",
                    self.ends(kind, End::Goodbye),
                    self.ends(kind, End::Silent)
                )?;
                if let Some(shortest) = shortest {
                    write!(f, ", {shortest:.1?} or more after their version")?;
                }
            }
            writeln!(f)?;
        }
        let latencies = self.latencies();
        if let Some(max) = latencies.last() {
            let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
            writeln!(
                f,
                "  short: p50 {:.1?}, p99 {:.1?}, max {max:.1?}",
                at(50),
                at(99)
            )?;
        }
        for host in &self.hosts {
            write!(f, "  {}:", self.plan.addresses[*host])?;
            for span in self.spans(*host) {
                let (first, last) = (span.first.as_secs_f64(), span.last.as_secs_f64());
                write!(f, " {} {first:.2}–{last:.2} ({})", span.version, span.count)?;
            }
            writeln!(f)?;
        }
        let mut failures: Vec<&Failure> = self.seen.failures.iter().collect();
        failures.sort_by_key(|failure| failure.at);
        for failure in failures.into_iter().take(SHOWN) {
            writeln!(f, "  failed at {}", self.failure(failure))?;
        }
        Ok(())
    }
}

/// Failures that a report shows; it counts all.
const SHOWN: usize = 20;
