//! When which version answered: what a host served, seen from outside.

use std::time::Duration;

use super::tally::Answer;

/// Two answers of a version with less than this between them belong together.
/// A version that is away for less is not seen to be away.
const GAP: Duration = Duration::from_millis(400);

/// A time in which a version answered new requests.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) version: String,
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    pub(crate) count: u32,
}

/// The spans of one host, by their beginning. Only short requests count: they
/// show who gets what is new.
pub(super) fn spans(answers: &[Answer], host: usize) -> Vec<Span> {
    let mut short: Vec<&Answer> = answers
        .iter()
        .filter(|one| one.host == host && one.kind.is_short())
        .collect();
    short.sort_by_key(|one| one.begun);
    let mut spans: Vec<Span> = vec![];
    for one in short {
        let known = spans
            .iter_mut()
            .rev()
            .find(|span| span.version == one.version && one.begun <= span.last + GAP);
        match known {
            Some(span) => {
                span.last = one.begun;
                span.count += 1;
            }
            None => spans.push(Span {
                version: one.version.clone(),
                first: one.begun,
                last: one.begun,
                count: 1,
            }),
        }
    }
    spans
}

/// How long after the last new request to its version something of it that was
/// begun at `opened` ended. Zero: it ended while its version served.
pub(super) fn outlived(
    spans: &[Span],
    version: &str,
    opened: Duration,
    ended: Duration,
) -> Duration {
    let served = spans
        .iter()
        .filter(|span| span.version == version)
        .find(|span| opened <= span.last + GAP);
    served.map_or(Duration::ZERO, |span| ended.saturating_sub(span.last))
}
