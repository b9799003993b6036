//! Whose rights: objects and Secrets of a release are handled as its account and
//! never with the controller's own rights, and what is missing is named.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use supercargo_testbed::audit::Request;
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Profile, Profiles, Story, story};

use crate::scene::{ALL_RIGHTS, CONFIG_MAPS, Scene, account, config_map, deployment, registry, role};

const PROFILES: Profiles = Profiles::Both;

/// An operator that could do everything itself: what it does not do, it does not
/// do because it must not.
async fn mighty(name: &str) -> Scene<'static> {
    Scene::of(Story::begin(name).await).profile(Profile::ClusterAdmin).start()
}

/// An operator with its own rights only.
async fn modest(name: &str) -> Scene<'static> {
    Scene::of(Story::begin(name).await).profile(Profile::Least).start_with(Options::without_default_account)
}

/// What a request has to do with the table of identities: an error when another
/// identity should have sent it.
fn against_table(request: &Request, account: &str) -> Result<(), String> {
    let own = match (request.resource.as_str(), request.verb.as_str()) {
        ("ociartifactreleases" | "leases" | "events", _) => true,
        ("serviceaccounts" | "namespaces" | "customresourcedefinitions", "get" | "list" | "watch") => true,
        ("configmaps", _) => request.name.starts_with("inv-"),
        // Discovery, as whoever will use what it says.
        ("", "get") => return Ok(()),
        _ => false,
    };
    let sender = request.impersonated.as_deref();
    match own {
        true if sender.is_none() => Ok(()),
        false if sender == Some(account) => Ok(()),
        _ => Err(request.summary()),
    }
}

fn assert_follows_table(scene: &Scene<'_>, requests: &[Request], account: &str) {
    let account = format!("system:serviceaccount:{}:{account}", scene.namespace());
    let wrong: Vec<String> =
        requests.iter().filter_map(|request| against_table(request, &account).err()).collect();
    assert!(wrong.is_empty(), "not as the table of identities says: {wrong:#?}");
}

#[story]
async fn promise_9_an_account_without_rights_is_named_and_nobody_elses_rights_are_used() {
    let scene = mighty("rights-none").await;
    scene.push("app", "1", &(config_map("a", "one") + &config_map("b", "one")));
    scene.story.apply(&account("weak"));
    let mark = scene.mark();
    scene.create("app", json!({"serviceAccountName": "weak", "retryInterval": "1s"}));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    let namespace = scene.namespace();
    for part in [
        format!("nothing applied, dry run failed for 2 objects; ConfigMap/{namespace}/a: "),
        format!("ServiceAccount/{namespace}/weak cannot apply it"),
        "cannot patch resource \"configmaps\"".to_owned(),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    let requests = scene.requests(mark);
    assert_follows_table(&scene, &requests, "weak");
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    let release = scene.story.release("app").await.expect("the release");
    assert_eq!(release["status"]["failures"].as_array().map(Vec::len), Some(2), "{release}");

    // Rights are not watched: it is tried again.
    scene.story.apply(&role("weak", namespace, CONFIG_MAPS));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.condition("app", "Stalled").await, None);
    assert_follows_table(&scene, &scene.requests(mark), "weak");
}

#[story]
async fn objects_that_an_account_may_not_get_any_more_are_not_called_ready_or_in_sync() {
    let mut scene = mighty("rights-blind").await;
    scene.push("app", "1", &(config_map("a", "one") + &config_map("b", "one")));
    let namespace = scene.namespace().to_owned();
    scene.story.apply(&(account("blind") + &role("blind", &namespace, CONFIG_MAPS)));
    let spec = |drift: &str| {
        json!({
            "serviceAccountName": "blind", "interval": "1h", "retryInterval": "1s", "drift": {"mode": drift},
        })
    };
    scene.create("app", spec("Correct"));
    scene.story.wait_ready("app", "1@").await;
    scene.story.kubectl(&["delete", "rolebinding", "blind"], "");
    // One that starts has no watch of before.
    scene.restart();
    scene.edit("a", "edited");
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert!(message.contains("cannot patch resource \"configmaps\""), "{message}");

    scene.change("app", spec("Report"));
    let message = scene.wait_reason("app", "Drifted", "Unknown", "AccessDenied").await;
    assert_eq!(
        message,
        format!(
            "Cannot check for drift: ServiceAccount/{namespace}/blind cannot get ConfigMap/{namespace}/a and 1 more"
        )
    );

    scene.change("app", spec("Correct"));
    scene.story.apply(&role("blind", &namespace, CONFIG_MAPS));
    scene.wait_data("a", "one").await;
    scene.story.wait_ready("app", "1@").await;
    scene.wait_reason("app", "Drifted", "False", "InSync").await;
}

