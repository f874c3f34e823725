//! Containers on real engines: 20.10 with the graph driver's image store, and
//! 28.5 with containerd's.

use std::time::{Duration, Instant};

use stagecraft::model::command_line::CommandLine;
use stagecraft::model::container::{ContainerState, Mount};
use stagecraft::model::fault::FaultKind;
use stagecraft::ports::ImageCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::runner::{Bench, heard_until, published};

const OLD: &str = "stagecraft-lab-1";
const NEW: &str = "stagecraft-lab-4";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_image_is_pulled_by_digest_once_and_confirmed_on_both_kinds_of_store() {
    for (test, host, containerd) in [("pull-old", OLD, false), ("pull-new", NEW, true)] {
        let bench = Bench::new(test, host).await;
        let (runner, cx, host, image) = (&bench.runner, &bench.cx, &bench.host, &bench.image);
        let facts = runner.engine(cx, host).await.unwrap();
        assert_eq!(facts.containerd_store, containerd, "{facts:?}");

        assert_eq!(
            runner.has_image(cx, host, image).await.unwrap(),
            ImageCheck::Absent
        );
        let fault = bench.stranger().ensure_image(cx, host, image).await;
        let fault = fault.unwrap_err();
        assert!(fault.hints[0].contains("docker login"), "{fault:?}");

        runner.ensure_image(cx, host, image).await.unwrap();
        assert_eq!(
            runner.has_image(cx, host, image).await.unwrap(),
            ImageCheck::Present
        );
        // Nothing is left to do, for one without a login too.
        bench
            .stranger()
            .ensure_image(cx, host, image)
            .await
            .unwrap();

        let mut missing = image.clone();
        missing.digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        missing.local_reference.push('x');
        let fault = runner.ensure_image(cx, host, &missing).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Failed);
        assert!(
            fault.hints[0].contains("does not have this digest"),
            "{fault:?}"
        );
        bench.clear().await;
    }
}

#[tokio::test]
async fn a_service_lives_through_its_whole_life_on_old_and_new_engines() {
    for (test, host) in [("life-old", OLD), ("life-new", NEW)] {
        let bench = Bench::new(test, host).await;
        let (runner, cx, host) = (&bench.runner, &bench.cx, &bench.host);
        let value = "a=b\n\"$x\" 'é' \\ \t end ";
        let mut spec = bench.spec(
            "web",
            "echo up; trap 'echo bye; exit 7' TERM; while :; do sleep 0.1; done",
        );
        spec.env.insert("ODD".into(), bench.secret(value));
        spec.ports = vec![published(3000, 20_871)];
        spec.mounts = vec![Mount {
            source: bench.volume(),
            target: "/data".into(),
            read_only: false,
        }];

        let fault = runner.start(cx, host, &spec).await.unwrap_err();
        assert!(fault.what.contains("lacks the image"), "{fault:?}");
        assert!(
            !runner
                .volume_exists(cx, host, &bench.volume())
                .await
                .unwrap()
        );
        bench.pulled().await;

        let started = runner.start(cx, host, &spec).await.unwrap();
        assert_eq!(started.state, ContainerState::Running);
        assert_eq!(started.ports, spec.ports);
        assert!(started.address.is_some() && started.started_at.is_some());
        assert!(
            runner
                .volume_exists(cx, host, &bench.volume())
                .await
                .unwrap()
        );
        let again = runner.start(cx, host, &spec).await.unwrap();
        assert_eq!(again.id, started.id, "one that runs is left alone");

        let print =
            CommandLine::from_words(["sh", "-c", "printf %s \"$ODD\" | od -An -tx1; exit 3"]);
        let exit = runner
            .exec(cx, host, &spec.name, &print, MINUTE)
            .await
            .unwrap();
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((exit.tail.concat().replace(' ', ""), exit.code), (hex, 3));
        let missing = CommandLine::new("nonesuch");
        let exit = runner
            .exec(cx, host, &spec.name, &missing, MINUTE)
            .await
            .unwrap();
        assert!([126, 127].contains(&exit.code), "{exit:?}");

        let exit = runner
            .stop(cx, host, &spec.name, &spec.stop)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (exit.code, exit.tail),
            (7, vec!["up".to_owned(), "bye".to_owned()])
        );
        let exit = runner
            .stop(cx, host, &spec.name, &spec.stop)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(exit.code, 7, "one that is stopped stays so");
        let restarted = runner.start_again(cx, host, &spec.name).await.unwrap();
        assert!(restarted.running());
        assert_eq!(restarted.id, started.id);

        runner.stop(cx, host, &spec.name, &spec.stop).await.unwrap();
        let anew = runner.start(cx, host, &spec).await.unwrap();
        assert_ne!(
            anew.id, started.id,
            "a stopped one of the same release is made anew"
        );
        let listed = runner.list(cx, host, &bench.labels()).await.unwrap();
        assert_eq!(listed, [anew]);

        runner.remove(cx, host, &spec.name).await.unwrap();
        runner.remove(cx, host, &spec.name).await.unwrap();
        assert_eq!(runner.inspect(cx, host, &spec.name).await.unwrap(), None);
        assert_eq!(
            runner.stop(cx, host, &spec.name, &spec.stop).await.unwrap(),
            None
        );
        assert!(runner.start_again(cx, host, &spec.name).await.is_err());
        bench.clear().await;
    }
}

