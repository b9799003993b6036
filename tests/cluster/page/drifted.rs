//! The cluster compared with what was applied last, on the page of the operator: with the rights of the person, within
//! the memory of the operator, and without a change.

use serde_json::json;
use supercargo_testbed::audit::Mark;
use supercargo_testbed::{Profiles, story};

use super::shared::{Cluster, READ};
use super::window::Window;
use crate::scene::config_map;

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

const SECRET: &str =
    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
const EVIL: &str = "</pre></code><script>window.hacked=1</script><img src=x onerror=\"window.hacked=2\">";

/// What the page says about the cluster, by the link on the page of the release.
async fn compared(window: &Window, page: &str) -> String {
    window.goto(page).await;
    window.click("nav.actions a[href$='/diff']").await;
    window.wait_text("What differs from the applied revision").await;
    window.text().await
}

/// Whether a person has tried something, and written nothing.
fn is_dry(cluster: &Cluster, mark: Mark, name: &str) -> bool {
    let scene = &cluster.scene;
    let user = cluster.user(name);
    let requests = scene.story.bed().audit().since(mark, &user);
    let tried = requests.iter().filter(|request| request.verb == "patch").count();
    assert!(tried > 0, "{requests:?}");
    requests.iter().all(|request| !request.writes() || request.uri.contains("dryRun=All"))
}

#[story]
async fn what_differs_from_the_applied_revision_is_shown_with_the_rights_of_the_person() {
    let cluster = Cluster::begin("page-drifted", &["--memory-limit=512Mi"]).await;
    let scene = &cluster.scene;
    // The API server writes each of these characters as six, and so more than what is read.
    let long = "<".repeat(600 << 10);
    let large = config_map("large", &long);
    let maps = [config_map("a", "two"), config_map("evil", "good"), large].join("---\n");
    scene.change("app", json!({"drift": {"mode": "Off"}}));
    scene.upgraded("app", "2", &[maps.as_str(), SECRET].concat()).await;
    let page = format!("{}/release/{}/app", cluster.page, scene.namespace());
    let reads = "{apiGroups: [''], resources: [configmaps, secrets], verbs: [get]}";
    let tries = "{apiGroups: [''], resources: [configmaps, secrets], verbs: [get, patch]}";
    let window = cluster.signed_in(&cluster.token("amara", &format!("{READ}, {tries}"))).await;

    let text = compared(&window, &page).await;
    assert!(text.contains("Nothing differs."), "{text}");
    assert!(text.contains("compared with revision 2@") && text.contains("which was applied last"), "{text}");
    assert!(text.contains("rendered with the present spec and inputs"), "{text}");
    assert!(!text.contains("have changed since") && !text.contains("A rollout"), "{text}");

    // Nobody corrects what is edited now.
    scene.edit("a", "edited");
    scene.edit("evil", EVIL);
    scene.edit("large", &format!("{long}edited"));
    scene.patch("v1", "secrets", "s", json!({"stringData": {"password": "sesame"}}));
    let mark = scene.mark();
    let text = compared(&window, &page).await;
    assert!(text.contains("3 objects differ"), "{text}");
    // An object beyond the bound is named, and the others are compared.
    let beyond = format!(
        "ConfigMap/{}/large: the API server's answer takes more of the memory of the operator",
        scene.namespace()
    );
    assert!(text.contains(&beyond) && text.contains("more than 3072 KiB"), "{text}");
    assert!(text.contains("-  key: edited") && text.contains("+  key: two"), "{text}");
    // Values of Secrets are masked, whoever may read them.
    assert!(text.contains("-  password: \"***** (before)\""), "{text}");
    for value in ["hunter2", "sesame", "aHVudGVyMg", "c2VzYW1l"] {
        assert!(!window.run("return document.body.innerHTML").await.to_string().contains(value), "{value}");
    }
    // What others have written is text.
    assert!(text.contains("<script>window.hacked=1</script>"), "{text}");
    let clean = "return document.querySelectorAll('main script, main img, main [onerror]').length + (window.hacked || 0)";
    assert_eq!(window.run(clean).await, 0);
    assert_eq!(window.violations().await, Vec::<String>::new());
    // Nothing was written, and everything was asked with the token of the person.
    assert!(is_dry(&cluster, mark, "amara"));
    assert_eq!(scene.data("a").await.as_deref(), Some("edited"));
    let own = scene.requests(mark);
    assert!(!own.iter().any(|request| request.uri.contains("dryRun")), "{own:?}");

    // Without the right to patch, the page says which right is missing, and shows what it can.
    let reader = cluster.signed_in(&cluster.token("ben", &format!("{READ}, {reads}"))).await;
    let text = compared(&reader, &page).await;
    assert!(text.contains("cannot patch resource \"configmaps\""), "{text}");
    assert!(
        text.contains("4 of 4 objects are not compared: that takes the rights to get and patch them"),
        "{text}"
    );
    reader.close().await;
    let some = format!("{READ}, {reads}, {{apiGroups: [''], resources: [secrets], verbs: [patch]}}");
    let partly = cluster.signed_in(&cluster.token("cleo", &some)).await;
    let text = compared(&partly, &page).await;
    assert!(text.contains("1 object differs") && text.contains("3 of 4 objects are not compared"), "{text}");
    partly.close().await;
    // Without the inventory nothing is known.
    let blind = cluster.signed_in(&cluster.token("dora", READ)).await;
    let text = compared(&blind, &page).await;
    assert!(text.contains("No comparison") && text.contains("cannot get resource \"configmaps\""), "{text}");
    blind.close().await;

    // While another revision is tried, the page compares with the one that was applied last, and says so.
    scene.upgrade("app", "3", "apiVersion: example.com/v1\nkind: Unknown\nmetadata: {name: x}\n");
    scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let text = compared(&window, &page).await;
    assert!(text.contains("compared with revision 2@") && text.contains("-  key: edited"), "{text}");
    assert!(text.contains("has tried to apply revision 3@"), "{text}");
    window.close().await;
}

#[story]
async fn an_open_page_shows_what_becomes_of_an_object_though_the_release_stays_as_it_is() {
    let cluster = Cluster::begin("page-reread", &[]).await;
    let scene = &cluster.scene;
    scene.change("app", json!({"drift": {"mode": "Off"}}));
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    let page = format!("{}/release/{}/app", cluster.page, scene.namespace());
    let rights = "{apiGroups: [''], resources: [configmaps], verbs: [get, patch, create]}";
    let window = cluster.signed_in(&cluster.token("amara", &format!("{READ}, {rights}"))).await;
    window.goto(&page).await;
    window.wait_text("all healthy").await;
    let version =
        || scene.story.kubectl(&["get", "oar", "app", "-o", "jsonpath={.metadata.resourceVersion}"], "");
    let before = version();
    scene.story.kubectl(&["delete", "configmap", "a"], "");
    window.wait_text("1 not healthy").await;
    assert_eq!(version(), before, "only the object has changed");

    // What a run would do is not what the page says: there is none.
    let text = compared(&window, &page).await.to_lowercase();
    assert!(text.contains("missing") && !text.contains("created"), "{text}");
    // The inputs of a revision count, too.
    scene.change("app", json!({"suspend": true, "targetNamespace": scene.namespace()}));
    let text = compared(&window, &page).await;
    assert!(text.contains("The spec or its inputs have changed since this revision was applied"), "{text}");
    window.close().await;
}
