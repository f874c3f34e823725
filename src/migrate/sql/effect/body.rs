//! PostgreSQL's nested SQL, through squawk's tree: the body of `DO`, and the
//! functions that a query calls for what they do.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxNode};

use crate::ports::Dialect;

use super::super::ansi::Words;
use super::super::postgres;
use super::{Effect, always};

/// `DO $$ … $$`: plain statements are judged as if they stood outside, since
/// conditions around them only make them happen less.
pub(super) fn block(words: &Words<'_>) -> Vec<Effect> {
    let unclear = |what: &str| vec![Effect::unclear(always(), what)];
    let parse = SourceFile::parse(text(words));
    let found = parse.tree().syntax().descendants().find_map(ast::Do::cast);
    let Some(body) = found.and_then(|block| block.plpgsql()) else {
        return unclear("runs a block in a language that is not read");
    };
    if !body.errors().is_empty() {
        return unclear("runs a block whose syntax is not understood");
    }
    let statements: Vec<_> = body
        .syntax()
        .descendants()
        .filter_map(ast::PlpgsqlStmt::cast)
        .collect();
    if statements.is_empty() {
        return unclear("runs a block in which no statement is found");
    }
    statements.iter().flat_map(statement).collect()
}

fn statement(statement: &ast::PlpgsqlStmt) -> Vec<Effect> {
    use ast::PlpgsqlStmt as Stmt;
    let unclear = |what: &str| vec![Effect::unclear(always(), what)];
    match statement {
        Stmt::PlpgsqlExecSqlStmt(sql) => nested(&sql.syntax().text().to_string()),
        Stmt::PlpgsqlDynExecuteStmt(_)
        | Stmt::PlpgsqlForDynStmt(_)
        | Stmt::PlpgsqlReturnQueryExecuteStmt(_)
        | Stmt::PlpgsqlOpenStmt(_) => {
            unclear("builds a statement while it runs (`EXECUTE` in a block)")
        }
        Stmt::PlpgsqlCallStmt(_) | Stmt::PlpgsqlDoStmt(_) => {
            unclear("calls a routine in a block, which may change anything")
        }
        Stmt::PlpgsqlPerformStmt(perform) => called(perform.syntax()),
        // They hold statements, which are judged by themselves.
        Stmt::PlpgsqlBlock(_)
        | Stmt::PlpgsqlCaseStmt(_)
        | Stmt::PlpgsqlIfStmt(_)
        | Stmt::PlpgsqlLoopStmt(_)
        | Stmt::PlpgsqlWhileStmt(_)
        | Stmt::PlpgsqlForCursorStmt(_)
        | Stmt::PlpgsqlForEachStmt(_)
        | Stmt::PlpgsqlForIStmt(_)
        | Stmt::PlpgsqlForQueryStmt(_)
        // They touch variables alone, or end something.
        | Stmt::PlpgsqlAssignStmt(_)
        | Stmt::PlpgsqlCloseStmt(_)
        | Stmt::PlpgsqlContinueStmt(_)
        | Stmt::PlpgsqlExitStmt(_)
        | Stmt::PlpgsqlFetchStmt(_)
        | Stmt::PlpgsqlGetDiagStmt(_)
        | Stmt::PlpgsqlMoveStmt(_)
        | Stmt::PlpgsqlAssertStmt(_)
        | Stmt::PlpgsqlCommitStmt(_)
        | Stmt::PlpgsqlNullStmt(_)
        | Stmt::PlpgsqlRaiseStmt(_)
        | Stmt::PlpgsqlReturnNextStmt(_)
        | Stmt::PlpgsqlReturnQueryStmt(_)
        | Stmt::PlpgsqlReturnStmt(_)
        | Stmt::PlpgsqlRollbackStmt(_) => vec![],
    }
}

fn nested(sql: &str) -> Vec<Effect> {
    let reading = postgres::read(sql);
    if !reading.doubts.is_empty() || reading.statements.is_empty() {
        return vec![Effect::unclear(
            always(),
            "runs a statement in a block that is not understood",
        )];
    }
    let of = |statement: &super::super::Statement| {
        let words = Words {
            text: sql,
            tokens: &reading.tokens[statement.tokens.clone()],
        };
        super::of(Dialect::Postgres, &words)
    };
    reading.statements.iter().flat_map(of).collect()
}

/// A query that stands in a migration by itself is there for a function that
/// it calls.
pub(super) fn calls(dialect: Dialect, words: &Words<'_>) -> Vec<Effect> {
    match dialect {
        Dialect::Postgres if matches!(words.word(0).as_str(), "SELECT" | "WITH") => {
            called(SourceFile::parse(text(words)).tree().syntax())
        }
        // A query of theirs changes no schema.
        Dialect::Postgres | Dialect::Mysql | Dialect::Sqlite => vec![],
    }
}

fn called(node: &SyntaxNode) -> Vec<Effect> {
    node.descendants()
        .filter_map(ast::CallExpr::cast)
        .map(|call| {
            let text = call.syntax().text().to_string();
            let name = text.split('(').next().unwrap_or_default();
            name.trim().replace('"', "").to_ascii_lowercase()
        })
        .find(|name| {
            let last = name.strip_prefix("pg_catalog.").unwrap_or(name);
            !last.starts_with("pg_advisory") && !HARMLESS.contains(&last)
        })
        .map(|name| {
            Effect::unclear(
                always(),
                format!("calls `{name}`, which may change anything"),
            )
        })
        .into_iter()
        .collect()
}

fn text<'a>(words: &Words<'a>) -> &'a str {
    match (words.tokens.first(), words.tokens.last()) {
        (Some(first), Some(last)) => &words.text[first.range.start..last.range.end],
        _ => "",
    }
}

/// Built in, and read or count or set something of the session.
const HARMLESS: [&str; 34] = [
    "setval",
    "nextval",
    "currval",
    "lastval",
    "set_config",
    "current_setting",
    "pg_get_serial_sequence",
    "pg_sleep",
    "pg_notify",
    "pg_try_advisory_lock",
    "pg_column_size",
    "to_regclass",
    "version",
    "now",
    "clock_timestamp",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "count",
    "max",
    "min",
    "sum",
    "avg",
    "bool_and",
    "bool_or",
    "exists",
    "array_agg",
    "string_agg",
    "lower",
    "upper",
    "length",
    "concat",
    "format",
];
