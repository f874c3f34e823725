//! The proxy of a host, against the real HAProxy.

use std::io::Write;
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
    let _ = writeln!(
        std::io::stderr(),
        "{asked} requests over 21 switches, the first within {took:?}"
    );

    assert_eq!(
        proxy.open_connections(cx, host, &shop, &old).await.unwrap(),
        1
    );
    proxy.forget_others(cx, host, &shop, &new).await.unwrap();
    assert_eq!(socket.says("c").await, "old:c", "it is left alone");
    proxy.switch(cx, host, &shop, &[]).await.unwrap();
    assert_eq!(stand.get("shop.example.com", "/").await.status, 503);
    let traffic = proxy.look(cx, host, &shop).await.unwrap().unwrap();
    assert!(traffic.serving.is_empty(), "{traffic:?}");
    proxy.switch(cx, host, &shop, &new).await.unwrap();
    assert_eq!(stand.get("shop.example.com", "/").await.body, "new /");
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
        ("SHOP.example.com:80", "/x", "shop"),
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
    assert!(fault.hints[0].contains("http_port: 80"), "{fault:?}");

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

#[tokio::test]
async fn another_image_takes_the_place_of_the_proxy_without_a_request_lost() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let (old, new) = (stand.app("old").await, stand.app("new").await);
    let (old, new) = (only(&old.server), only(&new.server));
    let shop = route("shop-prod", &["shop.example.com"], None);
    let blog = route("blog-prod", &["blog.example.com"], None);
    proxy.ensure(cx, host, &shop, &old).await.unwrap();
    proxy.keep(cx, host, &shop, &old).await.unwrap();
    // The other one is in the middle of its own first deploy.
    proxy.ensure(cx, host, &blog, &new).await.unwrap();
    proxy.switch(cx, host, &shop, &new).await.unwrap();
    let before = stand.sh("docker inspect -f '{{.Id}}' stagecraft-proxy");

    let load = Load::start(16, "shop.example.com");
    let mut socket = Socket::open("shop.example.com").await;
    let mut wanted = shop.clone();
    wanted.proxy.image = stand.other_reference();
    proxy.ensure(cx, host, &wanted, &old).await.unwrap();
    let after = stand.sh("docker inspect -f '{{.Id}}' stagecraft-proxy");
    assert_ne!(before, after);
    for _ in 0..20 {
        assert_eq!(stand.get("shop.example.com", "/").await.body, "new /");
        assert_eq!(stand.get("blog.example.com", "/").await.body, "new /");
    }
    assert_eq!(
        socket.says("a").await,
        "new:a",
        "it lives on in the old one"
    );
    let traffic = proxy.look(cx, host, &shop).await.unwrap().unwrap();
    assert_eq!(
        (traffic.serving, traffic.at_boot),
        (new.clone(), old.clone())
    );
    proxy.switch(cx, host, &shop, &old).await.unwrap();
    proxy.confirm(cx, host, &shop, "/up", &old).await.unwrap();
    let asked = load.asked();
    let failures = load.end().await;
    assert!(
        failures.is_empty(),
        "{} of {asked}: {:?}",
        failures.len(),
        failures.first()
    );
    drop(socket);
    // Its last connection gone, the old one ends, and is cleared away by the
    // next that takes a place.
    let gone = |id: &str| stand.sh(&format!("docker inspect -f '{{{{.State.Running}}}}' {id}"));
    while gone(&before) == "true" {
        sleep(Duration::from_millis(50)).await;
    }

    // What cannot be had, or does not start, changes nothing.
    wanted.proxy.image = format!("{}-missing", shop.proxy.image);
    let fault = proxy.ensure(cx, host, &wanted, &[]).await.unwrap_err();
    assert!(fault.what.contains("cannot pull"), "{fault:?}");
    wanted.proxy.image = shop.proxy.edge_image.clone();
    let fault = proxy.ensure(cx, host, &wanted, &[]).await.unwrap_err();
    assert!(fault.what.contains("does not start"), "{fault:?}");
    assert_eq!(
        stand.sh("docker inspect -f '{{.Id}}' stagecraft-proxy"),
        after
    );
    assert_eq!(stand.get("shop.example.com", "/").await.body, "old /");
    assert_eq!(
        proxy.look(cx, host, &shop).await.unwrap().unwrap().serving,
        old
    );

    // Cut off in the middle: the one that runs has neither name nor link.
    stand.sh("docker rename stagecraft-proxy stagecraft-proxy-old-1
              ln -sfn nothing.sock /run/stagecraft-proxy/admin.sock");
    wanted.proxy.image = stand.other_reference();
    proxy.ensure(cx, host, &wanted, &[]).await.unwrap();
    assert_eq!(
        stand.sh("docker inspect -f '{{.Id}}' stagecraft-proxy"),
        after
    );
    let left = stand.sh("docker ps -aq --filter label=stagecraft.proxy");
    assert!(left.lines().count() <= 2, "{left}");
    stand.clear();
}

