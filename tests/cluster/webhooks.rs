//! Push instead of poll: what a webhook makes run, and what it does not.

use serde_json::{Value, json};
use supercargo_testbed::operator::Options;
use supercargo_testbed::registry::{self, Notify};
use supercargo_testbed::{Registry, Story, ports, processes};

use super::ground::{Scene, config_map};

/// The secret of every receiver here.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A file with the receivers, each `{name: …, type: …}` and more.
fn config(receivers: &[Value]) -> String {
    let receivers: Vec<Value> = receivers
        .iter()
        .map(|receiver| {
            let mut receiver = receiver.clone();
            receiver["secret"] = json!(SECRET);
            receiver
        })
        .collect();
    let path = processes::directory("webhooks").join("config.yaml");
    let text =
        json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig", "receivers": receivers});
    std::fs::write(&path, text.to_string()).expect("write a file");
    path.display().to_string()
}

fn receiving(options: Options, address: &str, config: &str) -> Options {
    options.argument(&format!("--webhook-addr={address}")).argument(&format!("--webhook-config={config}"))
}

/// A registry that tells of its pushes at this address, to the receiver `registry`.
fn telling(address: &str) -> Registry {
    Registry::start(&registry::Options {
        notify: Some(Notify {
            url: format!("http://{address}/hook/registry"),
            authorization: format!("Bearer {SECRET}"),
        }),
        ..registry::Options::default()
    })
}

/// Never by itself, as far as a test is concerned.
fn slow(registry: &Registry, repository: &str) -> Value {
    json!({"url": format!("oci://{}/{repository}", registry.host()), "interval": "24h"})
}

#[tokio::test]
async fn a_push_to_the_registry_is_applied_without_waiting_for_the_interval() {
    let address = format!("127.0.0.1:{}", ports::free());
    let config = config(&[json!({"name": "registry", "type": "distribution"})]);
    let scene = Scene::of(Story::begin("webhook-push").await, true, &[], |options| {
        receiving(options, &address, &config)
    });
    let registry = telling(&address);
    registry.push_yaml("app", "1", &config_map("c", "one"));
    scene.create("app", &slow(&registry, "app"));
    scene.story.wait_ready("app", "1@").await;
    scene.wait_data("c", "one").await;

    registry.push_yaml("app", "1", &config_map("c", "two"));
    scene.wait_data("c", "two").await;
    let log = scene.operator.log();
    assert!(log.contains("webhook") && log.contains(&format!("{}/app", scene.namespace())), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}
