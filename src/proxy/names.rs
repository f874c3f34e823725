//! The keys under which requests find an environment. Pure.
//!
//! A key is name, path and a slash: `shop.example.com/api/`. The request's own
//! is made alike, so that the longest key it begins with is its environment,
//! and `/apix` does not begin with `/api/`. `*` stands for any name.

use crate::model::route::RouteLabel;

pub(super) fn keys(route: &RouteLabel) -> Vec<String> {
    let path = route.path_prefix.as_deref().unwrap_or_default();
    let path = path.trim_matches('/');
    let path = match path.is_empty() {
        true => "/".to_owned(),
        false => format!("/{path}/"),
    };
    let mut keys: Vec<String> = match route.hosts.is_empty() {
        true => vec![format!("*{path}")],
        false => route
            .hosts
            .iter()
            .map(|host| format!("{}{path}", host.to_ascii_lowercase()))
            .collect(),
    };
    keys.sort();
    keys.dedup();
    keys
}

/// A key as people write it.
pub(super) fn shown(key: &str) -> String {
    let shown = key.strip_suffix('/').unwrap_or(key);
    match shown.strip_prefix('*') {
        Some("") => "every name".to_owned(),
        Some(path) if path.starts_with('/') => format!("every name, path `{path}`"),
        _ => format!("`{shown}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::route::Certificate;

    fn route(hosts: &[&str], path: Option<&str>) -> RouteLabel {
        RouteLabel {
            key: "shop-prod".into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            path_prefix: path.map(str::to_owned),
            tls: Certificate::Off,
            https: None,
            port: 3000,
            limit: None,
            timeout: 60_000,
        }
    }

    #[test]
    fn names_and_paths_become_keys_that_end_at_a_segment() {
        assert_eq!(keys(&route(&[], None)), ["*/"]);
        assert_eq!(keys(&route(&[], Some("/api/"))), ["*/api/"]);
        assert_eq!(
            keys(&route(&["Shop.example.com", "*.example.com"], Some("/a/b"))),
            ["*.example.com/a/b/", "shop.example.com/a/b/"]
        );
    }

    #[test]
    fn people_read_keys_without_our_signs() {
        assert_eq!(shown("*/"), "every name");
        assert_eq!(shown("*/api/"), "every name, path `/api`");
        assert_eq!(shown("*.example.com/"), "`*.example.com`");
        assert_eq!(shown("shop.example.com/api/"), "`shop.example.com/api`");
    }
}
