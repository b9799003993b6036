//! `verify artifact`, and `--verify` on the verbs that read artifacts: with
//! signatures of real cosign, on a real registry. What is not signed as it has to
//! be is neither printed nor written nor applied.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::evidence::tag;
use supercargo_testbed::registry::{Options, USERS, digest};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::sigstore::Signing;
use supercargo_testbed::{Profiles, Registry, Signer, Sigstore, processes, story};

use super::scene::{BINARY, registry};

const PROFILES: Profiles = Profiles::First("commands that reach no cluster");

/// A person at a terminal, with a key.
struct Desk {
    directory: PathBuf,
    registry: &'static Registry,
    signer: Signer,
}

/// How a command has ended, and what it has said.
#[derive(Debug, PartialEq)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let (directory, signer) = (processes::directory("verifying"), Signer::new(Algorithm::P256));
        fs::copy(signer.public(), directory.join("cosign.pub")).expect("copy a file");
        fs::copy(signer.private(), directory.join("cosign.key")).expect("copy a file");
        Desk { directory, registry: registry(), signer }
    }

    /// Runs the program. Hosts and digests are replaced by what they stand for.
    fn run(&self, arguments: &[&str]) -> Said {
        self.said(arguments, Stdio::piped())
    }

    /// The same, with a stdout that nobody reads.
    fn run_unread(&self, arguments: &[&str]) -> Said {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        self.said(arguments, writer.into())
    }

    fn said(&self, arguments: &[&str], stdout: Stdio) -> Said {
        let output: Output = processes::command(BINARY)
            .args(arguments)
            .current_dir(&self.directory)
            .env("HOME", &self.directory)
            .env_remove("DOCKER_CONFIG")
            .env_remove("SUPERCARGO_CREDS")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output)
            .expect("run the program");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&self.registry.host(), "HOST");
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Pushes YAML, and returns its URL and its digest.
    fn push(&self, repository: &str, yaml: &str) -> (String, String) {
        let digest = self.registry.push_yaml(repository, "1", yaml);
        (format!("oci://{}/{repository}:1", self.registry.host()), digest)
    }

    fn sign(&self, signer: &Signer, repository: &str, digest: &str, format: Format) {
        let reference = format!("{}/{repository}@{digest}", self.registry.host());
        signer.sign(self.registry, &reference, format, &[]);
    }

    fn fingerprint(&self, key: &str) -> String {
        let path = self.directory.join(key);
        let pem = fs::read_to_string(path).expect("read a file");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).expect("base64");
        digest(&der)
    }
}

fn config_map(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: demo}}\ndata: {{v: {value}}}\n")
}

#[story]
fn who_has_signed_is_told_in_both_formats() {
    let desk = Desk::new();
    let print = desk.fingerprint("cosign.pub");
    for (format, name, shown) in [
        (Format::Sig, "simplesigning", "cosign's simple signing"),
        (Format::Bundle, "bundle", "Sigstore bundle"),
    ] {
        let repository = format!("verifying-{name}");
        let (url, digest) = desk.push(&repository, &config_map("x"));
        desk.sign(&desk.signer, &repository, &digest, format);
        let verify = ["verify", "artifact", &url, "--key", "cosign.pub"];
        let said = desk.run(&verify);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        let head = format!(
            "Artifact: oci://HOST/{repository}@{digest}\nTag: 1\nVerified by: key cosign.pub ({print})\n   Format: {shown}\n   \
             Found at: "
        );
        assert!(said.out.starts_with(&head), "{said:?}");
        let json: Value =
            serde_json::from_str(&desk.run(&[&verify[..], &["-o", "json"]].concat()).out).expect("JSON");
        assert_eq!(json["digest"], digest);
        assert_eq!(json["verifiedBy"][0]["key"], "cosign.pub");
        assert_eq!(json["verifiedBy"][0]["fingerprint"], print);
        assert!(json["verifiedBy"][0]["foundAt"].is_string(), "{json}");
        assert_eq!(json["verifiedBy"][0]["format"], name);
        let pulled = desk.run(&["pull", "artifact", &url, "--verify", "--cosign-key", "cosign.pub"]);
        assert_eq!(
            (pulled.code, pulled.out, pulled.err),
            (
                0,
                config_map("x"),
                format!("verified HOST/{repository}@{digest}: signed by key cosign.pub ({print})\n")
            )
        );
        let inspected = desk.run(&["inspect", "artifact", &url, "--key", "cosign.pub"]);
        assert!(inspected.out.contains(&format!("Verified by: key cosign.pub ({print})\n")), "{inspected:?}");
        let built = desk.run(&["build", "inventory", "x", "-a", &url, "--key", "cosign.pub"]);
        assert!(built.code == 0 && built.out.contains("kind: ConfigMap"), "{built:?}");
    }
}

