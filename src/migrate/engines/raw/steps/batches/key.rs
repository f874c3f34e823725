//! The primary key of a table, as the bounds of batches. Keys travel as SQL
//! literals that the server wrote itself. Imports `ports`, `model`.

use crate::migrate::sql::Batch;
use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

/// Between the literals of a key of several columns.
const SEPARATOR: char = '\u{1f}';

pub(super) struct Key {
    dialect: Dialect,
    table: String,
    columns: Vec<Column>,
}

struct Column {
    /// With its quotes.
    name: String,
    /// An expression that gives its value as a literal.
    literal: String,
}

/// Where a batch ends.
pub(super) struct Page {
    /// The literals of its last row.
    pub(super) last: String,
    pub(super) rows: i64,
}

impl Key {
    /// # Errors
    /// The table has no key that batches could go along.
    pub(super) async fn of(database: &mut dyn Database, batch: &Batch) -> Result<Self, Fault> {
        let dialect = database.dialect();
        let rows = database.query(&question(dialect, &batch.table)).await?;
        let refuse = |why: String| {
            Err(
                Fault::refused(format!("`{}` cannot be changed in batches", batch.table))
                    .because(why)
                    .hint("take `batch` out of the file's header: it runs as one statement then"),
            )
        };
        let mut columns = vec![];
        for row in rows.iter().flatten() {
            let mut cells = row.split(SEPARATOR);
            let name = quoted(dialect, cells.next().unwrap_or_default());
            let kind = cells.next().unwrap_or_default().to_lowercase();
            let engine = cells.next().unwrap_or("InnoDB");
            if !engine.eq_ignore_ascii_case("InnoDB") {
                return refuse(format!("its engine {engine} has no transactions"));
            }
            let sets = batch
                .sets
                .iter()
                .any(|set| bare(set).eq_ignore_ascii_case(bare(&name)));
            if sets {
                return refuse(format!("it sets {name}, which is of the table's key"));
            }
            let literal = literal(dialect, &name, &kind);
            columns.push(Column { name, literal });
        }
        if columns.is_empty() {
            return refuse("the table has no primary key, or there is no such table".to_owned());
        }
        let key = Self {
            dialect,
            table: batch.table.clone(),
            columns,
        };
        match key.has_nulls(database).await? {
            true => refuse("its key is NULL in some rows".to_owned()),
            false => Ok(key),
        }
    }

    /// SQLite takes NULL in a primary key that is no integer.
    async fn has_nulls(&self, database: &mut dyn Database) -> Result<bool, Fault> {
        if self.dialect != Dialect::Sqlite {
            return Ok(false);
        }
        let nulls = self.each(|column| format!("{} IS NULL", column.name));
        let sql = format!(
            "SELECT 'null' FROM {} WHERE {} LIMIT 1",
            self.table,
            nulls.join(" OR ")
        );
        Ok(!database.query(&sql).await?.is_empty())
    }

    /// The next `rows` rows after a key, in the key's order.
    pub(super) async fn next(
        &self,
        database: &mut dyn Database,
        after: &Option<String>,
        rows: u64,
    ) -> Result<Option<Page>, Fault> {
        let names = self.each(|column| column.name.clone()).join(", ");
        let lower = match after {
            Some(after) => format!(" WHERE {}", self.side(">", after, |name| name.to_owned())),
            None => String::new(),
        };
        let back = self.each(|column| format!("{} DESC", column.name));
        let separator = format!(", {}, ", char_31(self.dialect));
        let literals = self.each(|column| column.literal.clone()).join(&separator);
        let all = format!("count(*) OVER (){separator}{literals}");
        let joined = match self.dialect {
            Dialect::Postgres | Dialect::Mysql => format!("concat({all})"),
            Dialect::Sqlite => {
                all.replace(&separator, &format!(" || {} || ", char_31(self.dialect)))
            }
        };
        let sql = format!(
            "SELECT {joined} FROM (SELECT {names} FROM {}{lower} ORDER BY {names} LIMIT {rows}) page ORDER BY {} LIMIT 1",
            self.table,
            back.join(", ")
        );
        let found = database.query(&sql).await?.into_iter().next().flatten();
        let page = found.as_deref().and_then(|text| text.split_once(SEPARATOR));
        Ok(page.map(|(count, last)| Page {
            last: last.to_owned(),
            rows: count.parse().unwrap_or_default(),
        }))
    }

    /// The key beside literals, in the statement's own words.
    pub(super) fn compare(&self, batch: &Batch, sign: &str, literals: &str) -> String {
        self.side(sign, literals, |name| batch.column(name))
    }