#[tokio::test]
async fn a_port_or_a_name_that_is_taken_is_told_with_its_holder() {
    for (test, host) in [("port-old", OLD), ("port-new", NEW)] {
        let bench = Bench::new(test, host).await;
        let (runner, cx, host) = (&bench.runner, &bench.cx, &bench.host);
        bench.pulled().await;
        let mut first = bench.spec("first", "sleep 60");
        first.ports = vec![published(80, 20_872)];
        let mut second = bench.spec("second", "sleep 60");
        second.ports = vec![published(81, 20_872)];
        runner.start(cx, host, &first).await.unwrap();
        let fault = runner.start(cx, host, &second).await.unwrap_err();
        assert!(fault.what.contains("port 20872"), "{fault:?}");
        assert!(
            fault.causes.iter().any(|cause| cause.contains(&first.name)),
            "{fault:?}"
        );
        assert_eq!(
            bench.names().await,
            [first.name.clone()],
            "nothing is left of it"
        );

        let mut foreign = first.clone();
        foreign
            .labels
            .insert("stagecraft.project".into(), "another".into());
        let fault = runner.start(cx, host, &foreign).await.unwrap_err();
        assert!(fault.causes[0].contains("belongs to"), "{fault:?}");
        let fault = runner.run(cx, host, &foreign, MINUTE).await.unwrap_err();
        assert!(fault.what.contains(&first.name), "{fault:?}");
        assert_eq!(
            bench.names().await,
            [first.name.clone()],
            "it is left alone"
        );
        bench.clear().await;
    }
}