#[story]
fn what_is_not_signed_so_is_refused_by_every_verb() {
    let desk = Desk::new();
    let stranger = Signer::new(Algorithm::P256);
    fs::copy(stranger.public(), desk.directory.join("other.pub")).expect("copy a file");
    let print = desk.fingerprint("cosign.pub")[..19].to_owned();
    let check = |repository: &str, prepare: &dyn Fn(&str), expected: &str| {
        let (url, digest) = desk.push(repository, &config_map(repository));
        prepare(&digest);
        let name = format!("HOST/{repository}@{digest}");
        let flags = ["--key", "cosign.pub"];
        let said = desk.run(&[&["verify", "artifact", &url][..], &flags].concat());
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        assert!(said.err.starts_with(&format!("error: {name} {expected}")), "{said:?}");
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        let refusal = said.err;
        for (verb, code) in [
            (&["pull", "artifact", &url][..], 1),
            (&["inspect", "artifact", &url], 1),
            (&["inspect", "artifact", &url, "--container-images"], 1),
            (&["diff", "artifact", &url, &url], 2),
            (&["build", "inventory", "x", "-a", &url], 1),
        ] {
            let said = desk.run(&[verb, &flags].concat());
            assert_eq!((said.code, said.out.as_str()), (code, ""), "{verb:?} {said:?}");
            assert!(said.err.ends_with(&refusal), "{verb:?} {said:?}");
        }
    };
    let unsigned = "has no signature (required by the command line). Sign it: `cosign sign --key YOUR.key HOST/verifying-unsigned@";
    check("verifying-unsigned", &|_| {}, unsigned);
    let strange = |digest: &str| {
        for format in [Format::Sig, Format::Bundle] {
            desk.sign(&stranger, "verifying-strange", digest, format);
        }
    };
    check(
        "verifying-strange",
        &strange,
        "has no signature by a trusted key (required by the command line). Found 2: ",
    );
    let said = desk.run(&[
        "verify",
        "artifact",
        &format!("oci://{}/verifying-strange:1", desk.registry.host()),
        "--key",
        "cosign.pub",
    ]);
    assert!(said.err.ends_with(&format!(". Trusted: key cosign.pub ({print}…)\n")), "{said:?}");
    // Another's good signature of ours beside it.
    let copied = |digest: &str| {
        let (_, other) = desk.push("verifying-original", &config_map("original"));
        desk.sign(&desk.signer, "verifying-original", &other, Format::Sig);
        desk.sign(&desk.signer, "verifying-original", &other, Format::Bundle);
        let layers = desk.registry.sig_layers("verifying-original", &other);
        for layer in &layers {
            desk.registry.push_blob("verifying-copied", &layer.payload);
        }
        desk.registry.push_sig_layers("verifying-copied", digest, &layers);
        let bundles = desk.registry.bundles("verifying-original", &other);
        desk.registry.attach_bundle("verifying-copied", digest, &bundles[0]);
    };
    check("verifying-copied", &copied, "has no valid signature. Found 2: ");
    let tampered = |digest: &str| {
        desk.sign(&desk.signer, "verifying-tampered", digest, Format::Sig);
        let mut layers = desk.registry.sig_layers("verifying-tampered", digest);
        layers[0].payload.push(b' ');
        desk.registry.push_sig_layers("verifying-tampered", digest, &layers);
    };
    check(
        "verifying-tampered",
        &tampered,
        "has no signature by a trusted key (required by the command line). Found 1: ",
    );
}

#[story]
fn several_keys_and_how_many_of_them() {
    let desk = Desk::new();
    let second = Signer::new(Algorithm::Ed25519);
    fs::copy(second.public(), desk.directory.join("second.pub")).expect("copy a file");
    let (url, digest) = desk.push("verifying-several", &config_map("x"));
    desk.sign(&desk.signer, "verifying-several", &digest, Format::Sig);
    let both = ["verify", "artifact", &url, "--key", "second.pub", "--key", "cosign.pub"];
    let one = desk.run(&both);
    assert!(one.code == 0 && one.out.contains("Verified by: key cosign.pub ("), "{one:?}");
    let two = desk.run(&[&both[..], &["--threshold", "2"]].concat());
    assert_eq!((two.code, two.out.as_str()), (1, ""));
    let missing = "1 of 2 authorities signed, 2 required; missing: second.pub.";
    assert!(two.err.contains(missing), "{two:?}");
}

