//! Giving images to hosts: real registries, and the way without one to real
//! hosts with both kinds of image store.

use std::fs;

use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::host::HostAddress;
use stagecraft::model::image::{Carriage, PinnedImage};

use crate::support::build::{
    BASE, Bench, Values, cx, dockerfile, host, lab, no_store, spec, this_machine, tree, unique,
};

#[tokio::test]
async fn a_push_to_a_registry_is_pinned_by_the_registrys_digest() {
    let bench = Bench::new();
    let dir = tree(&[]);
    dockerfile(
        dir.path(),
        &format!("FROM {BASE}\nRUN echo {} > /mark\n", unique("x")),
    );
    let built = bench
        .build(&spec(dir.path()), "stagecraft/lab-build:pushed")
        .await;
    let repository = format!("{}/lab-build", lab("LAB_REGISTRY"));
    let pusher = bench.pusher(Some(&repository), no_store(), &[host(1)]);
    let (cx, _heard, _) = cx();
    let tag = unique("v");
    let pinned = pusher.push(&cx, &built, &tag).await.expect("pushed");
    assert_eq!(pinned.carriage, Carriage::Registry);
    let again = pusher.push(&cx, &built, &tag).await.expect("pushed again");
    assert_eq!(again, pinned);
    let by_tag = pusher
        .resolve(&cx, &format!("{repository}:{tag}"))
        .await
        .expect("known");
    assert_eq!(by_tag.digest, pinned.digest);
    let by_digest = pusher
        .resolve(&cx, &pinned.reference())
        .await
        .expect("known");
    assert_eq!(by_digest.reference(), pinned.reference());
    let unknown = pusher.resolve(&cx, &format!("{repository}:none")).await;
    let unknown = unknown.expect_err("unknown");
    assert!(
        unknown.to_string().contains("does not know it"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_registry_that_asks_for_a_login_gets_it_or_the_way_to_it_is_said() {
    let bench = Bench::new();
    let dir = tree(&[]);
    dockerfile(
        dir.path(),
        &format!("FROM {BASE}\nRUN echo {} > /mark\n", unique("x")),
    );
    let built = bench
        .build(&spec(dir.path()), "stagecraft/lab-build:login")
        .await;
    let repository = format!("{}/lab-build", lab("LAB_REGISTRY_AUTH"));
    let named = |password: &str| {
        let user = lab("LAB_REGISTRY_USER");
        let values = Values::of(&[("REGISTRY_USER", &user), ("REGISTRY_PASSWORD", password)]);
        no_store().named(&repository, values, "REGISTRY_USER", "REGISTRY_PASSWORD")
    };
    let (cx, _heard, _) = cx();
    for (wrong, way) in [
        (no_store(), "`docker login 10."),
        (named("wrong-password"), "`REGISTRY_PASSWORD`"),
    ] {
        let pusher = bench.pusher(Some(&repository), wrong, &[]);
        let fault = pusher.push(&cx, &built, "1").await.expect_err("refused");
        assert_eq!(fault.kind, FaultKind::Failed, "{fault}");
        assert!(fault.hints[0].contains(way), "{fault:?}");
        assert!(!format!("{fault:?}").contains("wrong-password"));
    }
    let pusher = bench.pusher(Some(&repository), named(&lab("LAB_REGISTRY_PASSWORD")), &[]);
    let pinned = pusher.push(&cx, &built, "1").await.expect("pushed");
    let found = pusher
        .resolve(&cx, &format!("{repository}:1"))
        .await
        .expect("known");
    assert_eq!(found.digest, pinned.digest);

    let nowhere = bench.pusher(Some("127.0.0.1:9/shop"), no_store(), &[]);
    let fault = nowhere
        .push(&cx, &built, "1")
        .await
        .expect_err("nobody is there");
    assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
}

/// Bytes that no engine can compress away.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

/// Two releases of which one layer differs reach `hosts`.
async fn carried(bench: &Bench, hosts: &[HostAddress]) -> (PinnedImage, PinnedImage) {
    let dir = tree(&[("app.txt", "one")]);
    let name = unique("x");
    dockerfile(
        dir.path(),
        &format!("FROM scratch\nCOPY big.bin /{name}\nCOPY app.txt /app.txt\n"),
    );
    fs::write(dir.path().join("big.bin"), noise(3_000_000)).expect("a file");
    let spec = spec(dir.path());
    let pusher = bench.pusher(None, no_store(), hosts);
    let mut pinned = vec![];
    for text in ["one", "two"] {
        fs::write(dir.path().join("app.txt"), unique(text)).expect("a file");
        let reference = format!("stagecraft/lab-build:{}", unique(text));
        let built = bench.build(&spec, &reference).await;
        let (cx, mut heard, _) = cx();
        let image = pusher.push(&cx, &built, "ignored").await.expect("carried");
        for (host, said) in hosts.iter().zip(heard.steps_of(hosts)) {
            let received = said.join("\n");
            if text == "one" {
                assert!(
                    received.starts_with("received 2 layers (3 MB) of "),
                    "{received}"
                );
            } else {
                // Only the changed layer travels.
                assert!(received.starts_with("received 1 layer ("), "{received}");
                assert!(!received.contains("MB) of "), "{received}");
            }
            let id = bench
                .image_id(host, &image.local_reference)
                .await
                .expect("there");
            let ids = [Some(&image.digest), image.id.as_ref()];
            assert!(ids.iter().flatten().any(|known| known.as_str() == id));
            assert_eq!(bench.litter(host).await, 0);
        }
        let again = pusher
            .push(&cx, &built, "ignored")
            .await
            .expect("nothing to do");
        assert_eq!(again, image);
        assert!(heard.texts().is_empty(), "nothing travels twice");
        pinned.push(image);
    }
    let two = pinned.pop().expect("two");
    (pinned.pop().expect("one"), two)
}

async fn clean(bench: &Bench, images: &[PinnedImage], hosts: &[HostAddress]) {
    for host in hosts {
        for image in images {
            bench.forget(host, &image.local_reference).await;
        }
    }
}

#[tokio::test]
async fn without_a_registry_only_the_changed_layer_travels_to_both_kinds_of_store() {
    let bench = Bench::new();
    let (graph, containerd) = (host(1), host(4));
    let (one, two) = carried(&bench, &[graph.clone(), containerd.clone()]).await;

    // A host that lost it gets it again, from here or from its neighbour.
    let pusher = bench.pusher(None, no_store(), &[graph.clone(), containerd]);
    let (cx, _heard, _) = cx();
    bench.forget(&graph, &two.local_reference).await;
    bench.forget(&this_machine(), &two.local_reference).await;
    pusher.deliver(&cx, &two).await.expect("from the neighbour");
    assert!(bench.image_id(&graph, &two.local_reference).await.is_some());

    let everywhere = [host(1), host(4), this_machine()];
    clean(&bench, &[one.clone(), two], &everywhere).await;
    let fresh = Bench::new();
    let pusher = fresh.pusher(None, no_store(), &[host(1), host(4)]);
    let fault: Fault = pusher.deliver(&cx, &one).await.expect_err("nobody has it");
    assert!(
        fault.what.contains("stagecraft-lab-1, stagecraft-lab-4"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_newer_engine_builds_and_its_images_travel_too() {
    let bench = Bench::on(host(4));
    let (one, two) = carried(&bench, &[host(2)]).await;
    clean(&bench, &[one, two], &[this_machine(), host(2)]).await;
}

#[tokio::test]
async fn builder_and_only_host_being_one_engine_nothing_travels() {
    let bench = Bench::new();
    let dir = tree(&[("a", "b")]);
    dockerfile(dir.path(), "FROM scratch\nCOPY a /a\n");
    let built = bench
        .build(&spec(dir.path()), "stagecraft/lab-build:here")
        .await;
    let pusher = bench.pusher(None, no_store(), &[this_machine()]);
    let (cx, mut heard, _) = cx();
    let pinned = pusher.push(&cx, &built, "1").await.expect("pinned");
    assert_eq!(pinned.digest, built.id);
    assert!(heard.texts().is_empty());

    // An image that no registry has is found here.
    let found = pusher
        .resolve(&cx, "stagecraft/lab-build:here")
        .await
        .expect("here");
    assert_eq!((found.digest, found.carriage), (built.id, Carriage::Direct));
}

#[tokio::test]
async fn a_host_that_lends_no_port_takes_the_whole_image() {
    let bench = Bench::without_ports();
    let dir = tree(&[("a", &unique("b"))]);
    dockerfile(dir.path(), "FROM scratch\nCOPY a /a\n");
    let reference = format!("stagecraft/lab-build:{}", unique("whole"));
    let built = bench.build(&spec(dir.path()), &reference).await;
    let (cx, mut heard, _) = cx();
    let pusher = bench.pusher(None, no_store(), &[host(2)]);
    let image = pusher.push(&cx, &built, "1").await.expect("loaded");
    assert_eq!(
        bench.image_id(&host(2), &reference).await,
        Some(built.id.to_string())
    );
    let said = heard.texts();
    assert!(said[0].starts_with("the whole image travels"), "{said:?}");

    // There the id would be another one: refused, with the reason.
    let pusher = bench.pusher(None, no_store(), &[host(4)]);
    let fault = pusher
        .deliver(&cx, &image)
        .await
        .expect_err("not confirmed");
    assert!(fault.to_string().contains("lends no port"), "{fault}");
    for host in [this_machine(), host(2), host(4)] {
        bench.forget(&host, &reference).await;
    }
}
