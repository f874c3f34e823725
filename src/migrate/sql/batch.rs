//! One UPDATE or DELETE that can be done in parts: which part of its text is
//! the condition, and the same statement for a part of the table's key.
//! Imports nothing of this crate.
//!
//! Invariant: a statement that is taken apart here changes, over all parts,
//! the rows that it would change at once. What could see the difference (a
//! limit, a look at its own table, a second table) is refused with the reason.

use super::ansi::Words;
use super::{Problem, Script, TokenKind};

/// See the module. Ranges are bytes of the script's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The table as written, with its schema.
    pub table: String,
    /// What columns are named by, where the statement says.
    pub alias: Option<String>,
    /// The columns that it sets, as written.
    pub sets: Vec<String>,
    /// Everything before the condition.
    head: String,
    condition: Option<String>,
}

impl Script {
    /// The one statement of the file, taken apart.
    ///
    /// # Errors
    /// Why it cannot run in batches, at its place.
    pub fn batch(&self) -> Result<Batch, Problem> {
        let refuse = |at: usize, why: &str| Problem {
            at,
            what: format!("it cannot run in batches: {why}"),
        };
        let [statement] = self.statements.as_slice() else {
            let at = self
                .statements
                .get(1)
                .map_or(0, |second| second.range.start);
            return Err(refuse(
                at,
                "the file has to hold exactly one UPDATE or DELETE",
            ));
        };
        if let Some(doubt) = self.doubts.first() {
            return Err(refuse(doubt.at, &doubt.what));
        }
        let words = self.words(statement);
        let reading = Reading {
            words: &words,
            text: &self.text,
            end: statement.range.end,
        };
        reading.batch().map_err(|(index, why)| {
            let token = words.tokens.get(index).or(words.tokens.last());
            refuse(token.map_or(0, |token| token.range.start), why)
        })
    }
}

impl Batch {
    /// The statement for the rows that `bounds` admits.
    #[must_use]
    pub fn within(&self, bounds: &str) -> String {
        match &self.condition {
            // The line breaks end a last comment.
            Some(condition) => format!("{}WHERE (\n{condition}\n) AND {bounds}", self.head),
            None => format!("{}\nWHERE {bounds}", self.head),
        }
    }

    /// A column of the table, as the statement has to name it.
    #[must_use]
    pub fn column(&self, quoted: &str) -> String {
        match &self.alias {
            Some(alias) => format!("{alias}.{quoted}"),
            None => quoted.to_owned(),
        }
    }
}

type Refused = (usize, &'static str);

struct Reading<'a> {
    words: &'a Words<'a>,
    text: &'a str,
    end: usize,
}

