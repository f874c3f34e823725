//! squawk's rules, for what the own ones did not say already.

use squawk_linter::{Linter, Rule, Version, Violation};
use squawk_syntax::SourceFile;

use crate::migrate::sql::Mode;
use crate::model::risk::{Grade, Lock, Remark, Work};

use super::File;
use super::grade::Stand;

/// Those that are about databases in use. The rest is style, or what
/// Stagecraft does by itself: timeouts, transactions, running concurrent work
/// apart; or needs a choice of its author's (opt-in rules).
const RULES: [Rule; 34] = [
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentPartitionDetach,
    Rule::RequireConcurrentReindex,
    Rule::ConstraintMissingNotValid,
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::ChangingColumnType,
    Rule::AddingNotNullableField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::AddingRequiredField,
    Rule::RenamingColumn,
    Rule::RenamingTable,
    Rule::RenamingObject,
    Rule::DisallowedUniqueConstraint,
    Rule::BanDropDatabase,
    Rule::BanDropSchema,
    Rule::BanDropColumn,
    Rule::BanDropTable,
    Rule::BanDropNotNull,
    Rule::BanDropView,
    Rule::BanDropFunction,
    Rule::BanDropType,
    Rule::BanDropDefault,
    Rule::BanDropSequence,
    Rule::BanDropDomain,
    Rule::BanDropConstraint,
    Rule::BanDropGeneratedExpression,
    Rule::BanDropExtension,
    Rule::BanSetSchema,
    Rule::BanAlterIdentity,
    Rule::BanTruncateCascade,
    Rule::BanCreateDomainWithConstraint,
    Rule::BanAlterDomainWithAddConstraint,
];

pub(super) fn remarks(file: &File<'_>) -> Vec<Remark> {
    if !worth_it(file) {
        return vec![];
    }
    // Of the same length, so that places stay: what its comments ignore is
    // wanted too, and marked.
    let text = file
        .pending
        .script
        .text
        .replace("squawk-ignore", "squawk_ignore");
    let parse = SourceFile::parse(&text);
    let mut linter = Linter::from(RULES);
    linter.settings.assume_in_transaction = *file.pending.mode == Mode::Together;
    if let Some(version) = version(file) {
        linter.settings.pg_version = version;
    }
    let found = linter.lint(&parse, &text);
    found
        .into_iter()
        .filter_map(|violation| remark(file, violation))
        .collect()
}

/// All that those rules look at.
fn worth_it(file: &File<'_>) -> bool {
    let script = file.pending.script;
    script.statements.iter().any(|statement| {
        let text = script.slice(statement);
        let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
        match words.next().as_deref() {
            Some("ALTER" | "DROP" | "TRUNCATE" | "REINDEX") => true,
            Some("CREATE") => words.next().as_deref() == Some("DOMAIN"),
            _ => false,
        }
    })
}

fn version(file: &File<'_>) -> Option<Version> {
    let (major, minor) = file.world.facts.server?.version;
    format!("{major}.{minor}").parse().ok()
}

/// `None` where a remark of the own rules says it, with its lock and work.
fn remark(file: &File<'_>, violation: Violation) -> Option<Remark> {
    let script = file.pending.script;
    let at = usize::from(violation.text_range.start());
    let statement = script
        .statements
        .partition_point(|statement| statement.range.end <= at);
    let weights = &file.weighed.get(statement)?.weights;
    let rule = violation.code.to_string();
    if weights.iter().any(|weight| weight.rule == rule) {
        return None;
    }
    let work = work(violation.code);
    let table = weights.iter().find_map(|weight| weight.tables.first());
    let lock = weights.iter().filter_map(|weight| weight.lock).max();
    let place = script.place(at);
    let new = table.is_some_and(|table| {
        let stand = file.world.stand((file.at, statement), table);
        stand == Stand::New || !stand.holds_rows()
    });
    Some(Remark {
        rule,
        file: file.pending.shown.to_owned(),
        line: place.line,
        column: place.column,
        statement: super::shown(script, statement),
        lock,
        work,
        blocks: lock.unwrap_or(Lock::AccessShare).blocks(),
        table: table.cloned(),
        why: said(&violation.message),
        help: violation.help.as_deref().map(said),
        grade: match (new, lock) {
            (true, _) => Grade::Harmless,
            (false, None) => Grade::Harmless,
            (false, Some(_)) => Grade::Caution,
        },
        because: None,
        ignored: false,
    })
}

fn work(rule: Rule) -> Work {
    match rule {
        Rule::AddingFieldWithDefault | Rule::ChangingColumnType => Work::Rewrites,
        Rule::ConstraintMissingNotValid
        | Rule::AddingNotNullableField
        | Rule::AddingForeignKeyConstraint => Work::Scans,
        Rule::RequireConcurrentIndexCreation
        | Rule::RequireConcurrentReindex
        | Rule::DisallowedUniqueConstraint
        | Rule::AddingSerialPrimaryKeyField => Work::BuildsIndex,
        _ => Work::None,
    }
}

/// As a fragment, like every message of this program.
fn said(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}
