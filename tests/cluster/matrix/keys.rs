//! Signatures by keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::evidence::{BUNDLE, SigLayer};
use supercargo_testbed::signer::Algorithm;

use super::material::{IN_TOTO, Material, SIGNATURE, decode, flip};
use super::{Accepted, Beside, Case, Expect, Place, Refused, Stricter, With};

/// cosign's `verify` takes an attestation of anything by the right key for a signature.
const OTHER_PREDICATE: Expect =
    Stricter("whoever attests something about an artifact has not signed it for use");

pub(super) fn cases(m: &Material) -> Vec<Case> {
    let registry_matters = [algorithms(m), crowds(m), indexes(m)];
    let edited = [sigs(m), sig_payloads(m), bundles(m), statements(m)];
    let everywhere = registry_matters.into_iter().flatten().map(Case::everywhere);
    everywhere.chain(edited.into_iter().flatten()).collect()
}

fn algorithms(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    for (algorithm, signer) in &m.signers {
        let name = format!("{algorithm:?}");
        let with = With::Key { file: signer.public(), hash: algorithm.hash() };
        let strange = With::Key { file: m.stranger.public(), hash: "sha256" };
        let mut check = |what: &str, beside: Beside, with: &With, expect| {
            cases.push(Case::new(format!("{name}: {what}"), beside, with, expect));
        };
        // cosign signs with Ed25519ph and verifies Ed25519.
        let own = if *algorithm == Algorithm::Ed25519 { Refused } else { Accepted };
        check("older format", Beside::sig(m.sig(&name)), &with, own);
        check("bundle", Beside::bundle(&m.bundle(&name)), &with, own);
        check("older format, another key", Beside::sig(m.sig(&name)), &strange, Refused);
        check("bundle, another key", Beside::bundle(&m.bundle(&name)), &strange, Refused);
        if *algorithm == Algorithm::Ed25519 {
            let payload = decode(&m.bundle("P256")["dsseEnvelope"]["payload"]);
            let forged = m.forge(signer, IN_TOTO, &payload);
            check(
                "pure, older format",
                Beside::sig(m.forge_sig(signer, &m.sig("P256").payload)),
                &with,
                Accepted,
            );
            check("pure, bundle", Beside::bundle(&forged), &with, Accepted);
        }
    }
    cases
}

// Edits of a signature of the older format.
fn sigs(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, change: &dyn Fn(&mut SigLayer), expect| {
        let mut layer = m.sig("P256");
        change(&mut layer);
        cases.push(Case::new(format!("sig: {name}"), Beside::sig(layer), &m.key(), expect));
    };
    check("a bit of the signature", &|sig| flip(&mut sig.annotations[SIGNATURE]), Refused);
    check("no signature", &|sig| drop(sig.annotations.remove(SIGNATURE)), Refused);
    check("an empty signature", &|sig| sig.annotations[SIGNATURE] = json!(""), Refused);
    check("a signature that is no base64", &|sig| sig.annotations[SIGNATURE] = json!("!"), Refused);
    check("a bit of the payload", &|sig| sig.payload[20] ^= 1, Refused);
    check("a space after the payload", &|sig| sig.payload.push(b' '), Refused);
    check("an empty payload", &|sig| sig.payload.clear(), Refused);
    check(
        "a certificate that is none",
        &|sig| {
            sig.annotations.insert("dev.sigstore.cosign/certificate".into(), json!("junk"));
        },
        Refused,
    );
    check(
        "a log entry that is none",
        &|sig| {
            sig.annotations.insert("dev.sigstore.cosign/bundle".into(), json!("junk"));
        },
        Refused,
    );
    check(
        "an annotation that nobody knows",
        &|sig| {
            sig.annotations.insert("example.com/note".into(), json!("hello"));
        },
        Accepted,
    );
    let digests_of_another = |sig: &mut SigLayer| {
        let text = String::from_utf8(sig.payload.clone()).expect("JSON");
        sig.payload = text.replace(&m.digests.app, &m.other).into_bytes();
    };
    check("the digest of another in the payload", &digests_of_another, Refused);
    let mut more = |name: &str, beside: Beside, expect| {
        cases.push(Case::new(format!("sig: {name}"), beside, &m.key(), expect));
    };
    more("nothing", Beside::default(), Refused);
    more("copied from another digest", Beside::sig(m.sig("other")), Refused);
    more("another reference in it", Beside::sig(m.sig("elsewhere")), Accepted);
    more("signed annotations", Beside::sig(m.sig("annotated")), Accepted);
    cases
}

