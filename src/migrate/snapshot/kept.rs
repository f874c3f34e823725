//! The look that the last run left behind, so that the next one sees what
//! changed without it. Imports `ports`, `model`.
//!
//! It lies in the table of migrations itself, in rows of an entry that no
//! configuration can name: so every laptop and CI job finds it, a copy or a
//! backup of the database carries the look that fits it, and no second table
//! has to be made. A file of a release would stay behind on one machine, and a
//! fingerprint alone could not say what differs. Entries that share a database
//! share it too.
//!
//! Invariant: pieces that are not of one look are never put together.

use chrono::{SecondsFormat, Utc};

use crate::model::fault::Fault;
use crate::ports::{Database, LedgerRow};

use super::{Change, Snapshot, take};

/// No name has a slash.
const ENTRY: &str = "/schema";

/// A text column of MySQL holds 65,535 bytes.
const PIECE: usize = 48 * 1024;

/// A look that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub snapshot: Snapshot,
    /// The release whose run left it; empty where it was none.
    pub release: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// A schema of today beside the one of the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No run has kept a look yet.
    Unknown,
    Same(Kept),
    Drifted(Kept, Vec<Change>),
}

/// Keeps what the schema looks like now, and gives its fingerprint.
///
/// # Errors
/// The catalogue cannot be read, a row cannot be saved.
pub async fn keep(database: &mut dyn Database, release: &str) -> Result<String, Fault> {
    let snapshot = take(database).await?;
    let mut rows = rows(&snapshot, release);
    // The first piece says how many there are: it comes last.
    rows.reverse();
    for row in &rows {
        database.save(row).await?;
    }
    Ok(snapshot.fingerprint())
}

/// The look that was kept last; nothing where there is none, or none that is
/// whole.
///
/// # Errors
/// The table cannot be read.
pub async fn last(database: &mut dyn Database) -> Result<Option<Kept>, Fault> {
    let rows = database.rows(ENTRY).await?;
    Ok(rows.as_deref().and_then(whole))
}

/// Looks, and compares. Read-only.
///
/// # Errors
/// The catalogue or the table cannot be read.
pub async fn standing(database: &mut dyn Database) -> Result<Standing, Fault> {
    let Some(kept) = last(database).await? else {
        return Ok(Standing::Unknown);
    };
    let changes = kept.snapshot.diff(&take(database).await?);
    Ok(match changes.is_empty() {
        true => Standing::Same(kept),
        false => Standing::Drifted(kept, changes),
    })
}

fn rows(snapshot: &Snapshot, release: &str) -> Vec<LedgerRow> {
    let text = snapshot.objects.iter().fold(String::new(), |text, object| {
        format!("{text}{}\n", line(object))
    });
    let pieces = pieces(&text);
    let total = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let row = |(index, piece): (usize, &&str)| LedgerRow {
        database: ENTRY.to_owned(),
        id: format!("{index:05}"),
        checksum: snapshot.fingerprint(),
        normalised: (*piece).to_owned(),
        started_at: now.clone(),
        finished_at: Some(now.clone()),
        statements_total: total,
        release: release.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LedgerRow::default()
    };
    pieces.iter().enumerate().map(row).collect()
}

/// One object as JSON on one line.
fn line(object: (&String, &String)) -> String {
    serde_json::to_string(&object).unwrap_or_default()
}

fn pieces(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut pieces = vec![];
    while rest.len() > PIECE {
        let cut = rest.floor_char_boundary(PIECE);
        pieces.push(&rest[..cut]);
        rest = &rest[cut..];
    }
    pieces.push(rest);
    pieces
}

fn whole(rows: &[LedgerRow]) -> Option<Kept> {
    let first = rows.first()?;
    let pieces = rows.get(..usize::try_from(first.statements_total).ok()?)?;
    if pieces.iter().any(|piece| piece.checksum != first.checksum) {
        return None;
    }
    let text: String = pieces.iter().map(|row| row.normalised.as_str()).collect();
    let objects: Result<_, _> = text.lines().map(serde_json::from_str).collect();
    let snapshot = Snapshot {
        objects: objects.ok()?,
    };
    (snapshot.fingerprint() == first.checksum).then(|| Kept {
        snapshot,
        release: first.release.clone(),
        at: first.finished_at.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Snapshot {
        let objects = (0..900).map(|index| (format!("table é{index}"), "x\n\\'\"".repeat(30)));
        Snapshot {
            objects: objects.collect(),
        }
    }

    #[test]
    fn a_large_look_comes_back_from_its_pieces() {
        let rows = rows(&large(), "rel-1");
        assert!(rows.len() > 2, "{}", rows.len());
        assert!(rows.iter().all(|row| row.normalised.len() <= PIECE));
        let kept = whole(&rows).expect("whole");
        assert_eq!((kept.snapshot, kept.release.as_str()), (large(), "rel-1"));
    }

    #[test]
    fn pieces_of_two_looks_and_lost_pieces_make_none() {
        let mut mixed = rows(&large(), "");
        mixed[1].checksum = "other".into();
        assert_eq!(whole(&mixed), None);
        let mut lost = rows(&large(), "");
        lost.pop();
        assert_eq!(whole(&lost), None);
        assert_eq!(whole(&[]), None);
        // What a longer look left behind it does not disturb.
        let mut short = rows(&Snapshot::default(), "");
        short.extend(rows(&large(), "").into_iter().skip(1));
        assert!(whole(&short).is_some());
    }
}
