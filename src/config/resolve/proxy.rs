//! `proxy`: the role behind it, its names and its certificate.

use std::time::Duration;

use crate::model::names::RoleName;
use crate::model::project::{Proxy, Tls};

use super::super::file::{self, TlsForm};
use super::super::problem::Findings;
use super::super::source::Span;
use super::{Context, known_role};

const HAPROXY: &str = "haproxy:3.2";
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
const CADDY: &str = "caddy:2";

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    found: &mut Findings,
) -> Option<Proxy> {
    let given = section.proxy.given()?;
    let proxy = &given.value;
    let role = role(section, proxy, given.at, found)?;
    let hosts = proxy.hosts.value().map(|hosts| hosts.values());
    for host in proxy.hosts.value().map_or(&[][..], |hosts| &hosts.0) {
        if !is_domain(&host.value) {
            found
                .error(host.at, "this is not a host's name")
                .help("write the name alone, such as `shop.example.com`");
        }
    }
    let hosts = hosts.unwrap_or_default();
    let tls = tls(context, proxy, found);
    if let (Tls::Auto, true, Some(at)) = (&tls, hosts.is_empty(), proxy.tls.given()) {
        found
            .error(at.at, "`tls: auto` needs names to ask certificates for")
            .help("name them in `hosts`");
    }
    if tls == Tls::Auto {
        let stars = proxy.hosts.value().map_or(&[][..], |hosts| &hosts.0);
        for host in stars.iter().filter(|host| host.value.starts_with("*.")) {
            found
                .error(
                    host.at,
                    "`tls: auto` cannot get a certificate for a name with a star",
                )
                .help("name each host, or give a certificate: `tls: { cert: …, key: … }`");
        }
    }
    for image in [&proxy.image, &proxy.edge_image]
        .into_iter()
        .filter_map(|image| image.given())
    {
        super::image::check_image(&image.value, image.at, found);
    }
    let http_port = proxy.http_port.value().map_or(80, |port| port.0);
    let https_port = proxy.https_port.value().map_or(443, |port| port.0);
    if http_port == https_port {
        let at = proxy.https_port.given().or(proxy.http_port.given());
        found.error(
            at.map_or(given.at, |port| port.at),
            "`http_port` and `https_port` are the same",
        );
    }
    if let Some(prefix) = proxy.path_prefix.given() {
        check_path(&prefix.value, prefix.at, found);
    }
    if let Some(given) = proxy.response_timeout.given()
        && given.value.0.is_zero()
    {
        found
            .error(given.at, "no answer comes in no time")
            .help("leave `response_timeout` out for 60s, or write a long one, such as `1h`");
    }
    Some(Proxy {
        hosts,
        role,
        tls,
        image: proxy.image.or(HAPROXY.to_owned()),
        edge_image: proxy.edge_image.or(CADDY.to_owned()),
        http_port,
        https_port,
        path_prefix: proxy.path_prefix.value().cloned(),
        max_request_body: proxy.max_request_body.value().map(|size| size.0),
        response_timeout: proxy
            .response_timeout
            .value()
            .map_or(RESPONSE_TIMEOUT, |period| period.0),
    })
}

/// The named role, or the first that has a port.
fn role(
    section: &file::Environment,
    proxy: &file::Proxy,
    at: Span,
    found: &mut Findings,
) -> Option<RoleName> {
    let roles = section.roles.value().map_or(&[][..], |roles| &roles.0);
    let with_port = |role: &file::Role| !role.port.is_absent();
    if let Some(role) = proxy.role.given() {
        if !known_role(section, role.value.as_str(), role.at, found) {
            return None;
        }
        let section = roles
            .iter()
            .find(|(name, _)| name.value == role.value.as_str());
        if section.is_some_and(|(_, role)| !with_port(&role.value)) {
            found
                .error(role.at, format!("the role `{}` has no port", role.value))
                .help("a role behind the proxy says where it listens: `port: 3000`");
        }
        return Some(role.value.clone());
    }
    let first = roles.iter().find(|(_, role)| with_port(&role.value));
    if first.is_none() && proxy.role.is_absent() && section.roles.given().is_some() {
        found
            .error(at, "no role has a port that the proxy could stand before")
            .help("give the role `port: 3000`");
    }
    first.and_then(|(name, _)| name.value.parse().ok())
}

fn tls(context: &Context<'_>, proxy: &file::Proxy, found: &mut Findings) -> Tls {
    let Some(form) = proxy.tls.given() else {
        return Tls::Off;
    };
    match &form.value {
        TlsForm::Auto => Tls::Auto,
        TlsForm::Off => Tls::Off,
        TlsForm::Internal => Tls::Internal,
        TlsForm::Files(files) => {
            let help = "a certificate of your own is `tls: { cert: …, key: … }`";
            let cert = files.cert.need(found, form.at, "cert", help);
            let key = files.key.need(found, form.at, "key", help);
            match (cert, key) {
                (Some(cert), Some(key)) => Tls::Files {
                    cert: context.path(&cert.value.0),
                    key: context.path(&key.value.0),
                },
                _ => Tls::Off,
            }
        }
    }
}

/// A path of a URL, without a query.
pub(super) fn check_path(path: &str, at: Span, found: &mut Findings) {
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        found
            .error(at, "a path begins with `/` and holds no blanks")
            .help(format!("write `/{}`", path.trim().trim_start_matches('/')));
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let rest = text.strip_prefix("*.").unwrap_or(text);
    text.len() <= 253 && rest.split('.').all(label)
}
