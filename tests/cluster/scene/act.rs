//! What a story does: it publishes revisions, makes and changes releases, and edits
//! objects as an administrator.

use serde_json::{Map, Value, json};

use super::build::Scene;
use super::manifests;

/// The API version of releases, and their plural name.
const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

impl Scene<'_> {
    /// Publishes YAML under a tag of a release's repository; returns the digest.
    pub fn push(&self, release: &str, tag: &str, yaml: &str) -> String {
        self.registry().push_yaml(&self.repository(release), tag, yaml)
    }

    /// Pushes an artifact whose annotations name a source and a revision of it.
    pub fn push_from(&self, (release, tag): (&str, &str), yaml: &str, source: &str, revision: &str) {
        let (registry, repository) = (self.registry(), self.repository(release));
        let config = registry.push_blob(&repository, b"{}");
        let layer = registry.push_blob(&repository, yaml.as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/yaml", "digest": layer, "size": yaml.len()}],
            "annotations": {
                "org.opencontainers.image.source": source,
                "org.opencontainers.image.revision": revision,
            },
        });
        registry.push_manifest(&repository, tag, &manifest);
    }

    /// A release of its repository at the tag `1`, pruning, with `spec` laid over
    /// that; `null` takes a field away. It is not created.
    pub fn release(&self, name: &str, spec: Value) -> Value {
        let retries = json!({"retryInterval": self.retry_interval});
        let mut release = manifests::release(self.namespace(), name, &self.url(name), retries);
        manifests::lay_over(&mut release["spec"], spec);
        release
    }

    /// Creates a release, see [`Scene::release`].
    pub fn create(&self, release: &str, spec: Value) {
        let (version, plural) = RELEASES;
        self.story.create(version, plural, &self.release(release, spec));
    }

    /// Publishes YAML under the tag `1`, creates the release and waits until it is
    /// Ready. Returns the release.
    pub async fn install(&self, release: &str, yaml: &str, spec: Value) -> Value {
        self.push(release, "1", yaml);
        self.create(release, spec);
        self.story.wait_ready(release, "1@").await
    }

    /// Changes a release's spec by a JSON merge patch.
    pub fn change(&self, release: &str, spec: Value) {
        let (version, plural) = RELEASES;
        self.patch(version, plural, release, json!({"spec": spec}));
    }

    /// Publishes YAML under a tag and lets the release name it.
    pub fn upgrade(&self, release: &str, tag: &str, yaml: &str) {
        self.push(release, tag, yaml);
        self.change(release, json!({"ref": {"tag": tag}}));
    }

    /// The same, and waits until it is Ready. Returns the release.
    pub async fn upgraded(&self, release: &str, tag: &str, yaml: &str) -> Value {
        self.upgrade(release, tag, yaml);
        self.story.wait_ready(release, &format!("{tag}@")).await
    }

    /// Annotates a release.
    pub fn annotate(&self, release: &str, key: &str, value: &str) {
        let (version, plural) = RELEASES;
        let annotations = Map::from_iter([(key.to_owned(), Value::from(value))]);
        self.patch(version, plural, release, json!({"metadata": {"annotations": annotations}}));
    }

    /// Asks for a run now, by a value that has not been there.
    pub fn ask(&self, release: &str, value: &str) {
        self.annotate(release, "supercargo.dev/reconcile-at", value);
    }

    /// Asks for a run and waits until it is over. Returns the release.
    pub async fn reconcile(&self, release: &str, value: &str) -> Value {
        self.ask(release, value);
        self.wait_handled(release, value).await
    }

    /// Edits the value of a ConfigMap of [`config_map`](super::config_map), as somebody
    /// by hand.
    pub fn edit(&self, name: &str, value: &str) {
        self.patch("v1", "configmaps", name, json!({"data": {"key": value}}));
    }

    /// A JSON merge patch of an object of the story's namespace: `group/version` (`v1`
    /// for the core group), the plural name, the name.
    pub fn patch(&self, version: &str, plural: &str, name: &str, patch: Value) {
        self.story.patch(version, plural, name, &patch);
    }
}
