//! PostgreSQL through squawk's syntax tree. Imports nothing of this crate.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::ansi::Words;
use super::{Problem, Reading, Standing, Statement, Token, TokenKind, trace};

pub(super) fn read(text: &str) -> Reading {
    let parse = SourceFile::parse(text);
    let tree = parse.tree();
    let mut reading = Reading {
        tokens: tokens(tree.syntax()),
        ..Reading::default()
    };
    // The parser's own words are about its grammar, not about the file.
    let doubts = parse.errors().into_iter();
    let doubts = doubts.map(|error| doubt(text, &reading.tokens, error.range().start().into()));
    reading.doubts = doubts.collect();
    let stmts: Vec<ast::Stmt> = tree
        .stmts()
        .filter(|stmt| !matches!(stmt, ast::Stmt::EmptyStmt(_)))
        .collect();
    for (index, stmt) in stmts.iter().enumerate() {
        let range = stmt.syntax().text_range();
        let (start, mut end): (usize, usize) = (range.start().into(), range.end().into());
        let first = reading.tokens.partition_point(|t| t.range.start < start);
        let last = reading.tokens.partition_point(|t| t.range.start < end);
        if let Some(token) = reading.tokens[first..last].last() {
            end = token.range.end;
        }
        let words = Words {
            text,
            tokens: &reading.tokens[first..last],
        };
        if words.word(0) == "COPY" && words.has(&["FROM", "STDIN"]) {
            reading.problems.push(Problem {
                at: start,
                what: "`COPY … FROM STDIN` carries its data behind it, which only psql can send: use INSERT".into(),
            });
        }
        let standing = standing(stmt, &words, &stmts[index + 1..], &stmts[..index]);
        reading.statements.push(Statement {
            range: start..end,
            standing,
            trace: trace::of(&words),
            tokens: first..last,
        });
    }
    let meta = reading
        .tokens
        .iter()
        .find(|token| text[token.range.clone()].starts_with('\\'));
    if let Some(token) = meta {
        let line = text[token.range.start..].lines().next().unwrap_or_default();
        reading.problems.push(Problem {
            at: token.range.start,
            what: format!("`{}` is a command of psql, not SQL", line.trim_end()),
        });
    }
    reading.problems.sort_by_key(|problem| problem.at);
    reading
}

/// Where the parser was lost, with the words around it.
fn doubt(text: &str, tokens: &[Token], at: usize) -> Problem {
    let next = tokens.partition_point(|token| token.range.end <= at);
    let at = tokens
        .get(next)
        .map_or(text.trim_end().len(), |t| t.range.start);
    let around = &tokens[next.saturating_sub(1)..tokens.len().min(next + 1)];
    let around = around.iter().map(|token| {
        let word = &text[token.range.clone()];
        word.lines().next().unwrap_or_default()
    });
    let around = around.collect::<Vec<_>>().join(" ");
    Problem {
        at,
        what: format!("the SQL near `{around}` cannot be understood"),
    }
}

fn tokens(root: &SyntaxNode) -> Vec<Token> {
    root.descendants_with_tokens()
        .filter_map(squawk_syntax::SyntaxElement::into_token)
        .filter(|token| !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT))
        .filter(|token| token.text() != ";" && !token.text().is_empty())
        .map(|token| {
            let range = token.text_range();
            Token {
                kind: kind(token.text()),
                range: range.start().into()..range.end().into(),
            }
        })
        .collect()
}

fn kind(text: &str) -> TokenKind {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some('"'), _) => TokenKind::Quoted,
        (Some('\''), _) | (Some('e' | 'E' | 'b' | 'B' | 'x' | 'X' | 'n' | 'N'), Some('\'')) => {
            TokenKind::Text
        }
        (Some('u' | 'U'), Some('&')) => TokenKind::Text,
        (Some('$'), Some(next)) if !next.is_ascii_digit() => TokenKind::Text,
        (Some(first), _) if first.is_alphabetic() || first == '_' => TokenKind::Word,
        _ => TokenKind::Other,
    }
}

