//! The trace that a statement leaves in the catalogue: how to find out whether
//! one that was cut off took effect. Imports nothing of this crate.
//!
//! Only statements whose whole effect is one thing of the catalogue have a
//! trace. Where in doubt it is [`Trace::None`]: then a person must look.

use super::TokenKind;
use super::ansi::Words;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// It may simply run again.
    Repeatable,
    /// It sets something of the session: runs again whenever a session starts
    /// in the middle of the file.
    Session,
    Index {
        index: Name,
        table: Name,
        concurrently: bool,
    },
    NoIndex {
        index: Name,
        /// MySQL names the table.
        table: Option<Name>,
    },
    Table(Name),
    NoTable(Name),
    Column {
        table: Name,
        column: String,
    },
    NoColumn {
        table: Name,
        column: String,
    },
    EnumValue {
        kind: Name,
        value: String,
    },
    None,
}

/// A name as written, each part with its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

pub(super) fn of(words: &Words<'_>) -> Trace {
    let cursor = Cursor { words, at: 1 };
    match words.word(0).as_str() {
        "SET" | "RESET" | "USE" | "PRAGMA" | "ATTACH" | "DETACH" => Trace::Session,
        "VACUUM" | "ANALYZE" | "ANALYSE" | "REINDEX" | "CLUSTER" | "REFRESH" | "CHECKPOINT"
        | "OPTIMIZE" | "SHOW" | "COMMENT" | "GRANT" | "REVOKE" => Trace::Repeatable,
        "CREATE" => created(cursor),
        "DROP" => dropped(cursor),
        "ALTER" => altered(cursor),
        _ => Trace::None,
    }
    .unless_unclear()
}

impl Trace {
    fn unless_unclear(self) -> Self {
        match &self {
            // A name that could not be read would be looked up in vain.
            Trace::Index { index, table, .. } if index.name.is_empty() || table.name.is_empty() => {
                Trace::None
            }
            _ => self,
        }
    }
}

struct Cursor<'a> {
    words: &'a Words<'a>,
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, words: &[&str]) -> bool {
        let found = self.words.at(self.at, words);
        if found {
            self.at += words.len();
        }
        found
    }

    fn skip_any(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.words.word(self.at) == *word) {
            self.at += 1;
        }
    }

    fn part(&mut self) -> Option<String> {
        let token = self.words.tokens.get(self.at)?;
        matches!(token.kind, TokenKind::Word | TokenKind::Quoted).then(|| {
            self.at += 1;
            self.words.text[token.range.clone()].to_owned()
        })
    }

    fn name(&mut self) -> Option<Name> {
        let first = self.part()?;
        if self.words.raw(self.at) == "." {
            self.at += 1;
            return Some(Name {
                schema: Some(first),
                name: self.part()?,
            });
        }
        Some(Name {
            schema: None,
            name: first,
        })
    }

    fn over(&self) -> bool {
        self.at >= self.words.len()
    }
}

fn created(mut cursor: Cursor<'_>) -> Trace {
    if cursor.skip(&["OR", "REPLACE"]) {
        return Trace::Repeatable;
    }
    cursor.skip_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
    if cursor.skip(&["INDEX"]) {
        return index(cursor).unwrap_or(Trace::None);
    }
    if cursor.skip(&["TABLE"]) {
        let lenient = cursor.skip(&["IF", "NOT", "EXISTS"]);
        // `CREATE TABLE … AS SELECT` may leave a table without all its rows.
        let filled = cursor.words.has(&["SELECT"]);
        return match cursor.name() {
            _ if lenient && !filled => Trace::Repeatable,
            Some(table) if !filled => Trace::Table(table),
            _ => Trace::None,
        };
    }
    Trace::None
}

fn index(mut cursor: Cursor<'_>) -> Option<Trace> {
    let concurrently = cursor.skip(&["CONCURRENTLY"]);
    cursor.skip(&["IF", "NOT", "EXISTS"]);
    if cursor.words.word(cursor.at) == "ON" {
        return None; // the server makes up a name
    }
    let mut index = cursor.name()?;
    // MySQL: `USING BTREE` may stand before `ON`.
    if cursor.skip(&["USING"]) {
        cursor.part()?;
    }
    if !cursor.skip(&["ON"]) {
        return None;
    }
    cursor.skip(&["ONLY"]);
    let table = cursor.name()?;
    // An index lives in its table's schema.
    index.schema = index.schema.or_else(|| table.schema.clone());
    Some(Trace::Index {
        index,
        table,
        concurrently,
    })
}

