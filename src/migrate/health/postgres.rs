//! What PostgreSQL tells of itself. Imports `ports`, `model`.

use crate::model::health::{Check, CheckName, Verdict};
use crate::ports::Database;

use super::Moment;
use super::ask::{self, Judged, Question, number, parts, some};

/// Older ones get no repairs any more, and this program is not tried on them.
const OLDEST: u64 = 12;
/// Of a replica, in seconds.
const BEHIND: u64 = 60;

/// Tables of the application's own schemas that its login may not read.
pub(super) const HIDDEN: &str = "SELECT c.oid::regclass::text FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (current_schemas(false)) \
    AND c.relname <> 'stagecraft_migrations' \
    AND NOT has_table_privilege(c.oid, 'SELECT') ORDER BY 1 LIMIT 5";

const ALWAYS: &[Question] = &[
    Question {
        name: CheckName::Server,
        forms: &[
            "SELECT concat_ws('|', current_setting('server_version_num'), \
                 current_setting('server_version'), pg_is_in_recovery())",
        ],
        judge: server,
    },
    Question {
        name: CheckName::Room,
        forms: &["SELECT pg_database_size(current_database())::text"],
        judge: room,
    },
    Question {
        name: CheckName::Replicas,
        forms: &["SELECT concat_ws('|', coalesce(state, ''), \
             coalesce(extract(epoch FROM replay_lag)::bigint, 0), \
             coalesce(nullif(application_name, ''), 'a replica')) FROM pg_stat_replication"],
        judge: replicas,
    },
    Question {
        name: CheckName::Transactions,
        forms: &[
            "SELECT concat_ws(' ', 'process', pid::text, 'of user', usename, \
             '(' || coalesce(state, '') || '),', \
             floor(extract(epoch FROM clock_timestamp() - xact_start))::bigint::text, 's') \
             FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND application_name NOT LIKE 'stagecraft/%' \
             AND xact_start < clock_timestamp() - interval '1 minute' \
             UNION ALL SELECT 'the prepared transaction ' || quote_literal(gid) \
             FROM pg_prepared_xacts WHERE database = current_database() \
             AND prepared < clock_timestamp() - interval '1 minute'",
        ],
        judge: ask::transactions,
    },
    Question {
        name: CheckName::Blockers,
        forms: &["SELECT concat_ws(' ', 'process', pid::text, 'waits for', \
             array_to_string(pg_blocking_pids(pid), ', ')) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"],
        judge: ask::blockers,
    },
    Question {
        name: CheckName::Connections,
        forms: &["SELECT concat_ws('|', \
             (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
             current_setting('max_connections')::int \
             - current_setting('superuser_reserved_connections')::int)"],
        judge: ask::connections,
    },
];

const AFTERWARDS: &[Question] = &[Question {
    name: CheckName::Schema,
    forms: &[
        "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index \
         WHERE NOT indisvalid ORDER BY 1 LIMIT 20",
    ],
    judge: schema,
}];

pub(super) async fn ask(session: &mut dyn Database, moment: Moment, checks: &mut Vec<Check>) {
    ask::put(session, ALWAYS, checks).await;
    if moment == Moment::After {
        ask::put(session, AFTERWARDS, checks).await;
    }
}

fn server(rows: &[String]) -> Judged {
    let answer = rows.first().map(|row| parts(row)).unwrap_or_default();
    let [version, name, recovering] = answer.as_slice() else {
        return (Verdict::Unknown, "its version is not told".to_owned());
    };
    let said = format!("PostgreSQL {name}");
    if *recovering == "t" {
        return (
            Verdict::Error,
            format!("{said} is a replica: nothing can be written there"),
        );
    }
    match number(version).map(|number| number / 10_000) {
        Some(major) if major < OLDEST => (
            Verdict::Warning,
            format!("{said} is older than what is supported ({OLDEST} and later)"),
        ),
        Some(_) => (Verdict::Passed, said),
        None => (Verdict::Unknown, said),
    }
}

fn room(rows: &[String]) -> Judged {
    let size = rows.first().and_then(|size| number(size));
    (
        Verdict::Unknown,
        match size {
            Some(size) => format!(
                "the database takes {}; a PostgreSQL server does not tell what its disk has left",
                ask::bytes(size)
            ),
            None => "a PostgreSQL server does not tell what its disk has left".to_owned(),
        },
    )
}

fn replicas(rows: &[String]) -> Judged {
    if rows.is_empty() {
        return (Verdict::Passed, "none is connected".to_owned());
    }
    let mut behind = vec![];
    let mut untold = 0;
    for row in rows {
        match parts(row).as_slice() {
            // This login may not see more than that there is one.
            ["", ..] => untold += 1,
            [_, lag, name] => {
                let lag = number(lag).unwrap_or_default();
                if lag > BEHIND {
                    behind.push(format!("{name} is {lag} s behind"));
                }
            }
            _ => untold += 1,
        }
    }
    match (behind.as_slice(), untold) {
        ([], 0) => (
            Verdict::Passed,
            format!("{} connected, none behind", rows.len()),
        ),
        ([], untold) => (
            Verdict::Unknown,
            format!("{untold} connected, and this login may not see how far behind"),
        ),
        (behind, _) => (Verdict::Warning, some(behind)),
    }
}

fn schema(rows: &[String]) -> Judged {
    match rows {
        [] => (Verdict::Passed, "every index is valid".to_owned()),
        broken => (
            Verdict::Warning,
            format!(
                "INVALID indexes, which are kept and never used: {}",
                some(broken)
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    /// D82: severities of what a PostgreSQL server tells.
    #[test]
    fn a_replica_and_an_old_server_are_told_apart_from_a_good_one() {
        let verdict = |row: &str| server(&rows(&[row])).0;
        assert_eq!(verdict("150004|15.4|f"), Verdict::Passed);
        assert_eq!(verdict("110022|11.22|f"), Verdict::Warning);
        assert_eq!(verdict("150004|15.4|t"), Verdict::Error);
        assert_eq!(server(&[]).0, Verdict::Unknown);
    }

    /// D15: enough disk. PostgreSQL does not tell.
    #[test]
    fn room_is_said_to_be_unknown_not_enough() {
        let (verdict, said) = room(&rows(&["1536"]));
        assert_eq!(verdict, Verdict::Unknown);
        assert!(said.starts_with("the database takes 1.5 KB"), "{said}");
    }

    #[test]
    fn a_replica_far_behind_is_a_warning_and_one_that_is_hidden_unknown() {
        assert_eq!(replicas(&[]).0, Verdict::Passed);
        assert_eq!(replicas(&rows(&["streaming|3|a"])).0, Verdict::Passed);
        let late = replicas(&rows(&["streaming|3|a", "streaming|90|b"]));
        assert_eq!(late, (Verdict::Warning, "b is 90 s behind".to_owned()));
        assert_eq!(replicas(&rows(&["|0|a"])).0, Verdict::Unknown);
    }

    #[test]
    fn an_index_that_is_not_valid_is_a_warning() {
        assert_eq!(schema(&[]).0, Verdict::Passed);
        assert_eq!(schema(&rows(&["i"])).0, Verdict::Warning);
    }
}
