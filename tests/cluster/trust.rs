//! Only what is signed by whom it should be reaches the cluster: real signatures
//! by cosign, a real registry, a real API server.

use std::path::PathBuf;

use serde_json::{Value, json};
use supercargo::domain::artifact::digest::shortened;
use supercargo::reconcile::trust::images::MAX_IMAGES;
use supercargo_testbed::evidence::tag;
use supercargo_testbed::operator::Options;
use supercargo_testbed::proxy::Fate;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::sigstore::{MAIL, Signing};
use supercargo_testbed::story::{DEADLINE, condition};
use supercargo_testbed::{Profiles, Proxy, Registry, Signer, Sigstore, processes, story, within};

use super::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles = Profiles::First("what is trusted is decided before any right is used");

/// What the stories of trust have besides the others.
struct Trust {
    scene: Scene<'static>,
}

impl Trust {
    async fn begin(name: &str, arguments: &[&str]) -> Trust {
        let change =
            |options: Options| arguments.iter().fold(options, |options, argument| options.argument(argument));
        Trust {
            scene: Scene::builder(name)
                .await
                .own_registry(Registry::plain())
                .slow_retries()
                .start_with(change),
        }
    }

    /// Pushes a ConfigMap of the repository's name with one value.
    fn push(&self, repository: &str, tag: &str, value: &str) -> String {
        let name = repository.rsplit('/').next().expect("a name");
        self.scene.registry().push_yaml(repository, tag, &config_map(name, value))
    }

    fn sign(&self, signer: &Signer, repository: &str, digest: &str, format: Format) {
        let reference = format!("{}/{repository}@{digest}", self.scene.registry().host());
        signer.sign(self.scene.registry(), &reference, format, &[]);
    }

    /// A Secret with that and nothing else in it.
    fn secret(&self, name: &str, data: Value) {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        let exists = self.scene.story.kubectl(&["get", "secret", name, "--ignore-not-found"], "");
        let verb = if exists.is_empty() { "create" } else { "replace" };
        self.scene.story.kubectl(&[verb, "-f", "-"], &secret.to_string());
    }

    /// Waits until the release is not trusted, for that reason, and says so in both
    /// conditions.
    async fn refused(&self, name: &str, reason: &str, says: &str) -> Value {
        let what = format!("{name} is refused: {reason} {says:?}");
        self.scene
            .story
            .wait_for(&what, async || {
                let release = self.scene.story.release(name).await?;
                let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
                let told = |kind| {
                    let told = condition(&release, kind)?;
                    let fits = told.status == "False"
                        && told.reason == reason
                        && told.message.contains(&shortened(says));
                    fits.then_some(())
                };
                told("Ready").and(told("Verified")).filter(|()| current)?;
                Some(release)
            })
            .await
    }

    /// Waits until the release is Ready with a revision that is signed by these.
    async fn trusted(&self, name: &str, revision: &str, signers: &[&str]) -> Value {
        let what = format!("{name} is Ready with {revision} of {signers:?}");
        self.scene
            .story
            .wait_for(&what, async || {
                let release = self.scene.story.release(name).await?;
                let is_true = |kind| condition(&release, kind).is_some_and(|c| c.status == "True");
                let by = release["status"]["artifact"]["verifiedBy"].as_array()?;
                let named = |signer: &&str| by.iter().any(|one| one.to_string().contains(*signer));
                let applied = release["status"]["lastAppliedRevision"].as_str()?.contains(revision);
                let all = by.len() == signers.len() && signers.iter().all(named);
                (is_true("Ready") && is_true("Verified") && applied && all).then_some(release)
            })
            .await
    }

    /// Asks for a run and waits until it is over.
    async fn run(&self, name: &str, at: &str) {
        self.scene.reconcile(name, at).await;
    }

    /// Waits until as many events of the release begin so.
    async fn told(&self, name: &str, begins: &str, times: usize) {
        let what = format!("{times} events {begins:?} of {name}");
        let told = async || {
            let events = self.scene.events(name).await.into_iter();
            let told = events.map(|(reason, note)| format!("{reason} {note}"));
            (told.filter(|event| event.starts_with(&shortened(begins))).count() == times).then_some(())
        };
        self.scene.story.wait_for(&what, told).await;
    }
}

fn verify(secret: &str) -> Value {
    json!({"provider": "cosign", "secretRef": {"name": secret}})
}

