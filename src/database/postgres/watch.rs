//! Who stands in the way: the holder of our lock, and whoever blocks a
//! statement. Asked over a second connection, because the first one waits.

use tokio_postgres::{Client, SimpleQueryMessage};

/// Every row as texts. An unreadable answer is none: this is only for words.
async fn ask(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let Ok(messages) = client.simple_query(sql).await else {
        return vec![];
    };
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

/// The session that holds the advisory lock `key` of this database.
pub(super) async fn holder(client: &Client, key: i64) -> Option<String> {
    let [a, b, c, d, ..] = key.to_be_bytes();
    let [.., e, f, g, h] = key.to_be_bytes();
    let (high, low) = (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    );
    let sql = format!(
        "SELECT a.application_name, a.usename, host(a.client_addr), a.pid, \
         to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
         AND l.classid::bigint = {high} AND l.objid::bigint = {low} \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let rows = ask(client, &sql).await;
    let [name, user, address, pid, since] = rows.first()?.as_slice() else {
        return None;
    };
    Some(format!(
        "{} (process {pid}), connected since {since} UTC",
        session(name, user, address)
    ))
}

/// The sessions that the server process `pid` waits for.
pub(super) async fn blockers(client: &Client, pid: i32) -> Option<String> {
    let sql = format!(
        "SELECT a.application_name, a.usename, host(a.client_addr), a.pid, a.state, \
         extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::bigint, \
         left(a.query, 300) \
         FROM unnest(pg_blocking_pids({pid})) AS b(pid) JOIN pg_stat_activity a USING (pid) \
         ORDER BY a.xact_start LIMIT 3"
    );
    let words: Vec<String> = ask(client, &sql)
        .await
        .iter()
        .filter_map(|row| match row.as_slice() {
            [name, user, address, pid, state, seconds, query] => Some(format!(
                "{} (process {pid}), {state}, in its transaction for {seconds} s{}",
                session(name, user, address),
                shown(query)
            )),
            _ => None,
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn session(name: &str, user: &str, address: &str) -> String {
    let name = if name.is_empty() { "a session" } else { name };
    let from = if address.is_empty() {
        String::new()
    } else {
        format!(" from {address}")
    };
    format!("{name} of user {user}{from}")
}

/// The beginning of a statement, without the values that stand in it.
fn shown(query: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    for c in query.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                if quoted {
                    text.push_str("'…'");
                }
            }
            _ if quoted => {}
            c if c.is_whitespace() => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            c => text.push(c),
        }
    }
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let short: String = text.chars().take(100).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!(", last statement `{short}{more}`")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_shown_statement_hides_the_values_in_it() {
        assert_eq!(
            shown("UPDATE users\n  SET password = 'it''s hunter2' WHERE id = 1"),
            ", last statement `UPDATE users SET password = '…''…' WHERE id = 1`"
        );
        assert_eq!(shown(""), "");
    }
}
