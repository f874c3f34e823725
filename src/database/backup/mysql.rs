//! MySQL and MariaDB: a plain dump, and tables that change places by one
//! `RENAME TABLE`, which the server does whole or not at all.
//!
//! Views, triggers, routines and events do not move with it, so a database that
//! has some is not swapped: the restored one stays beside it.

use crate::model::fault::Fault;
use crate::ports::{Cx, Database};

pub(super) const FORMAT: &str = "sql.gz";
pub(super) const EXTENSION: &str = "sql.gz";

pub(super) const TABLES: &str = "SELECT CAST(count(*) AS CHAR) FROM information_schema.tables \
     WHERE table_schema = database() AND table_type = 'BASE TABLE'";
pub(super) const SIZE: &str = "SELECT CAST(CAST(coalesce(sum(data_length + index_length), 0) AS UNSIGNED) AS CHAR) \
     FROM information_schema.tables WHERE table_schema = database()";
pub(super) const NAME: &str = "SELECT database()";

/// Options that only one of the two families has are given where the program
/// knows them.
pub(super) const DUMP: &str = r#"p=$(command -v mariadb-dump || command -v mysqldump) || exit 127
h=$("$p" --help 2>/dev/null)
set -- --single-transaction --quick --routines --events --triggers --hex-blob --default-character-set=utf8mb4
case $h in *column-statistics*) set -- "$@" --column-statistics=0;; esac
case $h in *set-gtid-purged*) set -- "$@" --set-gtid-purged=OFF;; esac
case $h in *no-tablespaces*) set -- "$@" --no-tablespaces;; esac
case $DB_HOST in /*) set -- "$@" --socket="$DB_HOST";; *) set -- "$@" --protocol=tcp -h "$DB_HOST" -P "$DB_PORT";; esac
rm -f "$f.pipe"; mkfifo "$f.pipe" || exit 1
gzip -c <"$f.pipe" >"$f" & z=$!
"$p" "$@" -u "$DB_USER" "$DB_NAME" >"$f.pipe" & w=$!"#;

/// The line that the program writes last.
pub(super) const READ_BACK: &str = r#"{ gzip -dc "$f" | tail -c 400 | grep -q '^-- Dump completed' || { echo "the file does not end as a whole dump does" >&2; exit 1; }; } & w=$!"#;

pub(super) const LOAD: &str = r#"p=$(command -v mariadb || command -v mysql) || exit 127
set -- --default-character-set=utf8mb4
case $DB_HOST in /*) set -- "$@" --socket="$DB_HOST";; *) set -- "$@" --protocol=tcp -h "$DB_HOST" -P "$DB_PORT";; esac
gzip -dc "$f" | "$p" "$@" -u "$DB_USER" "$DB_NAME" & w=$!"#;

pub(super) async fn make(
    cx: &Cx,
    admin: &mut dyn Database,
    source: &str,
    name: &str,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT concat(default_character_set_name, ' COLLATE ', default_collation_name) \
         FROM information_schema.schemata WHERE schema_name = '{}'",
        source.replace('\'', "''")
    );
    let answer = admin.query(&sql).await?;
    let charset = answer
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_else(|| "utf8mb4".to_owned());
    let sql = format!(
        "CREATE DATABASE {} CHARACTER SET {charset}",
        identifier(name)
    );
    run(cx, admin, &sql, "make a new database")
        .await
        .map_err(|fault| {
            fault.hint("let the user make databases beside its own: `GRANT ALL ON *.* TO …`, or one whose name fits")
        })
}

pub(super) async fn discard(cx: &Cx, admin: &mut dyn Database, name: &str) -> Result<(), Fault> {
    let sql = format!("DROP DATABASE {}", identifier(name));
    run(cx, admin, &sql, "remove the new database").await
}

/// What would not move, in words.
pub(super) async fn immovable(admin: &mut dyn Database, name: &str) -> Result<Vec<String>, Fault> {
    let name = name.replace('\'', "''");
    let sql = format!(
        "SELECT concat('view ', table_name) FROM information_schema.views WHERE table_schema = '{name}' \
         UNION ALL SELECT concat('trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = '{name}' \
         UNION ALL SELECT concat(lower(routine_type), ' ', routine_name) FROM information_schema.routines WHERE routine_schema = '{name}' \
         UNION ALL SELECT concat('event ', event_name) FROM information_schema.events WHERE event_schema = '{name}'"
    );
    Ok(admin.query(&sql).await?.into_iter().flatten().collect())
}

/// The tables of `new` become those of `live`, whose own move to `keep`.
///
/// # Errors
/// Nothing moved.
pub(super) async fn swap(
    cx: &Cx,
    admin: &mut dyn Database,
    live: &str,
    new: &str,
    keep: &str,
) -> Result<(), Fault> {
    let moves = |from: &str, to: &str, tables: Vec<String>| -> Vec<String> {
        let one = |table: &String| {
            let table = identifier(table);
            format!("{}.{table} TO {}.{table}", identifier(from), identifier(to))
        };
        tables.iter().map(one).collect()
    };
    let mut renames = moves(live, keep, tables(admin, live).await?);
    renames.extend(moves(new, live, tables(admin, new).await?));
    let cx = &cx.uncancellable();
    make(cx, admin, live, keep).await?;
    if !renames.is_empty() {
        let sql = format!("RENAME TABLE {}", renames.join(", "));
        if let Err(fault) = run(cx, admin, &sql, "move the tables").await {
            let _ = discard(cx, admin, keep).await;
            return Err(fault);
        }
    }
    // It is empty now.
    discard(cx, admin, new).await
}

/// Drops everything in the session's database.
pub(super) async fn empty(cx: &Cx, session: &mut dyn Database) -> Result<(), Fault> {
    let what = "empty the database";
    run(cx, session, "SET foreign_key_checks = 0", what).await?;
    let found = [
        "SELECT CONCAT('DROP ', CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' \
         ELSE 'TABLE' END, ' IF EXISTS `', REPLACE(table_name, '`', '``'), '`') \
         FROM information_schema.tables WHERE table_schema = DATABASE() \
         ORDER BY table_type <> 'VIEW'",
        "SELECT CONCAT('DROP ', routine_type, ' IF EXISTS `', REPLACE(routine_name, '`', '``'), '`') \
         FROM information_schema.routines WHERE routine_schema = DATABASE()",
        "SELECT CONCAT('DROP EVENT IF EXISTS `', REPLACE(event_name, '`', '``'), '`') \
         FROM information_schema.events WHERE event_schema = DATABASE()",
    ];
    for sql in found {
        for drop in session.query(sql).await?.into_iter().flatten() {
            run(cx, session, &drop, what).await?;
        }
    }
    Ok(())
}

async fn tables(admin: &mut dyn Database, schema: &str) -> Result<Vec<String>, Fault> {
    let sql = format!(
        "SELECT table_name FROM information_schema.tables \
         WHERE table_schema = '{}' AND table_type = 'BASE TABLE' ORDER BY table_name",
        schema.replace('\'', "''")
    );
    Ok(admin.query(&sql).await?.into_iter().flatten().collect())
}

async fn run(cx: &Cx, admin: &mut dyn Database, sql: &str, what: &str) -> Result<(), Fault> {
    let done = admin.execute(cx, sql).await;
    done.map_err(|error| Fault::failed(format!("cannot {what}")).because(error.message))
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
