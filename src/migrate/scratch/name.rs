//! The name of a scratch database says what it is for, which project made it,
//! and when: enough to know one's own again. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Purpose;
use crate::migrate::hashing;
use crate::model::names::ProjectName;

/// Of the digits after the prefix: the project's, the time's, chance's.
const PROJECT: usize = 6;
const TIME: usize = 11;
const CHANCE: usize = 15;

/// A check takes seconds; what is older than this is used by nobody.
const AGE: TimeDelta = TimeDelta::hours(1);

/// As long as every name was before, which is as long as PostgreSQL shows.
#[must_use]
pub fn named(purpose: Purpose, project: &ProjectName, at: DateTime<Utc>) -> String {
    // Its end is random.
    let chance = Uuid::now_v7().simple().to_string();
    format!(
        "{}{}{:0TIME$x}{}",
        purpose.prefix(),
        mark(project),
        at.timestamp_millis(),
        &chance[chance.len() - CHANCE..]
    )
}

/// Whether this project made it, long enough ago.
pub(super) fn is_stale(name: &str, project: &ProjectName, now: DateTime<Utc>) -> bool {
    let mut prefixes = Purpose::prefixes().into_iter();
    let Some(digits) = prefixes.find_map(|prefix| name.strip_prefix(prefix)) else {
        return false;
    };
    let lower = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digits.len() != PROJECT + TIME + CHANCE || !digits.chars().all(lower) {
        return false;
    }
    let (by, rest) = digits.split_at(PROJECT);
    let made = i64::from_str_radix(&rest[..TIME], 16).ok();
    let made = made.and_then(DateTime::from_timestamp_millis);
    by == mark(project) && made.is_some_and(|made| made < now && now - made > AGE)
}

fn mark(project: &ProjectName) -> String {
    let mut mark = hashing::sha256(format!("scratch databases of {project}").as_bytes());
    mark.truncate(PROJECT);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_old_one_of_the_same_project_is_stale() {
        let project: ProjectName = "shop".parse().expect("a name");
        let other: ProjectName = "forum".parse().expect("a name");
        let now = Utc::now();
        let old = named(Purpose::Rehearse, &project, now - TimeDelta::hours(2));
        assert!(is_stale(&old, &project, now), "{old}");
        assert!(!is_stale(&old, &other, now), "{old}");
        let young = named(Purpose::Check, &project, now - TimeDelta::minutes(59));
        assert!(!is_stale(&young, &project, now), "{young}");
        for strange in [
            format!("{old}0"),
            old.replace("stagecraft_rehearse_", "stagecraft_"),
            format!("my_{old}"),
            old[..old.len() - 1].to_owned() + "g",
            "stagecraft_check_0193a5c1b2c37d4e8f90a1b2c3d4e5f6".to_owned(),
        ] {
            assert!(!is_stale(&strange, &project, now), "{strange}");
        }
    }

    #[test]
    fn no_two_names_are_the_same_and_each_fits_where_the_server_shows_it() {
        let project: ProjectName = "shop".parse().expect("a name");
        let now = Utc::now();
        let name = named(Purpose::Rehearse, &project, now);
        assert_ne!(name, named(Purpose::Rehearse, &project, now));
        assert_eq!("stagecraft/".len() + name.len(), 63);
    }
}