#[story]
async fn promise_1_only_what_is_signed_is_pulled_shown_as_applied_or_applied() {
    let story = Trust::begin("trust", &[]).await;
    let registry = story.scene.registry();
    let (ours, theirs) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::P384));
    story.secret("keys", json!({"ours.pub": ours.public_pem()}));
    let first = story.push("app", "1", "one");
    let mark = registry.mark();
    story.scene.create("app", json!({"retryInterval": "1s", "interval": "1h", "verify": verify("keys")}));
    let release = story.refused("app", "SignatureMissing", "no signature").await;
    assert!(release["status"].get("lastAppliedRevision").is_none());
    // Nothing of its content has been asked for.
    let asked = registry.of_repository(mark, "app");
    assert!(!asked.iter().any(|a| a.path.contains("/blobs/")), "{asked:?}");
    story.sign(&theirs, "app", &first, Format::Bundle);
    story.refused("app", "SignerUntrusted", "").await;
    assert_eq!(story.scene.data("app").await, None);
    assert_eq!(story.scene.story.object("v1", "configmaps", "inv-app").await, None);

    // A good one beside those that are not.
    story.sign(&ours, "app", &first, Format::Sig);
    let release = story.trusted("app", "1@", &["ours.pub"]).await;
    assert_eq!(release["status"]["artifact"]["verifiedBy"][0]["format"], "simplesigning");
    story.told("app", "Verified 1@", 1).await;
    let second = story.push("app", "1", "two");
    story.sign(&ours, "app", &second, Format::Bundle);
    story.scene.ask("app", "second");
    story.trusted("app", &second, &["ours.pub"]).await;
    assert_eq!(story.scene.data("app").await.as_deref(), Some("two"));
    story.told("app", &format!("TagMoved Tag 1 moved from {first} to {second}"), 1).await;

    // A new revision that is not signed leaves the old one alone, in every sense.
    let third = story.push("app", "1", "three");
    story.scene.ask("app", "third");
    let release = story.refused("app", "SignatureMissing", &third).await;
    let status = &release["status"];
    assert!(status["lastAppliedRevision"].as_str().is_some_and(|r| r.contains(&second)), "{status}");
    assert!(status["lastAttemptedRevision"].as_str().is_some_and(|r| r.contains(&third)), "{status}");
    story.scene.edit("app", "by hand");
    story.run("app", "fourth").await;
    assert_eq!(story.scene.data("app").await.as_deref(), Some("by hand"));

    // The signature of another digest is none.
    let copied = registry.manifest("app", &tag(&first, ".sig"));
    registry.push_manifest("app", &tag(&third, ".sig"), &copied);
    story.refused("app", "SignatureInvalid", &third).await;
    story.sign(&ours, "app", &third, Format::Bundle);
    story.trusted("app", &third, &["ours.pub"]).await;
    story.scene.wait_data("app", "three").await;

    // Who does not ask is told so.
    story.scene.change("app", json!({"verify": null}));
    let release = story.scene.story.wait_condition("app", "Verified", "Unknown", "NotVerified").await;
    assert!(release["status"]["artifact"].get("verifiedBy").is_none());
    let operator = &story.scene.operator;
    let count = |labels: &str| operator.metric(&format!("supercargo_verifications_total{{{labels}}}"));
    assert!(count(r#"reason="SignatureMissing",result="refused""#) >= Some(2.0), "{}", operator.metrics());
    assert_eq!(count(r#"reason="Verified",result="verified""#), Some(3.0));
}

#[story]
async fn a_key_that_is_not_trusted_any_more_ends_all_writes_until_it_is_again() {
    let story = Trust::begin("trust-rotation", &[]).await;
    let (old, new) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::Rsa2048));
    story.secret("keys", json!({"old.pub": old.public_pem()}));
    let digest = story.push("app", "1", "one");
    story.sign(&old, "app", &digest, Format::Sig);
    // Nothing here waits for a retry.
    story.scene.create("app", json!({"retryInterval": "1h", "interval": "1h", "verify": verify("keys")}));
    story.trusted("app", "1@", &["old.pub"]).await;

    story.secret("keys", json!({"new.pub": new.public_pem()}));
    story.refused("app", "SignerUntrusted", "").await;
    // Seen, and left: the run after it has nothing else to tell either.
    story.scene.edit("app", "by hand");
    story.run("app", "first").await;
    assert_eq!(story.scene.data("app").await.as_deref(), Some("by hand"));

    let junk = json!({"old.pub": old.public_pem(), "junk.pub": "hunter2"});
    story.secret("keys", junk);
    let release = story.refused("app", "SecretInvalid", "junk.pub").await;
    assert!(condition(&release, "Stalled").is_some() && !release.to_string().contains("hunter2"));
    story.secret("keys", json!({}));
    story
        .refused("app", "SecretInvalid", "Secret keys, named by spec.verify.secretRef, has no public key")
        .await;
    story.scene.story.kubectl(&["delete", "secret", "keys"], "");
    story.refused("app", "SecretNotFound", "named by spec.verify.secretRef, does not exist").await;
    assert_eq!(story.scene.data("app").await.as_deref(), Some("by hand"));

    // While it is suspended, too, and at once when it is not.
    story.scene.change("app", json!({"suspend": true}));
    story.secret("keys", json!({"both.pub": old.public_pem(), "new.pub": new.public_pem()}));
    story.scene.change("app", json!({"suspend": false}));
    story.trusted("app", "1@", &["both.pub"]).await;
    story.scene.wait_data("app", "one").await;

    // It goes away like any other, trusted or not.
    story.secret("keys", json!({"new.pub": new.public_pem()}));
    story.refused("app", "SignerUntrusted", "").await;
    story.scene.story.kubectl(&["delete", "oar", "app"], "");
    assert_eq!(story.scene.data("app").await, None);
}

/// A trust policy in a file, with keys beside it.
struct Policy(PathBuf);

impl Policy {
    fn new(keys: &[(&str, String)]) -> Policy {
        let directory = processes::directory("policy");
        for (name, pem) in keys {
            std::fs::write(directory.join(name), pem).expect("write a file");
        }
        Policy(directory.join("policy.yaml"))
    }

    fn write(&self, registries: &Value, exempt: &Value) -> String {
        let policy = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "TrustPolicy",
            "registries": registries,
            "exempt": exempt,
        });
        // At once, as the kubelet does it.
        let next = self.0.with_extension("next");
        std::fs::write(&next, policy.to_string()).expect("write a file");
        std::fs::rename(&next, &self.0).expect("rename a file");
        format!("--trust-policy={}", self.0.display())
    }
}

