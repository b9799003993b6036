//! The life of an installation: one command, a release that becomes Ready with the
//! least rights, a changed flag, its end, and that the next installation takes up
//! what it left.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use supercargo_testbed::operator::Operator;
use supercargo_testbed::{Bed, Profiles, Registry, Story, processes, repository, story};

use super::{helm, pods};
use crate::scene::{config_map, release};

const PROFILES: Profiles = Profiles::First("its operators have the rights that the chart gives them there");

const HOME: &str = "supercargo-system";
const CRD: &str = "customresourcedefinition/ociartifactreleases.supercargo.dev";

struct Installation<'a> {
    bed: &'a Bed,
    admin: PathBuf,
}

impl Installation<'_> {
    fn helm(&self, verb: &str, values: &str, flags: &[&str]) -> std::process::Output {
        let flags = [&["--wait", "--timeout=120s"], flags].concat();
        helm::with_values(Some(&self.admin), &[verb, "supercargo"], HOME, values, &flags)
    }

    /// The process of its newest pod, ready.
    fn start(&self) -> Operator {
        let pod = pods::newest(self.bed, HOME);
        let mut operator = pods::options(self.bed, HOME, &pod).start();
        operator.wait_ready();
        operator
    }

    fn uninstall(&self) -> String {
        let flags = ["--wait", "--timeout=120s"];
        let uninstall = ["uninstall", "supercargo", "--namespace", HOME];
        helm::printed(&helm::helm(Some(&self.admin), &[&uninstall[..], &flags].concat()))
    }
}

fn identity(object: &Value) -> (Value, Value) {
    (object["metadata"]["uid"].clone(), object["metadata"]["resourceVersion"].clone())
}

#[story]
async fn helm_installs_it_under_least_rights_and_what_it_applied_outlives_it() {
    // A cluster of its own: the definition belongs to the chart here.
    let bed = Bed::start();
    let installation = Installation { admin: bed.admin_kubeconfig_path(), bed: &bed };
    // It enforces the restricted profile, and has to admit the pods.
    let namespace = repository().join("config/rbac/namespace.yaml");
    bed.kubectl(&["apply", "--server-side", "-f", namespace.to_str().expect("text")], "");
    let said = helm::printed(&installation.helm("install", "", &[]));
    for part in [
        "impersonate any ServiceAccount of the cluster",
        "without one it uses ServiceAccount default",
        "are kept,",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let story = Story::on(&bed, "tenant").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &config_map("app", "one"));
    // As the notes say.
    story.kubectl(&["create", "serviceaccount", "shipper"], "");
    let account = format!("--serviceaccount={}:shipper", story.namespace());
    story.kubectl(&["create", "rolebinding", "shipper", "--clusterrole=admin", &account], "");
    let url = format!("oci://{}/app", registry.host());
    let app = |account| {
        release(story.namespace(), "app", &url, serde_json::json!({"serviceAccountName": account}))
            .to_string()
    };

    let mut operator = installation.start();
    story.apply(&app("shipper"));
    story.wait_ready("app", "1@").await;

    // Another flag, another pod, and a process that does as it says.
    helm::printed(&installation.helm("upgrade", "requireVerification: true", &[]));
    assert_eq!(operator.stop(), Some(0));
    operator = installation.start();
    story.wait_condition("app", "Ready", "False", "VerificationRequired").await;
    helm::printed(&installation.helm("upgrade", "", &["--reset-values"]));
    assert_eq!(operator.stop(), Some(0));
    operator = installation.start();
    story.wait_ready("app", "1@").await;

    let applied = story.object("v1", "configmaps", "app").await.expect("what was applied");
    let said = installation.uninstall();
    assert!(said.contains("[CustomResourceDefinition] ociartifactreleases.supercargo.dev"), "{said}");
    operator.stop();
    let gone = bed.kubectl(
        &["--namespace", HOME, "get", "all,serviceaccounts,roles,pdb,networkpolicies", "-o", "name"],
        "",
    );
    assert_eq!(gone.trim(), "serviceaccount/default");
    bed.kubectl(&["get", CRD], "");
    let left = story.release("app").await.expect("the release");
    assert!(left["metadata"]["deletionTimestamp"].is_null(), "{left:#}");
    let inventory = story.object("v1", "configmaps", "inv-app").await.expect("the inventory");

    helm::printed(&installation.helm("install", "", &[]));
    let _operator = installation.start();
    story.kubectl(&["annotate", "oar", "app", "supercargo.dev/reconcile-at=again"], "");
    story
        .wait_for("the release is taken up", async || {
            let release = story.release("app").await?;
            (release["status"]["lastHandledReconcileAt"] == "again").then_some(())
        })
        .await;
    story.wait_ready("app", "1@").await;
    let found = story.object("v1", "configmaps", "app").await.expect("what was applied");
    assert_eq!(identity(&applied), identity(&found), "nothing had to be written");
    let kept = story.object("v1", "configmaps", "inv-app").await.expect("the inventory");
    assert_eq!(inventory["data"], kept["data"]);
    story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    story.wait_gone("v1", "configmaps", "app").await;
}

