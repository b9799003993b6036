//! Signatures of real cosign, changed in every place that matters: none counts.
//!
//! A change may leave the meaning as it is: the hint of a key, the name before a
//! checkpoint's signature, the wrapping of a timestamp. A changed signature that still
//! counts therefore has to say the same as the one that was made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo::domain::verify::evidence::Content;
use supercargo::domain::verify::judge::{Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, Trust};
use supercargo::domain::verify::proof::Proof;
use supercargo::domain::verify::root::TrustRoot;

use crate::keyless::{self, alice, root};
use crate::signatures::{self, evidence, file, layer, policy};

/// How many random changes each signature suffers.
const ROUNDS: usize = 200;
/// The seed of these changes: the same in every run.
const SEED: u64 = 0x5eed_0fca_6000;

/// A signature that counts, and where in its JSON it may not be changed.
struct Good {
    name: &'static str,
    policy: Policy,
    digest: &'static str,
    /// Base64, of which every bit matters.
    sealed: &'static [&'static str],
}

fn without(part: &str) -> TrustRoot {
    root(|root| drop(root.as_object_mut().unwrap().remove(part)))
}

const SIG: &str = "/dsseEnvelope/signatures/0/sig";
const PAYLOAD: &str = "/dsseEnvelope/payload";
const CERTIFICATE: &str = "/verificationMaterial/certificate/rawBytes";
const STAMP: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
/// The annotations that matter. The certificates above the signer's do not: those of the
/// root are looked at.
const ANNOTATIONS: &[&str] =
    &["dev.cosignproject.cosign/signature", "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"];
const ENTRY: &str = "/verificationMaterial/tlogEntries/0";

fn keyed(name: &'static str, key: &str, digest: &'static str, sealed: &'static [&'static str]) -> Good {
    let key = PublicKey::parse("a.pub", &file(&format!("keys/{key}.pub"))).unwrap();
    Good { name, policy: policy(vec![("", Trust::Keys(vec![key]))], 1), digest, sealed }
}

fn all() -> Vec<Good> {
    const SIMPLE: &[&str] = &["/payload", "/annotations/dev.cosignproject.cosign~1signature"];
    let whole = &[
        SIG,
        PAYLOAD,
        CERTIFICATE,
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/logId/keyId",
        "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
    ];
    let promised = &[
        SIG,
        PAYLOAD,
        CERTIFICATE,
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        "/verificationMaterial/tlogEntries/0/logId/keyId",
        "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
        "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp",
    ];
    let keyless =
        |name, root: TrustRoot, sealed| Good { name, policy: alice(root), digest: keyless::DIGEST, sealed };
    let mut workflow = keyless("keyless/workflow.bundle", root(|_| ()), whole as &[&str]);
    let trust = keyless::trust(root(|_| ()), "http://127.0.0.1:42057/workflow", ".*");
    workflow.policy = policy(vec![("", trust)], 1);
    vec![
        keyed("p256.bundle", "p256", signatures::DIGEST, &[SIG, PAYLOAD]),
        keyed("p521.bundle", "p521", signatures::DIGEST, &[SIG, PAYLOAD]),
        keyed("rsa2048.bundle", "rsa2048", signatures::DIGEST, &[SIG, PAYLOAD]),
        keyed("p384.simple", "p384", signatures::DIGEST, SIMPLE),
        keyed("ed25519-pure.simple", "ed25519", signatures::DIGEST, SIMPLE),
        keyless("keyless/alice.bundle", root(|_| ()), whole),
        workflow,
        keyless("keyless/rekor-v1.bundle", without("timestampAuthorities"), promised),
        keyless("keyless/no-log.bundle", without("tlogs"), &[SIG, PAYLOAD, CERTIFICATE]),
        keyless("keyless/rekor-v1.simple", root(|_| ()), SIMPLE),
        keyless("keyless/stamped.simple", without("tlogs"), SIMPLE),
    ]
}

impl Good {
    fn document(&self) -> Value {
        let mut document: Value = serde_json::from_slice(&file(&format!("{}.json", self.name))).unwrap();
        // Where the log's time is the one that counts, the timestamp proves nothing.
        if self.name == "keyless/rekor-v1.bundle" {
            let material = document["verificationMaterial"].as_object_mut().unwrap();
            material.remove("timestampVerificationData");
        }
        document
    }

