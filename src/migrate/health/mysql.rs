//! What MySQL and MariaDB tell of themselves. Imports `ports`, `model`.

use crate::model::health::{Check, CheckName, Verdict};
use crate::ports::Database;

use super::Moment;
use super::ask::{self, Judged, Question, number, parts, some};

/// Older ones get no repairs any more, and this program is not tried on them.
const OLDEST_MYSQL: (u64, u64) = (8, 0);
const OLDEST_MARIADB: (u64, u64) = (10, 5);

const ALWAYS: &[Question] = &[
    Question {
        name: CheckName::Server,
        forms: &["SELECT CONCAT(@@global.read_only, '|', VERSION())"],
        judge: server,
    },
    Question {
        name: CheckName::Room,
        forms: &[
            "SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables \
             WHERE table_schema = DATABASE()",
        ],
        judge: room,
    },
    Question {
        name: CheckName::Replicas,
        forms: &["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"],
        judge: replicas,
    },
    Question {
        name: CheckName::Transactions,
        forms: &[
            "SELECT CONCAT('connection ', p.id, ' of ', p.user, ' (', LOWER(p.command), '), ', \
             TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), ' s') \
             FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.id <> CONNECTION_ID() AND t.trx_started < NOW() - INTERVAL 1 MINUTE \
             ORDER BY t.trx_started",
        ],
        judge: ask::transactions,
    },
    Question {
        name: CheckName::Blockers,
        forms: &[
            "SELECT CONCAT('connection ', id, ' of ', user, ': ', state) \
             FROM information_schema.processlist WHERE db = DATABASE() \
             AND (state LIKE 'Waiting for%metadata lock%' OR state LIKE 'Waiting for table%')",
        ],
        judge: ask::blockers,
    },
    Question {
        name: CheckName::Connections,
        // MariaDB has the second table too, and nothing in it.
        forms: &[
            "SELECT CONCAT(variable_value, '|', @@max_connections) \
             FROM information_schema.global_status WHERE variable_name = 'Threads_connected'",
            "SELECT CONCAT(variable_value, '|', @@max_connections) \
             FROM performance_schema.global_status WHERE variable_name = 'Threads_connected'",
        ],
        judge: ask::connections,
    },
];

const AFTERWARDS: &[Question] = &[Question {
    name: CheckName::Schema,
    forms: &["SELECT table_name FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_type = 'VIEW' \
         AND table_comment LIKE '%references invalid%' ORDER BY 1"],
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
    let [read_only, version] = answer.as_slice() else {
        return (Verdict::Unknown, "its version is not told".to_owned());
    };
    let (kind, oldest) = match version.contains("MariaDB") {
        true => ("MariaDB", OLDEST_MARIADB),
        false => ("MySQL", OLDEST_MYSQL),
    };
    let short = version.split('-').next().unwrap_or(version);
    let said = format!("{kind} {short}");
    if !matches!(*read_only, "0" | "OFF") {
        return (
            Verdict::Error,
            format!("{said} is read-only: nothing can be written there"),
        );
    }
    let mut numbers = short.split('.').map(number);
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) < oldest => (
            Verdict::Warning,
            format!(
                "{said} is older than what is supported ({}.{} and later)",
                oldest.0, oldest.1
            ),
        ),
        (Some(_), Some(_)) => (Verdict::Passed, said),
        _ => (Verdict::Unknown, said),
    }
}

fn room(rows: &[String]) -> Judged {
    let size = rows.first().and_then(|size| number(size));
    (
        Verdict::Unknown,
        match size {
            Some(size) => format!(
                "the database takes {}; a MySQL server does not tell what its disk has left",
                ask::bytes(size)
            ),
            None => "a MySQL server does not tell what its disk has left".to_owned(),
        },
    )
}

fn replicas(rows: &[String]) -> Judged {
    match rows {
        [] => (
            Verdict::Unknown,
            "it is no replica; how far its own are behind only they tell".to_owned(),
        ),
        [..] => (
            Verdict::Warning,
            "the server is itself a replica: what is written there may be written twice".to_owned(),
        ),
    }
}

fn schema(rows: &[String]) -> Judged {
    match rows {
        [] => (Verdict::Passed, "every view is valid".to_owned()),
        broken => (
            Verdict::Warning,
            format!("views that name what is gone: {}", some(broken)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(row: &str) -> Judged {
        server(&[row.to_owned()])
    }

    /// D82: severities of what a MySQL or MariaDB server tells.
    #[test]
    fn mysql_and_mariadb_are_known_by_their_versions() {
        let good = |row: &str, said: &str| {
            assert_eq!(judged(row), (Verdict::Passed, said.to_owned()));
        };
        good("0|10.11.6-MariaDB-0+deb12u1", "MariaDB 10.11.6");
        good("0|8.0.36", "MySQL 8.0.36");
        good("OFF|12.0.2-MariaDB", "MariaDB 12.0.2");
        assert_eq!(judged("0|5.7.44-log").0, Verdict::Warning);
        assert_eq!(judged("0|10.4.1-MariaDB").0, Verdict::Warning);
        assert_eq!(judged("1|8.0.36").0, Verdict::Error);
        assert_eq!(judged("?").0, Verdict::Unknown);
    }

    #[test]
    fn a_server_that_follows_another_is_a_warning() {
        assert_eq!(replicas(&[]).0, Verdict::Unknown);
        assert_eq!(replicas(&["Waiting".to_owned()]).0, Verdict::Warning);
    }
}
