//! What a story sees: conditions, ConfigMaps, events, and what an inventory names.

use serde_json::Value;
use supercargo_testbed::story::{Condition, condition};

use super::build::Scene;
use super::manifests;

impl Scene<'_> {
    /// A condition of a release.
    pub async fn condition(&self, release: &str, kind: &str) -> Option<Condition> {
        condition(&self.story.release(release).await?, kind)
    }

    /// A ConfigMap of the story's namespace.
    pub async fn config_map(&self, name: &str) -> Option<Value> {
        self.story.object("v1", "configmaps", name).await
    }

    /// The value of a ConfigMap of [`config_map`](super::config_map).
    pub async fn data(&self, name: &str) -> Option<String> {
        self.config_map(name).await?["data"]["key"].as_str().map(str::to_owned)
    }

    /// The uid of a ConfigMap that exists.
    pub async fn uid(&self, name: &str) -> String {
        text(&self.config_map(name).await.expect("the ConfigMap exists"), "/metadata/uid")
    }

    /// The entries of a release's inventory, over all its parts, as they are
    /// written.
    pub async fn inventory(&self, release: &str) -> Vec<Value> {
        self.inventory_if_any(release).await.expect("there is an inventory with all its parts")
    }

    async fn inventory_if_any(&self, release: &str) -> Option<Vec<Value>> {
        let first = self.config_map(&format!("inv-{release}")).await?;
        let parts: usize = text(&first, "/data/parts").parse().expect("a number of parts");
        let mut entries = entries(&first);
        for part in 2..=parts {
            let part = self.config_map(&format!("inv-{release}.{part}")).await?;
            entries.extend(self::entries(&part));
        }
        Some(entries)
    }

    /// The names of the objects in a release's inventory, in its order.
    pub async fn named(&self, release: &str) -> Vec<String> {
        self.named_if_any(release).await.expect("there is an inventory with all its parts")
    }

    /// The same; none when there is no inventory, or a part of it is missing.
    pub async fn named_if_any(&self, release: &str) -> Option<Vec<String>> {
        let entries = self.inventory_if_any(release).await?;
        let name = |entry: &Value| entry["id"].as_str()?.split('_').nth(1).map(str::to_owned);
        Some(entries.iter().filter_map(name).collect())
    }

    /// Reason and note of all events of a release.
    pub async fn events(&self, release: &str) -> Vec<(String, String)> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace());
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        let list = self.story.client().request::<Value>(request).await.expect("events are listed");
        let of_release = |event: &&Value| event["regarding"]["name"] == release;
        let events = list["items"].as_array().expect("items").iter().filter(of_release);
        events.map(|event| (text(event, "/reason"), text(event, "/note"))).collect()
    }

    /// An API group that no other story has.
    pub fn group(&self) -> String {
        format!("{}.example.com", self.namespace())
    }

    /// The definition of Widgets in that group, see [`widgets`](super::widgets).
    pub fn widgets(&self, versions: &str) -> String {
        manifests::widgets(&self.group(), versions)
    }
}

fn entries(part: &Value) -> Vec<Value> {
    serde_json::from_str(&text(part, "/data/resources")).expect("the entries are JSON")
}

/// The text at a JSON pointer; empty when there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The message of a condition of a release; empty without the condition.
pub fn message(release: &Value, kind: &str) -> String {
    condition(release, kind).map(|condition| condition.message).unwrap_or_default()
}
