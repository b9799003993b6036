//! What a run tells of itself: no secret, and no reason outside the closed set.

use std::path::Path;

use age::secrecy::ExposeSecret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo::api::reason::Reason;
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::proxy::Fate;
use supercargo_testbed::registry::{Options, Registry, USERS};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::{Profiles, Proxy, Signer, story};

use super::scene::{Scene, config_map};
use super::shell::Shell;

const PROFILES: Profiles = Profiles::Both;

fn pull_secret(config: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull"},
        "stringData": {".dockerconfigjson": config},
    })
    .to_string()
}

/// Everything that the operator wrote anywhere: its log at the most detailed
/// level, its metrics, and all that it left in the namespace but the Secrets.
fn all_that_was_said(scene: &Scene<'_>) -> String {
    let kinds = "oar,events,events.events.k8s.io,configmaps,leases";
    let objects = scene.story.kubectl(&["get", kinds, "--show-managed-fields", "-o", "yaml"], "");
    [scene.operator.log(), scene.operator.metrics(), objects].join("\n")
}

#[story]
async fn promise_8_a_registry_password_and_a_secrets_values_are_told_nowhere() {
    let registry = Registry::start(&Options { credentials: true, ..Options::default() });
    let scene = Scene::builder("secrecy")
        .await
        .own_registry(registry)
        .slow_retries()
        .start_with(|o| o.env("RUST_LOG", "trace"));
    let (user, password, _) = USERS[0];
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {key: the-applied-value}\n---\n";
    scene.push("app", "1", &(config_map("app", "one") + secret));
    let wrong = "a-wrong-password";
    scene.story.apply(&pull_secret(&scene.registry().docker_config(user, wrong)));
    scene.create("app", json!({"secretRef": {"name": "pull"}, "retryInterval": "1s"}));
    scene.story.wait_condition("app", "Ready", "False", "AuthenticationFailed").await;
    let config = scene.registry().docker_config(user, password);
    scene.story.apply(&pull_secret(&config));
    scene.story.wait_ready("app", "1@").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", scene.operator.id()));
    if let Ok(limits) = limits {
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(cores.split_whitespace().nth(4), Some("0"), "memory would be dumped: {cores}");
    }
    // A Secret that is changed, refused and deleted passes through every message.
    let edit = r#"{"stringData":{"key":"an-edited-value"}}"#;
    scene.story.kubectl(&["patch", "secret", "app", "--type=merge", "-p", edit], "");
    let put_back = async || {
        let live = scene.story.object("v1", "secrets", "app").await?;
        (live["data"]["key"] == STANDARD.encode("the-applied-value")).then_some(())
    };
    scene.story.wait_for("the Secret is put back", put_back).await;
    let refused = secret.replace("stringData: {key: the-applied-value}", "data: {key: a-refused-value}");
    scene.push("app", "1", &refused);
    scene.ask("app", "refused");
    scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;

    let said = all_that_was_said(&scene);
    assert!(said.contains("AuthenticationFailed"), "the events and the log are looked at");
    for hidden in [wrong, password, "the-applied-value", "an-edited-value", "a-refused-value"] {
        for form in [hidden.to_owned(), STANDARD.encode(hidden), STANDARD.encode(format!("{user}:{hidden}"))]
        {
            assert!(!said.contains(&form), "{form} was told");
        }
    }
    assert!(!said.contains(&STANDARD.encode(&config)), "the pull Secret was told");
}

/// A person's shell that asks for the most detailed log, and remembers all that
/// was written for them.
struct Confidant {
    shell: Shell,
    heard: String,
}

impl Confidant {
    /// Runs a command; with `data`, what it prints is what was asked for.
    fn run(&mut self, arguments: &[&str], stdin: &str, code: i32, data: bool) {
        let mut command = self.shell.command(arguments);
        let (user, password, _) = USERS[0];
        command.env("RUST_LOG", "trace").env("SUPERCARGO_CREDS", format!("{user}:{password}"));
        let output = supercargo_testbed::bed::run(&mut command, stdin);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        self.heard += &err;
        if !data {
            self.heard += &out;
        }
    }
}

/// Every file that the operator keeps, whatever it is called.
fn all_that_was_kept(directory: &Path) -> String {
    let mut kept = String::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => kept += &all_that_was_kept(&path),
            false => kept += &String::from_utf8_lossy(&std::fs::read(&path).expect("a file")),
        }
    }
    kept
}

