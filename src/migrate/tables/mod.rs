//! How large the tables of a database are that pending files touch, and whose
//! transactions are in the way: read-only, through the port's `query`. Imports
//! `ports`, `model::fault` and the lint's words for facts.
//!
//! Nothing here waits for a lock longer than the session's `lock_timeout`, and
//! no table is counted beyond a bound.

mod mysql;
mod postgres;
mod sqlite;

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

use super::lint::{Facts, Named, Open, Table};
use super::sql::{Product, Server};

/// Which server it is.
///
/// # Errors
/// It does not answer.
pub async fn server(database: &mut dyn Database) -> Result<Option<Server>, Fault> {
    let (sql, product) = match database.dialect() {
        Dialect::Postgres => (postgres::VERSION, Product::Postgres),
        Dialect::Mysql => (mysql::VERSION, Product::Mysql),
        Dialect::Sqlite => (sqlite::VERSION, Product::Sqlite),
    };
    let answer = database.query(sql).await?.into_iter().next().flatten();
    Ok(answer.and_then(|text| parsed(product, &text)))
}

/// `15.18 (Debian …)`, `8.0.36`, `10.11.19-MariaDB-0+deb12u1`, `3.45.1`.
fn parsed(product: Product, text: &str) -> Option<Server> {
    let product = match text.to_ascii_lowercase().contains("mariadb") {
        true => Product::Mariadb,
        false => product,
    };
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next().and_then(Result::ok).unwrap_or_default();
    Some(Server {
        product,
        version: (major, minor),
    })
}

/// The tables that are there of those that were named.
///
/// # Errors
/// The catalogue cannot be read.
pub async fn read(
    database: &mut dyn Database,
    server: Option<Server>,
    named: &Named,
) -> Result<Facts, Fault> {
    let facts = match database.dialect() {
        Dialect::Postgres => postgres::read(database, named).await?,
        Dialect::Mysql => mysql::read(database, named).await?,
        Dialect::Sqlite => sqlite::read(database, named).await?,
    };
    Ok(Facts { server, ..facts })
}

/// One row of an answer, which the server makes.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    /// Of an index: its table.
    #[serde(default)]
    of: Option<String>,
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Session {
    who: String,
    #[serde(default)]
    tables: Option<Vec<String>>,
}

fn rows<T: for<'de> Deserialize<'de>>(answer: Vec<Option<String>>) -> Vec<T> {
    let texts = answer.into_iter().flatten();
    texts
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect()
}

fn sessions(answer: Vec<Option<String>>) -> Vec<Open> {
    let sessions = rows::<Session>(answer).into_iter();
    sessions
        .map(|session| Open {
            who: session.who,
            tables: session.tables.unwrap_or_default(),
        })
        .collect()
}

/// Names as the files spell them, although the server has its own spelling.
fn facts(named: &Named, found: Vec<Row>) -> Facts {
    let (tables, indexes) = (Spelling::of(&named.tables), Spelling::of(&named.indexes));
    let mut facts = Facts {
        tables: Some(HashMap::new()),
        ..Facts::default()
    };
    for row in found {
        match row.of {
            Some(table) => {
                facts.indexes.insert(indexes.spelled(row.name), table);
            }
            None => {
                let table = Table {
                    rows: row.rows,
                    bytes: row.bytes,
                };
                let known = facts.tables.get_or_insert_default();
                known.insert(tables.spelled(row.name), table);
            }
        }
    }
    facts
}

struct Spelling<'a> {
    names: &'a BTreeSet<String>,
    small: HashMap<String, &'a String>,
}

impl<'a> Spelling<'a> {
    fn of(names: &'a BTreeSet<String>) -> Self {
        let small = names.iter().map(|name| (name.to_lowercase(), name));
        Self {
            names,
            small: small.collect(),
        }
    }

    fn spelled(&self, name: String) -> String {
        match self.small.get(&name.to_lowercase()) {
            Some(known) if !self.names.contains(&name) => (*known).clone(),
            _ => name,
        }
    }
}

/// `'a', 'b'`, safe in every dialect's usual mode.
fn literals<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let quoted = names.map(|name| literal(name));
    quoted.collect::<Vec<_>>().join(", ")
}

fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_says_its_version_in_another_way() {
        let words = |product, text| parsed(product, text).map(Server::words);
        assert_eq!(
            words(Product::Postgres, "15.18 (Debian 15.18-0+deb12u1)").as_deref(),
            Some("PostgreSQL 15.18")
        );
        assert_eq!(
            words(Product::Mysql, "10.11.19-MariaDB-0+deb12u1").as_deref(),
            Some("MariaDB 10.11")
        );
        assert_eq!(
            words(Product::Postgres, "17beta1").as_deref(),
            Some("PostgreSQL 17.0")
        );
        assert_eq!(words(Product::Postgres, "devel"), None);
    }
}