fn dropped(mut cursor: Cursor<'_>) -> Trace {
    let index = cursor.skip(&["INDEX"]);
    if !index && !cursor.skip(&["TABLE"]) {
        return Trace::None;
    }
    cursor.skip(&["CONCURRENTLY"]);
    if cursor.skip(&["IF", "EXISTS"]) {
        return Trace::Repeatable;
    }
    let Some(name) = cursor.name() else {
        return Trace::None;
    };
    let table = match cursor.skip(&["ON"]) {
        true => cursor.name(),
        false => None,
    };
    cursor.skip_any(&["CASCADE", "RESTRICT"]);
    match (cursor.over(), index) {
        // Several at once: one may be gone and the other not.
        (false, _) => Trace::None,
        (true, true) => Trace::NoIndex { index: name, table },
        (true, false) => Trace::NoTable(name),
    }
}

fn altered(mut cursor: Cursor<'_>) -> Trace {
    if cursor.skip(&["TYPE"]) {
        return enum_value(cursor).unwrap_or(Trace::None);
    }
    if !cursor.skip(&["TABLE"]) {
        return Trace::None;
    }
    cursor.skip(&["ONLY"]);
    column(cursor).unwrap_or(Trace::None)
}

/// One column added or dropped, and nothing else.
fn column(mut cursor: Cursor<'_>) -> Option<Trace> {
    let table = cursor.name()?;
    let added = cursor.skip(&["ADD", "COLUMN"]);
    if !added && !cursor.skip(&["DROP", "COLUMN"]) {
        return None;
    }
    let column = cursor.part()?;
    let mut depth = 0_i32;
    for at in cursor.at..cursor.words.len() {
        match cursor.words.raw(at) {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 0 => return None,
            _ => {}
        }
    }
    Some(match added {
        true => Trace::Column { table, column },
        false => Trace::NoColumn { table, column },
    })
}

fn enum_value(mut cursor: Cursor<'_>) -> Option<Trace> {
    let kind = cursor.name()?;
    if !cursor.skip(&["ADD", "VALUE"]) {
        return None;
    }
    if cursor.skip(&["IF", "NOT", "EXISTS"]) {
        return Some(Trace::Repeatable);
    }
    let token = cursor.words.tokens.get(cursor.at)?;
    (token.kind == TokenKind::Text).then(|| Trace::EnumValue {
        kind,
        value: cursor.words.raw(cursor.at).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::ports::Dialect;

    fn trace(text: &str) -> Trace {
        read(Dialect::Postgres, text).statements[0].trace.clone()
    }

    fn name(text: &str) -> Name {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, text),
        };
        Name {
            schema,
            name: name.to_owned(),
        }
    }

    #[test]
    fn an_index_is_looked_for_in_the_schema_of_its_table() {
        assert_eq!(
            trace("create unique index concurrently if not exists \"I\" on only app.t (a)"),
            Trace::Index {
                index: name("app.\"I\""),
                table: name("app.t"),
                concurrently: true
            }
        );
        assert_eq!(trace("create index on t (a)"), Trace::None);
    }

    #[test]
    fn a_statement_with_more_than_one_effect_has_no_trace() {
        assert_eq!(trace("drop index a, b"), Trace::None);
        assert_eq!(
            trace("alter table t add column a numeric(4, 2), add b int"),
            Trace::None
        );
        assert_eq!(trace("create table t as select 1"), Trace::None);
        assert_eq!(
            trace("alter table t add column a numeric(4, 2)"),
            Trace::Column {
                table: name("t"),
                column: "a".into()
            }
        );
    }

    #[test]
    fn what_says_if_exists_may_run_again() {
        assert_eq!(trace("drop table if exists a, b"), Trace::Repeatable);
        assert_eq!(
            trace("create table if not exists a (b int)"),
            Trace::Repeatable
        );
        assert_eq!(
            trace("alter type k add value 'x'"),
            Trace::EnumValue {
                kind: name("k"),
                value: "'x'".into()
            }
        );
        assert_eq!(trace("set search_path = a"), Trace::Session);
        assert_eq!(trace("update t set a = a + 1"), Trace::None);
    }
}
