//! The ValidatingAdmissionPolicies of config/samples/policies, as the chart installs them: each before real users
//! of a real API server.

use http::Method;
use serde_json::{Value, json};
use supercargo_testbed::{Profiles, Story, repository, story};

use super::people::{Person, TENANT};
use super::trial::{self, Trial, allowed, change, refused};
use crate::chart::helm;
use crate::scene::{CONFIG_MAPS, Scene, account, config_map, role};

const PROFILES: Profiles = Profiles::First("what the API server refuses, whoever runs");

const POLICIES: [&str; 8] =
    ["account", "approval", "guards", "inventories", "namespaces", "registries", "source", "verification"];

fn spec(spec: Value) -> Value {
    json!({ "spec": spec })
}

fn annotations(annotations: Value) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

/// Rules of a tenant who may also use a verb of its own on releases.
fn with_verb(verb: &str) -> String {
    format!("{TENANT}\n- {{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [{verb}]}}")
}

/// Rules of a tenant who may also act as the account `deployer`.
fn with_deployer() -> String {
    format!(
        "{TENANT}\n- {{apiGroups: [''], resources: [serviceaccounts], resourceNames: [deployer], verbs: [impersonate]}}"
    )
}

#[story]
async fn a_release_names_an_account_that_its_writer_may_act_as() {
    let values = "policies: {enabled: [account], SELECTOR}";
    let trial =
        Trial::begin("policy-account", values, &spec(json!({"serviceAccountName": "deployer"}))).await;
    let tenant = Person::with(&trial.story, "tenant", &with_deployer()).await;
    let stranger = Person::with(&trial.story, "stranger", TENANT).await;
    let right = "so you need the right to impersonate it";
    trial
        .judge(&[
            refused(
                &tenant,
                spec(json!({"serviceAccountName": null})),
                "spec.serviceAccountName must be set",
            ),
            refused(&tenant, spec(json!({"serviceAccountName": "admin"})), right),
            refused(&stranger, spec(json!({"url": "oci://ghcr.io/acme/other"})), right),
            refused(
                &stranger,
                spec(json!({"patches": [{"patch": "a: b", "target": {"kind": "Deployment"}}]})),
                right,
            ),
            allowed(&tenant, spec(json!({"url": "oci://ghcr.io/acme/other"}))),
            // What leaves the spec alone.
            allowed(&stranger, annotations(json!({"supercargo.dev/reconcile-at": "now"}))),
        ])
        .await;
}

