//! An operator that may do little: exactly what it uses, in the namespaces that it is
//! for, as the accounts that it may act as. And tenants who try to get more by it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Profile, Profiles, Story, story};

use crate::delivery::plan::approved;
use crate::scene::{ALL_RIGHTS, BINARY, CONFIG_MAPS, Scene, account, config_map, deployment, role};

const PROFILES: Profiles = Profiles::Both;

/// What is granted and not used in the life that the tests lead an operator through,
/// as `verb group/resource`, with the reason.
const UNUSED: &[(&str, &str)] = &[
    (
        "list /serviceaccounts",
        "an API server that does not list by the beginning of a watch is asked for pages",
    ),
    ("list supercargo.dev/ociartifactreleases", "the same"),
];

/// A right, as `verb group/resource`.
type Rights = BTreeSet<String>;

/// What roles of these names grant, in a namespace or the whole cluster.
fn granted(story: &Story<'_>, kind: &str, names: &[String]) -> Rights {
    let mut rights = Rights::new();
    for name in names {
        let role = story.kubectl(&["get", kind, name, "-o", "json"], "");
        let role: Value = serde_json::from_str(&role).expect("JSON");
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        for rule in role["rules"].as_array().into_iter().flatten() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let right = |verb: String| format!("{verb} {group}/{resource}");
                    rights.extend(texts(&rule["verbs"]).into_iter().map(right));
                }
            }
        }
    }
    rights
}

/// What an operator has used under its own name. That it acts as others is a right of
/// its own; what they do is theirs.
fn used(requests: &[Request]) -> Rights {
    let right = |request: &Request| {
        if request.impersonated.is_some() {
            return Some("impersonate /serviceaccounts".to_owned());
        }
        let below = if request.subresource.is_empty() { "" } else { "/" };
        let (verb, group) = (&request.verb, &request.group);
        let what = format!("{group}/{}{below}{}", request.resource, request.subresource);
        // What is no resource is everybody's: versions and discovery.
        (!request.resource.is_empty()).then(|| format!("{verb} {what}"))
    };
    requests.iter().filter_map(right).collect()
}

/// Each right is used, and nothing is asked for without one.
fn compare(granted: &Rights, requests: &[Request]) {
    let refused: Vec<String> = requests
        .iter()
        .filter(|request| request.code == 403 && request.impersonated.is_none())
        .map(Request::summary)
        .collect();
    assert_eq!(refused, Vec::<String>::new(), "asked for without a right");
    let used = used(requests);
    let excused: BTreeSet<&str> = UNUSED.iter().map(|(right, _)| *right).collect();
    let idle: Vec<&String> =
        granted.difference(&used).filter(|right| !excused.contains(right.as_str())).collect();
    assert_eq!(idle, Vec::<&String>::new(), "granted and never used: take it out, or say why in UNUSED");
    let more: Vec<&String> = used.difference(granted).collect();
    assert_eq!(more, Vec::<&String>::new(), "used, and granted by nobody");
    let known: Vec<&&str> = excused.iter().filter(|right| used.contains(**right)).collect();
    assert_eq!(known, Vec::<&&str>::new(), "it is used: it needs no excuse in UNUSED");
}

/// An install, drift, an upgrade that a person approves, a restart, an object of a kind that is gone, and the
/// deletion of the release: each thing that an operator does under its own name.
async fn whole_life(scene: &mut Scene<'_>) {
    let spec = json!({"serviceAccountName": "deployer", "wait": true});
    let first = config_map("a", "one") + &config_map("b", "one") + &deployment("web", "web:1", 1);
    scene.install("app", &first, spec).await;
    scene.edit("a", "other");
    scene.wait_data("a", "one").await;
    scene.push("app", "2", &(config_map("a", "two") + &deployment("web", "web:2", 2)));
    scene.change("app", json!({"ref": {"tag": "2"}, "approval": "Manual"}));
    approved(scene, "app", "2@").await;
    scene.restart();
    scene.reconcile("app", "after the restart").await;
    let listed = async || {
        let inventory = scene.story.object("v1", "configmaps", "inv-app").await?;
        serde_json::from_str::<Vec<Value>>(inventory["data"]["resources"].as_str()?).ok()
    };
    let mut entries = listed().await.expect("an inventory");
    let gone = json!({"id": format!("{}_x_gone.example.com_Gone", scene.namespace()), "ver": "v1"});
    entries.push(gone.clone());
    let resources = json!({"data": {"resources": json!(entries).to_string()}});
    scene.patch("v1", "configmaps", "inv-app", resources);
    scene.reconcile("app", "after the edit").await;
    let dropped = async || (!listed().await?.contains(&gone)).then_some(());
    scene.story.wait_for("what has no kind any more is dropped", dropped).await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "a").await;
}

