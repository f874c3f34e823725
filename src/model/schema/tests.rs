//! Every answer that an endpoint can give has its case here; the numbers are
//! those of the requirements.

use serde_json::{Value, json};

use super::*;

fn answer(change: impl FnOnce(&mut Value)) -> Result<SchemaStatus, String> {
    let mut answer = json!({
        "current_schema_version": 42,
        "code_min_schema_version": 40,
        "code_max_schema_version": 43,
        "pending_migrations": ["043_notes.sql"],
        "compatible": true,
    });
    change(&mut answer);
    SchemaStatus::parse(answer.to_string().as_bytes())
}

fn status(current: i64, code_min: i64, code_max: i64, compatible: bool) -> SchemaStatus {
    SchemaStatus {
        current,
        code_min,
        code_max,
        pending: vec![],
        compatible,
    }
}

fn reasons(status: &SchemaStatus) -> String {
    status.judge().expect_err("refused").reasons.join("; ")
}

/// E18, E19, E20, E21, E22, E23, E26
#[test]
fn e18_to_e22_an_answer_has_three_versions_a_list_and_a_verdict() {
    let read = answer(|_| {}).expect("all five");
    assert_eq!((read.current, read.code_min, read.code_max), (42, 40, 43));
    assert_eq!(read.pending, ["043_notes.sql"]);
    assert!(read.compatible);
    assert_eq!(read.judge(), Ok(()), "E26: the code may be ahead");
}

/// E18, E19, E20, E21, E22
#[test]
fn e18_to_e22_each_missing_field_is_named() {
    for field in [CURRENT, MIN, MAX, PENDING, COMPATIBLE] {
        let why = answer(|answer| {
            answer.as_object_mut().expect("an object").remove(field);
        })
        .expect_err("incomplete");
        assert_eq!(why, format!("`{field}` is missing from the answer"));
    }
}

/// E18, E19, E20, E21, E22
#[test]
fn e18_to_e22_each_malformed_field_is_named() {
    let bad: [(&str, Value); 14] = [
        (CURRENT, json!("42")),
        (CURRENT, json!(42.5)),
        (CURRENT, json!(42.0)),
        (CURRENT, json!(null)),
        (CURRENT, json!(9_223_372_036_854_775_808_u64)),
        (MIN, json!([40])),
        (MIN, json!(true)),
        (MAX, json!({})),
        (MAX, json!("")),
        (PENDING, json!("043_notes.sql")),
        (PENDING, json!([43])),
        (PENDING, json!(null)),
        (COMPATIBLE, json!("true")),
        (COMPATIBLE, json!(1)),
    ];
    for (field, value) in bad {
        let why = answer(|answer| answer[field] = value.clone()).expect_err("malformed");
        assert!(why.starts_with(&format!("`{field}` ")), "{value}: {why}");
    }
}

/// E41
#[test]
fn e41_what_is_no_json_object_is_no_answer() {
    for body in [
        "",
        "ok",
        "[]",
        "42",
        "null",
        "{",
        "<html>",
        "{} {}",
        "\u{feff}{}",
    ] {
        let why = SchemaStatus::parse(body.as_bytes()).expect_err(body);
        assert!(
            why.contains("not a JSON object") || why.contains("missing"),
            "{why}"
        );
    }
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    SchemaStatus::parse(deep.as_bytes()).expect_err("too deep");
    SchemaStatus::parse(b"{\"\xff\": 1}").expect_err("not text");
}

#[test]
fn a_field_that_stands_twice_is_no_answer_whichever_comes_last() {
    let body = br#"{"current_schema_version": 42, "code_min_schema_version": 40,
        "code_max_schema_version": 43, "pending_migrations": [],
        "compatible": false, "compatible": true}"#;
    let why = SchemaStatus::parse(body).expect_err("contradictory");
    assert_eq!(why, "`compatible` stands twice in the answer");
}

