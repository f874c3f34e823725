//! The proxy of a host, against the real HAProxy.

use std::time::Duration;

use stagecraft::model::fault::FaultKind;
use stagecraft::model::route::{Server, Traffic};
use stagecraft::ports::Maintenance;
use tokio::time::{Instant, sleep};

use crate::support::proxied::{HTTP, Load, Socket, Stand, route};

fn only(server: &Server) -> Vec<Server> {
    vec![server.clone()]
}

#[tokio::test]
async fn a_switch_loses_no_request_and_leaves_open_connections_where_they_are() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let shop = route("shop-prod", &["shop.example.com"], None);
    assert_eq!(proxy.look(cx, host, &shop).await.unwrap(), None);
    let (old, new) = (stand.app("old").await, stand.app("new").await);
    let (old, new) = (only(&old.server), only(&new.server));

    proxy.ensure(cx, host, &shop, &[]).await.unwrap();
    assert_eq!(stand.get("shop.example.com", "/").await.status, 503);
    proxy.switch(cx, host, &shop, &old).await.unwrap();
    proxy.confirm(cx, host, &shop, "/up", &old).await.unwrap();
    proxy.keep(cx, host, &shop, &old).await.unwrap();
    let traffic = proxy.look(cx, host, &shop).await.unwrap().unwrap();
    let standing = Traffic {
        serving: old.clone(),
        at_boot: old.clone(),
        maintenance: false,
    };
    assert_eq!(traffic, standing);

    let load = Load::start(16, "shop.example.com");
    let mut socket = Socket::open("shop.example.com").await;
    assert_eq!(socket.says("a").await, "old:a");
    let slow = stand.get("shop.example.com", "/slow");
    let switching = async {
        sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        proxy.switch(cx, host, &shop, &new).await.unwrap();
        let took = begun.elapsed();
        assert_eq!(stand.get("shop.example.com", "/").await.body, "new /");
        proxy.confirm(cx, host, &shop, "/up", &new).await.unwrap();
        let open = proxy.open_connections(cx, host, &shop, &old).await.unwrap();
        assert!(open >= 2, "the slow request and the socket: {open}");
        took
    };
    let (slow, took) = tokio::join!(slow, switching);
    assert_eq!(slow.body, "old /slow");
    assert_eq!(socket.says("b").await, "old:b");
    for round in 0..20 {
        let to = if round % 2 == 0 { &old } else { &new };
        proxy.switch(cx, host, &shop, to).await.unwrap();
        proxy.confirm(cx, host, &shop, "/up", to).await.unwrap();
    }
    // Back among the old one's requests, which the load no longer makes.
    assert_eq!(
        proxy.look(cx, host, &shop).await.unwrap().unwrap().serving,
        new
    );
    let asked = load.asked();
    let failures = load.end().await;
    assert!(asked > 500, "{asked} requests");
    assert!(
        failures.is_empty(),
        "{} of {asked}: {:?}",
        failures.len(),
        failures.first()
    );
    println!("{asked} requests over 21 switches, the first within {took:?}");

    assert_eq!(
        proxy.open_connections(cx, host, &shop, &old).await.unwrap(),
        1
    );
    proxy.forget_others(cx, host, &shop, &new).await.unwrap();
    assert_eq!(socket.says("c").await, "old:c", "it is left alone");
    drop(socket);
    let gone = || async { proxy.open_connections(cx, host, &shop, &old).await.unwrap() == 0 };
    while !gone().await {
        sleep(Duration::from_millis(20)).await;
    }
    stand.clear();
}

#[tokio::test]
async fn each_environment_answers_under_its_own_names_and_paths_alone() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let mut apps = vec![];
    for (key, hosts, prefix) in [
        ("api", &["shop.example.com"][..], Some("/api")),
        ("shop", &["shop.example.com", "www.example.com"], None),
        ("wild", &["*.example.com"], None),
        ("deep", &["*.example.com"], Some("/a/b/")),
        ("rest", &[], None),
    ] {
        let app = stand.app(key).await;
        let route = route(key, hosts, prefix);
        proxy
            .ensure(cx, host, &route, &only(&app.server))
            .await
            .unwrap();
        proxy
            .confirm(cx, host, &route, "/up", &only(&app.server))
            .await
            .unwrap();
        apps.push(app);
    }
    for (name, path, who) in [
        ("shop.example.com", "/", "shop"),
        ("SHOP.example.com:18080", "/x", "shop"),
        ("shop.example.com.", "/apix", "shop"),
        ("shop.example.com", "/api", "api"),
        ("shop.example.com", "/api/", "api"),
        ("shop.example.com", "/api?x=1", "api"),
        ("shop.example.com", "/api/x/y", "api"),
        ("shop.example.com", "/API", "shop"),
        ("www.example.com", "/api", "shop"),
        ("other.example.com", "/api", "wild"),
        ("other.example.com", "/a/bc", "wild"),
        ("other.example.com", "/a/b/c", "deep"),
        ("a.b.example.com", "/", "rest"),
        ("10.0.0.1", "/", "rest"),
    ] {
        let got = stand.get(name, path).await;
        let answered = got.body.split(' ').next().unwrap_or_default();
        assert_eq!(answered, who, "{name}{path}: {got:?}");
    }

    let thief = route(
        "thief",
        &["new.example.com", "shop.example.com"],
        Some("api/"),
    );
    let fault = proxy.ensure(cx, host, &thief, &[]).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(
        fault
            .what
            .contains("`shop.example.com/api` is answered by `api`"),
        "{fault:?}"
    );
    let mut elsewhere = route("shop", &["shop.example.com"], None);
    elsewhere.proxy.http_port = HTTP + 1;
    let fault = proxy.ensure(cx, host, &elsewhere, &[]).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.hints[0].contains("http_port: 18080"), "{fault:?}");

    // A renamed environment has both names until the new ones are kept.
    let renamed = route("shop", &["store.example.com"], None);
    let shop = only(&apps[1].server);
    proxy.ensure(cx, host, &renamed, &shop).await.unwrap();
    for name in ["shop.example.com", "store.example.com"] {
        assert_eq!(stand.get(name, "/").await.body, "shop /");
    }
    proxy.keep(cx, host, &renamed, &shop).await.unwrap();
    assert_eq!(stand.get("store.example.com", "/").await.body, "shop /");
    assert_eq!(stand.get("shop.example.com", "/").await.body, "wild /");
    stand.clear();
}