/// `deployer` with all rights in the story's namespace and none elsewhere.
fn local_deployer(story: &Story<'_>) {
    if Profile::of_run() == Profile::ClusterAdmin {
        story.apply(&account("deployer"));
    } else {
        let binding = format!("deployer-{}", story.namespace());
        story.kubectl(&["delete", "clusterrolebinding", &binding], "");
    }
    story.apply(&role("deployer", story.namespace(), ALL_RIGHTS));
}

#[story]
async fn the_operator_has_the_rights_that_it_uses_and_no_other() {
    let story = Story::begin("confined-rights").await;
    local_deployer(&story);
    let mark = story.bed().audit().mark();
    let mut scene = Scene::of(story).profile(Profile::Least).start();
    whole_life(&mut scene).await;
    let name = |what: &str| vec![format!("supercargo-{}-{what}", scene.namespace())];
    let mut rights = granted(&scene.story, "clusterrole", &name("controller"));
    rights.extend(granted(&scene.story, "role", &name("leader-election")));
    assert!(rights.len() > 15, "{rights:?}");
    compare(&rights, &scene.requests(mark));
}

/// An operator with rights in its story's namespace only, by the chart's values.
fn narrowed(story: Story<'static>, values: &[String]) -> (Scene<'static>, Mark) {
    let namespace = story.namespace().to_owned();
    let watched = [vec![format!("--set=watchNamespaces={{{namespace}}}")], values.to_vec()].concat();
    let mark = story.bed().audit().mark();
    let scene = Scene::of(story).chart_values(&watched).start();
    (scene, mark)
}

/// Values of an operator that may act as this account only. Releases that name none
/// get it too, which the chart insists on.
fn acting_as(account: &str) -> [String; 2] {
    [format!("--set=rbac.impersonate={{{account}}}"), format!("--set=defaultServiceAccount={account}")]
}

#[story]
async fn rights_by_roles_in_the_tenants_namespaces_are_enough() {
    let story = Story::begin("confined-roles").await;
    local_deployer(&story);
    let (mut scene, mark) = narrowed(story, &acting_as("deployer"));
    whole_life(&mut scene).await;
    let name = |what: &str| vec![format!("supercargo-{}-{what}", scene.namespace())];
    let both = [name("controller"), name("leader-election")].concat();
    let mut rights = granted(&scene.story, "role", &both);
    // Definitions are in no namespace, and the id of the cluster is that of a Namespace.
    let whole = granted(&scene.story, "clusterrole", &name("controller"));
    let mut elsewhere = Rights::from(
        ["get", "list"].map(|verb| format!("{verb} apiextensions.k8s.io/customresourcedefinitions")),
    );
    elsewhere.insert("get /namespaces".to_owned());
    assert_eq!(whole, elsewhere);
    rights.extend(whole);
    compare(&rights, &scene.requests(mark));

    // As another account of the same namespace it may not act: no release can be made
    // to have that account's rights.
    scene.story.apply(&(account("admin") + &role("admin", scene.namespace(), ALL_RIGHTS)));
    scene.push("app", "3", &config_map("a", "three"));
    scene.create("app", json!({"serviceAccountName": "admin", "ref": {"tag": "3"}, "retryInterval": "1s"}));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    for part in ["cannot impersonate resource \"serviceaccounts\"", "\"admin\""] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(scene.story.object("v1", "configmaps", "a").await, None);
}

