//! Who stands in the way, as far as this user may know.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

type Session = (
    u64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

/// The connection that holds the named lock.
pub(super) async fn holder(connection: &mut Conn, lock: &str) -> Option<String> {
    let sql = format!(
        "SELECT id, user, host, command, time FROM information_schema.processlist \
         WHERE id = IS_USED_LOCK({lock})"
    );
    let sessions: Vec<Session> = connection.query(sql).await.unwrap_or_default();
    match sessions.first() {
        Some(session) => Some(words(session)),
        None => {
            // Another user's connection is known by its number only.
            let sql = format!("SELECT IS_USED_LOCK({lock})");
            let id: Option<Option<u64>> = connection.query_first(sql).await.unwrap_or_default();
            id.flatten().map(|id| format!("connection {id}"))
        }
    }
}

/// The oldest open transactions beside the connection `id`; where that is not
/// told, the other sessions of the database.
pub(super) async fn blockers(connection: &mut Conn, id: u32) -> Option<String> {
    let transactions = format!(
        "SELECT p.id, p.user, p.host, p.command, \
         TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) \
         FROM information_schema.innodb_trx t \
         JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
         WHERE p.id NOT IN ({id}, CONNECTION_ID()) ORDER BY t.trx_started LIMIT 3"
    );
    let sessions = format!(
        "SELECT id, user, host, command, time FROM information_schema.processlist \
         WHERE db = DATABASE() AND id NOT IN ({id}, CONNECTION_ID()) ORDER BY time DESC LIMIT 3"
    );
    for (kind, sql) in [
        ("open transactions", transactions),
        ("other sessions", sessions),
    ] {
        let found: Vec<Session> = connection.query(sql).await.unwrap_or_default();
        if !found.is_empty() {
            let found: Vec<String> = found.iter().map(words).collect();
            return Some(format!("{kind}: {}", found.join("; ")));
        }
    }
    None
}

fn words((id, user, host, command, seconds): &Session) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    format!(
        "connection {id} of {}@{} ({}, {} s)",
        text(user),
        text(host),
        text(command).to_lowercase(),
        seconds.unwrap_or_default()
    )
}
