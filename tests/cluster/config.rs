//! What `config/` holds is accepted by a real API server and gives the controller
//! what it needs, and no more.

use serde_json::{Value, json};
use supercargo_testbed::{Account, Bed, Profile, Profiles, Story, bed, repository, story};

const PROFILES: Profiles = Profiles::First("it is about the rights that config/ gives");

#[story]
async fn the_default_configuration_is_accepted_and_its_pods_are_admitted() {
    let bed = Bed::shared();
    let path = repository().join("config/default");
    bed.kubectl(&["apply", "--server-side", "-k", path.to_str().expect("text")], "");
    // The namespace enforces the restricted profile: a pod that breaks it is never created.
    let wait = ["wait", "deployment/supercargo", "--for=condition=Available", "--timeout=60s"];
    bed.kubectl(&[&["--namespace=supercargo-system"], &wait[..]].concat(), "");
}

#[story]
async fn the_samples_of_trust_and_approval_are_accepted() {
    let bed = Bed::shared();
    let at = |path: &str| repository().join(path).display().to_string();
    bed.install_crds();
    // Its namespace has to be there for the dry run.
    bed.kubectl(&["apply", "--server-side", "-k", &at("config/default")], "");
    let dry = ["apply", "--server-side", "--dry-run=server", "-o", "yaml"];
    let policy = bed.kubectl(&[&dry[..], &["-k", &at("config/samples/trust-policy")]].concat(), "");
    for part in ["--trust-policy=/etc/supercargo/trust/policy.yaml", "mountPath: /etc/supercargo/trust"] {
        assert!(policy.contains(part), "{policy}");
    }
    let policies = bed.kubectl(&[&dry[..], &["-f", &at("config/samples/policies")]].concat(), "");
    assert_eq!(policies.matches("kind: ValidatingAdmissionPolicyBinding\n").count(), 8, "{policies}");
    let autoscaler = bed.kubectl(&[&dry[..], &["-f", &at("config/samples/autoscaling.yaml")]].concat(), "");
    assert!(autoscaler.contains("name: supercargo_queue_oldest_age_seconds"), "{autoscaler}");
    for sample in ["release.yaml", "release-verified.yaml"] {
        let release =
            bed.kubectl(&[&dry[..], &["-f", &at(&format!("config/samples/{sample}"))]].concat(), "");
        // As `default` it could do nothing.
        assert!(release.contains("serviceAccountName: deployer"), "{release}");
    }
}

#[story]
async fn the_sample_of_webhooks_is_accepted() {
    let bed = Bed::shared();
    let at = |path: &str| repository().join(path).display().to_string();
    // Its namespace has to be there for the dry run.
    bed.kubectl(&["apply", "--server-side", "-k", &at("config/default")], "");
    let dry = ["apply", "--server-side", "--dry-run=server", "-o", "yaml", "-k"];
    let webhooks = bed.kubectl(&[&dry[..], &[&at("config/samples/webhooks")]].concat(), "");
    // The last is of the NetworkPolicy: a port that it does not name is closed.
    for part in [
        "--webhook-addr=0.0.0.0:9292",
        "mountPath: /etc/supercargo/webhooks",
        "targetPort: webhook",
        "- port: webhook",
    ] {
        assert!(webhooks.contains(part), "{webhooks}");
    }
}

#[story]
async fn the_sample_app_is_accepted_in_both_versions_and_becomes_available() {
    let bed = Bed::shared();
    for version in ["1.0.0", "1.0.1"] {
        let path = repository().join("config/samples/demo-app").join(version);
        let path = path.to_str().expect("text");
        // Twice: files are applied by name, and the Namespace is not in the first.
        bed.try_kubectl(&["apply", "--server-side", "-f", path], "");
        bed.kubectl(&["apply", "--server-side", "-f", path], "");
    }
    let wait = ["wait", "deployment", "--all", "--for=condition=Available", "--timeout=60s"];
    bed.kubectl(&[&["--namespace=demo-app"], &wait[..]].concat(), "");
}

#[story]
async fn the_controller_has_the_rights_of_its_own_calls_and_no_other() {
    let story = Story::on(Bed::shared(), "config-rights").await;
    let account = Account::create(story.bed(), story.namespace(), Profile::Least);
    let client = bed::client(account.kubeconfig()).await;
    // `verb group/resource/subresource/name` in a namespace; `-` for none.
    let check = async |verb: &str, what: &str, namespace: &str, expected: bool| {
        let fields: Vec<&str> = what.split('/').map(|field| if field == "-" { "" } else { field }).collect();
        let attributes = json!({
            "verb": verb, "namespace": namespace,
            "group": fields[0], "resource": fields[1], "subresource": fields[2], "name": fields[3],
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes())
            .expect("a request");
        let answer: Value = client.request(request).await.expect("a review");
        assert_eq!(answer["status"]["allowed"], expected, "{verb} {what} in {namespace:?}");
    };
    let own = story.namespace();
    check("watch", "supercargo.dev/ociartifactreleases/-/-", "", true).await;
    check("patch", "supercargo.dev/ociartifactreleases/status/-", "", true).await;
    check("patch", "supercargo.dev/ociartifactreleases/-/-", "", true).await;
    check("delete", "-/configmaps/-/-", "", true).await;
    check("impersonate", "-/serviceaccounts/-/-", "", true).await;
    check("create", "-/events/-/-", "", true).await;
    check("get", "-/namespaces/-/-", "", true).await;
    let crd = "apiextensions.k8s.io/customresourcedefinitions/-/ociartifactreleases.supercargo.dev";
    check("get", crd, "", true).await;
    check("list", "apiextensions.k8s.io/customresourcedefinitions/-/-", "", true).await;
    let lease = format!("coordination.k8s.io/leases/-/{}", account.lease());
    check("update", &lease, own, true).await;

    check("update", &lease, "default", false).await;
    check("update", "coordination.k8s.io/leases/-/other", own, false).await;
    check("create", "supercargo.dev/ociartifactreleases/-/-", "", false).await;
    check("update", "supercargo.dev/ociartifactreleases/-/-", "", false).await;
    check("watch", "-/configmaps/-/-", "", false).await;
    check("get", "-/secrets/-/-", "", false).await;
    check("get", "-/secrets/-/-", own, false).await;
    check("patch", "apps/deployments/-/-", "", false).await;
    check("delete", "-/namespaces/-/-", "", false).await;
    check("impersonate", "-/users/-/-", "", false).await;
    check("impersonate", "-/groups/-/-", "", false).await;
    check("get", "apiextensions.k8s.io/customresourcedefinitions/-/others.example.com", "", false).await;
    check("watch", "apiextensions.k8s.io/customresourcedefinitions/-/-", "", false).await;
    account.remove(story.bed());
}
