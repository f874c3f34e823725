//! Building through the engine's API, and giving images to hosts: real
//! BuildKit, real registries, real hosts over SSH.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stagecraft::docker::auth::{Auth, DockerStore};
use stagecraft::docker::client::{Call, Engines};
use stagecraft::docker::{self, Delivery};
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::host::HostAddress;
use stagecraft::model::image::{BuiltImage, Carriage, PinnedImage};
use stagecraft::model::project::{BuildSpec, Registry};
use stagecraft::ports::{Builder, HostLink, Pusher};
use stagecraft::ssh::Links;
use tokio::net::{TcpListener, TcpStream};

use crate::support::build::{Played, Values, cx, host, lab, spec, this_machine, tree};

const BASE: &str = "stagecraft-lab/busybox:latest";

/// One machine, its engines and what it may do with them.
struct Bench {
    link: Arc<dyn HostLink>,
    engines: Arc<Engines>,
    cache: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(Links::new().expect("links"))
    }

    /// A bench whose own engine is a lab host's.
    fn on(host: HostAddress) -> Self {
        let link = Links::new().expect("links");
        Self::with(Arc::new(Played { link, by: host }))
    }

    fn with(link: Arc<dyn HostLink>) -> Self {
        Self {
            engines: Engines::new(Arc::clone(&link)),
            link,
            cache: tempfile::tempdir().expect("a folder"),
        }
    }

    fn builder(&self, secrets: &[(&str, &str)]) -> Arc<dyn Builder> {
        let engines = Arc::clone(&self.engines);
        docker::builder(engines, Values::of(secrets), Arc::new(no_store()))
    }

    async fn build(&self, spec: &BuildSpec, reference: &str) -> BuiltImage {
        let (cx, _heard, _) = cx();
        let builder = self.builder(&[]);
        let built = builder.build(&cx, spec, None, reference).await;
        built.expect("built")
    }

    fn pusher(&self, registry: Option<&str>, auth: Auth, hosts: &[HostAddress]) -> Arc<dyn Pusher> {
        let delivery = Delivery {
            registry: registry.map(|repository| Registry {
                repository: repository.to_owned(),
                username_env: None,
                password_env: None,
            }),
            hosts: hosts.to_vec(),
            project: "lab-build".parse().expect("a name"),
            cache: self.cache.path().to_owned(),
        };
        let engines = Arc::clone(&self.engines);
        docker::pusher(engines, Arc::clone(&self.link), Arc::new(auth), delivery)
    }

    async fn image_id(&self, host: &HostAddress, name: &str) -> Option<String> {
        let engine = self.engines.engine(host).expect("an engine");
        let call = Call::get(format!("/images/{name}/json"));
        let image: serde_json::Value = engine.json(call).await.ok()?;
        Some(image["Id"].as_str().expect("an id").to_owned())
    }

    async fn forget(&self, host: &HostAddress, name: &str) {
        let engine = self.engines.engine(host).expect("an engine");
        let call = Call::delete(format!("/images/{name}")).query("force", "true");
        let _ = engine.done(call).await;
    }

    /// Names of images on the host that belong to no lasting reference.
    async fn litter(&self, host: &HostAddress) -> usize {
        let engine = self.engines.engine(host).expect("an engine");
        let images: serde_json::Value = engine
            .json(Call::get("/images/json"))
            .await
            .expect("a list");
        images.to_string().matches("127.0.0.1:").count()
    }
}

fn no_store() -> Auth {
    Auth::with_store(DockerStore::at("/nonexistent/config.json"))
}

fn unique(name: &str) -> String {
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    format!("{name}-{}", nanos.as_nanos())
}

fn dockerfile(dir: &Path, text: &str) {
    fs::write(dir.join("Dockerfile"), text).expect("a file");
}

#[tokio::test]
async fn a_build_takes_arguments_a_target_and_secrets_and_heeds_dockerignore() {
    let text = format!(
        "FROM {BASE} AS base\n\
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

    let bench = Bench::new();
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

    let started = Instant::now();
    let again = builder
        .build(&cx, &spec, None, "stagecraft/lab-build:one")
        .await;
    eprintln!("nothing changed: {:?}", started.elapsed());
    assert_eq!(again.expect("built"), built);
    let said = heard.texts();
    assert!(
        said.contains(&"cached [runtime 1/1] RUN echo last".to_owned()),
        "{said:#?}"
    );
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
    for wrong in [no_store(), named("wrong-password")] {
        let pusher = bench.pusher(Some(&repository), wrong, &[]);
        let fault = pusher.push(&cx, &built, "1").await.expect_err("refused");
        assert_eq!(fault.kind, FaultKind::Failed, "{fault}");
        assert!(fault.hints[0].contains("`docker login 10."), "{fault:?}");
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

/// The number before ` bytes` in the step that says what a host took.
fn taken(said: &[String], host: &HostAddress) -> Option<(usize, u64)> {
    let step = said
        .iter()
        .find(|line| line.contains(&format!(" to {host}: ")))?;
    let (_, counts) = step.rsplit_once(": ")?;
    let (layers, bytes) = counts.split_once(", ")?;
    let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    Some((usize::try_from(number(layers)?).ok()?, number(bytes)?))
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
        let started = Instant::now();
        let image = pusher.push(&cx, &built, "ignored").await.expect("carried");
        let said = heard.texts();
        eprintln!("{text}: {:?} {said:?}", started.elapsed());
        for host in hosts {
            let (layers, bytes) = taken(&said, host).expect("the host took something");
            if text == "one" {
                assert_eq!(layers, 2);
                assert!(bytes > 3_000_000);
            } else {
                assert_eq!(layers, 1, "only the changed layer travels");
                assert!(bytes < 20_000, "{bytes}");
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

    for host in [graph, host(4), this_machine()] {
        bench.forget(&host, &one.local_reference).await;
    }
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
    carried(&bench, &[host(2)]).await;
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