#[story]
async fn no_release_gets_below_the_floor() {
    let (admin, tenant, next) =
        (Signer::new(Algorithm::P256), Signer::new(Algorithm::P256), Signer::new(Algorithm::P256));
    let policy = Policy::new(&[("admin.pub", admin.public_pem()), ("next.pub", next.public_pem())]);
    let registry = Registry::plain();
    let host = registry.host();
    let prefix = format!("{host}/acme");
    let floor = |key: &str| json!([{"prefix": prefix, "keys": [{"name": key, "file": key}]}]);
    let exempt = json!([format!("{host}/acme/play")]);
    let flag = policy.write(&floor("admin.pub"), &exempt);
    let change = |o: Options| o.argument(&flag).argument("--require-verification");
    let story = Trust {
        scene: Scene::builder("floor").await.own_registry(registry).slow_retries().start_with(change),
    };
    story.secret("mine", json!({"tenant.pub": tenant.public_pem()}));
    let install = |name: &str, url: String, spec: Value| {
        let mut spec = spec;
        spec["url"] = url.into();
        spec["retryInterval"] = "1h".into();
        story.scene.create(name, spec);
    };
    let digest = story.push("acme/app", "1", "one");
    story.sign(&tenant, "acme/app", &digest, Format::Bundle);
    // A key of one's own is no way around it, nor is another way to write the host.
    let port = host.rsplit(':').next().expect("a port").to_owned();
    let own = || json!({"verify": verify("mine")});
    install("own", format!("oci://{host}/acme/app"), own());
    install("short", format!("oci://127.1:{port}/acme/app"), own());
    install("none", format!("oci://{host}/acme/app"), json!({}));
    for name in ["own", "short", "none"] {
        story.refused(name, "SignerUntrusted", &format!("the trust policy for {prefix}")).await;
    }
    // Another prefix is another repository: nobody but the release asks there, but it has to.
    let evil = story.push("acme-evil/evil", "1", "one");
    install("evil", format!("oci://{host}/acme-evil/evil"), json!({}));
    let release = story.refused("evil", "VerificationRequired", "--require-verification").await;
    assert!(condition(&release, "Stalled").is_some());
    story.sign(&tenant, "acme-evil/evil", &evil, Format::Sig);
    story.scene.change("evil", own());
    story.trusted("evil", "1@", &["tenant.pub"]).await;
    story.push("acme/play/ground", "1", "one");
    install("ground", format!("oci://{host}/acme/play/ground"), json!({}));
    story.scene.story.wait_ready("ground", "1@").await;

    // Both of them, and then the administrator's alone.
    story.sign(&admin, "acme/app", &digest, Format::Bundle);
    story.scene.ask("own", "signed");
    let release = story.trusted("own", "1@", &["tenant.pub", "admin.pub"]).await;
    let message = condition(&release, "Verified").expect("verified").message;
    assert!(message.contains("spec.verify"), "{message}");
    story.scene.change("own", json!({"verify": null}));
    story.trusted("own", "1@", &["admin.pub"]).await;

    // A new floor is in force at once, also for who slept meanwhile; a broken one never is.
    let mark = story.scene.registry().mark();
    policy.write(&floor("next.pub"), &exempt);
    story.refused("own", "SignerUntrusted", "").await;
    let asked = story.scene.registry().of_repository(mark, "acme/play/ground");
    assert!(asked.is_empty(), "it is nobody else's matter: {asked:?}");
    let failed = r#"supercargo_trust_policy_loads_total{result="failed"}"#;
    policy.write(&floor("none.pub"), &exempt);
    let counted = || story.scene.operator.metric(failed) == Some(1.0);
    assert!(within(DEADLINE, counted), "{}", story.scene.operator.log());
    let log = story.scene.operator.log();
    assert!(log.contains("cannot use the new trust policy; keeping the previous one"), "{log}");
    story.scene.change("own", json!({"suspend": true}));
    story.run("own", "while suspended").await;
    story.refused("own", "SignerUntrusted", "").await;
    policy.write(&floor("admin.pub"), &exempt);
    story.scene.change("own", json!({"suspend": false}));
    story.trusted("own", "1@", &["admin.pub"]).await;

    // One that makes no sense is no ground to start on.
    policy.write(&json!([{"prefix": "acme", "keys": []}]), &exempt);
    let account = story.scene.story.operator_account();
    let mut operator = Options::new(BINARY, &account).argument(&flag).start();
    assert!(within(DEADLINE, || !operator.running()));
    let log = operator.log();
    assert!(log.contains("cannot use the trust policy") && log.contains("registries[0]"), "{log}");
}