#[tokio::test]
async fn routes_whose_files_are_lost_come_back_from_the_containers_that_run() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let names = ["lost-1", "lost-2", "lost-next"];
    stand.sh(&format!(
        "docker rm -f {} 2>/dev/null; true",
        names.join(" ")
    ));
    let image = stand.app_image().await;
    for (name, release, port) in [
        (names[0], "r1", 29_871),
        (names[1], "r1", 29_872),
        (names[2], "r2", 29_873),
    ] {
        let label = route("lost-prod", &["lost.example.com"], None)
            .label(3000)
            .to_string();
        stand.sh(&format!(
            "docker run -d --name {name} -p 127.0.0.1:{port}:3000 \
             --label stagecraft.release={release} --label 'stagecraft.route={label}' \
             {image} sh -c 'mkdir /www && echo {name} >/www/up && exec httpd -f -p 3000 -h /www'"
        ));
    }
    let shop = route("shop-prod", &["shop.example.com"], None);
    proxy.ensure(cx, host, &shop, &[]).await.unwrap();
    let lost = route("lost-prod", &["lost.example.com"], None);
    let server = |name: &str, port| Server {
        name: name.into(),
        port,
    };
    let first = vec![server(names[0], 29_871), server(names[1], 29_872)];
    let traffic = proxy.look(cx, host, &lost).await.unwrap().unwrap();
    assert_eq!((&traffic.serving, &traffic.at_boot), (&first, &first));
    let got = stand.get("lost.example.com", "/up").await;
    assert!(["lost-1", "lost-2"].contains(&got.body.as_str()), "{got:?}");
    // One of them dies: the other answers, every time.
    stand.sh("docker kill lost-1");
    for _ in 0..20 {
        assert_eq!(stand.get("lost.example.com", "/up").await.body, "lost-2");
    }
    stand.sh("docker restart -t 1 stagecraft-proxy >/dev/null");
    proxy.ensure(cx, host, &shop, &[]).await.unwrap();
    assert_eq!(stand.get("lost.example.com", "/up").await.body, "lost-2");
    stand.sh(&format!("docker rm -f {}", names.join(" ")));
    stand.clear();
}

