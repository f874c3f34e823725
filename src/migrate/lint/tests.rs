use super::*;
use crate::migrate::sql::{Product, read};
use crate::model::risk::{Basis, Grade, Lock, Work};

fn facts(tables: &[(&str, u64)]) -> Facts {
    let tables = tables.iter().map(|(name, rows)| {
        let table = Table {
            rows: Some(*rows),
            bytes: Some(rows * 100),
        };
        ((*name).to_owned(), table)
    });
    Facts {
        server: Some(Server {
            product: Product::Postgres,
            version: (15, 0),
        }),
        tables: Some(tables.collect()),
        ..Facts::default()
    }
}

fn forecasts(files: &[&str], facts: &Facts) -> Vec<Forecast> {
    let scripts: Vec<Script> = files
        .iter()
        .map(|text| read(Dialect::Postgres, text))
        .collect();
    let modes: Vec<Mode> = scripts
        .iter()
        .map(|script| script.mode(None).expect("a mode"))
        .collect();
    let pending: Vec<Pending<'_>> = scripts
        .iter()
        .zip(&modes)
        .map(|(script, mode)| Pending {
            shown: "db/1.sql",
            script,
            mode,
        })
        .collect();
    let heavy = weigh(&pending, facts.server(Dialect::Postgres));
    lint(&pending, &heavy, facts)
}

fn remarks(text: &str, facts: &Facts) -> Vec<Remark> {
    forecasts(&[text], facts).remove(0).remarks
}

fn rules(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.rule.as_str()).collect()
}

#[test]
fn the_size_of_the_table_decides_what_a_statement_means() {
    let grade = |rows| {
        let found = remarks("create index i on t (a)", &facts(&[("t", rows)]));
        (found[0].grade, found[0].because.clone().unwrap_or_default())
    };
    assert_eq!(grade(0), (Grade::Harmless, "the table is empty".to_owned()));
    assert_eq!(
        grade(1_234),
        (Grade::Harmless, "about 1,200 rows, 123 kB".to_owned())
    );
    assert_eq!(
        grade(1_000_000),
        (Grade::Blocking, "about 1,000,000 rows, 100 MB".to_owned())
    );
    let nobody_looked = remarks("create index i on t (a)", &Facts::default());
    assert_eq!(nobody_looked[0].grade, Grade::Blocking);
}

#[test]
fn what_an_earlier_file_of_the_plan_makes_is_nobody_s_yet() {
    let files = [
        "create table t (a int); alter table t rename to u",
        "create index i on u (a); alter table u alter a type bigint; drop index i; drop table u",
        "create index j on old (a)",
    ];
    let found = forecasts(&files, &facts(&[("old", 5_000_000)]));
    assert!(
        found[1]
            .remarks
            .iter()
            .all(|one| one.grade == Grade::Harmless),
        "{:?}",
        found[1]
    );
    assert_eq!(
        found[1].risk.as_ref().map(|risk| risk.level),
        Some(Level::Low)
    );
    assert_eq!(found[2].remarks[0].grade, Grade::Blocking);
}

#[test]
fn a_table_that_if_not_exists_leaves_alone_is_as_large_as_it_is() {
    let text = "create table if not exists t (a int); create index i on t (a)";
    let found = remarks(text, &facts(&[("t", 5_000_000)]));
    assert_eq!(found[0].grade, Grade::Blocking);
}

#[test]
fn a_short_lock_on_a_large_table_is_said_and_blocks_nobody_for_long() {
    let found = remarks("alter table t add a int", &facts(&[("t", 1_000_000)]));
    assert_eq!(rules(&found), ["adding-a-column"]);
    assert_eq!(
        (found[0].grade, found[0].lock, found[0].work),
        (Grade::Caution, Some(Lock::AccessExclusive), Work::None)
    );
}

#[test]
fn somebody_s_long_transaction_is_named_even_on_a_small_table() {
    let mut facts = facts(&[("t", 10)]);
    facts.open.push(Open {
        who: "psql of ann, in a transaction since 2026-01-01 10:00:00 UTC".to_owned(),
        tables: vec!["t".to_owned()],
    });
    let found = remarks("alter table t add a int", &facts);
    assert_eq!(found[0].grade, Grade::Caution);
    let because = found[0].because.clone().unwrap_or_default();
    assert!(
        because.ends_with("waits for psql of ann, in a transaction since 2026-01-01 10:00:00 UTC"),
        "{because}"
    );
}

