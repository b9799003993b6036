//! A person at the command line, and a release whose objects are in another cluster.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::There;
use crate::scene::{config_map, deployment};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("a person has rights of their own");

#[story]
async fn the_objects_elsewhere_are_compared_and_shown_with_the_rights_to_read_the_secret() {
    let there = There::begin("remote-person").await;
    let (scene, namespace) = (&there.scene, there.scene.namespace());
    let web = deployment("web", "registry.example/web:1", 1);
    scene.install("app", &(config_map("a", "one") + &web), There::spec(json!({"wait": true}))).await;
    scene.push("app", "2", &(config_map("b", "one") + &web));
    let person = Shell::admin(&scene.story);
    // The diff is that of the other cluster: nothing of it is at home.
    assert_eq!(person.run(&["diff", "release", "app"]).done(), "");
    let said = person.run(&["diff", "release", "app", "--to", "2"]);
    let expected = format!("► ConfigMap/{namespace}/b created\n► ConfigMap/{namespace}/a deleted\n");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (1, expected.as_str(), ""));
    let status = person.run(&["status", "release", "app"]).done();
    let url = there.bed.url();
    assert!(status.contains(&format!("Cluster:    {url}")), "{status}");
    let healthy = status.lines().filter(|line| line.contains("/web") || line.contains("/a "));
    assert!(healthy.clone().count() > 1 && healthy.clone().all(|line| line.contains("Current")), "{status}");
    let list = person.run(&["get", "releases"]).done();
    assert!(list.contains("CLUSTER") && list.contains(url), "{list}");

    // Somebody who may not read the Secret is told so.
    let rules = "[{apiGroups: [supercargo.dev], resources: ['*'], verbs: [get, list, watch]}, \
                 {apiGroups: [''], resources: [configmaps], verbs: [get, list, watch]}]";
    let reader = Shell::with_rights(&scene.story, "reader-of-elsewhere", rules);
    let refused = reader.run(&["diff", "release", "app"]);
    let says = format!("cannot get resource \"secrets\" in API group \"\" in the namespace \"{namespace}\"");
    assert!(refused.code == 2 && refused.err.contains(&says), "{refused:?}");
    let status = reader.run(&["status", "release", "app"]).done();
    assert!(status.contains(&format!("in the cluster {url}, which cannot be read: ")), "{status}");
    assert!(status.contains("Unknown"), "{status}");
    // A cluster that is away is no reason to fail.
    there.give("gone");
    let status = person.run(&["status", "release", "app"]).done();
    assert!(status.contains("which cannot be read: ") && status.contains("is not a kubeconfig"), "{status}");
}