fn standing(
    stmt: &ast::Stmt,
    words: &Words<'_>,
    later: &[ast::Stmt],
    earlier: &[ast::Stmt],
) -> Standing {
    let outside = |what: &str| Standing::Outside(format!("`{what}` cannot run in a transaction"));
    match stmt {
        ast::Stmt::Begin(_) => Standing::Begins,
        ast::Stmt::Commit(_) | ast::Stmt::PrepareTransaction(_) => Standing::Ends,
        ast::Stmt::Rollback(_) if !words.has(&["TO"]) => Standing::Ends,
        ast::Stmt::CreateIndex(it) if it.concurrently_token().is_some() => {
            outside("CREATE INDEX CONCURRENTLY")
        }
        ast::Stmt::DropIndex(it) if it.concurrently_token().is_some() => {
            outside("DROP INDEX CONCURRENTLY")
        }
        ast::Stmt::Reindex(_) if reindexes_widely(words) => outside("REINDEX"),
        ast::Stmt::Vacuum(_) => outside("VACUUM"),
        ast::Stmt::CreateDatabase(_) => outside("CREATE DATABASE"),
        ast::Stmt::DropDatabase(_) => outside("DROP DATABASE"),
        ast::Stmt::CreateTablespace(_) => outside("CREATE TABLESPACE"),
        ast::Stmt::DropTablespace(_) => outside("DROP TABLESPACE"),
        ast::Stmt::CreateSubscription(_) => outside("CREATE SUBSCRIPTION"),
        ast::Stmt::DropSubscription(_) => outside("DROP SUBSCRIPTION"),
        ast::Stmt::AlterSubscription(_)
            if words.has(&["REFRESH"]) || words.has(&["PUBLICATION"]) =>
        {
            outside("ALTER SUBSCRIPTION … REFRESH")
        }
        ast::Stmt::AlterSystem(_) => outside("ALTER SYSTEM"),
        ast::Stmt::AlterDatabase(it)
            if matches!(
                it.action(),
                Some(ast::AlterDatabaseAction::SetTablespace(_))
            ) =>
        {
            outside("ALTER DATABASE … SET TABLESPACE")
        }
        ast::Stmt::AlterTable(it) if detaches_concurrently(it) => {
            outside("DETACH PARTITION CONCURRENTLY")
        }
        ast::Stmt::Cluster(it)
            if it.table_name_ref().is_none() && it.cluster_legacy().is_none() =>
        {
            outside("CLUSTER")
        }
        ast::Stmt::Discard(_) if words.word(1) == "ALL" => outside("DISCARD ALL"),
        ast::Stmt::AlterType(it) => enum_value(it, later, earlier),
        _ => Standing::Inside,
    }
}

fn reindexes_widely(words: &Words<'_>) -> bool {
    (1..words.len()).any(|at| {
        matches!(
            words.word(at).as_str(),
            "CONCURRENTLY" | "SCHEMA" | "DATABASE" | "SYSTEM"
        )
    })
}

fn detaches_concurrently(alter: &ast::AlterTable) -> bool {
    alter.actions().any(|action| {
        matches!(&action, ast::AlterTableAction::DetachPartition(detach)
            if detach.syntax().text().to_string().to_ascii_uppercase().contains("CONCURRENTLY"))
    })
}