#[story]
async fn an_exemption_lets_in_nothing_from_another_port() {
    let admin = Signer::new(Algorithm::P256);
    let policy = Policy::new(&[("admin.pub", admin.public_pem())]);
    let registry = Registry::plain();
    let whole = registry.host();
    let (host, port) = whole.rsplit_once(':').expect("a port");
    let everybody = json!([{"prefix": "*", "keys": [{"name": "admin", "file": "admin.pub"}]}]);
    let flag = policy.write(&everybody, &json!([format!("{host}/playground")]));
    let story = Trust {
        scene: Scene::builder("exempt-port")
            .await
            .own_registry(registry)
            .slow_retries()
            .argument(&flag)
            .start(),
    };
    for (name, host) in [("same", host), ("short", "127.1")] {
        story.push(&format!("playground/{name}"), "1", "one");
        let url = format!("oci://{host}:{port}/playground/{name}");
        story.scene.create(name, json!({"url": url, "retryInterval": "1h"}));
        story.refused(name, "SignatureMissing", "the trust policy for *").await;
        assert_eq!(story.scene.data(name).await, None);
    }

    policy.write(&everybody, &json!([format!("{host}:{port}/playground")]));
    for name in ["same", "short"] {
        story.scene.story.wait_ready(name, "1@").await;
        story.scene.wait_data(name, "one").await;
    }
}

/// A registry that sends its readers to another one, for everything.
fn sends_to(target: &Registry) -> Proxy {
    let (proxy, url) = (Proxy::before(&target.url(), None), target.url());
    proxy.rule(move |seen| {
        let there = (http::header::LOCATION, format!("{url}{}", seen.path));
        Fate::AnswerWith(307, there, String::new())
    });
    proxy
}

#[story]
async fn the_floor_is_that_of_the_releases_own_url_wherever_it_is_sent() {
    let admin = Signer::new(Algorithm::P256);
    let policy = Policy::new(&[("admin.pub", admin.public_pem())]);
    let (free, guarded) = (Registry::plain(), Registry::plain());
    let (from_guarded, from_free) = (sends_to(&free), sends_to(&guarded));
    let key = json!([{"name": "admin.pub", "file": "admin.pub"}]);
    let registries = [guarded.host(), from_guarded.host()];
    let floor = registries.clone().map(|host| json!({"prefix": format!("{host}/acme"), "keys": key}));
    let flag = policy.write(&json!(floor), &json!([]));
    let scene =
        Scene::builder("floor-redirect").await.own_registry(free).slow_retries().argument(&flag).start();
    let story = Trust { scene };
    let install = |name: &str, host: &str| {
        let spec = json!({"url": format!("oci://{host}/acme/{name}"), "retryInterval": "1h"});
        story.scene.create(name, spec);
    };
    // Demanded where the release asks, lying where nothing is demanded.
    let digest = story.push("acme/out", "1", "one");
    install("out", &from_guarded.host());
    let says = format!("the trust policy for {}/acme", from_guarded.host());
    story.refused("out", "SignatureMissing", &says).await;
    assert!(from_guarded.count(|seen| seen.path.contains("/manifests/")) > 0, "it was asked");
    let asked = story.scene.registry().read_log();
    assert!(asked.contains("/acme/out/manifests/") && !asked.contains("GET /v2/acme/out/blobs/"), "{asked}");
    assert_eq!(story.scene.data("out").await, None);
    // What is signed is taken from there.
    story.sign(&admin, "acme/out", &digest, Format::Sig);
    story.scene.ask("out", "signed");
    story.trusted("out", "1@", &["admin.pub"]).await;

    // The other way round nobody has demanded anything: whoever answers for a URL that
    // is free could have copied the content as well. It is not taken for verified.
    for name in ["in", "direct"] {
        guarded.push_yaml(&format!("acme/{name}"), "1", &config_map(name, "one"));
    }
    install("direct", &guarded.host());
    let says = format!("the trust policy for {}/acme", guarded.host());
    story.refused("direct", "SignatureMissing", &says).await;
    install("in", &from_free.host());
    let release = story.scene.story.wait_ready("in", "1@").await;
    let told = condition(&release, "Verified").expect("verified");
    assert!(told.status == "Unknown" && told.reason == "NotVerified", "{told:?}");
}

