//! What ends a build that takes too much, and what is said then.

use std::time::Duration;

use supercargo::api::reason::Reason;
use supercargo::builder::{BuildOptions, Builder};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, story};

use super::tree::{Files, options, tree, with_kustomize};

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

async fn check(options: BuildOptions, files: Files<'_>, most: u64, reason: Reason, message: &str) {
    let error = Builder::new(options).build("team", tree("", files), most).await.expect_err("it is ended");
    assert_eq!((error.reason(), error.to_string()), (reason, message.to_owned()));
}

#[story]
async fn promise_7_a_build_that_takes_too_much_is_ended() {
    let attempts = || options(Tools::escape().path("attempts"));
    let one = Duration::from_secs(1);
    check(
        BuildOptions { cpu: one, ..attempts() },
        &[("kustomization.yaml", ""), ("spin", "")],
        1 << 20,
        Reason::BuildFailed,
        "kustomize build . needs more than 1 seconds of processor time",
    )
    .await;
    check(
        BuildOptions { time: one, ..attempts() },
        &[("kustomization.yaml", ""), ("sleep", "")],
        1 << 20,
        Reason::BuildUnavailable,
        "kustomize build . has not ended within 1s",
    )
    .await;
    check(
        attempts(),
        &[("kustomization.yaml", ""), ("flood", "")],
        1 << 20,
        Reason::ArtifactTooLarge,
        "the kustomization builds to more than 1048576 bytes",
    )
    .await;
    check(
        BuildOptions { memory: 64 << 20, ..attempts() },
        &[("kustomization.yaml", ""), ("grow", "")],
        1 << 20,
        Reason::BuildFailed,
        "kustomize build . needs more than 64 MiB of memory",
    )
    .await;
}

#[story]
async fn promise_7_bombs_in_kustomizations_are_ended() {
    // Each of 30 floors names the next one twice, under another name.
    let mut files = Vec::new();
    for floor in 0..30 {
        for (side, prefix) in [("a", "x"), ("b", "y")] {
            let next = floor + 1;
            let text = format!("namePrefix: {prefix}\nresources: [../{next}a, ../{next}b]\n");
            files.push((format!("{floor}{side}/kustomization.yaml"), text));
        }
    }
    for side in ["a", "b"] {
        files.push((format!("30{side}/kustomization.yaml"), "resources: [c.yaml]\n".to_owned()));
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {side}}}\n");
        files.push((format!("30{side}/c.yaml"), map));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let kustomize = || options(Tools::image().path("kustomize"));
    let small = BuildOptions { memory: 64 << 20, cpu: Duration::from_secs(2), ..kustomize() };
    let error =
        Builder::new(small).build("team", tree("0a", &files), 1 << 20).await.expect_err("it is ended");
    assert_eq!(error.reason(), Reason::BuildFailed, "{error}");

    // Aliases that double.
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..30 {
        let before = n - 1;
        bomb.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]\n"));
    }
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\nx:\n  {}",
        bomb.replace('\n', "\n  ")
    );
    let files = [("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", map.as_str())];
    let small = BuildOptions { memory: 64 << 20, cpu: Duration::from_secs(2), ..kustomize() };
    let error = Builder::new(small).build("team", tree("", &files), 1 << 20).await.expect_err("it is ended");
    assert_eq!(error.reason(), Reason::BuildFailed, "{error}");
}

#[story]
async fn what_kustomize_says_is_passed_on_without_secrets() {
    let builder = with_kustomize();
    let fails = async |files: Files<'_>, expected: &str| {
        let error = builder.build("team", tree("", files), 1 << 20).await.expect_err("it fails");
        assert_eq!(error.reason(), Reason::BuildFailed, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        error.to_string()
    };
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let twice = [("kustomization.yaml", "resources: [a.yaml, b.yaml]\n"), ("a.yaml", map), ("b.yaml", map)];
    let said = fails(&twice, "kustomize build . failed: ").await;
    assert!(said.contains("may not add resource with an already registered id"), "{said}");
    assert!(!said.contains("/tmp"), "{said}");
    let secret = "secretGenerator: [{name: a, literals: [hunter2]}]\n";
    let said =
        fails(&[("kustomization.yaml", secret)], "(message hidden: it may contain Secret values)").await;
    assert!(!said.contains("hunter2"), "{said}");
}