#[story]
async fn approvals_are_given_by_those_with_the_verb_and_in_their_own_name() {
    let values = "policies: {enabled: [approval], SELECTOR}";
    let given = json!({
        "spec": {"approval": "Manual", "approvalTimeout": "1h"},
        "metadata": {"annotations": {"supercargo.dev/approve": "old", "supercargo.dev/approved-by": "somebody"}},
    });
    let trial = Trial::begin("policy-approval", values, &given).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    // By a group, and by a name.
    let approver = Person::member(&trial.story, "approver", Some("approvers"), &with_verb("approve")).await;
    let only = "- {apiGroups: [supercargo.dev], resources: [ociartifactreleases], resourceNames: [other], verbs: [approve]}";
    let of_another = Person::with(&trial.story, "elsewhere", &format!("{TENANT}\n{only}")).await;
    let may = "only users with the verb approve on the release may set, change or remove the annotations supercargo.dev/approve";
    let approve = |hash: &str, by: &str| {
        annotations(json!({"supercargo.dev/approve": hash, "supercargo.dev/approved-by": by}))
    };
    let window = "the annotation supercargo.dev/override-window";
    let spec_may =
        "only users with the verb approve on the release may change spec.approval or spec.approvalTimeout";
    trial
        .judge(&[
            refused(&tenant, approve("new", &tenant.user), may),
            refused(&tenant, annotations(json!({"supercargo.dev/approve": "new"})), may),
            refused(&of_another, approve("new", &of_another.user), may),
            change(&tenant, annotations(json!({"supercargo.dev/approve": null})), may),
            change(&tenant, annotations(json!({"supercargo.dev/approved-by": "me"})), may),
            change(&tenant, annotations(json!({"supercargo.dev/approved-at": "2026-01-01T00:00:00Z"})), may),
            change(&tenant, annotations(json!({"supercargo.dev/override-window": "sha256:a"})), window),
            change(&tenant, spec(json!({"approval": "Automatic", "approvalTimeout": null})), spec_may),
            change(&tenant, spec(json!({"approvalTimeout": "2h"})), spec_may),
            refused(
                &approver,
                approve("new", "somebody-else"),
                "supercargo.dev/approved-by must be your own user name",
            ),
            allowed(&approver, approve("new", &approver.user)),
            allowed(&approver, annotations(json!({"supercargo.dev/override-window": "sha256:a"}))),
            allowed(&approver, spec(json!({"approval": "Automatic", "approvalTimeout": null}))),
            allowed(&tenant, spec(json!({"ref": {"tag": "2"}}))),
            allowed(&tenant, annotations(json!({"supercargo.dev/reconcile-at": "now"}))),
        ])
        .await;
    // Who may write Roles in the namespace does not get the verb in this way.
    let roles = "- {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: [get, create, update, patch]}";
    let owner = Person::with(&trial.story, "owner", &format!("{TENANT}\n{roles}")).await;
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles", trial.story.namespace());
    let grant = json!({"metadata": {"name": "mine"}, "rules": [
        {"apiGroups": ["supercargo.dev"], "resources": ["ociartifactreleases"], "verbs": ["approve"]}]});
    let said =
        owner.send(Method::POST, &path, trial::JSON, &grant).await.expect_err("more than its own rights");
    assert!(said.contains("attempting to grant RBAC permissions not currently held"), "{said}");
}

#[story]
async fn a_guard_gets_no_weaker_by_those_without_the_verb() {
    let values = "policies: {enabled: [guards], SELECTOR}";
    let guarded = spec(json!({
        "pruneGuard": {"maxPercent": 20, "maxCount": 5, "protectKinds": ["Secret", "ConfigMap"]},
        "deletionPolicy": "WaitForApproval",
        "minimumAge": "1h",
        "schedule": [{"cron": "0 9 * * 1-5", "duration": "8h"}],
        "promotion": {"after": [{"name": "staging"}]},
    }));
    let trial = Trial::begin("policy-guards", values, &guarded).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    let approver = Person::with(&trial.story, "approver", &with_verb("approve")).await;
    let guard = "may raise or remove a limit of spec.pruneGuard, or remove a kind from its protectKinds";
    let removal = "may change spec.deletionPolicy: WaitForApproval";
    let arrival = "may change spec.schedule, spec.minimumAge or spec.promotion";
    let limits = |limits: Value| spec(json!({ "pruneGuard": limits }));
    trial
        .judge(&[
            change(&tenant, limits(Value::Null), guard),
            change(&tenant, limits(json!({"maxPercent": 21})), guard),
            change(&tenant, limits(json!({"maxPercent": null})), guard),
            change(&tenant, limits(json!({"maxCount": 6})), guard),
            change(&tenant, limits(json!({"maxCount": null})), guard),
            change(&tenant, limits(json!({"protectKinds": ["Secret"]})), guard),
            change(&tenant, limits(json!({"protectKinds": ["Secret", "ConfigMap.apps"]})), guard),
            change(&tenant, spec(json!({"deletionPolicy": "Delete"})), removal),
            change(&tenant, spec(json!({"deletionPolicy": null})), removal),
            change(&tenant, spec(json!({"minimumAge": null})), arrival),
            change(&tenant, spec(json!({"schedule": null})), arrival),
            change(&tenant, spec(json!({"promotion": {"after": [{"name": "other"}]}})), arrival),
            allowed(&tenant, limits(json!({"maxPercent": 19, "maxCount": 0}))),
            allowed(
                &tenant,
                limits(json!({"protectKinds": ["ConfigMap", "PersistentVolumeClaim", "Secret"]})),
            ),
            allowed(&tenant, spec(json!({"ref": {"tag": "2"}}))),
            allowed(&approver, limits(Value::Null)),
            allowed(&approver, spec(json!({"deletionPolicy": "Delete", "minimumAge": null}))),
        ])
        .await;
}