#[test]
fn versions_have_64_bits_and_further_fields_are_the_applications_own() {
    let read = answer(|answer| {
        answer[CURRENT] = json!(20_260_114_101_502_i64);
        answer[MAX] = json!(i64::MAX);
        answer["more"] = json!({ "hello": null });
    });
    assert_eq!(read.expect("fits").current, 20_260_114_101_502);
}

/// E24
#[test]
fn e24_the_bounds_themselves_are_compatible() {
    for (current, min, max) in [(42, 42, 42), (42, 40, 42), (42, 42, 50), (0, 0, 0)] {
        assert_eq!(status(current, min, max, true).judge(), Ok(()));
    }
}

/// E25
#[test]
fn e25_code_that_needs_a_migration_waits_for_it() {
    let needs = SchemaStatus {
        pending: vec!["043_notes.sql".into()],
        ..status(42, 43, 43, false)
    };
    assert_eq!(needs.judge().expect_err("refused").remedy, Remedy::Migrate);
    assert!(reasons(&needs).contains("`current_schema_version` 42 is below"));
    assert!(
        needs
            .lines()
            .contains(&"pending_migrations: 043_notes.sql".to_owned())
    );
}

/// E29
#[test]
fn e29_code_that_does_not_know_a_schema_so_new_is_refused() {
    let old = status(42, 38, 40, false);
    assert_eq!(old.judge().expect_err("refused").remedy, Remedy::OtherCode);
    assert!(reasons(&old).contains("42 is above `code_max_schema_version` 40"));
}

/// E42
#[test]
fn e42_compatible_false_is_the_last_word_even_within_the_bounds() {
    let unhappy = status(42, 40, 43, false);
    assert_eq!(reasons(&unhappy), "it says `compatible: false`");
    assert_eq!(
        unhappy.judge().expect_err("refused").remedy,
        Remedy::Endpoint
    );
}

/// E43
#[test]
fn e43_compatible_true_outside_the_bounds_is_refused() {
    for (current, min, max) in [(42, 43, 50), (42, 30, 41)] {
        let lying = reasons(&status(current, min, max, true));
        assert!(
            lying.contains("although it says `compatible: true`"),
            "{lying}"
        );
    }
}

#[test]
fn bounds_the_wrong_way_round_are_a_contradiction() {
    let absurd = reasons(&status(42, 50, 40, true));
    assert!(absurd.contains("contradicts itself"), "{absurd}");
    assert!(status(42, 50, 40, true).tolerates(39).is_err());
}

#[test]
fn a_schema_to_come_is_tolerated_up_to_the_highest_version_of_the_code() {
    let live = status(42, 40, 43, true);
    assert_eq!(live.tolerates(43), Ok(()));
    let why = live.tolerates(44).expect_err("too new");
    assert_eq!(
        why,
        "`code_max_schema_version` is 43, and the schema would be 44"
    );
}

#[test]
fn replicas_that_differ_in_any_version_do_not_agree() {
    let one = status(42, 40, 43, true);
    assert_eq!(one.differs_from(&one.clone()), None);
    for other in [
        status(41, 40, 43, true),
        status(42, 39, 43, true),
        status(42, 40, 44, true),
    ] {
        assert!(one.differs_from(&other).is_some());
    }
}

#[test]
fn the_version_of_a_file_is_its_leading_digits() {
    assert_eq!(version_of("0042_notes.sql"), Some(42));
    assert_eq!(version_of("20260114101502"), Some(20_260_114_101_502));
    assert_eq!(version_of("notes_42.sql"), None);
    assert_eq!(version_of("99999999999999999999_x.sql"), None);
    assert_eq!(version_of(""), None);
}

#[test]
fn what_an_application_calls_its_migrations_cannot_disturb_the_terminal() {
    let many = SchemaStatus {
        pending: (0..500).map(|n| format!("{n}\u{1b}[2J\nx")).collect(),
        ..status(1, 1, 1, true)
    };
    let line = &many.lines()[3];
    assert!(!line.contains(char::is_control) && line.ends_with("and 480 more"));
}