#[test]
fn squawk_s_findings_come_with_the_lock_and_once() {
    let found = remarks(
        "alter table t drop column a;\nalter type k rename to l;\nalter table t add constraint c check (a > 0) not valid;\nalter table t validate constraint c;",
        &facts(&[("t", 1_000_000)]),
    );
    let of = |line| {
        let here = found.iter().filter(move |one| one.line == line);
        here.map(|one| one.rule.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(1), ["ban-drop-column"]);
    assert!(of(2).contains(&"renaming-object"), "{:?}", of(2));
    assert!(
        of(4).contains(&"constraint-missing-not-valid"),
        "{:?}",
        of(4)
    );
}

/// C21
#[test]
fn heavy_work_that_keeps_another_table_locked_is_found() {
    let facts = facts(&[("t", 1_000_000), ("u", 50)]);
    let found = remarks("alter table u add a int;\ncreate index i on t (a);", &facts);
    let mixed = found.iter().find(|one| one.rule == "mixed-heavy-work");
    let mixed = mixed.expect("a remark");
    assert_eq!((mixed.line, mixed.table.as_deref()), (2, Some("u")));
    assert_eq!(mixed.grade, Grade::Blocking);
    assert_eq!(mixed.lock, Some(Lock::AccessExclusive));
    let alone = remarks("create index i on t (a)", &facts);
    assert_eq!(rules(&alone), ["require-concurrent-index-creation"]);
    let apart = remarks(
        "alter table u add a int; create index concurrently i on t (a)",
        &facts,
    );
    assert!(!rules(&apart).contains(&"mixed-heavy-work"));
}

#[test]
fn a_comment_takes_a_finding_out_of_the_count_and_leaves_it_to_be_seen() {
    let facts = facts(&[("t", 1_000_000)]);
    let ignored = |text: &str| {
        let found = remarks(text, &facts);
        found.iter().map(|one| one.ignored).collect::<Vec<_>>()
    };
    let create = "create index i on t (a)";
    assert_eq!(
        ignored(&format!(
            "-- squawk-ignore require-concurrent-index-creation\n{create}"
        )),
        [true]
    );
    assert_eq!(
        ignored(&format!("-- squawk-ignore ban-drop-column\n{create}")),
        [false]
    );
    assert_eq!(
        ignored(&format!(
            "select 1;\n/* squawk-ignore */\n{create};\n{create};"
        )),
        [true, false]
    );
    assert_eq!(
        ignored(&format!("{create};\n{create};\n-- squawk-ignore-file")),
        [true, true]
    );
    assert_eq!(
        ignored(&format!(
            "-- stagecraft: ignore=x,require-concurrent-index-creation\nselect 1;\n{create};"
        )),
        [true]
    );
    assert_eq!(
        ignored(&format!(
            "select 1;\n-- stagecraft: ignore=require-concurrent-index-creation\n{create};\n{create};"
        )),
        [true, false]
    );
    assert_eq!(
        ignored(
            "alter table t\n  -- squawk-ignore ban-drop-column -- nobody reads it\n  drop column a"
        ),
        [true]
    );
}

/// D28
#[test]
fn an_estimate_grows_with_the_table_and_is_missing_where_nothing_is_known() {
    let estimate = |facts: &Facts| {
        forecasts(&["create index i on t (a)"], facts)
            .remove(0)
            .estimate
    };
    let small = estimate(&facts(&[("t", 10)])).expect("an estimate");
    let large = estimate(&facts(&[("t", 10_000_000)])).expect("an estimate");
    assert!(small.high_ms < 50, "{small:?}");
    assert_eq!((large.low_ms, large.high_ms), (5_001, 50_020));
    assert_eq!(
        large.basis,
        Basis::Size {
            words: "from the size of `t` (about 10,000,000 rows, 1 GB)".to_owned()
        }
    );
    assert_eq!(estimate(&Facts::default()), None);
}

/// D85
#[test]
fn the_level_of_a_file_is_its_worst_statement_s_and_says_why() {
    let facts = facts(&[("t", 10)]);
    let risk = |text| forecasts(&[text], &facts).remove(0).risk.expect("a risk");
    assert_eq!(
        risk("drop schema s cascade; drop table t").level,
        Level::Critical
    );
    let high = risk("alter table t drop column a, add b int");
    assert_eq!(
        (high.level, high.operations),
        (Level::High, vec!["drops the column `t.a`".to_owned()])
    );
    assert_eq!(risk("insert into t values (1)").level, Level::Low);
}

#[test]
fn an_index_is_as_heavy_to_drop_as_its_table_is_large() {
    let mut facts = facts(&[("t", 1_000_000)]);
    facts.indexes.insert("i".to_owned(), "t".to_owned());
    let found = remarks("drop index i", &facts);
    assert_eq!(
        (found[0].grade, found[0].table.as_deref()),
        (Grade::Caution, Some("t"))
    );
}

#[test]
fn many_files_come_back_in_their_order() {
    let texts: Vec<String> = (0..300)
        .map(|n| format!("create index i on t{n} (a)"))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = forecasts(&texts, &Facts::default());
    for (n, forecast) in found.iter().enumerate() {
        assert_eq!(forecast.remarks[0].table, Some(format!("t{n}")));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z$'\"();.,= \n-]{0,120}", head in "(alter table t |create index |do \\$\\$ begin |update |drop |-- squawk-ignore )?") {
        let text = format!("{head}{text}");
        for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
            let script = read(dialect, &text);
            let pending = [Pending { shown: "f", script: &script, mode: &Mode::Together }];
            let heavy = weigh(&pending, Server::assumed(dialect));
            let _ = lint(&pending, &heavy, &Facts::default());
        }
    }
}
