//! Looking into the catalogue: did a statement that was cut off take effect?
//! Imports `ports`, `migrate::sql`. Reads only, except that an INVALID index
//! left by `CREATE INDEX CONCURRENTLY` is dropped before it is built again.

use crate::migrate::sql::{Name, Trace};
use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Dialect};

/// What the catalogue says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Done,
    /// It did not take effect, or may run again without harm.
    Not,
    Unclear,
}

pub(super) async fn look(database: &mut dyn Database, trace: &Trace) -> Result<Found, Fault> {
    let Some(question) = question(database.dialect(), trace) else {
        return Ok(match trace {
            Trace::Repeatable | Trace::Session => Found::Not,
            _ => Found::Unclear,
        });
    };
    let answer = database.query(&question).await?;
    let there = answer.iter().flatten().any(|text| text != "false");
    let wanted = match trace {
        Trace::NoIndex { .. } | Trace::NoTable(_) | Trace::NoColumn { .. } => !there,
        _ => there,
    };
    Ok(match wanted {
        true => Found::Done,
        false => Found::Not,
    })
}

/// Drops the INVALID index that a failed concurrent build left behind: with
/// `IF NOT EXISTS` it would be taken for the real one, without it the build
/// would fail.
pub(super) async fn clear_invalid(
    cx: &Cx,
    database: &mut dyn Database,
    trace: &Trace,
) -> Result<(), Fault> {
    let Trace::Index {
        index,
        concurrently: true,
        ..
    } = trace
    else {
        return Ok(());
    };
    match is_invalid(database, trace).await? {
        true => drop_index(cx, database, &index.to_string()).await,
        false => Ok(()),
    }
}

/// Whether an index is there and was never finished.
pub(super) async fn is_invalid(database: &mut dyn Database, trace: &Trace) -> Result<bool, Fault> {
    let Some(question) = question(database.dialect(), trace) else {
        return Ok(false);
    };
    let answer = database.query(&question).await?;
    Ok(answer.first() == Some(&Some("false".to_owned())))
}

/// Takes a row out of the table: nothing of its migration took effect.
pub(super) async fn forget(
    cx: &Cx,
    database: &mut dyn Database,
    entry: &str,
    id: &str,
) -> Result<(), Fault> {
    let [entry, id] = [entry, id].map(|name| match database.dialect() {
        Dialect::Mysql => text(&name.replace('\\', "\\\\")),
        Dialect::Postgres | Dialect::Sqlite => text(name),
    });
    let delete =
        format!("DELETE FROM stagecraft_migrations WHERE database_name = {entry} AND id = {id}");
    let deleted = database.execute(cx, &delete).await;
    deleted.map_err(|error| {
        Fault::failed("cannot clear a row of `stagecraft_migrations`").because(error.message)
    })
}

/// Without a lock that others would wait for.
pub(super) async fn drop_index(
    cx: &Cx,
    database: &mut dyn Database,
    index: &str,
) -> Result<(), Fault> {
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {index}");
    match database.execute(cx, &drop).await {
        Ok(()) => {
            cx.step(format!(
                "dropped the INVALID index {index} that an earlier attempt left"
            ));
            Ok(())
        }
        Err(error) => Err(
            Fault::failed(format!("cannot drop the INVALID index {index}"))
                .because(error.message)
                .hint(format!(
                    "drop it by hand: `{drop}`, then run the same command again"
                )),
        ),
    }
}

/// A query with a row when the thing is there; `false` for an INVALID index.
fn question(dialect: Dialect, trace: &Trace) -> Option<String> {
    match dialect {
        Dialect::Postgres => postgres(trace),
        Dialect::Mysql => mysql(trace),
        Dialect::Sqlite => sqlite(trace),
    }
}

fn postgres(trace: &Trace) -> Option<String> {
    let class = |name: &Name| format!("pg_catalog.to_regclass({})", text(&name.to_string()));
    let index = |name: &Name| {
        format!(
            "SELECT indisvalid::text FROM pg_catalog.pg_index WHERE indexrelid = {}",
            class(name)
        )
    };
    let table = |name: &Name| {
        let class = class(name);
        format!("SELECT {class}::text WHERE {class} IS NOT NULL")
    };
    let column = |table: &Name, column: &str| {
        format!(
            "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = {} AND attname = {} AND NOT attisdropped",
            class(table),
            text(&folded(column))
        )
    };
    Some(match trace {
        Trace::Index { index: name, .. } => index(name),
        // Gone means gone, valid or not.
        Trace::NoIndex { index: name, .. } | Trace::Table(name) | Trace::NoTable(name) => {
            table(name)
        }
        Trace::Column {
            table,
            column: name,
        }
        | Trace::NoColumn {
            table,
            column: name,
        } => column(table, name),
        Trace::EnumValue { kind, value } => format!(
            "SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE enumtypid = pg_catalog.to_regtype({}) AND enumlabel = {value}",
            text(&kind.to_string())
        ),
        Trace::Repeatable | Trace::Session | Trace::None => return None,
    })
}