// Payloads that the right key has signed, and cosign would not have made.
fn sig_payloads(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, payload: &str, expect| {
        let beside = Beside::sig(m.forge_sig(m.signer(), payload.as_bytes()));
        cases.push(Case::new(format!("sig payload: {name}"), beside, &m.key(), expect));
    };
    let (app, other) = (&m.digests.app, &m.other);
    let payload = |digest: &str, kind: &str| {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"a/b"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":null}}"#
        )
    };
    let kind = "cosign container image signature";
    let good = payload(app, kind);
    check("as cosign's", &good, Accepted);
    check("of the type before cosign's", &payload(app, "atomic container signature"), Accepted);
    let typeless = Stricter("a payload that does not say that it is a signature is none");
    check("of a type that nobody knows", &payload(app, "shopping list"), typeless);
    check("without a type", &payload(app, ""), typeless);
    check("for another digest", &payload(other, kind), Refused);
    check("without a digest", &payload("", kind), Refused);
    check("with a digest of another form", &payload(app.trim_start_matches("sha256:"), kind), Refused);
    check("in capitals", &payload(&app.to_uppercase(), kind), Refused);
    check("two values", &format!("{good}{good}"), Refused);
    check("no JSON", "hello", Refused);
    check("null", "null", Refused);
    check("a list", &format!("[{good}]"), Refused);
    let twice = |first: &str, second: &str| {
        let image = format!(r#""docker-manifest-digest":"{first}","docker-manifest-digest":"{second}""#);
        format!(r#"{{"critical":{{"identity":{{}},"image":{{{image}}},"type":"{kind}"}}}}"#)
    };
    check("two digests, ours first", &twice(app, other), Refused);
    check("two digests, ours last", &twice(other, app), Stricter("a key twice in JSON has no one meaning"));
    cases
}

// Edits of a bundle.
fn bundles(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("P256");
        change(&mut bundle);
        cases.push(Case::new(format!("bundle: {name}"), Beside::bundle(&bundle), &m.key(), expect));
    };
    check("a bit of the signature", &|b| flip(&mut b["dsseEnvelope"]["signatures"][0]["sig"]), Refused);
    check("a bit of the payload", &|b| flip(&mut b["dsseEnvelope"]["payload"]), Refused);
    check("no signatures", &|b| b["dsseEnvelope"]["signatures"] = json!([]), Refused);
    check("no envelope", &|b| drop(b.as_object_mut().expect("an object").remove("dsseEnvelope")), Refused);
    check(
        "no material",
        &|b| drop(b.as_object_mut().expect("an object").remove("verificationMaterial")),
        Refused,
    );
    check("payloadType edited", &|b| b["dsseEnvelope"]["payloadType"] = json!("text/plain"), Refused);
    check(
        "a bundle of a version to come",
        &|b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9.9+json"),
        Refused,
    );
    check("no version", &|b| b["mediaType"] = json!(""), Refused);
    check("a field that nobody knows", &|b| b["surprise"] = json!(true), Refused);
    check(
        "the hint of another key",
        &|b| b["verificationMaterial"]["publicKey"]["hint"] = json!("x"),
        Accepted,
    );
    let two = |order: [&'static str; 2]| {
        move |b: &mut Value| {
            let of = |name: &str| m.bundle(name)["dsseEnvelope"]["signatures"][0].clone();
            b["dsseEnvelope"]["signatures"] = json!([of(order[0]), of(order[1])]);
        }
    };
    check("two signatures, ours first", &two(["P256", "stranger"]), Refused);
    check("two signatures, ours last", &two(["stranger", "P256"]), Refused);
    let payload_of_other = |b: &mut Value| {
        b["dsseEnvelope"]["payload"] = m.bundle("other")["dsseEnvelope"]["payload"].clone();
    };
    check("the payload of another", &payload_of_other, Refused);
    let message = |b: &mut Value| {
        b.as_object_mut().expect("an object").remove("dsseEnvelope");
        let hash = hex::decode(m.digests.app.trim_start_matches("sha256:")).expect("hex");
        b["messageSignature"] = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(hash)},
            "signature": STANDARD.encode(m.signer().sign_bytes(b"the manifest")),
        });
    };
    check("a signature of a message", &message, Refused);
    let mut more = |name: &str, beside: Beside, expect| {
        cases.push(Case::new(format!("bundle: {name}"), beside, &m.key(), expect));
    };
    more("copied from another digest", Beside::bundle(&m.bundle("other")), Refused);
    more("with annotations", Beside::bundle(&m.bundle("annotated")), Accepted);
    more("an attestation of something else", Beside::bundle(&m.bundle("attestation")), OTHER_PREDICATE);
    more("a keyless one", Beside::bundle(&m.bundle("alice")), Refused);
    cases
}