#[tokio::test]
async fn an_application_hears_the_truth_about_its_clients_and_nobody_overtaxes_it() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let app = stand.app("app").await;
    let servers = only(&app.server);
    let mut shop = route("shop-prod", &["shop.example.com"], None);
    shop.proxy.max_request_body = Some(1000);
    shop.proxy.response_timeout = Duration::from_millis(500);
    proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    let lies = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n\
                X-Forwarded-Host: evil\r\nX-Stagecraft-Probe: 1\r\n";
    let got = stand
        .get_with("shop.example.com:80", "/headers", lies)
        .await;
    for truth in [
        "x-forwarded-for: 10.213.7.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-host: shop.example.com:80\n",
        "x-forwarded-port: 80",
        "host: shop.example.com:80",
    ] {
        assert!(got.body.contains(truth), "{truth}: {got:?}");
    }
    assert!(
        !got.body.contains("6.6.6.6") && !got.body.contains("probe"),
        "{got:?}"
    );
    assert!(
        !got.head.contains("x-stagecraft"),
        "clients do not learn who answers"
    );

    assert_eq!(stand.get("shop.example.com", "/slow").await.status, 504);
    let small = "Content-Length: 1000\r\n\r\n".to_owned() + &"x".repeat(1000);
    assert_eq!(
        stand.get_with("shop.example.com", "/", &small).await.status,
        200
    );
    let large = "Content-Length: 1001\r\n\r\n".to_owned() + &"x".repeat(1001);
    assert_eq!(
        stand.get_with("shop.example.com", "/", &large).await.status,
        413
    );
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    assert_eq!(
        stand
            .get_with("shop.example.com", "/", chunked)
            .await
            .status,
        411
    );

    // The limits of a new configuration count once it is kept, and stay.
    shop.proxy.max_request_body = None;
    shop.proxy.response_timeout = Duration::from_secs(60);
    proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    assert_eq!(
        stand.get_with("shop.example.com", "/", &large).await.status,
        413
    );
    proxy.keep(cx, host, &shop, &servers).await.unwrap();
    for _ in 0..2 {
        assert_eq!(
            stand.get_with("shop.example.com", "/", &large).await.status,
            200
        );
        assert_eq!(stand.get("shop.example.com", "/slow").await.status, 200);
        stand.sh("docker restart -t 1 stagecraft-proxy >/dev/null");
        proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    }
    stand.clear();
}

#[tokio::test]
async fn a_proxy_that_cannot_run_or_answer_is_explained() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let shop = route("shop-prod", &["shop.example.com"], None);
    let image = stand.app_image().await;
    stand.sh(&format!(
        "docker rm -f squatter 2>/dev/null; docker run -d --name squatter -p {HTTP}:80 {image} sleep 600"
    ));
    let fault = proxy.ensure(cx, host, &shop, &[]).await.unwrap_err();
    assert!(
        fault.to_string().contains("`squatter` publishes it"),
        "{fault:?}"
    );
    stand.sh("docker rm -f squatter");
    stand.sh(&format!(
        "busybox nc -l -p {HTTP} >/dev/null 2>&1 & echo $! >/tmp/squatter"
    ));
    let fault = proxy.ensure(cx, host, &shop, &[]).await.unwrap_err();
    stand.sh("kill $(cat /tmp/squatter)");
    assert!(fault.what.contains("port 80 "), "{fault:?}");
    assert!(fault.hints[0].contains("ss -ltnp"), "{fault:?}");
    assert_eq!(
        stand.sh("docker ps -aq --filter label=stagecraft.proxy"),
        ""
    );

    proxy.ensure(cx, host, &shop, &[]).await.unwrap();
    stand.sh("docker pause stagecraft-proxy");
    let begun = Instant::now();
    let fault = proxy.look(cx, host, &shop).await.unwrap_err();
    stand.sh("docker unpause stagecraft-proxy");
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    assert!(fault.what.contains("does not answer"), "{fault:?}");
    assert!(proxy.look(cx, host, &shop).await.unwrap().is_some());
    stand.clear();
}

