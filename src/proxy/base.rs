//! What the proxy's container is made of: HAProxy's configuration and the
//! script that completes it from the environments' files at every start. Pure.
//!
//! Invariant: nothing here depends on an environment, so that projects that
//! share a host agree on it.

use sha2::{Digest, Sha256};

/// Raised whenever a script or configuration that was given out changes: an
/// older one that runs is replaced.
pub(super) const FORMAT: u32 = 1;

/// Environments that one host can have.
pub(super) const PAIRS: usize = 64;

/// How each server is watched: a container that is gone is passed over, and
/// comes back soon. Connections that its program may close are not kept long.
pub(super) const SERVER: &str = "check inter 2s downinter 500ms fall 3 rise 1 pool-purge-delay 2s";

/// What makes one proxy differ from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) image: String,
    pub(super) http_port: u16,
    /// Where an environment of the host wants TLS.
    pub(super) https_port: Option<u16>,
    /// Who may use its runtime interface.
    pub(super) group: u32,
}

impl Base {
    /// Names this base; part of its socket's name.
    pub(super) fn version(&self) -> String {
        let text = format!("{self:?}{}", self.filled("", ""));
        let hash = Sha256::digest(text.as_bytes());
        hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For the image's `sh -c`.
    pub(super) fn script(&self) -> String {
        let version = self.version();
        let about = format!(
            "format {FORMAT}\nversion {version}\nimage {}\nhttp {}\nhttps {}",
            self.image,
            self.http_port,
            self.https_port
                .map_or("-".to_owned(), |port| port.to_string())
        );
        self.filled(&version, &about)
    }

    fn filled(&self, version: &str, about: &str) -> String {
        include_str!("boot.sh")
            .replace("@CONFIG@", &self.config())
            .replace("@MAINTENANCE@", &maintenance_page())
            .replace("@ABOUT@", about)
            .replace("@VERSION@", version)
            .replace("@GID@", &self.group.to_string())
            .replace("@HTTP@", &self.http_port.to_string())
            .replace("@PAIRS@", &PAIRS.to_string())
            .replace("@SERVER@", SERVER)
    }
}

impl Base {
    fn config(&self) -> String {
        let http = include_str!("haproxy.cfg").trim_end();
        let Some(port) = self.https_port else {
            let rules = Rules::of("http").text();
            return http.replace("@HTTP_RULES@", &rules);
        };
        let suffix = match port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        let asked = include_str!("asked.cfg");
        let http_rules = Rules {
            asked: &asked.replace("@LOOKUP@\n", &lookup("http-request")),
            redirect: &include_str!("redirect.cfg").replace("@SUFFIX@", &suffix),
            challenges: "    use_backend challenges if { var(txn.challenge) -m bool }\n",
            ..Rules::of("http")
        };
        let edge_rules = Rules {
            port: &port.to_string(),
            ..Rules::of("https")
        };
        let https = include_str!("https.cfg")
            .trim_end()
            .replace("@HTTPS@", &port.to_string())
            .replace("@TLS_LOOKUP@\n", &lookup("tcp-request content"))
            .replace("@HTTPS_RULES@", &Rules::of("https").text())
            .replace("@EDGE_RULES@", &edge_rules.text());
        http.replace("@HTTP_RULES@", &http_rules.text()) + "\n\n" + &https
    }
}

/// What one of the frontends says of requests where others do not.
struct Rules<'a> {
    scheme: &'a str,
    /// That the client came to.
    port: &'a str,
    asked: &'a str,
    redirect: &'a str,
    challenges: &'a str,
}

impl<'a> Rules<'a> {
    fn of(scheme: &'a str) -> Self {
        Self {
            scheme,
            port: "%[dst_port]",
            asked: "",
            redirect: "",
            challenges: "",
        }
    }

    fn text(&self) -> String {
        include_str!("rules.cfg")
            .trim_end()
            .replace("@SCHEME@", self.scheme)
            .replace("@PORT@", self.port)
            .replace("@ASKED@\n", self.asked)
            .replace("@REDIRECT@\n", self.redirect)
            .replace("@CHALLENGES@\n", self.challenges)
    }
}

/// Who has the certificate of a name: the exact one, then one label as a star,
/// then any name.
fn lookup(verb: &str) -> String {
    include_str!("lookup.cfg").replace("@VERB@", verb)
}

/// On one line, without a quote: it stands inside one.
fn maintenance_page() -> String {
    let page = include_str!("maintenance.html");
    page.lines().map(str::trim).collect()
}

/// The two backends of a pair.
pub(super) fn backends(pair: &str) -> [String; 2] {
    [format!("{pair}_blue"), format!("{pair}_green")]
}

/// `e01` to `e64`.
pub(super) fn pairs() -> impl Iterator<Item = String> {
    (1..=PAIRS).map(|number| format!("e{number:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            image: "haproxy:3.2".into(),
            http_port: 80,
            https_port: Some(443),
            group: 998,
        }
    }

    #[test]
    fn what_was_given_out_changes_only_with_its_format() {
        insta::assert_snapshot!(format!("format-{FORMAT}"), base().script());
    }

    #[test]
    fn another_port_image_or_group_is_another_version() {
        let mut versions = vec![base().version()];
        for change in [
            |base: &mut Base| base.http_port = 8080,
            |base: &mut Base| base.https_port = None,
            |base: &mut Base| base.image = "haproxy:3.3".into(),
            |base: &mut Base| base.group = 7,
        ] {
            let mut other = base();
            change(&mut other);
            versions.push(other.version());
        }
        versions.sort();
        versions.dedup();
        assert_eq!(versions.len(), 5);
    }

    #[test]
    fn nothing_is_left_to_fill_in_and_no_quote_ends_the_page() {
        let script = base().script();
        let open = script.lines().find(|line| {
            let words = line.split('@').skip(1).step_by(2);
            words
                .into_iter()
                .any(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()))
        });
        assert_eq!(open, None);
        assert!(!maintenance_page().contains(['\'', '\n']));
    }
}