fn mysql(trace: &Trace) -> Option<String> {
    let schema = |name: &Name| match &name.schema {
        Some(schema) => text(&bare(schema)),
        None => "DATABASE()".to_owned(),
    };
    let rows = |from: &str, table: &Name, more: &str| {
        format!(
            "SELECT 'there' FROM information_schema.{from} WHERE table_schema = {} AND table_name = {}{more} LIMIT 1",
            schema(table),
            text(&bare(&table.name))
        )
    };
    let index = |table: &Name, index: &Name| {
        let more = format!(" AND index_name = {}", text(&bare(&index.name)));
        rows("statistics", table, &more)
    };
    let column = |table: &Name, column: &str| {
        let more = format!(" AND column_name = {}", text(&bare(column)));
        rows("columns", table, &more)
    };
    Some(match trace {
        Trace::Index {
            index: name, table, ..
        } => index(table, name),
        Trace::NoIndex { index: name, table } => index(table.as_ref()?, name),
        Trace::Table(name) | Trace::NoTable(name) => rows("tables", name, ""),
        Trace::Column {
            table,
            column: name,
        }
        | Trace::NoColumn {
            table,
            column: name,
        } => column(table, name),
        Trace::EnumValue { .. } | Trace::Repeatable | Trace::Session | Trace::None => return None,
    })
}

fn sqlite(trace: &Trace) -> Option<String> {
    let there = |kind: &str, name: &Name| {
        format!(
            "SELECT 'there' FROM {}sqlite_master WHERE type = '{kind}' AND name = {} COLLATE NOCASE",
            name.schema
                .as_ref()
                .map(|s| format!("{s}."))
                .unwrap_or_default(),
            text(&bare(&name.name))
        )
    };
    let column = |table: &Name, column: &str| {
        format!(
            "SELECT 'there' FROM pragma_table_info({}) WHERE name = {} COLLATE NOCASE",
            text(&bare(&table.name)),
            text(&bare(column))
        )
    };
    Some(match trace {
        Trace::Index { index: name, .. } | Trace::NoIndex { index: name, .. } => {
            there("index", name)
        }
        Trace::Table(name) | Trace::NoTable(name) => there("table", name),
        Trace::Column {
            table,
            column: name,
        }
        | Trace::NoColumn {
            table,
            column: name,
        } => column(table, name),
        Trace::EnumValue { .. } | Trace::Repeatable | Trace::Session | Trace::None => return None,
    })
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A name without its quotes.
fn bare(name: &str) -> String {
    let quoted = |open: char, close: char| -> Option<String> {
        let inner = name.strip_prefix(open)?.strip_suffix(close)?;
        Some(inner.replace(&format!("{close}{close}"), &close.to_string()))
    };
    quoted('"', '"')
        .or_else(|| quoted('`', '`'))
        .or_else(|| quoted('[', ']'))
        .unwrap_or_else(|| name.to_owned())
}

/// As PostgreSQL stores it.
fn folded(name: &str) -> String {
    match name.starts_with('"') {
        true => bare(name),
        false => name.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::sql;

    fn asks(dialect: Dialect, statement: &str) -> Option<String> {
        let script = sql::read(dialect, statement);
        question(dialect, &script.statements[0].trace)
    }

    #[test]
    fn names_are_looked_up_as_the_database_stores_them() {
        let pg = asks(
            Dialect::Postgres,
            "alter table app.\"T\" add column Foo int",
        )
        .expect("asks");
        assert!(
            pg.contains(r#"to_regclass('app."T"')"#) && pg.contains("= 'foo'"),
            "{pg}"
        );
        let mysql = asks(Dialect::Mysql, "create index i on `a``b` (c)").expect("asks");
        assert!(
            mysql.contains("table_name = 'a`b'") && mysql.contains("'i'"),
            "{mysql}"
        );
        let sqlite = asks(Dialect::Sqlite, "drop table [a b]").expect("asks");
        assert!(sqlite.contains("name = 'a b'"), "{sqlite}");
    }

    #[test]
    fn changes_of_data_leave_no_trace_to_ask_for() {
        for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
            assert_eq!(asks(dialect, "update t set a = 1"), None);
        }
    }
}