#[story]
async fn after_a_restart_the_evidence_on_disk_counts_while_the_registry_is_away() {
    let mut story = Trust::begin("trust-restart", &[]).await;
    let signer = Signer::new(Algorithm::P256);
    story.secret("keys", json!({"a.pub": signer.public_pem()}));
    let digest = story.push("app", "1", "one");
    story.sign(&signer, "app", &digest, Format::Bundle);
    let spec = json!({"interval": "1h", "retryInterval": "1s", "verify": verify("keys")});
    story.scene.create("app", spec);
    story.trusted("app", "1@", &["a.pub"]).await;

    let account = story.scene.story.operator_account();
    let options = Options::new(BINARY, &account).watching(&[story.scene.story.namespace()]);
    let cache = story.scene.operator.cache().to_path_buf();
    assert_eq!(story.scene.operator.stop(), Some(0));
    story.scene.registry().stop();
    story.scene.edit("app", "by hand");
    // With another cache nobody knows who has signed it, and nothing is written.
    story.scene.operator = options.clone().start();
    story.scene.operator.wait_ready();
    story.run("app", "elsewhere").await;
    let verdicts = |result: &str| {
        let (metrics, result) = (story.scene.operator.metrics(), format!("result=\"{result}\""));
        let all = metrics.lines().filter(|line| line.starts_with("supercargo_verifications_total"));
        all.filter(|line| line.contains(&result)).count()
    };
    assert_eq!((verdicts("verified"), verdicts("refused")), (0, 0), "{}", story.scene.operator.metrics());
    assert_eq!(story.scene.data("app").await.as_deref(), Some("by hand"));
    assert_eq!(story.scene.operator.stop(), Some(0));

    // With the same one it is known, and still there is no content: the cache serves
    // nobody whom the registry has not let in since the process began.
    story.scene.operator = options.cache(&cache).start();
    story.scene.operator.wait_ready();
    let verified = r#"supercargo_verifications_total{reason="Verified",result="verified"}"#;
    let known = || story.scene.operator.metric(verified) >= Some(1.0);
    assert!(within(DEADLINE, known), "{}", story.scene.operator.metrics());
    story.run("app", "again").await;
    let release = story.scene.wait_message("app", "False", "is unavailable").await;
    let told = condition(&release, "Verified").expect("verified");
    assert!(told.status == "True" && told.reason == "Verified", "{told:?}");
    let metrics = story.scene.operator.metrics();
    let mut verifications = metrics.lines().filter(|line| line.starts_with("supercargo_verifications_total"));
    assert!(!verifications.any(|line| line.contains(r#"result="refused""#)), "{metrics}");
    assert_eq!(story.scene.data("app").await.as_deref(), Some("by hand"));
    story.scene.registry().resume();
    story.scene.wait_data("app", "one").await;
    story.trusted("app", &digest, &["a.pub"]).await;
}

#[story]
async fn it_is_verified_again_from_time_to_time_and_stays_so_while_the_registry_is_away() {
    let story = Trust::begin("trust-again", &["--verification-interval=1s"]).await;
    let signer = Signer::new(Algorithm::P256);
    story.secret("keys", json!({"a.pub": signer.public_pem()}));
    let digest = story.push("app", "1", "one");
    story.sign(&signer, "app", &digest, Format::Sig);
    // A digest is never resolved: whatever the registry is asked is about signatures.
    let spec =
        json!({"interval": "1h", "retryInterval": "1h", "ref": {"digest": digest}, "verify": verify("keys")});
    story.scene.create("app", spec);
    story.trusted("app", &digest, &["a.pub"]).await;
    let count = |reason: &str, result: &str| {
        let series = format!(r#"supercargo_verifications_total{{reason="{reason}",result="{result}"}}"#);
        story.scene.operator.metric(&series).unwrap_or_default()
    };
    let verified = |n: f64| {
        let enough = || count("Verified", "verified") >= n;
        assert!(within(DEADLINE, enough), "{n} verifications: {}", story.scene.operator.metrics());
    };
    verified(3.0);
    story.scene.registry().stop();
    let before = count("Verified", "verified");
    // What was found the last time is on disk, and is judged again: each look ends with
    // a verdict, none with a shrug.
    verified(before + 3.0);
    assert_eq!(count("RegistryUnavailable", "unknown"), 0.0, "{}", story.scene.operator.metrics());
    story.scene.edit("app", "by hand");
    story.scene.wait_data("app", "one").await;
    story.trusted("app", &digest, &["a.pub"]).await;
    // A signature that was taken away is seen without a new revision.
    story.scene.registry().resume();
    story.scene.registry().send(
        "DELETE",
        &format!("/v2/app/manifests/{}", sig_digest(&story, &digest)),
        &[],
        &[],
    );
    let release = story.refused("app", "SignatureMissing", &digest).await;
    let message = condition(&release, "Ready").expect("ready").message;
    assert!(
        message.contains("the applied revision keeps running, updates and drift correction are paused"),
        "{message}"
    );
    assert_eq!(story.scene.data("app").await.as_deref(), Some("one"));
}

fn sig_digest(story: &Trust, digest: &str) -> String {
    let path = format!("/v2/app/manifests/{}", tag(digest, ".sig"));
    let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let answer = story.scene.registry().send("HEAD", &path, &accept, &[]);
    answer.header("docker-content-digest").expect("a digest").to_owned()
}

#[story]
async fn several_have_to_sign_and_one_cannot_do_it_for_another() {
    let story = Trust::begin("trust-several", &[]).await;
    let signers = [Algorithm::P256, Algorithm::P521, Algorithm::Rsa2048].map(Signer::new);
    let names = ["build", "security", "quality"];
    for (name, signer) in names.iter().zip(&signers) {
        story.secret(name, json!({(format!("{name}.pub")): signer.public_pem()}));
    }
    let authorities = names.map(|name| json!({"name": name, "secretRef": {"name": name}}));
    let digest = story.push("app", "1", "one");
    // Twice by one is not once by two.
    story.sign(&signers[0], "app", &digest, Format::Bundle);
    story.sign(&signers[0], "app", &digest, Format::Sig);
    let spec = json!({"retryInterval": "1s", "verify": {"authorities": authorities, "threshold": 2}});
    story.scene.create("app", spec);
    story.refused("app", "SignerUntrusted", "security").await;
    story.sign(&signers[2], "app", &digest, Format::Sig);
    let release = story.trusted("app", "1@", &["build.pub", "quality.pub"]).await;
    let by = release["status"]["artifact"]["verifiedBy"].as_array().expect("signers").clone();
    let named: Vec<&str> = by.iter().filter_map(|b| b["authority"].as_str()).collect();
    assert_eq!(named, ["build", "quality"]);
    // One more is wanted, and then no more than are left.
    story.scene.change("app", json!({"verify": {"threshold": 3}}));
    story.refused("app", "SignerUntrusted", "security").await;
    story.sign(&signers[1], "app", &digest, Format::Bundle);
    story.trusted("app", "1@", &["build.pub", "security.pub", "quality.pub"]).await;
}

#[story]
async fn somebody_signs_without_a_key_by_the_word_of_a_root_that_is_watched() {
    let sigstore = Sigstore::shared();
    let file = format!("--trusted-root={}", sigstore.trusted_root().display());
    let story = Trust::begin("trust-keyless", &[&file]).await;
    assert!(story.scene.operator.metric("supercargo_trusted_root_newest_timestamp_seconds").is_some());
    let root = std::fs::read_to_string(sigstore.trusted_root()).expect("a trusted root");
    story.secret("root", json!({"trusted_root.json": root}));
    let build = Signer::new(Algorithm::P256);
    story.secret("build", json!({"build.pub": build.public_pem()}));
    let digest = story.push("app", "1", "one");
    let reference = format!("{}/app@{digest}", story.scene.registry().host());
    // Whose name only begins as the wanted one does is somebody else.
    sigstore.sign(story.scene.registry(), &reference, &Signing::person("alice@example.community"));
    let issuer = sigstore.issuer(MAIL).replace('.', "[.]");
    let identity = json!([{"issuer": issuer, "subject": "alice@example[.]com"}]);
    let verify = json!({
        "authorities": [
            {"name": "alice", "matchOIDCIdentity": identity, "trustedRootSecretRef": {"name": "root"}},
            {"name": "build", "secretRef": {"name": "build"}},
        ],
    });
    story.scene.create("app", json!({"retryInterval": "1s", "verify": verify}));
    story.refused("app", "SignerUntrusted", "alice").await;
    sigstore.sign(story.scene.registry(), &reference, &Signing::person("alice@example.com"));
    story.sign(&build, "app", &digest, Format::Sig);
    let release = story.trusted("app", "1@", &["alice@example.com", "build.pub"]).await;
    let by = &release["status"]["artifact"]["verifiedBy"][0];
    assert!(by["issuer"] == sigstore.issuer(MAIL) && by["signedAt"].is_string(), "{by}");
    // The root is watched like a key.
    story.secret("root", json!({"other.json": "{}"}));
    story.refused("app", "SecretInvalid", "trusted_root.json").await;
    story.secret("root", json!({"trusted_root.json": root}));
    story.trusted("app", "1@", &["alice@example.com", "build.pub"]).await;
    // Who names no root means the one that the operator was started with.
    let digest = story.push("plain", "1", "one");
    let reference = format!("{}/plain@{digest}", story.scene.registry().host());
    sigstore.sign(story.scene.registry(), &reference, &Signing::person("alice@example.com"));
    story.scene.create("plain", json!({"verify": {"matchOIDCIdentity": identity}}));
    story.trusted("plain", "1@", &["alice@example.com"]).await;
}

/// A Deployment of one image, and a CronJob of another.
fn workloads(web: &str, tool: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: main, image: '{web}'}}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: tool}}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: '{tool}'}}]}}}}}}}}
---
"
    )
}

