//! Keyed fingerprints of secrets: a release's record says of each whether
//! today's value is the one that its containers got, and no more. The key stays
//! on the primary host (`ssh`); a value cannot be guessed from a record alone.

use std::fmt::Write;

use hmac::{Hmac, Mac};
use indexmap::IndexMap;
use sha2::Sha256;

use crate::model::names::RoleName;
use crate::model::release::{Release, RoleRecord};
use crate::model::secret::Secret;
use crate::plan::ReadyRole;
use crate::ui::words;

/// Bytes of a fingerprint that are kept: as good as all, and shorter to read.
const KEPT: usize = 16;

/// Writes the fingerprints of the values that the containers get into the
/// record. Without a key there are none.
pub(crate) fn sign(
    release: &mut Release,
    roles: &IndexMap<RoleName, ReadyRole>,
    key: Option<&Secret>,
) {
    for (name, record) in &mut release.roles {
        let env = roles.get(name).map(|ready| &ready.env);
        for (variable, kept) in &mut record.env_secret {
            let value = env.and_then(|env| env.get(variable));
            *kept = match (key, value) {
                (Some(key), Some(value)) => fingerprint(key, variable, value),
                (None, _) | (_, None) => String::new(),
            };
        }
    }
}

/// Gives each role the fingerprint of its whole environment: a container that
/// was kept with another one is made anew. Without a key there is none.
pub(crate) fn imprint(
    mut roles: IndexMap<RoleName, ReadyRole>,
    key: Option<&Secret>,
) -> IndexMap<RoleName, ReadyRole> {
    for ready in roles.values_mut() {
        ready.print = key.map(|key| {
            let mut env: Vec<(&String, &Secret)> = ready.env.iter().collect();
            env.sort_by_key(|(name, _)| *name);
            let whole: String = env
                .iter()
                .map(|(name, value)| fingerprint(key, name, value))
                .collect();
            fingerprint(key, "", &Secret::new(whole))
        });
    }
    roles
}

/// The names whose value is not the one of the records, each once.
pub(crate) fn changed(
    records: &IndexMap<RoleName, RoleRecord>,
    roles: &IndexMap<RoleName, ReadyRole>,
    key: Option<&Secret>,
) -> Vec<String> {
    let Some(key) = key else {
        return vec![];
    };
    let mut names: Vec<String> = vec![];
    for (role, record) in records {
        let Some(ready) = roles.get(role) else {
            continue;
        };
        for (name, kept) in record
            .env_secret
            .iter()
            .filter(|(_, kept)| !kept.is_empty())
        {
            let differs = ready
                .env
                .get(name)
                .is_some_and(|value| fingerprint(key, name, value) != *kept);
            if differs && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The names in a sentence; `got` says whose containers have the other values.
pub(crate) fn told(names: &[String], got: &str) -> Option<String> {
    let list = words::and_list(names);
    match names {
        [] => None,
        [_] => Some(format!("today's value of {list} is not the one that {got}")),
        _ => Some(format!("today's values of {list} are not those that {got}")),
    }
}

/// With the name: equal values of two names do not show as equal.
fn fingerprint(key: &Secret, name: &str, value: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(name.as_bytes());
    mac.update(b"\0");
    mac.update(value.reveal().as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes[..KEPT].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::project::{Health, HealthCheck, Role};

    fn ready(env: &[(&str, &str)]) -> IndexMap<RoleName, ReadyRole> {
        let name: RoleName = "web".parse().expect("a name");
        let role = Role {
            name: name.clone(),
            port: None,
            publish: None,
            command: None,
            health: Health {
                check: HealthCheck::None,
                timeout: std::time::Duration::ZERO,
                interval: std::time::Duration::ZERO,
            },
            replicas: 1,
            volumes: vec![],
            stop: crate::model::container::StopPolicy::default(),
            overlap: true,
        };
        let env = env.iter();
        let env = env.map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        let ready = ReadyRole {
            role,
            env: env.collect(),
            print: None,
        };
        IndexMap::from([(name, ready)])
    }

    #[test]
    fn an_environment_s_fingerprint_depends_on_every_value_and_not_on_their_order() {
        let key = Secret::new("k");
        let of = |env: &[(&str, &str)]| imprint(ready(env), Some(&key))[0].print.clone();
        let one = of(&[("A", "1"), ("B", "2")]);
        assert!(one.is_some());
        assert_eq!(one, of(&[("B", "2"), ("A", "1")]));
        for other in [
            of(&[("A", "1")]),
            of(&[("A", "1"), ("B", "3")]),
            of(&[("A", "2"), ("B", "1")]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(imprint(ready(&[("A", "1")]), None)[0].print, None);
    }

    #[test]
    fn a_fingerprint_depends_on_key_name_and_value_and_shows_none_of_them() {
        let of = |key: &str, name: &str, value: &str| {
            fingerprint(&Secret::new(key), name, &Secret::new(value))
        };
        let one = of("k", "TOKEN", "hunter2");
        assert_eq!(one, of("k", "TOKEN", "hunter2"));
        assert_eq!(one.len(), 2 * KEPT);
        for other in [
            of("l", "TOKEN", "hunter2"),
            of("k", "OTHER", "hunter2"),
            of("k", "TOKEN", "hunter3"),
        ] {
            assert_ne!(one, other);
        }
        assert!(!one.contains("hunter"));
    }
}
