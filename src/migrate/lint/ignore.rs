//! Comments by which an author says that he knows: `-- squawk-ignore rule, rule`
//! (no rule: all) for the statement it stands in or before, `-- squawk-ignore-file`
//! for the whole file; and `-- stagecraft: ignore=rule,rule`, which is for the
//! whole file when it stands above the first statement.

use crate::migrate::sql::Script;
use crate::model::risk::Remark;

/// What a comment takes out of the count.
struct Ignore {
    /// Lines of the statement, both included; `None`: the whole file.
    lines: Option<(usize, usize)>,
    /// Empty: all.
    rules: Vec<String>,
}

pub(super) struct Ignores(Vec<Ignore>);

impl Ignores {
    pub(super) fn of(script: &Script) -> Self {
        let text = &script.text;
        if !text.contains("squawk-ignore") && !text.contains("stagecraft:") {
            return Self(vec![]);
        }
        let spans: Vec<(usize, usize)> = script
            .statements
            .iter()
            .map(|statement| {
                let line = |at| script.place(at).line;
                (line(statement.range.start), line(statement.range.end))
            })
            .collect();
        let first = spans.first().map_or(usize::MAX, |span| span.0);
        let lines = text.lines().enumerate();
        let each = lines.filter_map(|(index, line)| one(line, index + 1, &spans, first));
        Self(each.collect())
    }

    pub(super) fn apply(&self, remarks: &mut [Remark]) {
        for remark in remarks {
            remark.ignored = self.0.iter().any(|ignore| ignore.covers(remark));
        }
    }
}

impl Ignore {
    fn covers(&self, remark: &Remark) -> bool {
        let here = self
            .lines
            .is_none_or(|(from, to)| (from..=to).contains(&remark.line));
        here && (self.rules.is_empty() || self.rules.contains(&remark.rule))
    }
}

fn one(line: &str, number: usize, spans: &[(usize, usize)], first: usize) -> Option<Ignore> {
    let start = [line.find("--"), line.find("/*")];
    let start = start.into_iter().flatten().min()?;
    let comment = line[start + 2..].trim().trim_end_matches("*/").trim_end();
    // The statement that it stands in, else the next one.
    let next = || spans.iter().find(|(_, to)| *to >= number).copied();
    let (rules, lines) = if let Some(rest) = comment.strip_prefix("squawk-ignore-file") {
        (rest, None)
    } else if let Some(rest) = comment.strip_prefix("squawk-ignore") {
        (rest, Some(next()?))
    } else {
        let rest = comment.strip_prefix("stagecraft:")?.trim_start();
        let rest = rest.strip_prefix("ignore=")?;
        match number < first {
            true => (rest, None),
            false => (rest, Some(next()?)),
        }
    };
    // What follows a second `--` is prose.
    let rules = rules.split("--").next().unwrap_or_default();
    let rules = rules.split([',', ' ', '\t']).map(str::trim);
    Some(Ignore {
        lines,
        rules: rules
            .filter(|rule| !rule.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}