async fn image(story: &Trust) -> Option<String> {
    let web = story.scene.story.object("apps/v1", "deployments", "web").await?;
    web.pointer("/spec/template/spec/containers/0/image")?.as_str().map(str::to_owned)
}

async fn wait_image(story: &Trust, expected: &str) {
    let is = async || (image(story).await.as_deref() == Some(expected)).then_some(());
    story.scene.story.wait_for(&format!("the image is {expected}"), is).await;
}

#[story]
async fn images_are_verified_and_stay_the_ones_that_were() {
    let mut story = Trust::begin("trust-images", &[]).await;
    let host = story.scene.registry().host();
    let (config, build) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::P256));
    story.secret("keys", json!({"config.pub": config.public_pem()}));
    story.secret("image-keys", json!({"build.pub": build.public_pem()}));
    let web = format!("{host}/acme/web:1");
    let first = story.push("acme/web", "1", "an image, as far as a registry knows");
    story.push("free/tool", "1", "another");
    let publish = |tag: &str, web: &str| {
        let yaml = workloads(web, &format!("{host}/free/tool:1"));
        let digest = story.scene.push("app", tag, &yaml);
        story.sign(&config, "app", &digest, Format::Sig);
    };
    publish("1", &web);
    let mut verify = verify("keys");
    verify["images"] = json!({
        "policies": [{"match": format!("{host}/acme/*"), "secretRef": {"name": "image-keys"}}, {"match": "*"}],
        "exempt": [format!("{host}/free/*")],
    });
    story.scene.create("app", json!({"retryInterval": "1s", "interval": "1h", "verify": verify}));
    let release = story.refused("app", "ImageNotVerified", &web).await;
    assert!(release["status"]["artifact"]["verifiedBy"].is_array(), "the artifact itself is signed");
    assert!(condition(&release, "Ready").is_some_and(|c| c.message.contains("Deployment/")));
    assert_eq!(image(&story).await, None);

    story.sign(&build, "acme/web", &first, Format::Bundle);
    let release = story.trusted("app", "1@", &["config.pub"]).await;
    let pinned = format!("{web}@{first}");
    assert_eq!(image(&story).await.as_deref(), Some(pinned.as_str()));
    let images = &release["status"]["artifact"]["images"];
    assert_eq!((&images[0]["name"], &images[0]["pinned"]), (&json!(web), &json!(pinned)));
    assert!(images.to_string().contains("build.pub") && images.as_array().is_some_and(|all| all.len() == 1));
    let tool =
        story.scene.story.object("batch/v1", "cronjobs", "tool").await.expect("the CronJob").to_string();
    assert!(tool.contains(&format!("{host}/free/tool:1\"")), "what is exempt stays as it is: {tool}");

    // The image's tag moves, and whoever looks next has forgotten everything.
    let second = story.push("acme/web", "1", "a newer one");
    assert_eq!(story.scene.operator.stop(), Some(0));
    story.scene.story.kubectl(&["set", "image", "deployment/web", &format!("main={host}/evil:1")], "");
    let account = story.scene.story.operator_account();
    story.scene.operator = Options::new(BINARY, &account).watching(&[story.scene.story.namespace()]).start();
    wait_image(&story, &pinned).await;
    let release = story.trusted("app", "1@", &["config.pub"]).await;
    assert_eq!(release["status"]["artifact"]["images"][0]["pinned"], pinned);

    // An image's key that is not trusted any more is one like the artifact's.
    story.secret("image-keys", json!({"other.pub": config.public_pem()}));
    story.refused("app", "ImageNotVerified", &first).await;
    story.scene.story.kubectl(&["set", "image", "deployment/web", &format!("main={host}/evil:2")], "");
    story.run("app", "not trusted").await;
    assert_eq!(image(&story).await, Some(format!("{host}/evil:2")));
    story.secret("image-keys", json!({"build.pub": build.public_pem()}));
    wait_image(&story, &pinned).await;

    // A warning is one: what is not signed is applied as it is written.
    let publish = |tag: &str, web: &str| {
        let digest = story.scene.push("app", tag, &workloads(web, "x"));
        story.sign(&config, "app", &digest, Format::Sig);
    };
    publish("2", &format!("{host}/acme/web@{second}"));
    story.scene.change("app", json!({"ref": {"tag": "2"}, "verify": {"images": {"mode": "Warn"}}}));
    wait_image(&story, &format!("{host}/acme/web@{second}")).await;
    let release = story.trusted("app", "2@", &["config.pub"]).await;
    let message = condition(&release, "Verified").expect("verified").message;
    assert!(message.contains("2 container images are not signed") && message.contains(&second), "{message}");
    story.told("app", "ImageNotVerified 2 container images", 1).await;
    story.run("app", "quiet").await;
    let release = story.trusted("app", "2@", &["config.pub"]).await;
    assert_eq!(condition(&release, "Verified").map(|c| c.message), Some(message));
}