#[story]
async fn promise_9_an_account_that_does_not_exist_leads_to_nothing_until_it_is_made() {
    let scene = mighty("rights-missing").await;
    let rights = role("late", scene.namespace(), CONFIG_MAPS);
    scene.push("app", "1", &config_map("a", "one"));
    // The rights are there, and the API server impersonates the account.
    scene.story.apply(&rights);
    let mark = scene.mark();
    scene.create("app", json!({"serviceAccountName": "late"}));
    let message = scene.wait_reason("app", "Ready", "False", "ServiceAccountNotFound").await;
    let namespace = scene.namespace();
    assert_eq!(
        message,
        format!(
            "ServiceAccount/{namespace}/late does not exist, {namespace}/app is not reconciled: create the \
             account, or change spec.serviceAccountName"
        )
    );
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    scene.story.apply(&account("late"));
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn promise_9_an_account_deleted_while_its_binding_is_left_leads_to_nothing() {
    let scene = mighty("rights-deleted").await;
    let rules = "[{apiGroups: [''], resources: [configmaps, secrets], verbs: ['*']}]";
    scene.story.apply(&(account("gone") + &role("gone", scene.namespace(), rules)));
    pull_secret(&scene);
    let install = async |name: &str, secret: bool| {
        scene.push(name, name, &config_map(name, "one"));
        let mut spec = json!({"serviceAccountName": "gone", "ref": {"tag": name}});
        if secret {
            spec["secretRef"] = json!({"name": "pull"});
        }
        scene.create(name, spec);
        scene.story.wait_ready(name, name).await;
    };
    install("plain", false).await;
    install("secret", true).await;
    let mark = scene.mark();
    scene.story.kubectl(&["delete", "serviceaccount", "gone"], "");
    for name in ["plain", "secret"] {
        // Noticed at once, and by whatever wants to be written.
        scene.story.wait_condition(name, "Ready", "False", "ServiceAccountNotFound").await;
        scene.edit(name, "other");
        scene.push(name, name, &config_map(name, "two"));
        scene.reconcile(name, "1").await;
        scene.story.wait_condition(name, "Ready", "False", "ServiceAccountNotFound").await;
        scene.wait_data(name, "other").await;
    }
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    assert_follows_table(&scene, &scene.requests(mark), "gone");
    scene.story.apply(&account("gone"));
    scene.wait_data("plain", "two").await;
    scene.wait_data("secret", "two").await;
}

#[story]
async fn releases_without_an_account_take_the_default_one() {
    let story = Story::begin("rights-default").await;
    let scene = Scene::of(story)
        .profile(Profile::ClusterAdmin)
        .start_with(|options| options.argument("--default-service-account=deployer"));
    let mark = scene.mark();
    scene.story.apply(&(account("deployer") + &role("deployer", scene.namespace(), CONFIG_MAPS)));
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let requests = scene.requests(mark);
    assert_follows_table(&scene, &requests, "deployer");
    assert_eq!(scene.object_writes(mark), ["patch configmaps/a"]);
}

#[story]
async fn a_release_without_an_account_under_a_controller_without_rights_names_it() {
    let scene = modest("rights-modest").await;
    scene.push("app", "1", &deployment("web", "web:1", 1));
    scene.create("app", json!({}));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    for part in [
        "the controller's own account cannot apply it",
        &format!("\"{}\" cannot patch resource \"deployments\"", scene.account.user()),
        "spec.serviceAccountName",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // With an account that may, it is applied.
    scene.story.apply(&(account("able") + &role("able", scene.namespace(), ALL_RIGHTS)));
    scene.change("app", json!({"serviceAccountName": "able"}));
    scene.story.wait_ready("app", "1@").await;
}

fn pull_secret(scene: &Scene<'_>) {
    let config = STANDARD.encode(registry().docker_config("alice", "wonderland"));
    scene.story.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: pull}}\ntype: kubernetes.io/dockerconfigjson\n\
         data: {{.dockerconfigjson: {config}}}\n"
    ));
}