#[tokio::test]
async fn a_job_is_followed_to_its_end_and_leaves_nothing() {
    for (test, host) in [("job-old", OLD), ("job-new", NEW)] {
        let mut bench = Bench::new(test, host).await;
        bench.pulled().await;
        let (runner, cx, host) = (bench.runner.clone(), bench.cx.clone(), bench.host.clone());
        let spec = bench.spec(
            "migrate",
            "echo one; echo two >&2; printf '\\033[31mthree'; exit 4",
        );
        let exit = runner.run(&cx, &host, &spec, MINUTE).await.unwrap();
        assert_eq!(exit.code, 4);
        let mut tail = exit.tail.clone();
        tail.sort();
        assert_eq!(tail, ["one", "three", "two"]);
        assert_eq!(bench.heard.texts(), exit.tail);

        let many = bench.spec("migrate", "seq 1 5000");
        let exit = runner.run(&cx, &host, &many, MINUTE).await.unwrap();
        assert_eq!(
            (exit.tail.len(), exit.tail.last().unwrap().as_str()),
            (100, "5000")
        );
        assert_eq!(bench.heard.texts().len(), 5000);

        // What an earlier run left under the name goes first.
        let left = bench.spec("migrate", "sleep 60");
        runner.start(&cx, &host, &left).await.unwrap();
        let begun = Instant::now();
        let late = runner.run(&cx, &host, &left, Duration::from_secs(1)).await;
        let fault = late.unwrap_err();
        assert!(fault.what.contains("did not end within 1s"), "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(bench.names().await.is_empty());

        let missing = bench.spec("migrate", "");
        let missing = stagecraft::model::container::ContainerSpec {
            command: Some(vec!["nonesuch".into()]),
            ..missing
        };
        let fault = runner.run(&cx, &host, &missing, MINUTE).await.unwrap_err();
        assert!(fault.to_string().contains("nonesuch"), "{fault:?}");

        let cancel = bench.cancel.clone();
        let stopped = bench.spec("migrate", "echo here; sleep 60");
        let ((), fault) = tokio::join!(
            async {
                heard_until(&mut bench.heard, "here").await;
                cancel.cancel();
            },
            runner.run(&cx, &host, &stopped, MINUTE),
        );
        assert_eq!(fault.unwrap_err().kind, FaultKind::Interrupted);
        bench.cx = cx.uncancellable();
        assert!(bench.names().await.is_empty());
        bench.clear().await;
    }
}

#[tokio::test]
async fn a_conversation_carries_bytes_both_ways_and_its_container_goes_with_it() {
    for (test, host) in [("talk-old", OLD), ("talk-new", NEW)] {
        let mut bench = Bench::new(test, host).await;
        bench.pulled().await;
        let (runner, cx, host) = (bench.runner.clone(), bench.cx.clone(), bench.host.clone());
        let files = [(
            "/opt/helper/run".to_owned(),
            0o755,
            b"#!/bin/sh\necho warned >&2\nexec cat\n".to_vec(),
        )];
        let mut spec = bench.spec("talk", "");
        spec.command = Some(vec!["/opt/helper/run".into()]);
        let attached = runner.attach(&cx, &host, &spec, &files).await.unwrap();
        let (mut read, mut write) = tokio::io::split(attached.stream);
        // More than any buffer on the way, with every byte there is.
        let sent: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        let mut got = vec![];
        let (wrote, read) = tokio::join!(
            async {
                write.write_all(&sent).await?;
                write.shutdown().await
            },
            read.read_to_end(&mut got),
        );
        wrote.unwrap();
        read.unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        assert_eq!(bench.heard.texts(), ["warned"]);

        // One that does not end by itself goes when it is dropped.
        let spec = bench.spec("talk", "sleep 60");
        let attached = runner.attach(&cx, &host, &spec, &[]).await.unwrap();
        drop(attached);
        let begun = Instant::now();
        while !bench.names().await.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it stays");
        }
        bench.clear().await;
    }
}

#[tokio::test]
async fn logs_are_the_last_lines_and_are_followed_until_the_signal() {
    let mut bench = Bench::new("logs", OLD).await;
    bench.pulled().await;
    let (runner, cx, host) = (bench.runner.clone(), bench.cx.clone(), bench.host.clone());
    let spec = bench.spec("web", "seq 1 50; sleep 5; echo later; sleep 60");
    runner.start(&cx, &host, &spec).await.unwrap();
    let begun = Instant::now();
    while runner.logs(&cx, &host, &spec.name, 1).await.unwrap() != ["50"] {
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "it prints nothing"
        );
    }
    let cancel = bench.cancel.clone();
    let (heard, followed) = tokio::join!(
        async {
            let heard = heard_until(&mut bench.heard, "later").await;
            cancel.cancel();
            heard
        },
        runner.follow_logs(&cx, &host, &spec.name, 2),
    );
    followed.unwrap();
    assert_eq!(heard, ["49", "50", "later"]);
    bench.cx = cx.uncancellable();
    let last = runner.logs(&bench.cx, &host, &spec.name, 3).await.unwrap();
    assert_eq!(last, ["49", "50", "later"]);
    bench.clear().await;
}

#[tokio::test]
async fn a_job_outlives_a_lost_connection_and_an_engine_that_is_gone_is_said_so() {
    let mut bench = Bench::new("cut", "local").await;
    bench.pulled().await;
    let (runner, cuts) = bench.fragile();
    let (cx, host) = (bench.cx.clone(), bench.host.clone());
    let spec = bench.spec("migrate", "echo before; sleep 3; echo after; exit 5");
    let (exit, ()) = tokio::join!(runner.run(&cx, &host, &spec, MINUTE), async {
        heard_until(&mut bench.heard, "before").await;
        cuts.cut();
    });
    let exit = exit.unwrap();
    assert_eq!(
        (exit.code, exit.tail),
        (5, vec!["before".into(), "after".into()])
    );
    assert!(bench.names().await.is_empty());

    let (fault, ()) = tokio::join!(runner.run(&cx, &host, &spec, MINUTE), async {
        heard_until(&mut bench.heard, "before").await;
        cuts.refuse();
        cuts.cut();
    });
    let fault = fault.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.state[0].contains("not known"), "{fault:?}");
    let fault = runner.engine(&cx, &host).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert_eq!(fault.hints, ["plug it in"], "the link's own words");
    bench.clear().await;
}
