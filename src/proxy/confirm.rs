//! Proof that the new servers answer: a request through the proxy's own port,
//! whose answer names the server it came from. Imports `ports`, `model`.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Route, Server};
use crate::ports::{Cx, Fetch, Method, Request, Target};

/// A switch is at work at once; what is waited for is a slow first answer.
const PATIENCE: Duration = Duration::from_secs(10);
const ONE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// Of a page nobody reads.
const MOST: usize = 4 << 20;

const NAMED_BY: &str = "x-stagecraft-server";

pub(super) async fn confirm(
    fetch: &dyn Fetch,
    cx: &Cx,
    host: &HostAddress,
    route: &Route,
    path: &str,
    expected: &[Server],
) -> Result<(), Fault> {
    let request = request(route, path);
    let target = Target::Tcp("127.0.0.1".to_owned(), route.proxy.http_port);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let wrong = match fetch.fetch(cx, host, &target, &request).await? {
            Err(why) => why,
            Ok(answer) => match answer.header(NAMED_BY) {
                Some(name) if expected.iter().any(|server| server.name == name) => return Ok(()),
                Some(name) => format!("`{name}` answers"),
                None => format!("the proxy itself answers with {}", answer.status),
            },
        };
        if Instant::now() >= deadline {
            let names: Vec<String> = expected
                .iter()
                .map(|server| format!("`{}`", server.name))
                .collect();
            return Err(Fault::failed(format!(
                "a request through the proxy on `{host}` does not reach {}",
                names.join(" or ")
            ))
            .because(format!("GET {path}: {wrong}")));
        }
        // A server that does not answer yet announces nothing.
        cx.or_interrupted(async {
            tokio::time::sleep(PAUSE).await;
            Ok(())
        })
        .await?;
    }
}

fn request(route: &Route, path: &str) -> Request {
    let name = route.proxy.hosts.first();
    let name = name.map_or("localhost", String::as_str);
    let prefix = route.proxy.path_prefix.as_deref().unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    let below = path == prefix || path.starts_with(&format!("{prefix}/"));
    Request {
        method: Method::Get,
        // The application's health path may lie outside of what it is sent.
        path: match below {
            true => path.to_owned(),
            false => format!("{prefix}{path}"),
        },
        // Any one label fits a star.
        name: name.replacen('*', "stagecraft", 1),
        headers: vec![("x-stagecraft-probe".to_owned(), "1".to_owned())],
        patience: ONE,
        most: MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::testing::route;

    #[test]
    fn the_request_has_a_name_and_a_path_of_the_route() {
        let asked = |hosts: &[&str], prefix: Option<&str>, path: &str| {
            let request = request(&route("shop-prod", hosts, prefix), path);
            format!("{}{}", request.name, request.path)
        };
        assert_eq!(asked(&[], None, "/up"), "localhost/up");
        assert_eq!(
            asked(&["a.example"], Some("/api"), "/up"),
            "a.example/api/up"
        );
        assert_eq!(
            asked(&["*.b.example"], Some("/api/"), "/api/up"),
            "stagecraft.b.example/api/up"
        );
    }
}
