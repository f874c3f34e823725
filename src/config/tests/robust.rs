//! Whatever the bytes are, the answer is an environment or a list of problems.

use proptest::prelude::*;

use super::super::show::show_with;
use super::super::{Look, environments};
use super::{Case, SMALL, engines};

/// Every way into a file; none may panic, and all must agree.
fn survives(bytes: &[u8]) {
    let case = Case::new(bytes);
    let _ = environments(&case.path());
    let _ = show_with(&case.path(), "prod", &engines(), &|_| None);
    if let Err(problems) = case.load("prod") {
        assert!(!problems.is_empty());
        for look in [
            Look::Plain,
            Look::Drawn { width: 80 },
            Look::Coloured { width: 20 },
        ] {
            assert!(!problems.render(look).is_empty());
        }
        let fault = crate::model::fault::Fault::from(problems);
        assert!(!fault.causes.is_empty());
    }
}

fn example() -> String {
    include_str!("../../../stagecraft.example.yml").to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    #[test]
    fn any_text_of_yaml_like_signs_is_survived(text in "[a-z0-9 \n\t:\\-\\[\\]{}#&*!|>'\"%@`,?~<$ä=]{0,200}") {
        survives(text.as_bytes());
        survives(format!("{SMALL}{text}").as_bytes());
    }

    #[test]
    fn a_damaged_example_is_survived(at in 0usize..8000, cut in 0usize..200, put in "[ -~\n]{0,12}") {
        let text = example();
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.min(characters.len());
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, put.chars());
        survives(characters.into_iter().collect::<String>().as_bytes());
    }

    #[test]
    fn any_value_in_a_known_place_is_survived(
        key in prop::sample::select(vec!["port", "publish", "health", "volumes", "stop", "replicas", "command", "overlap"]),
        value in "([a-z0-9:/%.$~{}-]{0,12}|\\[[a-z, ]{0,9}\\]|\\{ [a-z]{1,9}: [a-z0-9]{0,5} \\})",
    ) {
        survives(SMALL.replace("port: 3000", &format!("{key}: {value}")).as_bytes());
    }
}

#[test]
fn nesting_without_end_is_refused() {
    survives("[".repeat(100_000).as_bytes());
    survives("{a: ".repeat(100_000).as_bytes());
    let indented: String = (0..2_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    survives(indented.as_bytes());
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let problems = Case::new(bomb).problems();
    assert!(problems.contains("more than 50000 values"), "{problems}");
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    let problems = Case::new("version: &a [*a]").problems();
    assert!(problems.contains("cannot contain itself"), "{problems}");
}
