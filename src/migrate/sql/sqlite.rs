//! SQLite: everything is transactional except what touches the file as a
//! whole. Imports nothing of this crate.

use super::ansi::{self, Words};
use super::lexer::Flavour;
use super::{Reading, Standing, Trace, trace};

pub(super) fn read(text: &str) -> Reading {
    ansi::read(text, Flavour::Sqlite, judge)
}

fn judge(words: &Words<'_>) -> (Standing, Trace) {
    (standing(words), trace::of(words))
}

fn standing(words: &Words<'_>) -> Standing {
    match words.word(0).as_str() {
        "BEGIN" => Standing::Begins,
        "COMMIT" | "END" => Standing::Ends,
        "ROLLBACK" if !words.has(&["TO"]) => Standing::Ends,
        "VACUUM" => Standing::Outside("`VACUUM` cannot run in a transaction".into()),
        "ATTACH" | "DETACH" => {
            Standing::Outside(format!("`{}` cannot run in a transaction", words.word(0)))
        }
        "PRAGMA" if matches!(words.word(1).as_str(), "JOURNAL_MODE" | "FOREIGN_KEYS") => {
            let name = words.raw(1);
            Standing::Outside(format!("`PRAGMA {name}` has no effect in a transaction"))
        }
        _ => Standing::Inside,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, read};
    use crate::ports::Dialect;

    #[test]
    fn a_trigger_body_and_every_kind_of_quote_hold_together() {
        let script = read(
            Dialect::Sqlite,
            "create table [a;b] (\"c;d\" text default 'e;f', `g;h` int);--x;y\n\
             create temp trigger t after insert on a begin \
             update a set b = case when 1 then 2 end; delete from c; end;\nselect 1",
        );
        let starts: Vec<&str> = script
            .statements
            .iter()
            .map(|s| script.slice(s).split_whitespace().next().expect("a word"))
            .collect();
        assert_eq!(starts, ["create", "create", "select"]);
        assert_eq!(script.mode(None), Ok(Mode::Together));
    }

    #[test]
    fn what_touches_the_whole_file_runs_apart() {
        for text in ["vacuum", "pragma foreign_keys = off", "attach 'x' as y"] {
            let mode = read(Dialect::Sqlite, text).mode(None).expect("a mode");
            assert!(matches!(mode, Mode::Apart(_)), "{text}");
        }
        let mode = read(Dialect::Sqlite, "pragma user_version = 3").mode(None);
        assert_eq!(mode, Ok(Mode::Together));
    }

    #[test]
    fn a_transaction_inside_the_transaction_is_refused_unless_switched_off() {
        use super::super::Wish;
        let script = read(Dialect::Sqlite, "select 1;\n  BEGIN; select 2; COMMIT;");
        let problem = script.mode(None).expect_err("refused");
        assert_eq!(script.place(problem.at).to_string(), "2:3");
        assert!(matches!(script.mode(Some(Wish::Apart)), Ok(Mode::Apart(_))));
    }

    #[test]
    fn a_transaction_around_the_whole_text_is_left_to_the_one_it_runs_in() {
        for (dialect, text) in [
            (Dialect::Sqlite, "-- a\nBEGIN;\nselect 1;\nCOMMIT;\n"),
            (
                Dialect::Mysql,
                "START TRANSACTION;\nselect 1;\ncommit work;\n",
            ),
            (
                Dialect::Postgres,
                "begin transaction;\nselect 1;\nend; -- z\n",
            ),
        ] {
            let script = read(dialect, text).unwrapped();
            assert_eq!(script.mode(None), Ok(Mode::Together), "{text}");
            assert_eq!(script.text.len(), text.len());
            assert_eq!(script.normalised(), read(dialect, "select 1").normalised());
            let run = script.whole().to_ascii_lowercase();
            let control = ["begin", "start", "commit", "end"];
            assert!(!control.iter().any(|word| run.contains(word)), "{run}");
            let start = script.statements[0].range.start;
            assert_eq!(
                script.place(start).line,
                if text.starts_with("--") { 3 } else { 2 }
            );
        }
        for text in [
            "BEGIN; select 1; ROLLBACK",
            "BEGIN IMMEDIATE; select 1; COMMIT",
            "BEGIN; select 1; COMMIT; BEGIN; select 2; COMMIT",
            "BEGIN; vacuum; COMMIT",
            "BEGIN; select 1",
        ] {
            let script = read(Dialect::Sqlite, text).unwrapped();
            assert!(script.has_transaction(), "{text}");
        }
    }
}