#[story]
async fn secrets_named_by_the_spec_are_read_as_the_account() {
    let scene = mighty("rights-secret").await;
    scene.story.apply(&(account("reader") + &role("reader", scene.namespace(), CONFIG_MAPS)));
    pull_secret(&scene);
    scene.push("app", "1", &config_map("a", "one"));
    let mark = scene.mark();
    let spec = json!({"serviceAccountName": "reader", "secretRef": {"name": "pull"}, "retryInterval": "1s"});
    scene.create("app", spec);
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    let namespace = scene.namespace();
    for part in [
        format!("Secret/{namespace}/pull cannot be read"),
        format!("allow ServiceAccount/{namespace}/reader to get it"),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    scene.story.apply(&role("reader", namespace, ALL_RIGHTS));
    scene.story.wait_ready("app", "1@").await;
    let requests = scene.requests(mark);
    assert!(requests.iter().any(|r| r.resource == "secrets" && r.code == 403));
    assert_follows_table(&scene, &requests, "reader");
}

#[story]
async fn a_missing_pull_secret_is_named_and_taken_up_when_it_is_made() {
    let scene = modest("rights-pull").await;
    scene.story.apply(&(account("puller") + &role("puller", scene.namespace(), ALL_RIGHTS)));
    scene.push("app", "1", &config_map("a", "one"));
    // Only the watch is sooner than these.
    let slow = json!({
        "serviceAccountName": "puller", "secretRef": {"name": "pull"}, "interval": "1h", "retryInterval": "1h",
    });
    scene.create("app", slow);
    let message = scene.wait_reason("app", "Ready", "False", "SecretNotFound").await;
    let namespace = scene.namespace();
    assert_eq!(message, format!("Secret/{namespace}/pull, named by spec.secretRef, does not exist"));
    pull_secret(&scene);
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_tenant_cannot_reach_another_namespace() {
    let scene = mighty("rights-tenant").await;
    let other = scene.story.another_namespace("rights-other");
    scene.story.apply(&(account("tenant") + &role("tenant", scene.namespace(), ALL_RIGHTS)));
    scene.push("app", "1", &config_map("a", "one"));
    let mark = scene.mark();
    scene.create("app", json!({"serviceAccountName": "tenant", "targetNamespace": other}));
    let message = scene.wait_reason("app", "Ready", "False", "AccessDenied").await;
    assert!(message.contains(&format!("ConfigMap/{other}/a")), "{message}");
    assert!(message.contains(&format!("in the namespace \"{other}\"")), "{message}");
    // Nor by naming it in the artifact itself, beside what it may do.
    let elsewhere =
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: b, namespace: {other}}}\n");
    scene.push("app", "2", &(config_map("a", "one") + &elsewhere));
    scene.change("app", json!({"targetNamespace": null, "ref": {"tag": "2"}}));
    scene
        .story
        .wait_for("b is refused", async || {
            let ready = scene.condition("app", "Ready").await?;
            (ready.status == "False" && ready.message.contains(&format!("ConfigMap/{other}/b"))).then_some(())
        })
        .await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    // Granted, and looked at when asked.
    let granted = role("tenant", scene.namespace(), CONFIG_MAPS);
    scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], &granted);
    scene.reconcile("app", "1").await;
    scene.story.wait_ready("app", "2@").await;
    assert_follows_table(&scene, &scene.requests(mark), "tenant");
}

#[story]
async fn promise_9_every_request_of_a_releases_life_follows_the_table_of_identities() {
    let story = Story::begin("rights-life").await;
    let namespace = story.namespace().to_owned();
    story.apply(&(account("life") + &role("life", &namespace, ALL_RIGHTS)));
    let mark = story.bed().audit().mark();
    let scene = Scene::of(story).profile(Profile::ClusterAdmin).start();
    pull_secret(&scene);
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n";
    let first = config_map("a", "one") + &config_map("b", "one") + &deployment("web", "web:1", 1) + secret;
    let spec = json!({"serviceAccountName": "life", "secretRef": {"name": "pull"}, "wait": true});
    scene.install("app", &first, spec).await;
    scene.edit("a", "other");
    scene.wait_data("a", "one").await;
    scene.push("app", "2", &(config_map("a", "two") + &deployment("web", "web:2", 2)));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "a").await;
    let requests = scene.requests(mark);
    assert_follows_table(&scene, &requests, "life");
    // It was a whole life: all that the table speaks of is among them.
    let seen = |verb: &str, resource: &str| requests.iter().any(|r| r.verb == verb && r.resource == resource);
    for (verb, resource) in [
        ("patch", "configmaps"),
        ("delete", "configmaps"),
        ("patch", "deployments"),
        ("delete", "secrets"),
        ("watch", "secrets"),
        ("watch", "deployments"),
        ("create", "events"),
        ("patch", "ociartifactreleases"),
    ] {
        assert!(seen(verb, resource), "no {verb} {resource}");
    }
}
