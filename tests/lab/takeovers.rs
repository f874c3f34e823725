//! One proxy takes the place of another while other environments go on.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use stagecraft::http::Prober;
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::route::{Acme, Server};
use stagecraft::ports::{
    ByteStream, HostLink, Proxy, RemoteExit, RemoteProcess, ReverseForward, Target,
};
use tokio::time::{Instant, sleep};

use crate::support::proxied::{Socket, Stand, route};

/// The way to a host, on which something happens before the first command
/// whose script begins like this.
struct Meanwhile {
    link: Arc<dyn HostLink>,
    before: &'static str,
    happens: Mutex<Option<BoxFuture<'static, ()>>>,
}

#[async_trait]
impl HostLink for Meanwhile {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        self.link.connect(host).await
    }
    async fn dial(
        &self,
        host: &HostAddress,
        target: &Target,
    ) -> Result<Box<dyn ByteStream>, Fault> {
        self.link.dial(host, target).await
    }
    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        if script.starts_with(self.before) {
            let happens = self.happens.lock().unwrap().take();
            if let Some(happens) = happens {
                happens.await;
            }
        }
        self.link.exec(host, script, input).await
    }
    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault> {
        self.link.spawn(host, script).await
    }
    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault> {
        self.link.reverse(host, socket).await
    }
    async fn close(&self) {}
}

fn only(server: &Server) -> Vec<Server> {
    vec![server.clone()]
}

/// The proxies of somebody who replaces one, in the middle of which `happens`.
fn replacing(stand: &Stand, happens: BoxFuture<'static, ()>) -> Arc<dyn Proxy> {
    let link: Arc<dyn HostLink> = Arc::new(Meanwhile {
        link: Arc::clone(&stand.link),
        // Asked when the new one is about to be made: the old one has handed
        // over what it knows.
        before: "stat -L",
        happens: Mutex::new(Some(happens)),
    });
    let runner = Arc::clone(&stand.runner);
    let fetch = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
    stagecraft::proxy::proxies(link, runner, fetch, Acme::default())
}

#[tokio::test]
async fn what_others_do_while_a_proxy_is_replaced_is_not_lost() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let (old, new) = (stand.app("old").await, stand.app("new").await);
    let (old, new) = (only(&old.server), only(&new.server));
    // In the order of their keys they have other pairs at the new one.
    let shop = route("shop-prod", &["shop.example.com"], None);
    let other = route("other-prod", &["other.example.com"], None);
    let late = route("late-prod", &["late.example.com"], None);
    proxy.ensure(cx, host, &shop, &old).await.unwrap();
    proxy.ensure(cx, host, &other, &old).await.unwrap();
    proxy.keep(cx, host, &other, &old).await.unwrap();

    let happens = {
        let (proxy, cx, host) = (Arc::clone(proxy), cx.clone(), host.clone());
        let (other, late) = (other.clone(), late.clone());
        let (old, new) = (old.clone(), new.clone());
        async move {
            proxy.switch(&cx, &host, &other, &new).await.unwrap();
            let confirmed = proxy.confirm(&cx, &host, &other, "/up", &new);
            confirmed.await.unwrap();
            proxy.ensure(&cx, &host, &late, &old).await.unwrap();
        }
    };
    let mut wanted = shop.clone();
    wanted.proxy.image = stand.other_reference();
    let another = replacing(&stand, Box::pin(happens));
    another.ensure(cx, host, &wanted, &[]).await.unwrap();

    for (name, who) in [
        ("shop.example.com", "old /"),
        ("other.example.com", "new /"),
        ("late.example.com", "old /"),
    ] {
        assert_eq!(stand.get(name, "/").await.body, who, "{name}");
    }
    for (route, serving) in [(&shop, &old), (&other, &new), (&late, &old)] {
        let traffic = proxy.look(cx, host, route).await.unwrap().unwrap();
        assert_eq!(traffic.serving, *serving, "{}", route.key);
    }
    let traffic = proxy.look(cx, host, &other).await.unwrap().unwrap();
    assert_eq!(traffic.at_boot, old);
    stand.clear();
}

#[tokio::test]
async fn connections_of_a_proxy_that_was_replaced_count_until_they_end() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let (old, new) = (stand.app("old").await, stand.app("new").await);
    let (old, new) = (only(&old.server), only(&new.server));
    let shop = route("shop-prod", &["shop.example.com"], None);
    proxy.ensure(cx, host, &shop, &old).await.unwrap();
    let mut socket = Socket::open("shop.example.com").await;
    assert_eq!(socket.says("a").await, "old:a");
    let mut wanted = shop.clone();
    wanted.proxy.image = stand.other_reference();
    proxy.ensure(cx, host, &wanted, &[]).await.unwrap();
    proxy.switch(cx, host, &wanted, &new).await.unwrap();
    assert_eq!(stand.get("shop.example.com", "/").await.body, "new /");

    let open = async |of: &[Server]| {
        let open = proxy.open_connections(cx, host, &wanted, of);
        open.await.unwrap()
    };
    assert_eq!(socket.says("b").await, "old:b", "it is left alone");
    assert!(
        open(&old).await >= 1,
        "it is with the proxy that was replaced"
    );
    assert_eq!(open(&new).await, 0);
    drop(socket);
    let deadline = Instant::now() + Duration::from_secs(10);
    while open(&old).await > 0 {
        assert!(Instant::now() < deadline, "its end is seen");
        sleep(Duration::from_millis(50)).await;
    }
    stand.clear();
}
