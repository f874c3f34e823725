//! Building through the engine's API: real BuildKit of two generations.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stagecraft::docker;
use stagecraft::docker::auth::Auth;
use stagecraft::model::fault::FaultKind;
use tokio::net::{TcpListener, TcpStream};

use crate::support::build::{
    BASE, Bench, Values, cx, dockerfile, host, lab, no_store, spec, this_machine, tree, unique,
};

#[tokio::test]
async fn a_build_takes_arguments_a_target_and_secrets_and_heeds_dockerignore() {
    takes_everything(&Bench::new(), BASE).await;
}

#[tokio::test]
async fn an_engine_of_a_newer_generation_builds_the_same() {
    // It gets a base image of its own the way that any image travels.
    let here = Bench::new();
    let dir = tree(&[("mark", &unique("x"))]);
    let text = format!("FROM scratch\nCOPY --from={BASE} / /\nCOPY mark /mark\n");
    dockerfile(dir.path(), &text);
    let base = format!("stagecraft/lab-build:{}", unique("base"));
    let built = here.build(&spec(dir.path()), &base).await;
    let (cx, _heard, _) = cx();
    let pusher = here.pusher(None, no_store(), &[host(4)]);
    pusher.push(&cx, &built, "1").await.expect("carried");
    takes_everything(&Bench::on(host(4)), &base).await;
    for host in [this_machine(), host(4)] {
        here.forget(&host, &base).await;
    }
}

