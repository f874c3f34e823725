//! Keyed fingerprints of secrets in the record: what changed is said, and
//! nobody can guess a value from a record.

use serde_json::json;

use crate::support::lab::{Project, engine};

#[test]
fn a_secret_that_changed_since_a_release_is_named_and_never_shown() {
    let mut shop = Project::new("prints").on(&[1, 2]);
    shop.set("/env/secret", json!(["TOKEN", "OTHER"]));
    shop.variable("TOKEN", "first-value-of-it");
    shop.variable("OTHER", "the-same-all-along");
    // Looking makes no key.
    let dry = ["deploy", "--env", "prod", "--dry-run"];
    shop.runs(&dry).succeeds();
    let key = format!(
        "/home/deploy/.stagecraft/{}/prod/fingerprint.key",
        shop.name
    );
    let on_host = |script: &str| engine(1).sh(script);
    assert_eq!(on_host(&format!("ls {key} 2>/dev/null || true")), "");

    let first = shop.deploy("v1").succeeds().release();
    let kept = &shop.newest()["roles"]["web"]["env_secret"];
    let token = kept["TOKEN"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 32);
    assert_ne!(kept["OTHER"], token);
    assert_eq!(on_host(&format!("stat -c %a {key}")).trim(), "600");

    shop.runs(&dry).succeeds().never_saying(&["today's value"]);
    shop.variable("TOKEN", "second-value-of-it");
    let words = format!("today's value of `TOKEN` is not the one that {first} got");
    shop.runs(&dry).succeeds().saying(&[&words]).never_saying(&[
        "second-value-of-it",
        "first-value-of-it",
        "`OTHER`",
    ]);
    shop.deploy("v2").succeeds().saying(&[&words]);
    let kept = shop.newest()["roles"]["web"]["env_secret"]["TOKEN"].clone();
    assert_ne!(kept, token);
    // The containers of a rollback get today's value, and its record says so.
    let back = shop.runs(&["rollback", "--env", "prod"]).succeeds();
    back.saying(&[&words, "today's goes in"]);
    assert_eq!(shop.newest()["roles"]["web"]["env_secret"]["TOKEN"], kept);
    // The key is nowhere but on the host.
    let key = on_host(&format!("cat {key}"));
    assert_eq!(key.trim().len(), 64);
    let record = std::fs::read_to_string(shop.path().join(".stagecraft/releases.json")).unwrap();
    assert!(!record.contains(key.trim()));
}