// Statements that the right key has signed, and cosign would not have made.
fn statements(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, kind: &str, payload: &Value, expect: Expect| {
        let bundle = m.forge(m.signer(), kind, payload.to_string().as_bytes());
        cases.push(Case::new(format!("statement: {name}"), Beside::bundle(&bundle), &m.key(), expect));
    };
    let (app, other) = (m.digests.app.as_str(), m.other.as_str());
    let good = m.statement(&[app]);
    let edited = |change: &dyn Fn(&mut Value)| {
        let mut statement = good.clone();
        change(&mut statement);
        statement
    };
    check("as cosign's", IN_TOTO, &good, Accepted);
    check("of another payloadType", "application/json", &good, Refused);
    check("of no payloadType", "", &good, Refused);
    check("for another digest", IN_TOTO, &m.statement(&[other]), Refused);
    check("for no digest", IN_TOTO, &m.statement(&[]), Refused);
    let several = Stricter("a signature is about one artifact; a list would let one sign for all");
    check("for two digests", IN_TOTO, &m.statement(&[app, other]), several);
    check("for two digests, ours last", IN_TOTO, &m.statement(&[other, app]), several);
    let kind = edited(&|s| s["predicateType"] = json!("https://example.com/scan/v1"));
    check("of another predicate", IN_TOTO, &kind, OTHER_PREDICATE);
    check("of no predicate", IN_TOTO, &edited(&|s| s["predicateType"] = json!("")), OTHER_PREDICATE);
    let version = edited(&|s| s["_type"] = json!("https://in-toto.io/Statement/v0.1"));
    let kind = Stricter("cosign states in version 1 only, and another may mean something else");
    check("of the older version", IN_TOTO, &version, kind);
    let version = edited(&|s| s["_type"] = json!("https://example.com/statement"));
    check("of another kind", IN_TOTO, &version, kind);
    let digests = edited(&|s| s["subject"][0]["digest"]["sha512"] = json!("00".repeat(64)));
    check("with a second hash", IN_TOTO, &digests, Accepted);
    let digests = edited(&|s| s["subject"][0]["digest"] = json!({"sha512": "00".repeat(64)}));
    check("with another hash", IN_TOTO, &digests, Refused);
    cases
}

// Several signatures beside one artifact.
fn crowds(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, beside: Beside, expect| {
        cases.push(Case::new(format!("several: {name}"), beside, &m.key(), expect));
    };
    let (sig, bundle) = (|name: &str| Beside::sig(m.sig(name)), |name: &str| Beside::bundle(&m.bundle(name)));
    let raw = |bytes: &[u8]| Beside { referrers: vec![(BUNDLE, bytes.to_vec())], ..Beside::default() };
    let mut torn = m.sig("P256");
    torn.annotations.insert(SIGNATURE.into(), json!("junk"));
    check("a stranger's first", sig("stranger").and(sig("P256")), Accepted);
    check("a stranger's last", sig("P256").and(sig("stranger")), Accepted);
    check("junk first", Beside::sig(torn.clone()).and(sig("P256")), Accepted);
    check("junk last", sig("P256").and(Beside::sig(torn.clone())), Accepted);
    let twenty = (0..20).fold(Beside::default(), |all, _| all.and(Beside::sig(torn.clone())));
    check("much junk first", twenty.and(sig("P256")), Accepted);
    check("strangers only", sig("stranger").and(bundle("stranger")), Refused);
    check("a stranger's bundle first", bundle("stranger").and(bundle("P256")), Accepted);
    check("a stranger's bundle last", bundle("P256").and(bundle("stranger")), Accepted);
    check("a bundle for another digest first", bundle("other").and(bundle("P256")), Accepted);
    check("an attestation first", bundle("attestation").and(bundle("P256")), Accepted);
    check("no JSON first", raw(b"junk").and(bundle("P256")), Accepted);
    check("no JSON last", bundle("P256").and(raw(b"junk")), Accepted);
    check("an empty object first", raw(b"{}").and(bundle("P256")), Accepted);
    check("no JSON only", raw(b"junk"), Refused);
    check("a junk bundle, a good older one", raw(b"junk").and(sig("P256")), Accepted);
    check("a stranger's bundle, a good older one", bundle("stranger").and(sig("P256")), Accepted);
    check("a good bundle, a junk older one", bundle("P256").and(Beside::sig(torn)), Accepted);
    let bytes = m.bundle("P256").to_string().into_bytes();
    let sbom = Beside { referrers: vec![("application/spdx+json", b"{}".to_vec())], ..Beside::default() };
    check("something else first", sbom.clone().and(bundle("P256")), Accepted);
    check("something else only", sbom, Refused);
    let disguised = Beside { referrers: vec![("application/spdx+json", bytes)], ..Beside::default() };
    check("a good bundle of another media type", disguised, Refused);
    cases
}

// A signature is of one digest, whatever the index lists.
fn indexes(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, signed: &str, at: Place, verified: Place, expect| {
        let (sig, bundle) = (Beside::sig(m.sig(signed)), Beside::bundle(&m.bundle(signed)));
        cases.push(Case::new(format!("index: {name}, older"), sig, &m.key(), expect).at(at, verified));
        cases.push(Case::new(format!("index: {name}, bundle"), bundle, &m.key(), expect).at(at, verified));
    };
    check("signed, verified", "index", Place::Index, Place::Index, Accepted);
    check("index signed, manifest verified", "index", Place::Index, Place::App, Refused);
    check("manifest signed, index verified", "P256", Place::App, Place::Index, Refused);
    check("its signature at the manifest", "index", Place::App, Place::App, Refused);
    check("the manifest's at the index", "P256", Place::Index, Place::Index, Refused);
    cases
}