fn secret(value: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: app}}\nstringData: {{key: {value}}}\n{rest}---\n{}",
        config_map("app", "one")
    )
}

/// All that a secret goes through: it is pushed, decrypted, compared, applied,
/// changed by hand, put back, refused, and deleted, by operator and command line.
#[story]
async fn promise_8_what_is_secret_is_told_nowhere_on_its_whole_way() {
    let registry = Registry::start(&Options { credentials: true, ..Options::default() });
    let scene = Scene::builder("secret-way")
        .await
        .own_registry(registry)
        .slow_retries()
        .start_with(|o| o.env("RUST_LOG", "trace"));
    let mut person = Confidant { shell: Shell::admin(&scene.story), heard: String::new() };
    let identity = age::x25519::Identity::generate();
    let private = identity.to_string().expose_secret().to_owned();
    let (recipients, keys) = (person.shell.home().join("recipients"), person.shell.home().join("keys"));
    std::fs::write(&recipients, identity.to_public().to_string()).expect("write a file");
    std::fs::write(&keys, &private).expect("write a file");
    let (recipients, keys) = (recipients.to_str().expect("text"), keys.to_str().expect("text"));
    let url = |tag: &str| format!("oci://{}/app:{tag}", scene.registry().host());
    let push = |person: &mut Confidant, tag: &str, yaml: &str| {
        let arguments = ["push", "artifact", &url(tag), "-f", "-", "--age-recipients", recipients];
        person.run(&arguments, yaml, 0, false);
    };
    let (first, second, refused) = ("marked-first-value", "marked-second-value", "marked-refused-value");
    push(&mut person, "1", &secret(first, ""));
    push(&mut person, "2", &secret(second, ""));
    // No field of a Secret, so that the server's answer repeats it.
    push(&mut person, "3", &secret(refused, "data: {other: marked-refused-value}\n"));
    let open = ["--age-identities", keys];
    person.run(&[&["pull", "artifact", &url("1")], &open[..]].concat(), "", 0, true);
    person.run(&[&["inspect", "artifact", &url("1")], &open[..]].concat(), "", 0, false);
    person.run(&[&["diff", "artifact", &url("1"), &url("2")], &open[..]].concat(), "", 1, false);
    let by_hand =
        |verb, tag: &str| [verb, "-i", "hand", "-a"].map(str::to_owned).into_iter().chain([url(tag)]);
    for (verb, tag, code) in [
        ("diff", "1", 1),
        ("apply", "1", 0),
        ("diff", "2", 1),
        ("apply", "2", 0),
        ("diff", "3", 2),
        ("apply", "3", 1),
    ] {
        let arguments: Vec<String> = by_hand(verb, tag).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(open).collect();
        person.run(&arguments, "", code, false);
    }
    person.run(&["delete", "inventory", "hand"], "", 0, false);

    // The operator: a key that is none, one of somebody else, the right one.
    let broken = "AGE-SECRET-KEY-1MARKEDMARKEDMARKED";
    let stranger = age::x25519::Identity::generate().to_string().expose_secret().to_owned();
    let config = scene.registry().docker_config(USERS[0].0, USERS[0].1);
    scene.story.apply(&pull_secret(&config));
    let keys_secret = |text: &str| {
        let data = json!({"a.agekey": text});
        scene.story.apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": data})
                .to_string(),
        );
    };
    keys_secret(broken);
    let spec = json!({
        "secretRef": {"name": "pull"},
        "decryption": {"secretRef": {"name": "keys"}},
        "retryInterval": "1s",
    });
    scene.create("app", spec);
    scene.wait_message("app", "False", "a.agekey").await;
    keys_secret(&stranger);
    scene.wait_message("app", "False", "none of the given keys decrypts").await;
    keys_secret(&private);
    scene.story.wait_ready("app", "1@").await;
    let edited = "marked-edited-value";
    let edit = json!({"stringData": {"key": edited}}).to_string();
    scene.story.kubectl(&["patch", "secret", "app", "--type=merge", "-p", &edit], "");
    let put_back = async || {
        let live = scene.story.object("v1", "secrets", "app").await?;
        (live["data"]["key"] == STANDARD.encode(first)).then_some(())
    };
    scene.story.wait_for("the Secret is put back", put_back).await;
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    person.run(&["status", "release", "app"], "", 0, false);
    person.run(&["get", "releases"], "", 0, false);
    let said = all_that_was_said(&scene) + &person.heard;
    scene.story.kubectl(&["delete", "oar", "app"], "");
    let all = [said, scene.operator.log(), all_that_was_kept(scene.operator.cache())].join("\n");

    assert!(all.contains("TRACE") && all.contains("PreflightFailed"), "the right things are looked at");
    let password = USERS[0].1;
    for hidden in [first, second, refused, edited, &private, &stranger, broken, password, &config] {
        for form in
            [hidden.to_owned(), STANDARD.encode(hidden), STANDARD.encode(format!("{}:{hidden}", USERS[0].0))]
        {
            assert!(!all.contains(&form), "{form} was told: {}", around(&all, &form));
        }
    }
}

