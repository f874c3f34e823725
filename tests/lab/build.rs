//! Building through the engine's API: real BuildKit, real files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indexmap::IndexMap;
use stagecraft::docker;
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::image::BuiltImage;
use stagecraft::model::project::BuildSpec;
use stagecraft::ports::Builder;

use crate::support::build::{Heard, TestLink, Values, cx};

const BASE: &str = "stagecraft-lab/busybox:latest";

fn spec(context: &Path) -> BuildSpec {
    BuildSpec {
        context: context.to_owned(),
        dockerfile: context.join("Dockerfile"),
        target: None,
        args: IndexMap::new(),
        secrets: vec![],
        platform: None,
    }
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn builder(secrets: &[(&str, &str)]) -> Arc<dyn Builder> {
    let link = Arc::new(TestLink::new());
    let secrets: HashMap<String, String> = secrets
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let values: Arc<Values> = Arc::new(Values(secrets));
    let engines = docker::client::Engines::new(link);
    docker::builder(engines, values, Arc::new(docker::auth::Auth::of_docker()))
}

async fn build(
    builder: &dyn Builder,
    spec: &BuildSpec,
    reference: &str,
) -> (Result<BuiltImage, Fault>, Vec<String>) {
    let (cx, mut heard, _cancel): (_, Heard, _) = cx();
    let built = builder.build(&cx, spec, None, reference).await;
    (built, heard.texts())
}

#[tokio::test]
async fn a_build_takes_arguments_a_target_secrets_and_heeds_dockerignore() {
    let dockerfile = format!(
        "FROM {BASE} AS base\nARG GREETING\nRUN --mount=type=secret,id=TOKEN sh -c 'echo \"$GREETING $(wc -c < /run/secrets/TOKEN)\" > /greeting; echo token is $(cat /run/secrets/TOKEN)'\nCOPY . /app\nRUN ls -R /app && cat /greeting && test ! -e /app/node_modules && test -e /app/logs/keep.txt && test ! -e /app/logs/drop.txt && test ! -e /app/.stagecraft && test -L /app/link && test -x /app/run.sh\nFROM base AS broken\nRUN false\nFROM base AS runtime\nRUN echo last\n"
    );
    let dir = tree(&[
        ("Dockerfile", &dockerfile),
        (".dockerignore", "node_modules\nlogs/*\n!logs/keep.txt\n"),
        ("node_modules/a/index.js", "x"),
        ("logs/keep.txt", "x"),
        ("logs/drop.txt", "x"),
        (".stagecraft/releases.json", "{}"),
        ("run.sh", "#!/bin/sh\n"),
    ]);
    std::os::unix::fs::symlink("run.sh", dir.path().join("link")).expect("a link");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o755))
        .expect("a mode");
    let big = vec![7u8; 5_000_000];
    fs::write(dir.path().join("big.bin"), big).expect("a file");
    let mut spec = spec(dir.path());
    spec.args
        .insert("GREETING".into(), format!("hello {}", std::process::id()));
    spec.secrets = vec!["TOKEN".into()];
    spec.target = Some("runtime".into());
    let builder = builder(&[("TOKEN", "s3cr3t-value-of-token")]);
    let (built, heard) = build(&*builder, &spec, "stagecraft/lab-build:one").await;
    println!("{heard:#?}");
    let built = built.expect("built");
    assert!(heard.iter().any(|line| line.contains("token is [secret]")));
    assert!(!heard.iter().any(|line| line.contains("s3cr3t-value")));
    let started = Instant::now();
    let (again, heard) = build(&*builder, &spec, "stagecraft/lab-build:one").await;
    println!("again: {:?} {heard:#?}", started.elapsed());
    assert_eq!(again.expect("built").id, built.id);
    assert!(
        heard
            .iter()
            .any(|line| line.starts_with("cached [runtime 1/1]"))
    );
}

#[tokio::test]
async fn a_failing_step_is_named_with_its_last_lines() {
    let dir = tree(&[(
        "Dockerfile",
        &format!(
            "FROM {BASE}\nRUN echo one; echo {}; exit 3\n",
            std::process::id()
        ),
    )]);
    let builder = builder(&[]);
    let (built, _) = build(&*builder, &spec(dir.path()), "stagecraft/lab-build:fails").await;
    let fault = built.expect_err("it fails");
    println!("{fault:#?}");
    assert_eq!(fault.kind, FaultKind::Failed);
    assert!(
        fault
            .what
            .starts_with("the build failed at step `[2/2] RUN echo one")
    );
    assert_eq!(fault.evidence[0].lines[0], "one");
}