    fn content(&self, bytes: &[u8]) -> Option<Content> {
        match self.name.ends_with(".simple") {
            true => Some(Content::SimpleSigning(layer(&serde_json::from_slice(bytes).ok()?)?)),
            false => Some(Content::Bundle(bytes.to_vec())),
        }
    }

    fn judged(&self, bytes: &[u8]) -> Option<Proof> {
        let found = evidence(self.content(bytes));
        judge(&self.policy, Subject { repository: "r.io/a", digest: self.digest }, &found).ok()
    }

    fn refused(&self, document: &Value, what: &str) {
        let found = self.judged(document.to_string().as_bytes());
        assert!(found.is_none(), "{}: {what}: {found:?}", self.name);
    }

    // That what counts says what was signed, and nothing else.
    fn harmless(&self, original: &(Value, Proof), bytes: &[u8], what: &str) {
        let Some(proof) = self.judged(bytes) else { return };
        assert_eq!(proof, original.1, "{}: {what}", self.name);
        let changed: Value = serde_json::from_slice(bytes).unwrap();
        let changed = meaning(changed);
        let mut pointers = Vec::new();
        every(&original.0, String::new(), &mut pointers);
        pointers.retain(|pointer| changed.pointer(pointer) != original.0.pointer(pointer));
        assert!(changed == original.0, "{}: {what}: {pointers:?}", self.name);
    }
}

// The document without what is not sealed: see above.
fn meaning(mut document: Value) -> Value {
    if let Some(Value::Object(object)) = document.pointer_mut("/verificationMaterial/publicKey") {
        object.remove("hint");
    }
    if let Some(Value::Object(object)) = document.pointer_mut("/annotations") {
        object.retain(|name, _| ANNOTATIONS.contains(&name.as_str()));
    }
    let mut blank = |pointer: &str| {
        if let Some(value) = document.pointer_mut(pointer) {
            *value = json!("");
        }
    };
    blank(STAMP);
    let annotation = |name: &str| format!("/annotations/dev.sigstore.cosign~1{name}");
    if let Some(Value::String(pem)) = document.pointer_mut(&annotation("certificate")) {
        // Text around the block, and the length of its lines.
        let inside = pem.split("-----").nth(2).unwrap_or_default();
        *pem = inside.split_whitespace().collect();
    }
    if let Some(entry) = document.pointer_mut(&annotation("bundle")) {
        *entry = entry.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    }
    // Nothing is the same as zero, and as an empty list.
    for (object, name, zero) in [
        (format!("{ENTRY}/inclusionProof"), "hashes", json!([])),
        (format!("{ENTRY}/inclusionProof"), "logIndex", json!("0")),
        (ENTRY.to_owned(), "logIndex", json!("0")),
    ] {
        if let Some(Value::Object(object)) = document.pointer_mut(&object) {
            object.entry(name).or_insert(zero);
        }
    }
    let envelope = format!("{ENTRY}/inclusionProof/checkpoint/envelope");
    if let Some(Value::String(envelope)) = document.pointer_mut(&envelope) {
        // The log's signature is over the text before the empty line; names and other
        // signatures follow it.
        *envelope = envelope.split("\n\n").next().unwrap_or_default().to_owned();
    }
    plain(&mut document);
    document
}

fn bytes_at(document: &Value, pointer: &str) -> Vec<u8> {
    STANDARD.decode(document.pointer(pointer).unwrap().as_str().unwrap()).unwrap()
}

fn put(document: &Value, pointer: &str, bytes: &[u8]) -> Value {
    let mut changed = document.clone();
    *changed.pointer_mut(pointer).unwrap() = json!(STANDARD.encode(bytes));
    changed
}

/// Every bit of every byte that is sealed, a byte less at either end, one more, none.
#[test]
fn no_sealed_byte_can_be_changed() {
    for good in all() {
        let document = good.document();
        assert!(good.judged(document.to_string().as_bytes()).is_some(), "{} counts", good.name);
        for pointer in good.sealed {
            let bytes = bytes_at(&document, pointer);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                good.refused(&put(&document, pointer, &changed), &format!("{pointer}: byte {at}"));
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            for changed in [&bytes[1..], &bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &longer, &[]] {
                good.refused(
                    &put(&document, pointer, changed),
                    &format!("{pointer}: {} bytes", changed.len()),
                );
            }
        }
    }
}