/// A custom resource of a kind that nothing is known of.
fn workflow(container: &str, other: &str) -> String {
    format!(
        "apiVersion: flows.example/v1
kind: Workflow
metadata: {{name: flow}}
spec:
  image: '{other}'
  templates: [{{name: main, container: {{image: '{container}'}}}}, {{name: other, script: {{image: '{container}'}}}}]
---
"
    )
}

#[story]
async fn no_form_of_an_image_slips_past_enforce() {
    let story = Trust::begin("trust-forms", &[]).await;
    let host = story.scene.registry().host();
    let signer = Signer::new(Algorithm::P256);
    story.secret("keys", json!({"a.pub": signer.public_pem()}));
    let (run, other) = (format!("{host}/evil/run:1"), format!("{host}/other/operand:1"));
    let run_digest = story.push("evil/run", "1", "an image, as far as a registry knows");
    let digest = story.scene.push("app", "1", &workflow(&run, &other));
    story.sign(&signer, "app", &digest, Format::Sig);
    let mut verify = verify("keys");
    verify["images"] = json!({"policies": [{"match": "*"}]});
    story.scene.create("app", json!({"retryInterval": "1s", "interval": "1h", "verify": verify}));
    let release = story.refused("app", "ImageNotVerified", &other).await;
    let message = condition(&release, "Ready").expect("Ready").message;
    for part in
        [run.as_str(), "2 container images", "it may run: add it to verify.images.exempt", "Workflow/"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Signed, the first may run. What the other is only a person can tell.
    story.sign(&signer, "evil/run", &run_digest, Format::Sig);
    let only = format!("1 container image is not signed as spec.verify.images requires: {other}");
    story.refused("app", "ImageNotVerified", &only).await;
    verify["images"]["exempt"] = json!([format!("{host}/other/*")]);
    story.scene.change("app", json!({"verify": verify}));
    // Past the images: this cluster knows no such kind.
    story.scene.wait_message("app", "False", "no matches for kind \"Workflow\"").await;
}

/// A Deployment without pods that names that many images.
fn many_images(count: usize) -> String {
    let container = |n: usize| format!("{{name: c{n}, image: 'many.invalid/app{n}:1'}}");
    let containers: Vec<String> = (0..count).map(container).collect();
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{}]}}
---
",
        containers.join(", ")
    )
}

#[story]
async fn promise_7_images_of_one_artifact_have_a_bound() {
    let story = Trust::begin("trust-many-images", &[]).await;
    let signer = Signer::new(Algorithm::P256);
    story.secret("keys", json!({"a.pub": signer.public_pem()}));
    for (tag, count) in [("1", MAX_IMAGES + 1), ("2", MAX_IMAGES)] {
        let digest = story.scene.push("app", tag, &many_images(count));
        story.sign(&signer, "app", &digest, Format::Sig);
    }
    // Also those count that need no signature: they are looked through, too.
    let mut verify = verify("keys");
    verify["images"] = json!({"policies": [{"match": "*"}], "exempt": ["many.invalid/*"]});
    story.scene.create("app", json!({"retryInterval": "1h", "interval": "1h", "verify": verify}));
    let says = "the manifests use 257 different container images, at most 256 can be verified";
    story.refused("app", "ImageNotVerified", says).await;
    assert_eq!(image(&story).await, None);
    story.scene.change("app", json!({"ref": {"tag": "2"}}));
    story.trusted("app", "2@", &["a.pub"]).await;
    assert_eq!(image(&story).await.as_deref(), Some("many.invalid/app0:1"));
}
