//! Objects of others: who may not write them neither blocks nor inherits them, and
//! two releases never have one between them.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::story::{Condition, condition};
use supercargo_testbed::{Account, Profile, Profiles, Proxy, Story, story};

use crate::scene::{ALL_RIGHTS, BINARY, CONFIG_MAPS, Scene, account, config_map, registry, release, role};

const PROFILES: Profiles = Profiles::First("each story says under which profile its operator runs");

const VERSION: &str = "supercargo.dev/v1alpha1";
const RELEASES: &str = "ociartifactreleases";
const LIMIT: Duration = Duration::from_secs(60);

/// Two tenants, each with a namespace and an account, under one operator that could do
/// everything itself.
struct Tenants {
    scene: Scene<'static>,
    /// The namespace of the second.
    other: String,
}

impl Tenants {
    /// `rights` are what the second's account may do in the namespace of the first.
    async fn begin(name: &str, rights: Option<&str>) -> Tenants {
        let story = Story::begin(name).await;
        let other = story.another_namespace(&format!("{name}-other"));
        let scene = Scene::of(story).profile(Profile::ClusterAdmin).watching(&[&other]).start();
        scene.story.apply(&(account("owner") + &role("owner", scene.namespace(), CONFIG_MAPS)));
        let stranger = account("stranger") + &role("stranger", &other, ALL_RIGHTS);
        scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], &stranger);
        if let Some(rights) = rights {
            scene.story.apply(&role("stranger", &other, rights));
        }
        Tenants { scene, other }
    }

    fn owner(&self, name: &str, tag: &str) {
        self.scene.create(name, json!({"serviceAccountName": "owner", "ref": {"tag": tag}}));
    }

    /// A release of the second tenant.
    fn stranger(&self, name: &str, tag: &str) {
        let mut release =
            self.scene.release(name, json!({"serviceAccountName": "stranger", "ref": {"tag": tag}}));
        release["metadata"]["namespace"] = self.other.as_str().into();
        self.scene.story.kubectl(&["-n", &self.other, "create", "-f", "-"], &release.to_string());
    }

    async fn of_stranger(&self, name: &str) -> Option<Value> {
        self.scene.story.object_in(Some(&self.other), VERSION, RELEASES, name).await
    }

    /// Waits until the release of the second tenant is refused for that reason, in a run
    /// that was asked for now.
    async fn refused(&self, name: &str, reason: &str, at: &str) -> Condition {
        let asked = format!("supercargo.dev/reconcile-at={at}");
        self.scene.story.kubectl(&["-n", &self.other, "annotate", "--overwrite", "oar", name, &asked], "");
        self.scene
            .story
            .wait_for(&format!("{name} is refused: {reason}"), async || {
                let release = self.of_stranger(name).await?;
                let ready = condition(&release, "Ready")?;
                let handled = release["status"]["lastHandledReconcileAt"] == at;
                (handled && ready.status == "False" && ready.reason == reason).then_some(ready)
            })
            .await
    }

    async fn wait_gone(&self, name: &str) {
        self.scene.story.wait_gone("v1", "configmaps", name).await;
    }
}

/// A ConfigMap of a namespace.
fn in_namespace(namespace: &str, name: &str) -> String {
    config_map(name, "one").replace("{name: ", &format!("{{namespace: {namespace}, name: "))
}

#[story]
async fn who_may_not_write_an_object_neither_blocks_nor_inherits_it() {
    let tenants = Tenants::begin("squatting", None).await;
    let scene = &tenants.scene;
    let home = scene.namespace().to_owned();
    // What it may write itself, a Role of its own included, gives it no right elsewhere.
    let bait = account("bait") + &role("bait", &tenants.other, CONFIG_MAPS);
    scene.push("project-x", "1", &config_map("old", "one"));
    scene.push("project-x", "2", &config_map("new", "one"));
    scene.push("squatter", "squat", &(bait + &in_namespace(&home, "old") + &in_namespace(&home, "new")));
    tenants.owner("project-x", "1");
    scene.story.wait_ready("project-x", "1@").await;

    tenants.stranger("squatter", "squat");
    let ready = tenants.refused("squatter", "AccessDenied", "1").await;
    assert!(ready.message.contains(&format!("ConfigMap/{home}/old")), "{ready:?}");
    assert!(!ready.message.contains("project-x"), "{ready:?}");
    let written = scene.story.object_in(Some(&tenants.other), "v1", "serviceaccounts", "bait").await;
    assert_eq!(written, None, "nothing of a plan is written that will be refused");

    // Its owner brings the new one and lets the old one go as if nobody else named them.
    scene.change("project-x", json!({"ref": {"tag": "2"}}));
    let release = scene.story.wait_ready("project-x", "2@").await;
    assert_eq!(release["status"]["changes"]["pruned"], 1, "{}", release["status"]);
    tenants.wait_gone("old").await;
    let ready = tenants.refused("squatter", "AccessDenied", "2").await;
    assert!(!ready.message.contains("project-x"), "{ready:?}");
    scene.story.kubectl(&["delete", "oar", "project-x", "--timeout=60s"], "");
    tenants.wait_gone("new").await;
}