#[story]
fn helm_takes_over_what_kubectl_has_installed_when_it_is_told_to() {
    let bed = Bed::start();
    let installation = Installation { admin: bed.admin_kubeconfig_path(), bed: &bed };
    bed.install_crds();
    let plain = repository().join("config/default").display().to_string();
    bed.kubectl(&["apply", "--server-side", "-k", &plain], "");
    let refused = helm::complaint(&installation.helm("install", "", &[]));
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    helm::printed(&installation.helm("install", "", &["--take-ownership", "--force-conflicts"]));
    installation.uninstall();
    bed.kubectl(&["get", CRD], "");
}

#[story]
async fn an_upgrade_by_helm_brings_the_definition_and_keeps_the_releases() {
    let bed = Bed::start();
    let installation = Installation { admin: bed.admin_kubeconfig_path(), bed: &bed };
    let namespace = repository().join("config/rbac/namespace.yaml");
    bed.kubectl(&["apply", "--server-side", "-f", namespace.to_str().expect("text")], "");
    // The chart as it may have been: a field less, another default, no columns.
    let older = processes::directory("chart").join("supercargo");
    let copied =
        Command::new("cp").arg("-r").arg(helm::chart()).arg(&older).status().expect("copy the chart");
    assert!(copied.success());
    let file = older.join("files/supercargo.dev_ociartifactreleases.yaml");
    let text = std::fs::read_to_string(&file).expect("read a file");
    let mut definition: Value = serde_saphyr::from_str(&text).expect("YAML");
    let version = &mut definition["spec"]["versions"][0];
    let columns = version["additionalPrinterColumns"].take();
    version["additionalPrinterColumns"] = serde_json::json!([columns[0]]);
    let spec = version.pointer_mut("/schema/openAPIV3Schema/properties/spec/properties").expect("a schema");
    spec.as_object_mut().expect("fields").remove("decryption").expect("the field");
    spec["prune"]["default"] = true.into();
    std::fs::write(&file, definition.to_string()).expect("write a file");
    let chart = older.display().to_string();
    let home = format!("--namespace={HOME}");
    helm::printed(&helm::helm(Some(&installation.admin), &["install", "supercargo", &chart, &home]));
    let story = Story::on(&bed, "tenant").await;
    let url = "oci://127.0.0.1:1/app";
    story.apply(&release(story.namespace(), "app", url, serde_json::json!({"suspend": true})).to_string());
    let before = story.release("app").await.expect("the release");

    helm::printed(&helm::with_values(Some(&installation.admin), &["upgrade", "supercargo"], HOME, "", &[]));
    let live: Value = serde_json::from_str(&bed.kubectl(&["get", CRD, "-o", "json"], "")).expect("JSON");
    let version = &live["spec"]["versions"][0];
    let spec = version.pointer("/schema/openAPIV3Schema/properties/spec/properties").expect("a schema");
    assert!(spec["decryption"].is_object());
    assert_eq!(version["additionalPrinterColumns"], columns);
    let wanted: Value = serde_saphyr::from_str(&text).expect("YAML");
    let wanted =
        wanted.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/prune/default");
    assert_eq!(spec["prune"].get("default"), wanted);
    let after = story.release("app").await.expect("the release is still there");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let decryption = serde_json::json!({"suspend": true, "decryption": {"secretRef": {"name": "age"}}});
    story.apply(&release(story.namespace(), "app", url, decryption).to_string());
}