#[tokio::test]
async fn environments_that_come_at_the_same_moment_do_not_share_a_pair() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let app = stand.app("one").await;
    let keys: Vec<String> = (0..12).map(|number| format!("shop-{number}")).collect();
    let ensures = keys.iter().map(|key| {
        let name = format!("{key}.example.com");
        let route = route(key, &[&name], None);
        let servers = only(&app.server);
        async move {
            proxy.ensure(cx, host, &route, &servers).await.unwrap();
            proxy.switch(cx, host, &route, &servers).await.unwrap();
            proxy
                .confirm(cx, host, &route, "/up", &servers)
                .await
                .unwrap();
        }
    });
    let mut ensures: Vec<_> = ensures.collect();
    let later = ensures.split_off(3);
    // The first three find no proxy at all.
    futures_util::future::join_all(ensures).await;
    futures_util::future::join_all(later).await;
    let proxies = stand.sh("docker ps -aq --filter label=stagecraft.proxy");
    assert_eq!(proxies.lines().count(), 1, "{proxies}");
    let same = ["x", "y", "z"].map(|key| route(key, &["same.example.com"], None));
    let ensures = same.iter().map(|route| proxy.ensure(cx, host, route, &[]));
    let done = futures_util::future::join_all(ensures).await;
    let won = done.iter().filter(|done| done.is_ok()).count();
    assert_eq!(won, 1, "{done:?}");
    stand.clear();
}

#[tokio::test]
async fn a_restart_returns_to_what_was_kept_and_a_damaged_file_hurts_nobody_else() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let (old, new) = (stand.app("old").await, stand.app("new").await);
    let (old, new) = (only(&old.server), only(&new.server));
    let shop = route("shop-prod", &["shop.example.com"], None);
    let blog = route("blog-prod", &["blog.example.com"], Some("/x"));
    for route in [&shop, &blog] {
        proxy.ensure(cx, host, route, &old).await.unwrap();
        proxy.keep(cx, host, route, &old).await.unwrap();
    }
    proxy
        .maintenance(cx, host, &blog, Maintenance::On)
        .await
        .unwrap();
    proxy.switch(cx, host, &shop, &new).await.unwrap();
    proxy.confirm(cx, host, &shop, "/up", &new).await.unwrap();
    stand.sh("docker kill stagecraft-proxy >/dev/null; docker start stagecraft-proxy");
    proxy.ensure(cx, host, &shop, &[]).await.unwrap();
    proxy.confirm(cx, host, &shop, "/up", &old).await.unwrap();
    let traffic = proxy.look(cx, host, &shop).await.unwrap().unwrap();
    assert_eq!(
        (traffic.serving, traffic.at_boot),
        (old.clone(), old.clone())
    );
    let got = stand.get("blog.example.com", "/x").await;
    assert_eq!(got.status, 503);
    assert!(
        got.head.contains("retry-after") && got.body.contains("<h1>"),
        "{got:?}"
    );
    proxy.confirm(cx, host, &blog, "/up", &old).await.unwrap();
    proxy
        .maintenance(cx, host, &blog, Maintenance::Off)
        .await
        .unwrap();
    assert_eq!(stand.get("blog.example.com", "/x").await.body, "old /x");

    for damage in [
        "",
        "stagecraft 1\nname",
        "stagecraft 1\nserver a;b 1\nend\n",
        "\\0\\377\\n'\"$(reboot)",
    ] {
        stand.sh(&format!(
            "printf '{}' >\"$(docker volume inspect --format '{{{{.Mountpoint}}}}' stagecraft-proxy)/routes/blog-prod\"
             docker restart -t 1 stagecraft-proxy >/dev/null",
            damage.replace('\'', "\\047")
        ));
        proxy.ensure(cx, host, &shop, &[]).await.unwrap();
        assert_eq!(stand.get("shop.example.com", "/").await.body, "old /");
        assert_eq!(
            stand.get("blog.example.com", "/x").await.status,
            404,
            "{damage}"
        );
    }
    assert!(
        stand
            .sh("docker logs stagecraft-proxy 2>&1")
            .contains("blog-prod is damaged")
    );
    stand.clear();
}