impl Reading<'_> {
    fn batch(&self) -> Result<Batch, Refused> {
        let update = match self.words.word(0).as_str() {
            "UPDATE" => true,
            "DELETE" if self.words.word(1) == "FROM" => false,
            _ => return Err((0, "it has to be a plain UPDATE or DELETE FROM")),
        };
        let mut at = if update { 1 } else { 2 };
        if self.words.word(at) == "ONLY" {
            at += 1;
        }
        if matches!(
            self.words.word(at).as_str(),
            "OR" | "IGNORE" | "LOW_PRIORITY" | "QUICK"
        ) {
            return Err((
                at,
                "a modifier before the table says what a part cannot promise",
            ));
        }
        let (table, after) = self.name(at)?;
        at = after;
        let alias = self.alias(&mut at)?;
        let sets = match update {
            true if self.words.word(at) == "SET" => self.sets(&mut at)?,
            true => return Err((at, "more than one table is changed")),
            false => vec![],
        };
        let (head_end, condition) = match self.words.word(at).as_str() {
            "WHERE" => {
                self.condition(at + 1)?;
                let token = &self.words.tokens[at];
                let condition = self.text[token.range.end..self.end].trim();
                (token.range.start, Some(condition.to_owned()))
            }
            "" if at >= self.words.len() => (self.end, None),
            _ => return Err((at, "after the table comes something else than a condition")),
        };
        self.whole(&table)?;
        let start = self.words.tokens[0].range.start;
        Ok(Batch {
            table,
            alias,
            sets,
            head: self.text[start..head_end].to_owned(),
            condition,
        })
    }

    fn is_name(&self, at: usize) -> bool {
        let token = self.words.tokens.get(at);
        token.is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::Quoted))
    }

    fn name(&self, at: usize) -> Result<(String, usize), Refused> {
        if !self.is_name(at) {
            return Err((at, "there is no plain name of a table"));
        }
        if self.words.raw(at + 1) != "." {
            return Ok((self.words.raw(at).to_owned(), at + 1));
        }
        match self.is_name(at + 2) {
            true => Ok((
                format!("{}.{}", self.words.raw(at), self.words.raw(at + 2)),
                at + 3,
            )),
            false => Err((at + 2, "there is no plain name of a table")),
        }
    }

    fn alias(&self, at: &mut usize) -> Result<Option<String>, Refused> {
        let said = self.words.word(*at) == "AS";
        *at += usize::from(said);
        let clause = matches!(
            self.words.word(*at).as_str(),
            "SET" | "WHERE" | "USING" | "ORDER" | "LIMIT" | "RETURNING" | "JOIN" | "PARTITION"
        );
        match (self.is_name(*at) && !clause, said) {
            (true, _) => {
                let alias = self.words.raw(*at).to_owned();
                *at += 1;
                Ok(Some(alias))
            }
            (false, true) => Err((*at, "there is no name after AS")),
            (false, false) => Ok(None),
        }
    }

    /// Leaves `at` on what follows the assignments.
    fn sets(&self, at: &mut usize) -> Result<Vec<String>, Refused> {
        let mut sets = vec![];
        let mut depth = 0;
        let mut wanted = true;
        *at += 1;
        while *at < self.words.len() {
            let word = self.words.word(*at);
            if wanted {
                let (name, after) = self
                    .name(*at)
                    .map_err(|(at, _)| (at, "it sets several columns at once"))?;
                if self.words.raw(after) != "=" {
                    return Err((after, "it does not set a plain column"));
                }
                sets.push(name.rsplit('.').next().unwrap_or(&name).to_owned());
                wanted = false;
                *at = after + 1;
                continue;
            }
            match self.words.raw(*at) {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                "," if depth == 0 => wanted = true,
                _ if depth > 0 => {}
                _ if word == "WHERE" => return Ok(sets),
                _ if word == "FROM" && self.words.word(*at - 1) != "DISTINCT" => {
                    return Err((*at, "it reads another table (FROM)"));
                }
                _ if matches!(word.as_str(), "ORDER" | "LIMIT" | "RETURNING" | "JOIN") => {
                    return Err((*at, "ORDER BY, LIMIT and RETURNING mean the whole"));
                }
                _ => {}
            }
            *at += 1;
        }
        Ok(sets)
    }

    fn condition(&self, from: usize) -> Result<(), Refused> {
        let mut depth = 0;
        if from >= self.words.len() {
            return Err((from, "its condition is empty"));
        }
        for at in from..self.words.len() {
            match self.words.raw(at) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            let word = self.words.word(at);
            let clause = matches!(word.as_str(), "ORDER" | "RETURNING" | "CURRENT");
            if depth == 0 && clause && (word != "CURRENT" || self.words.word(at + 1) == "OF") {
                return Err((at, "ORDER BY, RETURNING and CURRENT OF mean the whole"));
            }
        }
        Ok(())
    }

    /// What would see that other rows were changed already.
    fn whole(&self, table: &str) -> Result<(), Refused> {
        if let Some(at) = (0..self.words.len()).find(|at| self.words.word(*at) == "LIMIT") {
            return Err((at, "a LIMIT means another thing in every batch"));
        }
        let bare = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            last.trim_matches(['"', '`', '[', ']']).to_lowercase()
        };
        let table = bare(table);
        let select = (0..self.words.len())
            .find(|at| matches!(self.words.word(*at).as_str(), "SELECT" | "TABLE"))
            .unwrap_or(self.words.len());
        // With a dot behind it it only says whose column is meant.
        let looks = |at: &usize| {
            self.is_name(*at) && bare(self.words.raw(*at)) == table && self.words.raw(at + 1) != "."
        };
        match (select..self.words.len()).find(looks) {
            Some(at) => Err((at, "it reads the table that it changes")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::ports::Dialect;

    fn batch(dialect: Dialect, sql: &str) -> Result<Batch, Problem> {
        read(dialect, sql).batch()
    }

    const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite];

    #[test]
    fn the_condition_is_put_in_brackets_and_the_bounds_beside_it() {
        for dialect in ALL {
            let sql = "-- why\nUPDATE notes AS n SET body = lower(body), at = now()\nWHERE n.kind = 'x' OR n.kind IS NULL -- last\n;\n";
            let batch = batch(dialect, sql).expect("taken apart");
            assert_eq!(
                (batch.table.as_str(), batch.alias.as_deref()),
                ("notes", Some("n"))
            );
            assert_eq!(batch.sets, ["body", "at"]);
            assert!(
                batch.within("n.id > 5").starts_with(
                    "UPDATE notes AS n SET body = lower(body), at = now()\nWHERE (\nn.kind = 'x' OR n.kind IS NULL"
                ),
                "{}",
                batch.within("n.id > 5")
            );
            assert!(batch.within("n.id > 5").ends_with("\n) AND n.id > 5"));
            assert_eq!(batch.column("id"), "n.id");
        }
    }

    #[test]
    fn without_a_condition_the_bounds_are_the_condition() {
        for dialect in ALL {
            let all = batch(dialect, "delete from app.notes;").expect("taken apart");
            assert_eq!(all.within("id > 5"), "delete from app.notes\nWHERE id > 5");
            assert_eq!(all.table, "app.notes");
        }
    }

    #[test]
    fn what_means_another_thing_in_parts_is_refused_with_the_reason() {
        for (sql, why) in [
            ("update t set a = 1; update t set b = 1", "exactly one"),
            ("insert into t values (1)", "plain UPDATE or DELETE"),
            (
                "update t set a = 1 where id in (select id from u limit 5)",
                "LIMIT",
            ),
            (
                "update t set a = (select max(a) from t)",
                "reads the table that it changes",
            ),
            (
                "delete from t where exists (select 1 from u join t x on x.id = u.id)",
                "reads the table",
            ),
            ("update t set (a, b) = (1, 2)", "several columns"),
        ] {
            for dialect in ALL {
                let problem = batch(dialect, sql).expect_err(sql);
                assert!(problem.what.contains(why), "{sql}: {}", problem.what);
            }
        }
        for (dialect, sql) in [
            (
                Dialect::Postgres,
                "update t set a = u.a from u where u.id = t.id",
            ),
            (Dialect::Postgres, "delete from t using u where u.id = t.id"),
            (Dialect::Postgres, "with x as (select 1) update t set a = 1"),
            (Dialect::Mysql, "update t join u on u.id = t.id set t.a = 1"),
            (Dialect::Mysql, "update t, u set t.a = 1"),
            (Dialect::Mysql, "update ignore t set a = 1"),
            (Dialect::Mysql, "delete from t where a = 1 order by id"),
            (Dialect::Sqlite, "update or ignore t set a = 1"),
            (Dialect::Postgres, "update t set a = 1 returning a"),
        ] {
            assert!(batch(dialect, sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn another_table_may_be_read_and_distinct_from_is_no_table() {
        for dialect in ALL {
            for sql in [
                "update t set a = (select b from u where u.id = t.id)",
                "update t set a = 1 where a is distinct from 1",
                "update t set a = a is distinct from 2 where b in (select id from u)",
            ] {
                assert!(batch(dialect, sql).is_ok(), "{dialect:?}: {sql}");
            }
        }
    }
}