/// For an API server of 1.36 or newer.
const CONSTRAINED: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: constrained, namespace: NAMESPACE}
rules:
- {apiGroups: [authentication.k8s.io], resources: [serviceaccounts], resourceNames: [deployer], verbs: ['impersonate:serviceaccount']}
- {apiGroups: [''], resources: [configmaps], verbs: [GET, LIST, WATCH, CREATE, PATCH, DELETE]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: constrained, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: constrained}
subjects: [{kind: ServiceAccount, name: supercargo, namespace: NAMESPACE}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: constrained-NAMESPACE}
rules:
- {nonResourceURLs: [/api, /api/*, /apis, /apis/*], verbs: [GET]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: constrained-NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: constrained-NAMESPACE}
subjects: [{kind: ServiceAccount, name: supercargo, namespace: NAMESPACE}]
";

#[story]
async fn what_is_done_as_an_account_can_be_narrowed_too() {
    let story = Story::begin("confined-verbs").await;
    local_deployer(&story);
    let mut rules = CONSTRAINED.replace("NAMESPACE", story.namespace());
    for verb in ["GET", "LIST", "WATCH", "CREATE", "PATCH", "DELETE"] {
        rules = rules.replace(verb, &format!("'impersonate-on:serviceaccount:{}'", verb.to_lowercase()));
    }
    story.bed().kubectl(&["apply", "-f", "-"], &rules);
    // The older right is to act as nobody.
    let (scene, _) = narrowed(story, &acting_as("nobody"));
    scene.install("app", &config_map("a", "one"), json!({"serviceAccountName": "deployer"})).await;
    // The account may do anything in its namespace, but not by the operator's hand.
    scene.push("app", "2", &deployment("web", "web:1", 1));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert!(message.contains("Deployment/"), "{message}");
    let name = format!("constrained-{}", scene.namespace());
    scene.story.kubectl(&["delete", "clusterrole,clusterrolebinding", &name], "");
}

#[story]
async fn without_the_right_to_the_definition_a_deletion_says_so_and_orphans_go() {
    let story = Story::begin("confined-definition").await;
    local_deployer(&story);
    let (scene, _) = narrowed(story, &[]);
    let binding = format!("supercargo-{}-controller", scene.namespace());
    scene.story.kubectl(&["delete", "clusterrolebinding", &binding], "");
    scene.install("app", &config_map("a", "one"), json!({"serviceAccountName": "deployer"})).await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    for part in [
        "cannot check whether the CustomResourceDefinition of releases is being deleted too: ",
        "cannot get resource \"customresourcedefinitions\"",
        "allow the controller's own account to get it, or set spec.deletionPolicy to Orphan",
    ] {
        assert!(message.contains(part), "{message}");
    }
    scene.wait_data("a", "one").await;
    scene.change("app", json!({"deletionPolicy": "Orphan"}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    scene.wait_data("a", "one").await;
}

#[story]
async fn nothing_is_done_for_releases_of_other_namespaces() {
    let story = Story::begin("confined-watched").await;
    let other = story.another_namespace("confined-other");
    let mark = story.bed().audit().mark();
    // It could: it may do anything anywhere.
    let scene = Scene::of(story).profile(Profile::ClusterAdmin).start();
    scene.push("app", "1", &config_map("a", "one"));
    let mut elsewhere =
        scene.release("elsewhere", json!({"url": scene.url("app"), "targetNamespace": scene.namespace()}));
    elsewhere["metadata"]["namespace"] = json!(other);
    elsewhere["metadata"]["annotations"] = json!({"supercargo.dev/reconcile-at": "now"});
    let bed = scene.story.bed();
    bed.kubectl(&["create", "-f", "-"], &elsewhere.to_string());
    // A Secret of another namespace cannot be named.
    for (n, name) in [format!("{other}/pull"), format!("../../{other}/secrets/pull")].iter().enumerate() {
        let named = format!("named{n}");
        scene.create(&named, json!({"secretRef": {"name": name}}));
        let release = scene.story.wait_condition(&named, "Ready", "False", "InvalidSpec").await;
        assert!(release["status"].to_string().contains("is not a valid name"), "{release}");
    }
    scene.create("app", json!({}));
    scene.story.wait_ready("app", "1@").await;
    bed.kubectl(
        &["-n", &other, "annotate", "--overwrite", "oar/elsewhere", "supercargo.dev/reconcile-at=2"],
        "",
    );
    scene.reconcile("app", "1").await;
    let seen =
        scene.story.object_in(Some(&other), "supercargo.dev/v1alpha1", "ociartifactreleases", "elsewhere");
    let seen = seen.await.expect("the release");
    assert!(seen.get("status").is_none() && seen["metadata"].get("finalizers").is_none(), "{seen:#}");
    let there: Vec<String> = scene
        .requests(mark)
        .iter()
        .filter(|request| request.namespace == other || request.uri.contains(&other))
        .map(Request::summary)
        .collect();
    assert_eq!(there, Vec::<String>::new());
    // One that watches its namespace works on it.
    let options = Options::new(BINARY, &scene.account).watching(&[&other]).lease("confined-other");
    let _watching = options.start();
    let version = "supercargo.dev/v1alpha1";
    let has_status = async || {
        let release =
            scene.story.object_in(Some(&other), version, "ociartifactreleases", "elsewhere").await?;
        release.pointer("/status/lastHandledReconcileAt").map(|at| at == "2").filter(|handled| *handled)
    };
    scene.story.wait_for("the release of the other namespace has had a run", has_status).await;
    bed.kubectl(&["-n", &other, "delete", "oar", "elsewhere", "--timeout=30s"], "");
}

/// All requests about objects were sent as an account.
fn assert_none_is_the_operators(scene: &Scene<'_>, mark: Mark) {
    let own = ["ociartifactreleases", "leases", "events", "serviceaccounts", "customresourcedefinitions", ""];
    let requests = scene.requests(mark);
    let mine = requests.iter().filter(|r| r.impersonated.is_none() && !own.contains(&r.resource.as_str()));
    let mine =
        mine.filter(|r| !(r.resource == "configmaps" && (r.name.starts_with("inv-") || r.verb == "list")));
    let mine = mine.filter(|r| !(r.resource == "configmaps" && r.verb == "create" && r.name.is_empty()));
    let mine = mine.filter(|r| !(r.resource == "namespaces" && r.verb == "get"));
    assert_eq!(mine.map(Request::summary).collect::<Vec<_>>(), Vec::<String>::new());
}

#[story]
async fn no_release_gets_past_the_default_account() {
    let story = Story::begin("confined-default").await;
    if Profile::of_run() == Profile::Least {
        story.kubectl(&["delete", "serviceaccount", "deployer"], "");
    }
    let (own, mark) = (story.namespace().to_owned(), story.bed().audit().mark());
    // The operator itself could do everything.
    let scene = Scene::of(story)
        .profile(Profile::ClusterAdmin)
        .start_with(|options| options.argument("--default-service-account=tenant"));
    scene.push("app", "1", &config_map("a", "one"));
    // No account of that name, then one without rights.
    scene.create("app", json!({"retryInterval": "1s"}));
    let message = scene.wait_reason("app", "Ready", "False", "ServiceAccountNotFound").await;
    assert!(message.contains(&format!("ServiceAccount/{own}/tenant does not exist")), "{message}");
    scene.story.apply(&account("tenant"));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert!(message.contains(&format!("ServiceAccount/{own}/tenant cannot apply it")), "{message}");
    // Tricks with the name: refused, or nobody's.
    let client = scene.story.client();
    for name in
        ["", "../x", "kube-system:admin", "tenant/../other", "system:masters", "tenant%2Fx", "a b", "."]
    {
        let patch = json!({"spec": {"serviceAccountName": name}}).to_string();
        let path = format!("/apis/supercargo.dev/v1alpha1/namespaces/{own}/ociartifactreleases/app");
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.into_bytes())
            .expect("a request");
        let refused = client.request::<Value>(request).await;
        assert!(refused.is_err(), "{name:?} was accepted");
    }
    // Taken out of the spec, the default counts.
    scene.change("app", json!({"serviceAccountName": "nobody"}));
    scene.wait_reason("app", "Ready", "False", "ServiceAccountNotFound").await;
    scene.change("app", json!({"serviceAccountName": null}));
    scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());

    // With rights it is applied; and when the account goes first, the objects stay.
    scene.story.apply(&role("tenant", &own, CONFIG_MAPS));
    scene.story.wait_ready("app", "1@").await;
    scene.story.kubectl(&["delete", "serviceaccount", "tenant"], "");
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    let release = scene.story.wait_condition("app", "Stalled", "True", "ServiceAccountNotFound").await;
    assert!(release["metadata"]["finalizers"].to_string().contains("supercargo"), "{release}");
    scene.wait_data("a", "one").await;
    assert_none_is_the_operators(&scene, mark);
    scene.story.apply(&account("tenant"));
    scene.story.wait_gone("v1", "configmaps", "a").await;
    assert_none_is_the_operators(&scene, mark);
}