// The applications answer while `curl` is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_served_and_renewed_without_a_reload() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let (plain, app) = (stand.app("plain").await, stand.app("app").await);
    let servers = only(&app.server);
    let blog = route("blog-prod", &["blog.example.com"], None);
    proxy
        .ensure(cx, host, &blog, &only(&plain.server))
        .await
        .unwrap();
    let load = Load::start(4, "blog.example.com");

    // The first who wants TLS makes the proxy take its port.
    let folder = stand.folder.path();
    let mut shop = route("shop-prod", &["shop.example.com"], None);
    shop.proxy.tls = stand.certificate("shop.example.com", "first");
    proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    proxy
        .confirm(cx, host, &shop, "/up", &servers)
        .await
        .unwrap();
    proxy.keep(cx, host, &shop, &servers).await.unwrap();
    let curl = |ca: &str, args: &str| {
        let ca = folder.join(format!("{ca}.pem"));
        let (ip, port) = (crate::support::build::lab("LAB_HOST2"), 18_443);
        crate::support::lab::here().try_sh(&format!(
            "curl -sS --max-time 10 --cacert {} --resolve shop.example.com:{port}:{ip} {args}",
            ca.display()
        ))
    };
    let said = |ca: &str, args: &str| {
        let output = curl(ca, args);
        let (out, err) = (output.stdout, output.stderr);
        String::from_utf8([out, err].concat()).unwrap()
    };
    let site = "https://shop.example.com:18443";
    let got = said("first", &format!("--http2 {site}/headers"));
    assert!(got.contains("x-forwarded-proto: https"), "{got}");
    let got = stand.get("shop.example.com", "/x?y=1").await;
    assert_eq!(got.status, 308);
    assert!(
        got.head.contains(&format!("location: {site}/x?y=1")),
        "{got:?}"
    );
    assert_eq!(stand.get("blog.example.com", "/").await.status, 200);

    let container = stand.sh("docker inspect -f '{{.Id}} {{.State.StartedAt}}' stagecraft-proxy");
    shop.proxy.tls = stand.certificate("shop.example.com", "second");
    proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    assert!(said("second", &format!("{site}/")).starts_with("app /"));
    assert!(!curl("first", &format!("{site}/")).status.success());
    assert_eq!(
        stand.sh("docker inspect -f '{{.Id}} {{.State.StartedAt}}' stagecraft-proxy"),
        container
    );
    let failures = load.end().await;
    assert!(failures.is_empty(), "{failures:?}");

    // A wrong one is refused, and the one that was there goes on.
    let good = shop.proxy.tls.clone();
    shop.proxy.tls = stand.mismatched();
    let fault = proxy.ensure(cx, host, &shop, &servers).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Config, "{fault:?}");
    assert!(!format!("{fault:?}").contains("PRIVATE KEY"));
    assert!(said("second", &format!("{site}/")).starts_with("app /"));
    shop.proxy.tls = good;

    stand.sh("docker restart -t 1 stagecraft-proxy >/dev/null");
    proxy.ensure(cx, host, &blog, &[]).await.unwrap();
    assert!(said("second", &format!("{site}/")).starts_with("app /"));
    let secrets = stand.sh("docker inspect stagecraft-proxy; docker logs stagecraft-proxy 2>&1");
    assert!(!secrets.contains("PRIVATE KEY"));
    // Nobody but root reads the key, and one that is damaged is left out.
    let file =
        "$(docker volume inspect -f '{{.Mountpoint}}' stagecraft-proxy)/certificates/shop-prod.pem";
    assert_eq!(stand.sh(&format!("stat -c %a-%u {file}")), "600-0");
    stand.sh(&format!(
        "echo x >{file}; docker restart -t 1 stagecraft-proxy >/dev/null"
    ));
    proxy.ensure(cx, host, &blog, &[]).await.unwrap();
    assert!(!curl("second", &format!("{site}/")).status.success());
    proxy.ensure(cx, host, &shop, &servers).await.unwrap();
    assert!(said("second", &format!("{site}/")).starts_with("app /"));
    shop.proxy.max_request_body = Some(10);
    proxy.keep(cx, host, &shop, &servers).await.unwrap();
    // By HTTP/2, a body needs no length.
    let body = folder.join("first.key");
    let body = format!(
        "-T - -X POST -o /dev/null -w '%{{http_code}}' {site}/ <{}",
        body.display()
    );
    assert_eq!(said("second", &body), "411");
    stand.clear();
}