async fn takes_everything(bench: &Bench, base: &str) {
    let text = format!(
        "FROM {base} AS base\n\
         ARG GREETING\n\
         RUN --mount=type=secret,id=TOKEN sh -c 'echo \"$GREETING\" > /greeting; echo it is $(cat /run/secrets/TOKEN)'\n\
         COPY . /app\n\
         RUN cat /greeting; cd /app && test ! -e node_modules && test -e logs/keep.txt && test ! -e logs/drop.txt \
           && test ! -e .stagecraft && test -L link && test -x run.sh && test $(wc -c < big.bin) = 5000000\n\
         FROM base AS broken\n\
         RUN false\n\
         FROM base AS runtime\n\
         RUN echo last\n"
    );
    let dir = tree(&[
        (".dockerignore", "node_modules\nlogs/*\n!logs/keep.txt\n"),
        ("node_modules/a/index.js", "x"),
        ("logs/keep.txt", "x"),
        ("logs/drop.txt", "x"),
        (".stagecraft/releases.json", "{}"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    dockerfile(dir.path(), &text);
    symlink("run.sh", dir.path().join("link")).expect("a link");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path().join("run.sh"), executable).expect("a mode");
    fs::write(dir.path().join("big.bin"), vec![7; 5_000_000]).expect("a file");
    let mut spec = spec(dir.path());
    let greeting = unique("hello");
    spec.args.insert("GREETING".into(), greeting.clone());
    spec.secrets = vec!["TOKEN".into()];
    spec.target = Some("runtime".into());

    let builder = bench.builder(&[("TOKEN", "s3cr3t-value-of-token")]);
    let (cx, mut heard, _) = cx();
    let built = builder
        .build(&cx, &spec, None, "stagecraft/lab-build:one")
        .await;
    let built = built.expect("built");
    let said = heard.texts();
    assert!(said.contains(&greeting), "{said:#?}");
    assert!(said.contains(&"it is [secret]".to_owned()), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("s3cr3t-value")));

    let again = builder
        .build(&cx, &spec, None, "stagecraft/lab-build:one")
        .await;
    assert_eq!(again.expect("built"), built);
    let said = heard.texts();
    assert!(
        said.contains(&"cached [runtime 1/1] RUN echo last".to_owned()),
        "{said:#?}"
    );
}

#[tokio::test]
async fn a_dockerfile_outside_of_the_context_brings_its_own_dockerignore() {
    let text = format!("FROM {BASE}\nCOPY . /app\nRUN test -e /app/a && test ! -e /app/b\n");
    let dir = tree(&[
        ("app/a", "x"),
        ("app/b", "x"),
        ("app/.dockerignore", "a\n"),
        ("deploy/prod.Dockerfile", &text),
        ("deploy/prod.Dockerfile.dockerignore", "b\n"),
    ]);
    let mut spec = spec(&dir.path().join("app"));
    spec.dockerfile = dir.path().join("deploy/prod.Dockerfile");
    let bench = Bench::new();
    bench.build(&spec, "stagecraft/lab-build:outside").await;
}

#[tokio::test]
async fn a_failing_step_is_named_with_its_last_lines() {
    let dir = tree(&[]);
    let mark = unique("mark");
    dockerfile(
        dir.path(),
        &format!("FROM {BASE}\nRUN echo one; echo {mark}; exit 3\n"),
    );
    let (cx, _heard, _) = cx();
    let builder = Bench::new().builder(&[]);
    let failed = builder
        .build(&cx, &spec(dir.path()), None, "stagecraft/lab-build:no")
        .await;
    let fault = failed.expect_err("it fails");
    assert_eq!(fault.kind, FaultKind::Failed);
    assert!(
        fault
            .what
            .starts_with("the build failed at step `[2/2] RUN echo one"),
        "{fault:?}"
    );
    assert_eq!(fault.evidence[0].lines, ["one", &mark]);
}

#[tokio::test]
async fn an_interrupted_build_ends_in_the_engine() {
    let dir = tree(&[]);
    let mark = unique("mark");
    dockerfile(
        dir.path(),
        &format!("FROM {BASE}\nRUN echo begun; exec sh -c 'sleep 40; : {mark}'\n"),
    );
    let builder = Bench::new().builder(&[]);
    let (cx, mut heard, cancel) = cx();
    let spec = spec(dir.path());
    let work = builder.build(&cx, &spec, None, "stagecraft/lab-build:cut");
    let interrupt = async {
        heard.until("begun").await;
        assert!(runs(&mark), "the step runs");
        cancel.cancel();
    };
    let (cut, ()) = tokio::join!(work, interrupt);
    assert_eq!(cut.expect_err("cut").kind, FaultKind::Interrupted);
    let deadline = Instant::now() + Duration::from_secs(15);
    while runs(&mark) {
        assert!(
            Instant::now() < deadline,
            "the step still runs in the engine"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a process of this machine has `mark` in its command line.
fn runs(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines
        .into_iter()
        .any(|line| String::from_utf8_lossy(&line).contains(&format!(": {mark}")))
}

#[tokio::test]
async fn a_private_base_image_is_pulled_with_our_login() {
    let bench = Bench::new();
    let repository = format!("{}/lab-base", lab("LAB_REGISTRY_AUTH"));
    let login = |repository: &str| {
        let (user, password) = (lab("LAB_REGISTRY_USER"), lab("LAB_REGISTRY_PASSWORD"));
        let values = Values::of(&[("U", &user), ("P", &password)]);
        no_store().named(repository, values, "U", "P")
    };
    let dir = tree(&[]);
    let text = format!("FROM {BASE}\nRUN echo {} > /base\n", unique("x"));
    dockerfile(dir.path(), &text);
    let reference = "stagecraft/lab-build:base";
    let base = bench.build(&spec(dir.path()), reference).await;
    let (cx, _heard, _) = cx();
    let pusher = bench.pusher(Some(&repository), login(&repository), &[]);
    let base = pusher.push(&cx, &base, &unique("v")).await;

    // BuildKit speaks plain HTTP to the loopback only.
    let relayed = format!(
        "127.0.0.1:{}/lab-base",
        relay(lab("LAB_REGISTRY_AUTH")).await
    );
    let digest = base.expect("pushed").digest;
    let text = format!("FROM {relayed}@{digest}\nRUN cat /base\n");
    dockerfile(dir.path(), &text);
    let build = async |auth: Auth| {
        let engines = Arc::clone(&bench.engines);
        let builder = docker::builder(engines, Values::of(&[]), Arc::new(auth));
        let reference = "stagecraft/lab-build:private";
        builder.build(&cx, &spec(dir.path()), None, reference).await
    };
    let fault = build(no_store()).await.expect_err("nobody may read it");
    let way = "`docker login REGISTRY`";
    assert!(
        fault.hints.iter().any(|hint| hint.contains(way)),
        "{fault:?}"
    );
    build(login(&relayed))
        .await
        .expect("built from a private base");
}

/// A port of the loopback that leads to `target`.
async fn relay(target: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let mut there = TcpStream::connect(&target).await.expect("the registry");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    port
}
