use super::*;

fn snapshot(objects: &[(&str, &str)]) -> Snapshot {
    Snapshot {
        objects: objects
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn notes() -> Snapshot {
    snapshot(&[
        ("table notes", ""),
        ("table notes column id", "int not null"),
        ("table notes_old", ""),
        ("view v", "select 1\nfrom notes"),
    ])
}

#[test]
fn what_belongs_to_a_table_stands_under_it_and_the_text_is_stable() {
    assert_eq!(
        notes().text(),
        "table notes\n  column id: int not null\n\ntable notes_old\n\nview v:\n    select 1\n    from notes\n"
    );
    assert_eq!(notes().text(), notes().text());
}

#[test]
fn a_fingerprint_tells_where_one_description_ends_and_the_next_begins() {
    let one = snapshot(&[("a", "bc"), ("d", "")]);
    let other = snapshot(&[("ab", "c"), ("d", "")]);
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(one.fingerprint(), one.clone().fingerprint());
    assert_eq!(one.fingerprint().len(), 64);
}

#[test]
fn a_difference_names_the_object_and_of_long_texts_only_the_lines_that_differ() {
    let now = snapshot(&[
        ("table notes", ""),
        ("table notes column body", "text"),
        ("table notes column id", "bigint not null"),
        ("view v", "select 2\nfrom notes"),
    ]);
    let told: Vec<String> = notes().diff(&now).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "+ table notes column body: text",
            "~ table notes column id: was `int not null`, is `bigint not null`",
            "- table notes_old",
            "~ view v:\n    - select 1\n    + select 2",
        ]
    );
    assert!(now.diff(&now).is_empty());
}

#[test]
fn rows_of_one_key_are_joined_in_their_order() {
    let joined = Snapshot::of(vec!["i\u{1f}on a".into(), "i\u{1f}b".into()]);
    assert_eq!(joined.objects["i"], "on a, b");
}
