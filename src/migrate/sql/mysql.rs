//! MySQL and MariaDB: every change of the schema commits by itself, so a file
//! with one runs statement by statement. Imports nothing of this crate.

use super::ansi::{self, Words};
use super::lexer::{self, Flavour};
use super::{Reading, Standing, Trace, trace};

pub(super) fn read(text: &str) -> Reading {
    ansi::read(text, Flavour::Mysql, judge)
}

fn judge(words: &Words<'_>) -> (Standing, Trace) {
    (standing(words), trace::of(words))
}

fn standing(words: &Words<'_>) -> Standing {
    let first = match words.word(0) {
        word if word.is_empty() => lexer::inner_word(words.raw(0))
            .map(|(_, word)| word.to_ascii_uppercase())
            .unwrap_or_default(),
        word => word,
    };
    match first.as_str() {
        "BEGIN" => Standing::Begins,
        "START" if words.word(1) == "TRANSACTION" => Standing::Begins,
        "COMMIT" => Standing::Ends,
        "ROLLBACK" if words.word(1) != "TO" && words.word(2) != "TO" => Standing::Ends,
        "SET" if words.has(&["AUTOCOMMIT"]) || words.has(&["@@AUTOCOMMIT"]) => Standing::Begins,
        "SET" if words.word(1) == "PASSWORD" => commits("SET PASSWORD"),
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "SELECT" | "WITH" | "VALUES" | "DO"
        | "SET" | "SAVEPOINT" | "RELEASE" | "ROLLBACK" | "SHOW" | "USE" | "" => Standing::Inside,
        other => commits(other),
    }
}

fn commits(word: &str) -> Standing {
    Standing::Outside(format!("MySQL commits at `{word}`"))
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, read};
    use crate::ports::Dialect;

    fn parts(text: &str) -> Vec<String> {
        let script = read(Dialect::Mysql, text);
        assert_eq!(script.problems, []);
        script
            .statements
            .iter()
            .map(|s| script.slice(s).to_owned())
            .collect()
    }

    #[test]
    fn quotes_comments_and_escapes_hide_semicolons() {
        let text = "insert into t values ('a\\';b', \"x;y\", 'it''s;'); # one; two\n\
                    -- three; four\nselect 1--1; /* five; */ select `a;b`;/*!40101 SET x=1; */;";
        assert_eq!(
            parts(text),
            [
                "insert into t values ('a\\';b', \"x;y\", 'it''s;')",
                "select 1--1",
                "select `a;b`",
                "/*!40101 SET x=1; */"
            ]
        );
    }

    #[test]
    fn a_delimiter_line_changes_what_ends_a_statement_and_is_not_sent() {
        let text = "DELIMITER //\ncreate procedure p() begin select 1; select 2; end//\nDELIMITER ;\ncall p();";
        assert_eq!(
            parts(text),
            [
                "create procedure p() begin select 1; select 2; end",
                "call p()"
            ]
        );
    }

    #[test]
    fn a_routine_body_holds_together_without_a_delimiter_line() {
        let text = "create definer=`a`@`b` trigger t before insert on x for each row begin \
                    if new.a then set new.b = case when 1 then 2 else 3 end; end if; \
                    while 0 do set @x = 1; end while; case 1 when 1 then set @y = 2; end case; end; select 2";
        let parts = parts(text);
        assert_eq!((parts.len(), parts[1].as_str()), (2, "select 2"));
    }

    #[test]
    fn changes_of_data_run_together_and_changes_of_the_schema_apart() {
        let mode = |text| read(Dialect::Mysql, text).mode(None).expect("a mode");
        assert_eq!(
            mode("/*!40101 SET NAMES utf8 */; insert into a values (1); update a set b = 2"),
            Mode::Together
        );
        assert_eq!(
            mode("insert into a values (1);\ncreate table b (id int)"),
            Mode::Apart("line 2: MySQL commits at `CREATE`".into())
        );
    }

    #[test]
    fn a_string_that_is_never_closed_is_named_where_it_opens() {
        let script = read(Dialect::Mysql, "select 1;\nselect 'oops");
        assert_eq!(script.problems[0].what, "`'` is never closed");
        assert_eq!(script.place(script.problems[0].at).to_string(), "2:8");
    }

    #[test]
    fn a_command_of_the_client_is_named_and_the_rest_is_read() {
        let script = read(
            Dialect::Mysql,
            "select 1;\nsource more.sql\n\\. more.sql\nselect source from t;",
        );
        let found: Vec<&str> = script.problems.iter().map(|p| p.what.as_str()).collect();
        assert_eq!(
            found,
            [
                "`source more.sql` is a command of the mysql client, not SQL",
                "`\\. more.sql` is a command of the mysql client, not SQL"
            ]
        );
        assert_eq!(script.place(script.problems[1].at).to_string(), "3:1");
        assert_eq!(script.statements.len(), 2);
    }

    #[test]
    fn a_transaction_around_changes_of_the_schema_is_none_and_they_run_apart() {
        let text = "BEGIN;\ncreate table b (id int);\nCOMMIT;";
        let script = read(Dialect::Mysql, text).unwrapped();
        assert_eq!(script.statements.len(), 1);
        assert!(matches!(script.mode(None), Ok(Mode::Apart(_))));
    }
}