#[story]
async fn a_release_names_nothing_of_another_namespace() {
    let values = "policies: {enabled: [namespaces], SELECTOR}";
    let trial = Trial::begin("policy-names", values, &json!({})).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    let own = trial.story.namespace();
    trial
        .judge(&[
            refused(&tenant, spec(json!({"targetNamespace": "kube-system"})), "spec.targetNamespace must be the namespace of the release"),
            refused(
                &tenant,
                spec(json!({"dependsOn": [{"name": "a"}, {"name": "b", "namespace": "other"}]})),
                "spec.dependsOn must not name another namespace",
            ),
            refused(
                &tenant,
                spec(json!({"promotion": {"after": [{"name": "a", "namespace": "other"}]}})),
                "spec.promotion.after must not name another namespace",
            ),
            refused(
                &tenant,
                spec(json!({"healthChecks": [{"kind": "Secret", "name": "a", "namespace": "other"}]})),
                "spec.healthChecks must not name another namespace",
            ),
            refused(&tenant, spec(json!({"kubeConfig": {"secretRef": {"name": "a"}}})), "spec.kubeConfig must not be set"),
            allowed(
                &tenant,
                spec(json!({
                    "targetNamespace": own,
                    "dependsOn": [{"name": "a"}, {"name": "b", "namespace": own}],
                    "promotion": {"after": [{"name": "a"}, {"name": "b", "namespace": own}]},
                    "healthChecks": [{"kind": "Secret", "name": "a"}, {"kind": "Secret", "name": "b", "namespace": own}],
                })),
            ),
        ])
        .await;
}

#[story]
async fn a_release_has_its_artifact_from_an_allowed_registry() {
    let values = "allowedRegistries: [ghcr.io/acme/, 'registry.example:5000'], policies: {enabled: [registries], SELECTOR}";
    let trial = Trial::begin("policy-registries", values, &json!({})).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    let url = |url: &str| spec(json!({ "url": url }));
    let says = "spec.url must be below one of the allowed prefixes: ghcr.io/acme, registry.example:5000";
    let instead = "spec.insecure, spec.certSecretRef and spec.proxySecretRef must not be set";
    trial
        .judge(&[
            refused(&tenant, url("oci://ghcr.io/acme-evil/app"), says),
            refused(&tenant, url("oci://ghcr.io/other"), says),
            refused(&tenant, url("oci://ghcr.io:8443/acme/app"), says),
            refused(&tenant, url("oci://ghcr.io.example/acme/app"), says),
            refused(&tenant, url("oci://GHCR.io/acme/app"), says),
            refused(&tenant, url("oci://registry.example/app"), says),
            refused(&tenant, spec(json!({"insecure": true})), instead),
            refused(&tenant, spec(json!({"certSecretRef": {"name": "a"}})), instead),
            refused(&tenant, spec(json!({"proxySecretRef": {"name": "a"}})), instead),
            allowed(&tenant, url("oci://ghcr.io/acme")),
            allowed(&tenant, url("oci://ghcr.io/acme/deep/app")),
            allowed(&tenant, url("oci://registry.example:5000/app")),
        ])
        .await;
    // Without the list nothing is allowed, and it is not in a namespace that the release chooses.
    let lists = trial.story.kubectl(&["get", "configmaps", "-o", "name"], "");
    let list = lists.lines().find(|name| name.ends_with("-registries")).expect("the list");
    trial.story.kubectl(&["delete", list], "");
    let (path, new) = (
        format!(
            "/apis/supercargo.dev/v1alpha1/namespaces/{}/ociartifactreleases?dryRun=All",
            trial.story.namespace()
        ),
        json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease", "metadata": {"name": "new"},
            "spec": {"url": "oci://ghcr.io/acme/app", "prune": true}}),
    );
    let closed = async || {
        let said = tenant.send(Method::POST, &path, trial::JSON, &new).await.err()?;
        said.contains("no params found").then_some(())
    };
    trial.story.wait_for("nothing is allowed without the list", closed).await;
}