    fn side(&self, sign: &str, literals: &str, named: impl Fn(&str) -> String) -> String {
        let names = self.each(|column| named(&column.name));
        let values: Vec<&str> = literals.split(SEPARATOR).collect();
        match (names.as_slice(), self.dialect) {
            ([name], _) => format!("{name} {sign} {literals}"),
            // MySQL does not use an index for a comparison of rows.
            (_, Dialect::Mysql) => spelled_out(&names, sign, &values),
            (_, Dialect::Postgres | Dialect::Sqlite) => {
                format!("({}) {sign} ({})", names.join(", "), values.join(", "))
            }
        }
    }

    fn each(&self, part: impl Fn(&Column) -> String) -> Vec<String> {
        self.columns.iter().map(part).collect()
    }

    /// How many rows there are, roughly; nothing where that would take long.
    pub(super) async fn estimate(&self, database: &mut dyn Database) -> Result<Option<u64>, Fault> {
        let sql = match self.dialect {
            Dialect::Postgres => format!(
                "SELECT reltuples::bigint::text FROM pg_catalog.pg_class WHERE oid = to_regclass({})",
                text(&self.table)
            ),
            Dialect::Mysql => format!(
                "SELECT CAST(table_rows AS CHAR) FROM information_schema.tables WHERE {}",
                in_schema(&self.table)
            ),
            Dialect::Sqlite => return Ok(None),
        };
        let answer = database.query(&sql).await?.into_iter().next().flatten();
        let number = answer.and_then(|text| text.parse().ok());
        Ok(number.filter(|number| *number > 0))
    }
}

/// `a > 1 OR (a = 1 AND (b > 2))`.
fn spelled_out(names: &[String], sign: &str, values: &[&str]) -> String {
    let (Some((name, names)), Some((value, values))) = (names.split_first(), values.split_first())
    else {
        return String::new();
    };
    if names.is_empty() {
        return format!("{name} {sign} {value}");
    }
    let strict = sign.trim_end_matches('=');
    format!(
        "({name} {strict} {value} OR ({name} = {value} AND {}))",
        spelled_out(names, sign, values)
    )
}

/// A row a column of the primary key, in its order: name, type, engine.
fn question(dialect: Dialect, table: &str) -> String {
    match dialect {
        Dialect::Postgres => format!(
            "SELECT a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a \
             ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE i.indrelid = to_regclass({}) AND i.indisprimary \
             ORDER BY array_position(i.indkey::int2[], a.attnum)",
            text(table)
        ),
        Dialect::Mysql => format!(
            "SELECT CONCAT(s.column_name, CHAR(31), c.data_type, CHAR(31), t.engine) \
             FROM (SELECT * FROM information_schema.statistics WHERE {} AND index_name = 'PRIMARY') s \
             JOIN information_schema.columns c ON c.table_schema = s.table_schema \
             AND c.table_name = s.table_name AND c.column_name = s.column_name \
             JOIN information_schema.tables t ON t.table_schema = s.table_schema \
             AND t.table_name = s.table_name ORDER BY s.seq_in_index",
            in_schema(table)
        ),
        Dialect::Sqlite => format!(
            "SELECT name FROM pragma_table_info({}) WHERE pk > 0 ORDER BY pk",
            text(bare(table.rsplit('.').next().unwrap_or(table)))
        ),
    }
}

fn in_schema(table: &str) -> String {
    let (schema, name) = match table.rsplit_once('.') {
        Some((schema, name)) => (text(bare(schema)), name),
        None => ("DATABASE()".to_owned(), table),
    };
    format!(
        "table_schema = {schema} AND table_name = {}",
        text(bare(name))
    )
}

fn literal(dialect: Dialect, name: &str, kind: &str) -> String {
    let number = ["int", "dec", "num", "float", "double", "real", "year"];
    match dialect {
        Dialect::Postgres => format!("quote_literal({name}::text)"),
        Dialect::Sqlite => format!("quote({name})"),
        Dialect::Mysql if number.iter().any(|known| kind.contains(known)) => {
            format!("CAST({name} AS CHAR)")
        }
        Dialect::Mysql if kind.contains("date") || kind.contains("time") => {
            format!("QUOTE(CAST({name} AS CHAR))")
        }
        Dialect::Mysql if kind.contains("binary") || kind.contains("blob") || kind == "bit" => {
            format!("CONCAT('X''', HEX({name}), '''')")
        }
        Dialect::Mysql => {
            format!("CONCAT('_utf8mb4 X''', HEX(CONVERT({name} USING utf8mb4)), '''')")
        }
    }
}

fn char_31(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "chr(31)",
        Dialect::Mysql | Dialect::Sqlite => "char(31)",
    }
}

fn quoted(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
        Dialect::Postgres | Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn bare(name: &str) -> &str {
    name.trim_matches(['"', '`', '[', ']'])
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_several_columns_is_compared_as_a_row_in_every_dialect() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            spelled_out(&names, ">", &["1", "'x'"]),
            "(a > 1 OR (a = 1 AND b > 'x'))"
        );
        assert_eq!(
            spelled_out(&names, "<=", &["1", "'x'"]),
            "(a < 1 OR (a = 1 AND b <= 'x'))"
        );
    }
}