#[story]
fn a_tag_that_moves_changes_nothing_of_what_is_printed() {
    let desk = Desk::new();
    let (url, good) = desk.push("verifying-moved", &config_map("good"));
    desk.sign(&desk.signer, "verifying-moved", &good, Format::Bundle);
    let mark = desk.registry.mark();
    let said = desk.run(&["pull", "artifact", &url, "--key", "cosign.pub"]);
    assert_eq!((said.code, said.out), (0, config_map("good")));
    // One look at the tag; what was verified is what was pulled.
    let asked = desk.registry.of_repository(mark, "verifying-moved");
    let of_tag: Vec<_> = asked.iter().filter(|a| a.path.ends_with("/manifests/1")).collect();
    assert_eq!(of_tag.len(), 1, "{asked:?}");
    assert!(asked.iter().any(|a| a.method == "GET" && a.path.ends_with(&format!("/manifests/{good}"))));
    // Nothing of the content is asked for unless it is signed.
    desk.push("verifying-moved", &config_map("evil"));
    let mark = desk.registry.mark();
    let said = desk.run(&["pull", "artifact", &url, "--key", "cosign.pub"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    let asked = desk.registry.of_repository(mark, "verifying-moved");
    assert!(asked.iter().all(|a| !a.path.contains("/blobs/")), "{asked:?}");
    let pinned = format!("{url}@{good}");
    assert_eq!(desk.run(&["pull", "artifact", &pinned, "--key", "cosign.pub"]).out, config_map("good"));
}

#[story]
fn a_mirror_keeps_signatures_unless_the_reference_has_to_match() {
    let desk = Desk::new();
    let (_, digest) = desk.push("verifying-home", &config_map("x"));
    desk.sign(&desk.signer, "verifying-home", &digest, Format::Sig);
    let host = desk.registry.host();
    for name in ["1".to_owned(), tag(&digest, ".sig")] {
        let (from, to) = (format!("{host}/verifying-home:{name}"), format!("{host}/verifying-away:{name}"));
        desk.registry.crane(&["copy", &from, &to]);
    }
    let check = |repository: &str, flags: &[&str], code: i32| {
        let url = format!("oci://{host}/{repository}:1");
        let said = desk.run(&[&["verify", "artifact", &url, "--key", "cosign.pub"], flags].concat());
        assert_eq!(said.code, code, "{repository} {flags:?} {said:?}");
    };
    check("verifying-home", &["--match-reference"], 0);
    check("verifying-away", &[], 0);
    check("verifying-away", &["--match-reference"], 1);
}

#[story]
fn the_images_that_an_artifact_runs() {
    let desk = Desk::new();
    let host = desk.registry.host();
    let image = |name: &str| {
        let digest = desk.registry.push_yaml(&format!("verifying-images/{name}"), "1", name);
        (format!("{host}/verifying-images/{name}:1"), digest)
    };
    let ((app, app_digest), (init, init_digest)) = (image("app"), image("init"));
    let ((side, side_digest), (pinned, pinned_digest)) = (image("side"), image("pinned"));
    for (name, digest) in [("app", &app_digest), ("init", &init_digest), ("pinned", &pinned_digest)] {
        desk.sign(&desk.signer, &format!("verifying-images/{name}"), digest, Format::Bundle);
    }
    let pinned = format!("{pinned}@{pinned_digest}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "demo"},
        "spec": {
            "initContainers": [{"name": "i", "image": init}],
            "containers": [{"name": "a", "image": app}, {"name": "s", "image": side}, {"name": "p", "image": pinned}],
        },
    });
    let (url, digest) = desk.push("verifying-images/config", &pod.to_string());
    desk.sign(&desk.signer, "verifying-images/config", &digest, Format::Bundle);
    let verify = ["verify", "artifact", &url, "--key", "cosign.pub", "--images"];
    let print = desk.fingerprint("cosign.pub");
    let block = |image: &str| format!("   {}\n   - key cosign.pub ({print})\n", image.replace(&host, "HOST"));
    let good = [format!("{app}@{app_digest}"), format!("{init}@{init_digest}"), pinned.clone()];
    let good: String = good.iter().map(|image| block(image)).collect();
    let said = desk.run(&verify);
    assert_eq!(said.code, 1);
    assert!(said.out.ends_with(&format!("Images:\n{good}")), "{said:?}");
    let side_name = side.replace(&host, "HOST");
    let bare = side_name.trim_end_matches(":1");
    let unsigned = format!(
        "error: 1 container image(s) are not verified:\n  {side_name}@{side_digest} has no signature (required by the \
         command line). Sign it: `cosign sign --key YOUR.key {bare}@{side_digest}` (in Pod/demo/p)\n"
    );
    assert_eq!(said.err, unsigned);
    let nothing = String::new;
    assert_eq!(desk.run_unread(&verify), Said { code: 1, out: nothing(), err: unsigned.clone() });
    let json = desk.run(&[&verify[..], &["-o", "json"]].concat());
    let parsed: Value = serde_json::from_str(&json.out).expect("JSON");
    let refused: Vec<&Value> =
        parsed["images"].as_array().expect("a list").iter().filter(|i| i["refused"].is_string()).collect();
    assert_eq!((json.code, refused.len(), &refused[0]["image"]), (1, 1, &json!(side_name)));
    let exempt = format!("{host}/verifying-images/si*");
    let said = desk.run(&[&verify[..], &["--image-exempt", &exempt]].concat());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.ends_with(&format!("{good}   {side_name}\n   - exempt\n")), "{said:?}");
    desk.sign(&desk.signer, "verifying-images/side", &side_digest, Format::Sig);
    assert_eq!(desk.run(&verify).code, 0);
    assert_eq!(desk.run_unread(&verify), Said { code: 0, out: nothing(), err: nothing() });
    // The artifact itself comes first.
    let (unsigned, _) = desk.push("verifying-images/unsigned", &pod.to_string());
    let mark = desk.registry.mark();
    let said = desk.run(&["verify", "artifact", &unsigned, "--key", "cosign.pub", "--images"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(desk.registry.of_repository(mark, "verifying-images/app").is_empty());
}

#[story]
fn images_are_pulled_with_the_secrets_of_their_pods() {
    let desk = Desk::new();
    let closed = Registry::start(&Options { credentials: true, ..Options::default() });
    let image_digest = closed.push_yaml("app", "1", "image");
    desk.signer.sign(&closed, &format!("{}/app@{image_digest}", closed.host()), Format::Bundle, &[]);
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "demo"}, "spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"name": "a", "image": format!("{}/app:1", closed.host())}]}})
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "demo"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": closed.docker_config(USERS[0].0, USERS[0].1)},
    });
    let check = |repository: &str, yaml: &str, code: i32, says: &str| {
        let (url, digest) = desk.push(repository, yaml);
        desk.sign(&desk.signer, repository, &digest, Format::Bundle);
        let said = desk.run(&["verify", "artifact", &url, "--key", "cosign.pub", "--images"]);
        assert_eq!(said.code, code, "{said:?}");
        assert!(format!("{}{}", said.out, said.err).contains(says), "{said:?}");
        assert!(!said.err.contains(USERS[0].1), "{said:?}");
    };
    check("verifying-pull/none", &pod("a").to_string(), 1, "access denied");
    let with = format!("{}\n---\n{secret}\n", pod("b"));
    check("verifying-pull/with", &with, 0, &format!("/app:1@{image_digest}"));
}