/// A new value of an enum cannot be used before it is committed, except when
/// the type itself is new.
fn enum_value(alter: &ast::AlterType, later: &[ast::Stmt], earlier: &[ast::Stmt]) -> Standing {
    let Some(ast::AlterTypeAction::AddValue(add)) = alter.action() else {
        return Standing::Inside;
    };
    let (Some(literal), Some(kind)) = (add.literal(), alter.type_name_ref()) else {
        return Standing::Inside;
    };
    let literal = literal.syntax().text().to_string();
    let kind = kind.syntax().text().to_string();
    let new = earlier.iter().any(|stmt| match stmt {
        ast::Stmt::CreateType(create) => create
            .type_name()
            .is_some_and(|name| name.syntax().text().to_string().trim() == kind.trim()),
        _ => false,
    });
    let used = later
        .iter()
        .any(|stmt| stmt.syntax().text().to_string().contains(literal.trim()));
    match used && !new {
        true => Standing::Outside(format!(
            "the new value {} is used further down, which needs it committed",
            literal.trim()
        )),
        false => Standing::Inside,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, Script, read};
    use crate::ports::Dialect;

    fn script(text: &str) -> Script {
        read(Dialect::Postgres, text)
    }

    fn parts(text: &str) -> Vec<String> {
        let script = script(text);
        let parts = script.statements.iter();
        parts.map(|s| script.slice(s).to_owned()).collect()
    }

    #[test]
    fn what_has_to_be_split_and_cannot_be_read_is_named_in_words_of_the_file() {
        let text = "CREATE INDEX CONCURRENTLY i ON t (a);\nCREATE INDEX CONCURENTLY j ON t (a);\n";
        let problem = script(text).mode(None).expect_err("a typo");
        assert_eq!(
            problem.what,
            "the SQL near `CONCURENTLY j` cannot be understood, and this file is sent statement by statement (line 1: `CREATE INDEX CONCURRENTLY` cannot run in a transaction): mend it, or, when the server does take it, move it into a file of its own"
        );
        assert_eq!(problem.at, text.find("j ON").expect("there"));
    }

    #[test]
    fn statements_end_at_their_own_semicolon_only() {
        let text = "-- a; b\nselect ';'; /* c /* d; */ ; */ do $x$ begin; end $x$;\n\
                    create function f() returns int begin atomic select 1; select 2; end; select E'\\';'";
        assert_eq!(
            parts(text),
            [
                "select ';'",
                "do $x$ begin; end $x$",
                "create function f() returns int begin atomic select 1; select 2; end",
                "select E'\\';'"
            ]
        );
    }

    #[test]
    fn what_cannot_run_in_a_transaction_is_seen() {
        for text in [
            "create index concurrently i on t (a)",
            "drop index concurrently i",
            "reindex table concurrently t",
            "reindex (verbose) database d",
            "vacuum analyze t",
            "create database d",
            "alter system set work_mem = '1MB'",
            "alter database d set tablespace x",
            "alter table t detach partition p concurrently",
            "cluster",
            "discard all",
            "alter type k add value 'x'; insert into t values ('x')",
        ] {
            let mode = script(text).mode(None).expect("a mode");
            assert!(matches!(mode, Mode::Apart(_)), "{text}: {mode:?}");
        }
    }

    #[test]
    fn what_can_run_in_one_does() {
        for text in [
            "create index i on t (a)",
            "refresh materialized view concurrently v",
            "reindex table t",
            "cluster t using i",
            "alter type k add value 'x'; insert into t values ('y')",
            "create type k as enum ('a'); alter type k add value 'x'; insert into t values ('x')",
            "savepoint a; rollback to savepoint a",
            "comment on table t is 'create index concurrently'",
        ] {
            assert_eq!(script(text).mode(None), Ok(Mode::Together), "{text}");
        }
    }

    #[test]
    fn commands_of_psql_and_copied_data_are_refused_where_they_stand() {
        let meta = script("select 1;\n\\set x 1\nselect '\\d';");
        assert_eq!(meta.problems.len(), 1);
        assert_eq!(meta.place(meta.problems[0].at).line, 2);
        assert!(meta.problems[0].what.contains("`\\set x 1`"));
        let copy = script("select 1;\ncopy t (a) from stdin;\n1\t'x\n\\.\n");
        assert!(copy.problems[0].what.contains("FROM STDIN"));
    }

    #[test]
    fn the_hash_ignores_comments_layout_and_line_endings_but_nothing_else() {
        let hash = |text: &str| script(text).normalised();
        let one = hash("create table t (a int);\nselect 'x\ny';\n");
        assert_eq!(
            one,
            hash("-- licence\r\ncreate  table t(a int) ;select 'x\r\ny'")
        );
        assert_ne!(one, hash("create table t (b int);\nselect 'x\ny';"));
        assert_ne!(hash("select 'a  b'"), hash("select 'a b'"));
    }

    #[test]
    fn the_prefix_is_the_hash_of_the_first_statements() {
        let two = script("select 1; select 2;");
        assert_eq!(two.prefix(1), script("select 1").normalised());
        assert_ne!(two.prefix(1), two.normalised());
    }

    #[test]
    fn a_missing_last_semicolon_is_added_before_a_closing_comment() {
        assert_eq!(script("select 1 -- x").whole(), "select 1; -- x\n");
        assert_eq!(script("select 1;").whole(), "select 1;\n");
        assert_eq!(script("-- nothing").whole(), "-- nothing\n");
    }
}