/// What one says is put into another: payloads, signatures, certificates, entries.
#[test]
fn nothing_can_be_moved_to_another_signature() {
    let goods = all();
    let foreign =
        ["keyless/bob.bundle", "keyless/alice-other.bundle", "keyless/foreign.bundle", "attestation.bundle"];
    let mut others: Vec<Value> = goods.iter().map(Good::document).collect();
    others.extend(foreign.map(|name| serde_json::from_slice(&file(&format!("{name}.json"))).unwrap()));
    let parts = [
        SIG,
        PAYLOAD,
        CERTIFICATE,
        ENTRY,
        "/dsseEnvelope",
        "/payload",
        "/annotations/dev.cosignproject.cosign~1signature",
    ];
    let annotations =
        ["/annotations/dev.sigstore.cosign~1certificate", "/annotations/dev.sigstore.cosign~1bundle"];
    for good in &goods {
        let document = good.document();
        for pointer in parts.iter().chain(&annotations) {
            let Some(own) = document.pointer(pointer) else { continue };
            for other in
                others.iter().filter_map(|other| other.pointer(pointer)).filter(|other| *other != own)
            {
                // The payload and envelope of a key's log entry are not looked at.
                let mut changed = document.clone();
                *changed.pointer_mut(pointer).unwrap() = other.clone();
                good.refused(&changed, &format!("{pointer} of another"));
            }
        }
    }
}

/// Without any one part of it.
#[test]
fn nothing_can_be_left_out() {
    for good in all() {
        let document = good.document();
        let original = (meaning(document.clone()), good.judged(document.to_string().as_bytes()).unwrap());
        let mut pointers = Vec::new();
        every(&document, String::new(), &mut pointers);
        for pointer in pointers {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut changed = document.clone();
            match changed.pointer_mut(parent) {
                Some(Value::Object(all)) => drop(all.remove(&name.replace("~1", "/"))),
                Some(Value::Array(all)) => drop(all.remove(name.parse().unwrap())),
                _ => continue,
            }
            good.harmless(&original, changed.to_string().as_bytes(), &format!("without {pointer}"));
        }
    }
}

// Base64 in JSON is of either alphabet, padded or not (protobuf's JSON mapping).
fn plain(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.trim_end_matches('=').replace('-', "+").replace('_', "/"),
        Value::Array(all) => all.iter_mut().for_each(plain),
        Value::Object(all) => all.values_mut().for_each(plain),
        _ => {}
    }
}

fn every(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                let at = format!("{at}/{}", name.replace('/', "~1"));
                pointers.push(at.clone());
                every(value, at, pointers);
            }
        }
        Value::Array(all) => {
            for (n, value) in all.iter().enumerate() {
                let at = format!("{at}/{n}");
                pointers.push(at.clone());
                every(value, at, pointers);
            }
        }
        _ => {}
    }
}

/// A generator whose numbers are the same everywhere (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end.max(1)
    }
}

/// Bytes anywhere: turned, cut out, doubled, replaced.
#[test]
fn random_changes_change_no_meaning() {
    let mut random = Random(SEED);
    for good in all() {
        let document = good.document();
        let text = document.to_string().into_bytes();
        let original = (meaning(document), good.judged(&text).unwrap());
        for round in 0..ROUNDS {
            let mut changed = text.clone();
            let (at, length) = (random.below(text.len()), 1 + random.below(16));
            let end = (at + length).min(text.len());
            match random.below(5) {
                0 => changed[at] ^= 1 << random.below(8),
                1 => drop(changed.drain(at..end)),
                2 => drop(changed.splice(at..at, text[at..end].to_vec())),
                3 => changed[at..end].fill(b"A0\" {"[random.below(5)]),
                _ => changed.truncate(at),
            }
            good.harmless(&original, &changed, &format!("round {round} at {at}"));
        }
        // Of a timestamp the time and the signature are sealed, and its wrapping is not.
        if let Some(stamp) = original.0.pointer(STAMP).map(|_| bytes_at(&good.document(), STAMP)) {
            for at in 0..stamp.len() {
                let mut changed = stamp.clone();
                changed[at] ^= 1 << (at % 8);
                let changed = put(&good.document(), STAMP, &changed).to_string();
                good.harmless(&original, changed.as_bytes(), &format!("timestamp, byte {at}"));
            }
        }
    }
}
