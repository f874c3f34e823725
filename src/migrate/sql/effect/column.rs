//! Columns: of a table that is made, and added to one that is there.

use super::constraint::checked;
use super::cursor::Cursor;
use super::{Effect, Key, On, on};

/// The definition of one column, behind its name.
struct Column<'a> {
    definition: Cursor<'a>,
}

impl Column<'_> {
    fn has(&self, words: &[&str]) -> bool {
        self.definition.has(words)
    }

    /// The server fills it in where an insert does not name it.
    fn filled(&self) -> bool {
        self.by_itself() || (self.has(&["DEFAULT"]) && !self.has(&["DEFAULT", "NULL"]))
    }

    /// With another value each time.
    fn by_itself(&self) -> bool {
        let kind = self.definition.word();
        matches!(
            kind.as_str(),
            "SERIAL" | "BIGSERIAL" | "SMALLSERIAL" | "SERIAL2" | "SERIAL4" | "SERIAL8"
        ) || self.has(&["GENERATED"])
            || self.has(&["IDENTITY"])
            || self.has(&["AUTO_INCREMENT"])
            || self.has(&["AUTOINCREMENT"])
            || self.has(&["AS"])
    }

    fn default_is_a_call(&self) -> bool {
        let Some(at) = self.definition.find(&["DEFAULT"]) else {
            return false;
        };
        let mut behind = self.definition;
        behind.at = at + 1;
        behind.raw() == "(" || (behind.name().is_some() && behind.raw() == "(")
    }
}

/// `ADD COLUMN name …`, behind `COLUMN`.
pub(super) fn added(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    cursor.skip_if();
    let Some(name) = cursor.part() else {
        return vec![Effect::unclear(
            on(Key::table(table)),
            format!("adds something to `{table}` that cannot be told"),
        )];
    };
    let column = Column { definition: cursor };
    let mut effects = vec![Effect::Makes(Key::column(table, &name))];
    let filled = column.filled();
    if filled {
        effects.push(Effect::Defaults(Key::column(table, &name)));
    }
    let required = column.has(&["NOT", "NULL"]) || column.has(&["PRIMARY", "KEY"]);
    if required && !filled {
        effects.push(Effect::breaks(
            on(Key::table(table)),
            format!("adds `{name}` to `{table}`, which may not be empty and has no default: older code does not fill it in"),
        ));
    }
    let unique = column.has(&["UNIQUE"]) || column.has(&["PRIMARY", "KEY"]);
    if unique && filled && !column.by_itself() && !column.default_is_a_call() {
        effects.push(Effect::breaks(
            on(Key::table(table)),
            format!("adds `{name}` to `{table}`, unique and with a default: the second row of older code is refused"),
        ));
    }
    if let Some(at) = column.definition.find(&["CHECK"]) {
        let mut behind = column.definition;
        behind.at = at + 1;
        if let Some(list) = behind.brackets() {
            effects.push(Effect::breaks(
                checked(&list, table),
                format!(
                    "adds a check with `{name}` to `{table}`, which older code may write against"
                ),
            ));
        }
    }
    effects
}

/// What `CREATE TABLE t (…)` says of defaults and of what is unique.
pub(super) fn of_new_table(list: &Cursor<'_>, table: &str) -> Vec<Effect> {
    let mut effects = vec![];
    for mut item in list.list() {
        match item.word().as_str() {
            "CONSTRAINT" | "PRIMARY" | "UNIQUE" | "FOREIGN" | "CHECK" | "EXCLUDE" | "INDEX"
            | "KEY" | "LIKE" | "FULLTEXT" | "SPATIAL" => {
                effects.extend(
                    super::constraint::added(item, table)
                        .into_iter()
                        .filter(|effect| matches!(effect, Effect::MakesIndex(..))),
                );
            }
            _ => {
                let Some(name) = item.part() else { continue };
                let column = Column { definition: item };
                if column.filled() {
                    effects.push(Effect::Defaults(Key::column(table, &name)));
                }
            }
        }
    }
    effects
}

/// `ALTER [COLUMN] name …`, behind the name.
pub(super) fn altered(mut cursor: Cursor<'_>, table: &str, name: &str) -> Vec<Effect> {
    let key = Key::column(table, name);
    let what = format!("`{table}.{name}`");
    if cursor.skip(&["TYPE"]) || cursor.skip(&["SET", "DATA", "TYPE"]) {
        return vec![Effect::breaks(
            on(key),
            format!("changes the type of {what}"),
        )];
    }
    if cursor.skip(&["SET", "NOT", "NULL"]) {
        return vec![Effect::breaks(
            On::NotNull {
                table: Key::table(table),
                column: key,
            },
            format!(
                "forbids {what} to be empty, and it has no default: older code may leave it out"
            ),
        )];
    }
    if cursor.skip(&["SET", "DEFAULT"]) {
        return vec![Effect::Defaults(key)];
    }
    if cursor.skip(&["DROP", "DEFAULT"]) || cursor.skip(&["DROP", "IDENTITY"]) {
        return vec![
            Effect::breaks(
                on(key.clone()),
                format!("takes the default of {what} away, which older code may rely on"),
            ),
            Effect::LosesDefault(key),
        ];
    }
    let second = cursor.ahead(1);
    match cursor.word().as_str() {
        "ADD" | "SET" if second == "GENERATED" => match cursor.has(&["ALWAYS"]) {
            true => vec![Effect::breaks(
                on(key),
                format!("{what} is always generated from now on: inserts that name it fail"),
            )],
            false => vec![Effect::Defaults(key)],
        },
        "SET" | "DROP" if second == "EXPRESSION" => vec![Effect::unclear(
            on(key),
            format!("changes how {what} is computed"),
        )],
        "DROP" if second == "NOT" => vec![],
        // Statistics, storage, compression, options, the identity's counter.
        "SET" | "RESET" | "RESTART" => vec![],
        _ => vec![Effect::unclear(
            on(key),
            format!("changes {what} in a way that cannot be told"),
        )],
    }
}