/// Lets in who shows `bearer`, which `user:password` get at its token service.
fn wants_a_token(proxy: &Proxy, password: &str, bearer: &'static str) {
    let known = format!("Basic {}", STANDARD.encode(format!("{}:{password}", USERS[0].0)));
    proxy.rule(move |seen| {
        let shown = seen.authorization.as_deref();
        if seen.path.starts_with("/token") {
            return match shown == Some(known.as_str()) {
                true => Fate::Answer(200, json!({"token": bearer, "expires_in": 300}).to_string()),
                false => Fate::Answer(401, "{}".to_owned()),
            };
        }
        match shown == Some(format!("Bearer {bearer}").as_str()) {
            true => Fate::Pass,
            false => {
                let realm = r#"Bearer realm="http://registry.invalid/token",service="testbed""#.to_owned();
                Fate::AnswerWith(401, (http::header::WWW_AUTHENTICATE, realm), "{}".to_owned())
            }
        }
    });
}

fn hidden_pieces(pem: &str) -> Vec<&str> {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// All that opens a registry: a token and the password for it, the password of a
/// proxy, the key of a client certificate. And what a crash is near to.
#[story]
async fn promise_8_what_opens_a_registry_and_what_a_crash_is_near_to_are_told_nowhere() {
    let scene = Scene::builder("secret-ways")
        .await
        .own_registry(Registry::plain())
        .slow_retries()
        .start_with(|o| o.env("RUST_LOG", "trace"));
    let secret = |name: &str, data: &Value| {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        scene.story.apply(&secret.to_string());
    };
    // Signed, behind a proxy and a token service. Nobody but the proxy knows the host.
    let signer = Signer::new(Algorithm::P256);
    secret("keys", &json!({"a.pub": signer.public_pem()}));
    let digest = scene.push("app", "1", &config_map("app", "one"));
    let reference = format!("{}/app@{digest}", scene.registry().host());
    signer.sign(scene.registry(), &reference, Format::Bundle, &[]);
    let proxy = Proxy::before(&scene.registry().url(), None);
    let (password, wrong, bearer) = ("marked-password", "marked-wrong-password", "marked-bearer-token");
    wants_a_token(&proxy, password, bearer);
    let walker = "marked-walker-password";
    secret(
        "proxy",
        &json!({"address": format!("http://{}", proxy.host()), "username": "walker", "password": walker}),
    );
    let config = |password: &str| {
        json!({"auths": {"registry.invalid": {"username": USERS[0].0, "password": password}}}).to_string()
    };
    scene.story.apply(&pull_secret(&config(wrong)));
    let spec = json!({
        "url": "oci://registry.invalid/app",
        "secretRef": {"name": "pull"},
        "proxySecretRef": {"name": "proxy"},
        "verify": {"provider": "cosign", "secretRef": {"name": "keys"}},
        "retryInterval": "1s",
    });
    scene.create("app", spec);
    scene.story.wait_condition("app", "Ready", "False", "AuthenticationFailed").await;
    scene.story.apply(&pull_secret(&config(password)));
    scene.story.wait_ready("app", "1@").await;

    // A client's key: one that is none, and the right one.
    let authority = Authority::new("registry");
    let options = Options { tls: Some(&authority), client_certificates: true, ..Options::default() };
    let closed = Registry::start(&options);
    closed.push_yaml("closed", "1", &config_map("closed", "one"));
    let identity = closed.identity().expect("a client certificate");
    let broken = "-----BEGIN PRIVATE KEY-----\nbWFya2VkLWNsaWVudC1rZXk=\n-----END PRIVATE KEY-----\n";
    let tls = |key: &str| {
        let data =
            json!({"ca.crt": authority.certificate(), "tls.crt": identity.certificate, "tls.key": key});
        secret("tls", &data);
    };
    tls(broken);
    let spec = json!({
        "url": format!("oci://{}/closed", closed.host()),
        "insecure": false,
        "certSecretRef": {"name": "tls"},
        "retryInterval": "1s",
    });
    scene.create("closed", spec);
    scene.story.wait_condition("closed", "Ready", "False", "SecretInvalid").await;
    tls(&identity.key);
    scene.story.wait_ready("closed", "1@").await;

    // The parser of YAML falls over the last document, with the value read or about to be.
    let near = "marked-near-value";
    let before = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: near}}\nstringData: {{key: {near}}}\n---\n[!a,b]\n"
    );
    let beside = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: near}}\nstringData: {{key: {near}, x: [!a,{near}]}}\n"
    );
    let crashes = || scene.operator.log().matches("caught a panic").count();
    for (name, yaml) in [("before", before), ("beside", beside)] {
        let so_far = crashes();
        scene.push(name, "1", &yaml);
        scene.create(name, json!({}));
        scene.story.wait_condition(name, "Ready", "False", "ManifestInvalid").await;
        assert!(crashes() > so_far, "{name}: the parser does not fall over this any more; find another");
    }

    let said = all_that_was_said(&scene);
    // Content lies in the cache as it was pushed, what opens a registry does not.
    let kept = [said.clone(), all_that_was_kept(scene.operator.cache())].join("\n");
    assert!(said.contains("TRACE") && said.contains("registry.invalid"), "the right things are looked at");
    let mut hidden = vec![password, wrong, bearer, walker];
    hidden.extend(hidden_pieces(&identity.key).into_iter().chain(hidden_pieces(broken)));
    for hidden in hidden {
        let encoded = [USERS[0].0, "walker"].map(|user| STANDARD.encode(format!("{user}:{hidden}")));
        for form in [hidden.to_owned(), STANDARD.encode(hidden)].iter().chain(&encoded) {
            assert!(!kept.contains(form), "{form} was told: {}", around(&kept, form));
        }
    }
    for form in [near.to_owned(), STANDARD.encode(near)] {
        assert!(!said.contains(&form), "{form} was told: {}", around(&said, &form));
    }
}

