//! Encrypted artifacts, and the Secret with the identities that open them.

use age::secrecy::ExposeSecret;
use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Registry, story};

use super::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("what an artifact holds is read before any right is used");

struct Key(age::x25519::Identity);

impl Key {
    fn new() -> Key {
        Key(age::x25519::Identity::generate())
    }

    fn private(&self) -> String {
        self.0.to_string().expose_secret().to_owned()
    }

    /// Pushes an artifact that only this key opens, as Kustomizer does.
    fn push(&self, scene: &Scene<'_>, tag: &str, value: &str) {
        let yaml = config_map("app", value);
        let sealed = age::encrypt_and_armor(&self.0.to_public(), yaml.as_bytes()).expect("encrypts");
        let registry = scene.registry();
        let (mut layer, config) = (tar::Builder::new(Vec::new()), b"{}");
        let mut header = tar::Header::new_gnu();
        header.set_size(sealed.len() as u64);
        header.set_mode(0o644);
        layer.append_data(&mut header, "all.yaml.age", sealed.as_bytes()).expect("a file");
        let layer = layer.into_inner().expect("an archive");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "annotations": {"kustomizer.dev/encrypted": "age-encryption.org/v1"},
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": registry.push_blob("app", config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": registry.push_blob("app", &layer),
                "size": layer.len(),
            }],
        });
        registry.push_manifest("app", tag, &manifest);
    }
}

#[story]
async fn encrypted_artifacts_are_opened_with_the_identities_of_the_secret() {
    let scene = Scene::builder("decryption").await.own_registry(Registry::plain()).slow_retries().start();
    let (old, new) = (Key::new(), Key::new());
    let keys = |data: Value| {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": data});
        scene.story.kubectl(&["delete", "secret", "keys", "--ignore-not-found"], "");
        scene.story.kubectl(&["create", "-f", "-"], &secret.to_string());
    };
    let refused = async |reason: &str, says: &str| {
        let release = scene.story.wait_condition("app", "Ready", "False", reason).await;
        let message = condition(&release, "Ready").expect("ready").message;
        assert!(message.contains(says) && !message.contains("hunter2"), "{message}");
    };
    old.push(&scene, "1", "one");
    // Nothing here waits for a retry.
    scene.create("app", json!({"retryInterval": "1h", "interval": "1h"}));
    refused("ArtifactInvalid", "encrypted with age, and no private key is configured").await;
    refused("ArtifactInvalid", "set spec.decryption.secretRef to a Secret with the key").await;
    scene.change("app", json!({"decryption": {"provider": "age", "secretRef": {"name": "keys"}}}));
    refused("SecretNotFound", "named by spec.decryption.secretRef, does not exist").await;
    keys(json!({"a.agekey": old.private(), "b.agekey": "hunter2"}));
    refused(
        "SecretInvalid",
        "Secret keys, named by spec.decryption.secretRef, has an invalid key \"b.agekey\"",
    )
    .await;
    keys(json!({"new.agekey": new.private()}));
    refused("SecretInvalid", "none of the given keys decrypts file \"all.yaml.age\"").await;
    assert_eq!(scene.data("app").await, None);
    // Old and new together, in a Secret that is watched.
    keys(json!({"new.agekey": new.private(), "old.agekey": format!("# old\n{}\n", old.private())}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    new.push(&scene, "2", "two");
    keys(json!({"new.agekey": new.private()}));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("two"));
    let log = scene.operator.log();
    for secret in [&old.private(), &new.private(), "hunter2"] {
        assert!(!log.contains(secret), "{log}");
    }
}
