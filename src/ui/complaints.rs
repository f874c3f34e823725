//! What `migrate check` found: each folder with its complaints, one below the
//! other, each beginning with its place, so that editors jump there.

use crate::model::complaint::{Checked, Complaint, Weight};

use super::style::Style;
use super::words::{plural, printable};

/// The folders one below the other.
pub fn text<'a>(checked: impl IntoIterator<Item = &'a Checked>, style: Style) -> String {
    let texts: Vec<String> = checked.into_iter().map(|one| folder(one, style)).collect();
    texts.join("\n")
}

fn folder(checked: &Checked, style: Style) -> String {
    let mut about = vec![checked.folder.clone(), plural(checked.files, "migration")];
    about.extend(checked.base.as_ref().map(|base| format!("beside {base}")));
    about.retain(|part| !part.is_empty());
    let name = style.bold(&checked.database);
    let mut text = format!("{name}  {}\n", printable(&about.join(", ")));
    for complaint in &checked.complaints {
        text += &one(complaint, style);
    }
    if let Some(proof) = &checked.proof {
        text += &format!(
            "  applied {} to an empty {} database; a second run changed nothing; the status is clean\n",
            plural(proof.applied, "migration"),
            proof.database
        );
    }
    text += &format!("  {}\n", summary(checked, style));
    text
}

fn one(complaint: &Complaint, style: Style) -> String {
    let weight = complaint.weight.label();
    let painted = match complaint.weight {
        Weight::Violation => style.bad(weight),
        Weight::Warning => style.warning(weight),
        Weight::Note => style.dim(weight),
    };
    let mut text = format!(
        "  {}: {painted}: {} [{}]\n",
        printable(&complaint.place()),
        printable(&complaint.what),
        complaint.rule.label()
    );
    if let Some(hint) = &complaint.hint {
        text += &format!("    {} {}\n", style.hint("hint:"), printable(hint));
    }
    text
}

fn summary(checked: &Checked, style: Style) -> String {
    let parts: Vec<String> = [Weight::Violation, Weight::Warning, Weight::Note]
        .into_iter()
        .map(|weight| (weight, checked.count(weight)))
        .filter(|(_, count)| *count > 0)
        .map(|(weight, count)| plural(count, weight.label()))
        .collect();
    match (parts.is_empty(), checked.count(Weight::Violation)) {
        (true, _) => style.good("clean"),
        (false, 0) => format!("{}: {}", style.good("clean"), parts.join(", ")),
        (false, _) => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::complaint::{Proof, Rule};

    #[test]
    fn complaints_begin_with_their_place_and_end_with_their_count() {
        let violation = Complaint::violation(Rule::Directive, "db/1_a.sql", "unknown directive")
            .at(1, 16)
            .hint("the nearest is `transaction=off`");
        let note = Complaint::new(Weight::Note, Rule::Ledger, "db", "no ledger is kept");
        let mut checked = Checked {
            database: "main".into(),
            folder: "db".into(),
            files: 2,
            base: Some("origin/main".into()),
            complaints: vec![violation, note],
            proof: None,
        };
        insta::assert_snapshot!(text([&checked], Style::Plain), @r"
        main  db, 2 migrations, beside origin/main
          db/1_a.sql:1:16: violation: unknown directive [directive]
            hint: the nearest is `transaction=off`
          db: note: no ledger is kept [ledger]
          1 violation, 1 note
        ");
        checked.complaints.remove(0);
        checked.proof = Some(Proof {
            database: "SQLite".into(),
            applied: 2,
            duration_ms: 7,
        });
        insta::assert_snapshot!(text([&checked], Style::Plain), @r"
        main  db, 2 migrations, beside origin/main
          db: note: no ledger is kept [ledger]
          applied 2 migrations to an empty SQLite database; a second run changed nothing; the status is clean
          clean: 1 note
        ");
    }
}