#[story]
async fn where_content_comes_from_is_decided_by_those_with_the_verb() {
    let values = "policies: {enabled: [source], SELECTOR}";
    let verified = spec(json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}));
    let trial = Trial::begin("policy-source", values, &verified).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    let publisher = Person::with(&trial.story, "publisher", &with_verb("set-source")).await;
    let says = "only users with the verb set-source on the release may create it, or change spec.url";
    let other = json!({"verify": {"secretRef": {"name": "mine"}}});
    trial
        .judge(&[
            refused(&tenant, spec(json!({"url": "oci://ghcr.io/acme/other"})), says),
            // A release that is the same in all but its name.
            refused(&tenant, spec(other.clone()), says),
            change(&tenant, spec(json!({"verify": null})), says),
            refused(&tenant, spec(json!({"insecure": true})), says),
            refused(&tenant, spec(json!({"secretRef": {"name": "a"}})), says),
            refused(&tenant, spec(json!({"certSecretRef": {"name": "a"}})), says),
            refused(&tenant, spec(json!({"proxySecretRef": {"name": "a"}})), says),
            refused(&tenant, spec(json!({"provider": "aws"})), says),
            refused(&tenant, spec(json!({"path": "./other"})), says),
            refused(&tenant, spec(json!({"layers": "All"})), says),
            refused(&tenant, spec(json!({"layerSelector": {"mediaType": "a/b"}})), says),
            allowed(&tenant, spec(json!({"ref": {"semver": "1.x", "tag": null}}))),
            allowed(&tenant, spec(json!({"suspend": true}))),
            allowed(&publisher, spec(json!({"url": "oci://ghcr.io/acme/other"}))),
            allowed(&publisher, spec(other)),
        ])
        .await;
}

#[story]
async fn a_release_that_verifies_nothing_is_refused() {
    let values = "policies: {enabled: [verification], SELECTOR}";
    let verified = spec(json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}));
    let trial = Trial::begin("policy-verification", values, &verified).await;
    let tenant = Person::with(&trial.story, "tenant", TENANT).await;
    trial
        .judge(&[
            refused(
                &tenant,
                spec(json!({"verify": null})),
                "spec.verify must be set: artifacts must be signed",
            ),
            allowed(&tenant, spec(json!({"verify": {"secretRef": {"name": "other"}}}))),
        ])
        .await;
}