/// Where it was told.
fn around<'a>(all: &'a str, form: &str) -> &'a str {
    let at = all.find(form).unwrap_or_default();
    let begin = all[..at].rfind('\n').map_or(0, |line| line + 1);
    let end = all[at..].find('\n').map_or(all.len(), |line| at + line);
    &all[begin..end]
}

#[story]
async fn promise_11_every_reason_that_is_told_is_of_the_closed_set() {
    let scene = Scene::builder("reasons").await.own_registry(Registry::plain()).slow_retries().start();
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", json!({"retryInterval": "1s"}));
    scene.story.wait_ready("app", "1@").await;
    scene.create("missing", json!({}));
    scene.story.wait_condition("missing", "Ready", "False", "ArtifactNotFound").await;
    scene.push("broken", "1", "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n");
    scene.create("broken", json!({}));
    scene.story.wait_condition("broken", "Ready", "False", "ManifestInvalid").await;
    let told = async || {
        let list = scene.story.kubectl(&["get", "events.events.k8s.io", "-o", "json"], "");
        let list: Value = serde_json::from_str(&list).ok()?;
        let of_releases = |e: &&Value| e["regarding"]["kind"] == "OCIArtifactRelease";
        let reasons = list["items"].as_array()?.iter().filter(of_releases);
        let reasons: Vec<String> = reasons.filter_map(|e| Some(e["reason"].as_str()?.to_owned())).collect();
        (reasons.len() >= 3).then_some(reasons)
    };
    let mut reasons = scene.story.wait_for("an event of each release", told).await;
    for name in ["app", "missing", "broken"] {
        let release = scene.story.release(name).await.expect("the release");
        let conditions = release["status"]["conditions"].as_array().expect("conditions");
        reasons.extend(conditions.iter().filter_map(|c| Some(c["reason"].as_str()?.to_owned())));
    }
    for line in scene.operator.metrics().lines().filter(|l| l.starts_with("supercargo_reconciles_total{")) {
        let (_, rest) = line.split_once("reason=\"").expect("the label reason");
        reasons.extend(rest.split_once('"').map(|(reason, _)| reason.to_owned()));
    }
    let known: Vec<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    for reason in &reasons {
        assert!(known.contains(&reason.as_str()), "{reason} is not of the closed set");
    }
    for expected in ["ReconciliationSucceeded", "ArtifactNotFound", "ManifestInvalid"] {
        assert!(reasons.iter().any(|r| r == expected), "{expected} was not told: {reasons:?}");
    }
}
