//! Questions to a server in its own words, and the grammar of answers.
//! Imports `ports`, `model`.

use crate::model::health::{Check, CheckName, Verdict};
use crate::ports::Database;

/// What a judge makes of the answer's rows.
pub(super) type Judged = (Verdict, String);

/// One check by a question. Of several forms of it the first that the server
/// understands counts.
pub(super) struct Question {
    pub(super) name: CheckName,
    pub(super) forms: &'static [&'static str],
    pub(super) judge: fn(&[String]) -> Judged,
}

/// Puts all of them, one after the other.
pub(super) async fn put(
    session: &mut dyn Database,
    questions: &[Question],
    checks: &mut Vec<Check>,
) {
    for question in questions {
        let (verdict, said) = match ask(session, question.forms).await {
            Ok(rows) => (question.judge)(&rows),
            Err(why) => (Verdict::Unknown, format!("not told: {why}")),
        };
        checks.push(Check::new(question.name, verdict, said));
    }
}

/// The rows without those that are NULL.
///
/// # Errors
/// Why the last form was refused.
pub(super) async fn ask(session: &mut dyn Database, forms: &[&str]) -> Result<Vec<String>, String> {
    let mut why = String::new();
    for form in forms {
        match session.query(form).await {
            Ok(rows) => return Ok(rows.into_iter().flatten().collect()),
            Err(fault) => why = fault.to_string(),
        }
    }
    Err(why)
}

/// The parts of a row that was put together with `|`.
pub(super) fn parts(row: &str) -> Vec<&str> {
    row.split('|').collect()
}

pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `1.4 GB`, in steps of 1024 as the servers count.
pub(super) fn bytes(count: u64) -> String {
    let mut rest = count;
    let mut below = 0;
    for unit in ["bytes", "KB", "MB", "GB"] {
        if rest < 1024 {
            return match unit {
                "bytes" => format!("{rest} bytes"),
                unit => format!("{rest}.{} {unit}", below * 10 / 1024),
            };
        }
        below = rest % 1024;
        rest /= 1024;
    }
    format!("{rest}.{} TB", below * 10 / 1024)
}

/// At most a few of many, joined.
pub(super) fn some(texts: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut shown = texts[..texts.len().min(SHOWN)].join("; ");
    if texts.len() > SHOWN {
        shown += &format!("; and {} more", texts.len() - SHOWN);
    }
    shown
}

/// What transactions that have been open for long mean.
pub(super) fn transactions(rows: &[String]) -> Judged {
    match rows {
        [] => (
            Verdict::Passed,
            "none that this login sees is older than a minute".to_owned(),
        ),
        open => (
            Verdict::Warning,
            format!(
                "open for more than a minute, and in the way of what locks its tables: {}",
                some(open)
            ),
        ),
    }
}

/// What sessions that wait for a lock mean.
pub(super) fn blockers(rows: &[String]) -> Judged {
    match rows {
        [] => (Verdict::Passed, "nobody waits for a lock".to_owned()),
        waiting => (Verdict::Warning, some(waiting)),
    }
}

/// What `taken` of `most` connections means.
pub(super) fn connections(rows: &[String]) -> Judged {
    let answer = rows.first().map(|row| parts(row)).unwrap_or_default();
    let (Some(taken), Some(most)) = (
        answer.first().and_then(|text| number(text)),
        answer.get(1).and_then(|text| number(text)),
    ) else {
        return (Verdict::Unknown, "not told".to_owned());
    };
    let said = format!("{taken} of {most} are taken");
    match taken.saturating_mul(10) >= most.saturating_mul(9) {
        true => (
            Verdict::Warning,
            format!("{said}: the application may get none while it is replaced"),
        ),
        false => (Verdict::Passed, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lists_are_short() {
        assert_eq!(bytes(12), "12 bytes");
        assert_eq!(bytes(1536), "1.5 KB");
        assert_eq!(bytes(7 * 1024 * 1024 * 1024), "7.0 GB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TB");
        let many: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        assert_eq!(some(&many), "0; 1; 2; and 2 more");
    }

    #[test]
    fn what_stands_in_the_way_is_a_warning() {
        let seven = ["process 7".to_owned()];
        assert_eq!(transactions(&[]).0, Verdict::Passed);
        assert_eq!(transactions(&seven).0, Verdict::Warning);
        assert_eq!(blockers(&[]).0, Verdict::Passed);
        assert_eq!(blockers(&seven).0, Verdict::Warning);
    }

    /// D82: performance.
    #[test]
    fn connections_near_their_limit_are_a_warning() {
        let verdict = |row: &str| connections(&[row.to_owned()]).0;
        assert_eq!(verdict("89|100"), Verdict::Passed);
        assert_eq!(verdict("90|100"), Verdict::Warning);
        assert_eq!(verdict("many"), Verdict::Unknown);
        assert_eq!(connections(&[]).0, Verdict::Unknown);
    }
}