#[story]
async fn who_may_not_read_the_other_release_is_not_told_its_name() {
    let tenants = Tenants::begin("nameless", Some(CONFIG_MAPS)).await;
    let scene = &tenants.scene;
    let home = scene.namespace().to_owned();
    scene.push("project-x", "1", &config_map("shared", "one"));
    scene.push("neighbour", "other", &in_namespace(&home, "shared"));
    tenants.owner("project-x", "1");
    scene.story.wait_ready("project-x", "1@").await;
    tenants.stranger("neighbour", "other");
    let ready = tenants.refused("neighbour", "OwnershipConflict", "1").await;
    assert!(ready.message.contains("belongs to another release"), "{ready:?}");
    let release = tenants.of_stranger("neighbour").await.expect("the release");
    assert!(!release["status"].to_string().contains("project-x"), "{}", release["status"]);
    let events = scene.story.kubectl(&["-n", &tenants.other, "get", "events", "-o", "json"], "");
    assert!(!events.contains("project-x"), "{events}");

    let rights = "[{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get]}]";
    scene.story.apply(&role(
        "stranger",
        &tenants.other,
        &format!("{}, {}", CONFIG_MAPS.trim_end_matches(']'), &rights[1..]),
    ));
    let ready = tenants.refused("neighbour", "OwnershipConflict", "2").await;
    assert!(ready.message.contains(&format!("belongs to the release {home}/project-x")), "{ready:?}");

    // And whoever may write it takes it over once it is let go.
    let uid =
        scene.story.object("v1", "configmaps", "shared").await.expect("it exists")["metadata"]["uid"].clone();
    scene.story.kubectl(&["delete", "oar", "project-x", "--timeout=60s"], "");
    let owner = json!(tenants.other);
    scene
        .wait_field("v1", "configmaps", "shared", "/metadata/labels/supercargo.dev~1namespace", &owner)
        .await;
    scene.wait_field("v1", "configmaps", "shared", "/metadata/uid", &uid).await;
}

#[story]
async fn what_an_heir_does_not_take_stays_in_its_inventory_and_is_deleted() {
    let tenants = Tenants::begin("no-heir", None).await;
    let scene = &tenants.scene;
    scene.story.apply(&(account("heir") + &role("heir", scene.namespace(), CONFIG_MAPS)));
    let shared = |name: &str| config_map(name, "one");
    scene.push("first", "1", &(shared("a") + &shared("b") + &shared("own")));
    scene.push("first", "2", &(shared("b") + &shared("own")));
    scene.push("second", "heir", &(shared("a") + &shared("b")));
    tenants.owner("first", "1");
    scene.story.wait_ready("first", "1@").await;
    scene.create("second", json!({"serviceAccountName": "heir", "ref": {"tag": "heir"}}));
    scene.story.wait_condition("second", "Ready", "False", "OwnershipConflict").await;

    // It waits for both, and could take only one of them.
    scene.change("first", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("first", "2@").await;
    tenants.wait_gone("a").await;
    // It may not write the other one any more when that is let go.
    scene.story.kubectl(&["delete", "rolebinding", "heir"], "");
    scene.story.kubectl(&["delete", "oar", "first", "--timeout=60s"], "");
    for name in ["b", "own", "inv-first"] {
        tenants.wait_gone(name).await;
    }
    scene.story.wait_condition("second", "Ready", "False", "AccessDenied").await;
}

fn makes(name: &str) -> impl Fn(&Seen) -> bool + Send + 'static {
    let path = format!("/configmaps/{name}?");
    move |seen: &Seen| seen.method == "PATCH" && seen.writes() && seen.path.contains(&path)
}

fn operator(account: &Account, kubeconfig: Option<&str>, namespace: &str, lease: &str) -> Operator {
    let mut options = Options::new(BINARY, account).watching(&[namespace]).lease(lease);
    if let Some(kubeconfig) = kubeconfig {
        options = options.kubeconfig(kubeconfig);
    }
    let mut operator = options.start();
    operator.wait_ready();
    operator
}

#[story]
async fn of_two_processes_that_make_the_same_object_at_once_one_has_it() {
    let story = Story::begin("race").await;
    let other = story.another_namespace("race-other");
    let account = story.account_of(Profile::ClusterAdmin);
    let proxy = Proxy::before_api_server(story.bed());
    let kubeconfig = proxy.kubeconfig(account.kubeconfig());
    let slow = operator(&account, Some(&kubeconfig), story.namespace(), "slow");
    let fast = operator(&account, None, &other, "fast");
    let home = story.namespace().to_owned();
    let create = |namespace: &str, name: &str, value: &str| {
        let yaml = in_namespace(&home, "contested").replace("'one'", value);
        registry().push_yaml(&format!("{home}/{name}"), "1", &yaml);
        let url = format!("oci://{}/{home}/{name}", registry().host());
        let release = release(namespace, name, &url, json!({"retryInterval": "1s"}));
        story.kubectl(&["-n", namespace, "create", "-f", "-"], &release.to_string());
    };
    proxy.hold_from(1, Moment::Before, makes("contested"));
    create(&home, "late", "late");
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some(), "{}", slow.log());
    // Accepted by the dry run, and not made yet.
    create(&other, "first", "first");
    let ready = async || {
        let release = story.object_in(Some(&other), VERSION, RELEASES, "first").await?;
        (condition(&release, "Ready")?.status == "True").then_some(())
    };
    story.wait_for("the other one is Ready", ready).await;
    let made = story.object("v1", "configmaps", "contested").await.expect("it exists");
    proxy.pass_all();
    proxy.release();
    let refused = story.wait_condition("late", "Ready", "False", "OwnershipConflict").await;
    assert!(refused["status"].to_string().contains("contested"), "{}", refused["status"]);
    let after = story.object("v1", "configmaps", "contested").await.expect("it exists");
    assert_eq!(after["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"], "{}", fast.log());

    // Let go, it is taken up or made anew by the other one, in a process that never knew of it.
    story.kubectl(&["-n", &other, "delete", "oar", "first", "--timeout=60s"], "");
    story.kubectl(&["annotate", "oar", "late", "supercargo.dev/reconcile-at=1"], "");
    story.wait_ready("late", "1@").await;
    let taken = story.object("v1", "configmaps", "contested").await.expect("it exists");
    assert_eq!(taken["data"]["key"], "late");
}