/// An operator and its tenant under all policies that a registry on plain HTTP allows.
#[story]
async fn under_the_policies_a_release_lives_its_whole_life_and_its_inventory_is_the_operators() {
    let story = Story::begin("policies-life").await;
    story.apply(&(account("worker") + &role("worker", story.namespace(), CONFIG_MAPS)));
    let worker =
        "- {apiGroups: [''], resources: [serviceaccounts], resourceNames: [worker], verbs: [impersonate]}";
    let releases = "- {apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: ['*']}";
    let maps = "- {apiGroups: [''], resources: [configmaps], verbs: ['*']}";
    let tenant = Person::with(&story, "tenant", &format!("\n{worker}\n{releases}\n{maps}")).await;
    let scene = Scene::of(story).start();
    scene.push("app", "1", &config_map("a", "one"));
    trial::install(
        &scene.story,
        "policies: {enabled: [account, approval, guards, inventories, namespaces, source], SELECTOR}",
    );
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.namespace());
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"resources": "[]"}});
    let says = "only the operator may write ConfigMaps named inv-NAME";
    let refused = async || {
        let said = tenant.send(Method::POST, &format!("{path}?dryRun=All"), trial::JSON, &map("inv-x")).await;
        said.is_err_and(|said| said.contains(says)).then_some(())
    };
    scene.story.wait_for("the policy is in force", refused).await;
    let generated = json!({"metadata": {"generateName": "inv-"}});
    let said =
        tenant.send(Method::POST, &path, trial::JSON, &generated).await.expect_err("a name that is made");
    assert!(said.contains(says), "{said}");
    tenant.send(Method::POST, &path, trial::JSON, &map("mine")).await.expect("another ConfigMap");

    let releases =
        format!("/apis/supercargo.dev/v1alpha1/namespaces/{}/ociartifactreleases", scene.namespace());
    let release = scene.release("app", json!({"serviceAccountName": "worker", "approval": "Manual"}));
    tenant.send(Method::POST, &releases, trial::JSON, &release).await.expect("a release");
    let waiting = scene.story.wait_condition("app", "Ready", "False", "ApprovalRequired").await;
    let approval = annotations(json!({
        "supercargo.dev/approve": waiting["status"]["plan"]["hash"], "supercargo.dev/approved-by": tenant.user,
    }));
    let merge = "application/merge-patch+json";
    tenant.send(Method::PATCH, &format!("{releases}/app"), merge, &approval).await.expect("an approval");
    scene.story.wait_ready("app", "1@").await;
    // The inventory is there, and the tenant edits it in no way.
    let edits =
        [json!({"data": {"resources": "[]"}}), json!({"metadata": {"finalizers": null, "labels": null}})];
    for edit in &edits {
        let one = format!("{path}/inv-app");
        let said = tenant.send(Method::PATCH, &one, merge, edit).await.expect_err("the operator's");
        assert!(said.contains(says), "{said}");
        let said = tenant
            .send(
                Method::PATCH,
                &format!("{one}?fieldManager=x&force=true"),
                "application/apply-patch+yaml",
                &map("inv-app"),
            )
            .await
            .expect_err("the operator's");
        assert!(said.contains(says), "{said}");
    }
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    tenant
        .send(Method::DELETE, &format!("{releases}/app"), trial::JSON, &Value::Null)
        .await
        .expect("a deletion");
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    scene.story.wait_gone("v1", "configmaps", "inv-app").await;
    scene.story.wait_gone("v1", "configmaps", "a").await;
}

#[story]
fn the_samples_are_what_the_chart_installs() {
    let values =
        format!("{{allowedRegistries: [ghcr.io/acme], policies: {{enabled: [{}]}}}}", POLICIES.join(", "));
    let mut rendered = helm::rendered("supercargo-system", &values);
    let of_policies = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        kind.starts_with("ValidatingAdmission") || kind == "ConfigMap" && name.ends_with("-registries")
    };
    rendered.retain(of_policies);
    for object in &mut rendered {
        object["metadata"].as_object_mut().expect("metadata").remove("labels");
    }
    let mut samples = Vec::new();
    let folder = std::fs::read_dir(repository().join("config/samples/policies")).expect("the samples");
    let mut names = Vec::new();
    for file in folder.map(|entry| entry.expect("an entry").path()) {
        samples.extend(helm::objects(&std::fs::read_to_string(&file).expect("a sample")));
        names.push(file.file_stem().expect("a name").to_str().expect("text").to_owned());
    }
    names.sort();
    assert_eq!(names, POLICIES);
    let sorted = |mut objects: Vec<Value>| {
        objects.sort_by_key(helm::name_of);
        objects
    };
    assert_eq!(sorted(rendered), sorted(samples));
    // None without being asked for.
    assert!(!helm::rendered("supercargo-system", "").iter().any(of_policies));
}
