//! Keys are rotated and the registry moves: nothing that runs is touched.

use std::fs;

use serde_json::json;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Signer, story};

use crate::recovery::{Drill, app, commands};
use crate::scene::{Scene, registry};

const PROFILES: Profiles = Profiles::Both;

#[story]
async fn a_new_signing_key_replaces_the_old_one_without_a_gap() {
    let mut drill = Drill::before(Scene::begin("recovery-keys").await);
    let (old, new) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::P256));
    for (name, signer) in [("old.pub", &old), ("new.pub", &new)] {
        fs::write(drill.directory.join(name), signer.public_pem()).expect("write a file");
    }
    let digest = drill.scene.push("app", "1", &app("one"));
    let reference = format!("{}/{}@{digest}", registry().host(), drill.scene.repository("app"));
    old.sign(registry(), &reference, Format::Sig, &[]);
    let steps = commands("Signing keys");
    drill.type_in(&steps[0].replace(" --from-file=new.pub", ""));
    let verify = json!({"provider": "cosign", "secretRef": {"name": "cosign-keys"}});
    drill.scene.create("app", json!({"interval": "1h", "retryInterval": "1h", "verify": verify}));
    signed_by(&drill, "old.pub").await;
    let mark = drill.scene.mark();
    let events = |drill: &Drill<'_>| drill.scene.story.kubectl(&["get", "events", "-o", "yaml"], "");

    for step in &steps {
        match step.starts_with("cosign sign --key new.key ") {
            true => new.sign(registry(), &reference, Format::Sig, &[]),
            false => drop(drill.type_in(step)),
        }
        drill.scene.reconcile("app", &format!("{}", step.len())).await;
    }
    signed_by(&drill, "new.pub").await;
    assert_eq!(drill.scene.object_writes(mark), Vec::<String>::new());
    let told = events(&drill);
    assert!(!told.contains("SignerUntrusted") && !told.contains("SignatureMissing"), "{told}");
}

/// Waits until the release is Ready with a signature of that key alone.
async fn signed_by(drill: &Drill<'_>, key: &str) {
    let story = &drill.scene.story;
    story
        .wait_for(&format!("it is signed by {key}"), async || {
            let release = story.release("app").await?;
            let by = release["status"]["artifact"]["verifiedBy"].as_array()?;
            let ready = condition(&release, "Ready")?.status == "True";
            (ready && by.len() == 1 && by[0].to_string().contains(key)).then_some(())
        })
        .await;
}

#[story]
async fn a_registry_that_moves_changes_nothing_and_is_only_read() {
    let mut drill = Drill::begin("recovery-moved").await;
    let before = drill.objects().await;
    let moved = format!("{}-moved", drill.scene.namespace());
    let host = registry().host();
    drill.names.insert(0, ("new.example.com/acme/demo-app-config", format!("{host}/{moved}")));
    let (mark, asked) = (drill.scene.mark(), registry().mark());
    // While the new place has nothing, what is applied stays.
    drill.follow("The registry has moved");
    let message = drill.scene.wait_reason("app", "Ready", "False", "ArtifactNotFound").await;
    assert!(message.contains(&moved), "{message}");
    let answers = registry().of_repository(asked, &moved);
    assert!(
        !answers.is_empty() && answers.iter().all(|a| a.method == "GET" || a.method == "HEAD"),
        "{answers:?}"
    );

    let repository = |name: &str| format!("{host}/{name}:2");
    registry().crane(&["copy", &repository(&drill.scene.repository("app")), &repository(&moved)]);
    drill.scene.reconcile("app", "moved").await;
    drill.wait_ready("2@", 3).await;
    assert_eq!(drill.scene.object_writes(mark), Vec::<String>::new());
    assert_eq!(drill.objects().await, before);
}