#[story]
fn an_identity_has_to_be_who_it_is() {
    let desk = Desk::new();
    let sigstore = Sigstore::shared();
    let registry = Registry::with_referrers();
    let digest = registry.push_yaml("keyless", "1", &config_map("x"));
    let reference = format!("{}/keyless@{digest}", registry.host());
    let signing = Signing::person("alice@example.com");
    sigstore.sign(&registry, &reference, &signing);
    let (root, issuer) = (sigstore.trusted_root().display().to_string(), sigstore.issuer(signing.issuer));
    let url = format!("oci://{}/keyless:1", registry.host());
    let check = |who: &[&str], code: i32, says: &str| {
        let said = desk.run(&[&["verify", "artifact", &url, "--trusted-root", &root][..], who].concat());
        assert_eq!(said.code, code, "{who:?} {said:?}");
        assert!(format!("{}{}", said.out, said.err).contains(says), "{who:?} {said:?}");
    };
    let (exact, regexp) = ("--certificate-identity", "--certificate-identity-regexp");
    let (by, by_regexp) = ("--certificate-oidc-issuer", "--certificate-oidc-issuer-regexp");
    let signed = format!("Verified by: alice@example.com ({issuer})\n");
    check(&[exact, "alice@example.com", by, &issuer], 0, &signed);
    check(&[regexp, ".*@example\\.com", by_regexp, "http://127.*"], 0, &signed);
    check(&[exact, "alice@example.com", by, &issuer], 0, "   Signed at: 20");
    let stranger = "has no signature by a trusted signer (required by the command line)";
    check(&[exact, "alice@exampleXcom", by, &issuer], 1, stranger);
    check(&[exact, "alice@example.co", by, &issuer], 1, stranger);
    check(&[exact, "alice.example.com", by, &issuer], 1, stranger);
    check(&[regexp, "alice@example", by, &issuer], 1, stranger);
    check(&[exact, "alice@example.com", by, "http://127.0.0.1"], 1, stranger);
    let other = fs::read(sigstore.trusted_root()).expect("read a file");
    fs::write(desk.directory.join("half.json"), &other[..other.len() / 2]).expect("write a file");
    let torn = desk.run(&["verify", "artifact", &url, exact, "a", by, "b", "--trusted-root", "half.json"]);
    assert_eq!((torn.code, torn.out.as_str()), (1, ""));
    assert!(torn.err.starts_with("error: half.json "), "{torn:?}");
}
