//! Scenes about delivery: approval, the way back, guards and windows. Each is told by itself, with a
//! small release of its own: `make demo SCENE=rollback`.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use supercargo_testbed::processes;
use supercargo_testbed::story::condition;

use super::stage::{Stage, chapter};

/// The scenes, by name.
pub const SCENES: [(&str, fn(&Stage)); 4] =
    [("approval", approval), ("rollback", rollback), ("guards", guards), ("windows", windows)];

/// A web server; its pods fail if they are of a broken version.
fn web(version: &str, is_broken: bool) -> String {
    let broken = if is_broken { ", testbed.supercargo.dev/pod: failed" } else { "" };
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shop}}\ndata: {{version: '{version}'}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: shop}}\nspec:\n  replicas: 1\n  progressDeadlineSeconds: 1\n  \
         selector: {{matchLabels: {{app: shop}}}}\n  template:\n    metadata: {{labels: {{app: shop{broken}}}}}\n    spec:\n      \
         containers: [{{name: shop, image: 'example.com/shop:{version}'}}]\n"
    )
}

fn extra(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

/// The release of a scene.
struct Shop<'a>(&'a Stage);

impl Shop<'_> {
    fn push(&self, tag: &str, yaml: &str) {
        let directory = processes::directory("shop");
        std::fs::write(directory.join("shop.yaml"), yaml).expect("write a file");
        let artifact = self.0.artifact_of("shop", tag);
        self.0.supercargo(&["push", "artifact", &artifact, "-f", &directory.display().to_string()]);
    }

    fn create(&self, fields: &str) {
        let url = self.0.artifact_of("shop", "");
        self.0.apply(&format!(
            "apiVersion: supercargo.dev/v1alpha1\nkind: OCIArtifactRelease\nmetadata: {{name: shop, namespace: default}}\n\
             spec:\n  url: {}\n  ref: {{tag: '1'}}\n  interval: 5m\n  insecure: true # plain HTTP, on loopback\n  \
             serviceAccountName: deployer\n  prune: true\n  wait: true\n{fields}",
            url.trim_end_matches(':')
        ));
    }

    fn follow(&self, tag: &str) {
        let patch = format!(r#"{{"spec":{{"ref":{{"tag":"{tag}"}}}}}}"#);
        self.0.kubectl(&["patch", "ociartifactrelease", "shop", "--type=merge", "-p", &patch]);
    }

    fn read(&self) -> Value {
        let text = self.0.bed().kubectl(&["get", "ociartifactrelease", "shop", "-o", "json"], "");
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// Waits for Ready with that tag.
    fn ready(&self, tag: &str) -> Value {
        let start = Instant::now();
        let release = self.0.wait(&format!("shop is Ready with {tag}"), || {
            let release = self.read();
            let revision = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
            let is_ready = condition(&release, "Ready").is_some_and(|ready| ready.status == "True");
            (is_ready && revision.starts_with(&format!("{tag}@"))).then_some(release)
        });
        println!("  → Ready with {tag} after {:.1} s", start.elapsed().as_secs_f64());
        release
    }

    /// Waits until Ready is False for a reason, and shows the message.
    fn held(&self, reason: &str) -> Value {
        let release = self.0.wait(&format!("shop waits for {reason}"), || {
            let release = self.read();
            let is_held =
                condition(&release, "Ready").is_some_and(|r| r.status == "False" && r.reason == reason);
            is_held.then_some(release)
        });
        let ready = condition(&release, "Ready").expect("it was there");
        println!("  → {reason}: {}", ready.message);
        release
    }

    fn image(&self) -> String {
        let path = "-o=jsonpath={.spec.template.spec.containers[0].image}";
        self.0.bed().kubectl(&["get", "deployment", "shop", path], "")
    }
}

fn approval(stage: &Stage) {
    let shop = Shop(stage);
    chapter("Approval", "A new revision waits until a person has approved exactly what it changes.");
    shop.push("1", &(web("1", false) + &extra("old")));
    shop.create("  approval: Manual\n");
    shop.held("ApprovalRequired");
    stage.supercargo(&["approve", "release", "shop"]);
    shop.ready("1");
    shop.push("2", &web("2", false));
    shop.follow("2");
    shop.held("ApprovalRequired");
    stage.shows(&["plan", "release", "shop"], 2);
    assert_eq!(shop.image(), "example.com/shop:1", "nothing of it is applied");
    stage.supercargo(&["approve", "release", "shop"]);
    shop.ready("2");
    assert_eq!(shop.image(), "example.com/shop:2");
}

/// The way back, which is also part of the whole demo.
pub fn rollback(stage: &Stage) {
    let shop = Shop(stage);
    chapter(
        "Rollback",
        "A new revision whose pods fail is replaced by the last healthy one, by itself and once.",
    );
    shop.push("1", &web("1", false));
    shop.create("  rollback: {mode: OnFailure}\n");
    shop.ready("1");
    shop.push("2", &web("2", true));
    shop.follow("2");
    let start = Instant::now();
    let release = shop.held("RolledBack");
    println!("  → back after {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(shop.image(), "example.com/shop:1");
    let applied = release.pointer("/status/lastAppliedRevision").and_then(Value::as_str).unwrap_or_default();
    assert!(applied.starts_with("1@"), "{release:#}");
    stage.supercargo(&["history", "release", "shop"]);
    shop.push("3", &web("3", false));
    shop.follow("3");
    shop.ready("3");
    stage.kubectl(&["delete", "ociartifactrelease", "shop", "--timeout=60s"]);
}

fn guards(stage: &Stage) {
    let shop = Shop(stage);
    chapter("Guards", "A new revision would remove two of three objects, because somebody lost a file.");
    shop.push("1", &(web("1", false) + &extra("settings")));
    shop.create("  pruneGuard: {maxPercent: 30}\n");
    shop.ready("1");
    shop.push("2", &extra("settings"));
    shop.follow("2");
    shop.held("PruneNotApproved");
    assert_eq!(shop.image(), "example.com/shop:1", "nothing of it is applied");
    shop.push("3", &(web("3", false) + &extra("settings")));
    shop.follow("3");
    shop.ready("3");
}

fn windows(stage: &Stage) {
    let shop = Shop(stage);
    chapter("Windows", "A freeze holds a new revision. When it ends, the newest revision comes by itself.");
    shop.push("1", &web("1", false));
    shop.create("");
    shop.ready("1");
    // It began two minutes ago, and ends in a few seconds.
    let now = Timestamp::now().as_second();
    let begin = now - now % 60 - 60;
    let cron = Timestamp::from_second(begin).expect("a time").strftime("%M %H * * *").to_string();
    let duration = now - begin + 8;
    let freeze = format!(r#"[{{"cron":"{cron}","duration":"{duration}s","deny":true}}]"#);
    shop.push("2", &web("2", false));
    let patch = format!(r#"{{"spec":{{"schedule":{freeze},"ref":{{"tag":"2"}}}}}}"#);
    stage.kubectl(&["patch", "ociartifactrelease", "shop", "--type=merge", "-p", &patch]);
    let held = shop.held("OutsideWindow");
    println!("  → status.pending: {}", held["status"]["pending"]);
    shop.ready("2");
    assert_eq!(shop.image(), "example.com/shop:2");
}
