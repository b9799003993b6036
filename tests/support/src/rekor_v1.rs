//! A log of Rekor v1 as far as a verifier sees it: entries with a signed time and
//! with a proof that they are in a tree of one leaf. The real server needs two more
//! servers and a database; real cosign believes this one.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ORIGIN: &str = "rekor.testbed.invalid";

/// One log.
pub struct RekorV1 {
    key: KeyPair,
}

impl Default for RekorV1 {
    fn default() -> Self {
        RekorV1::new()
    }
}

impl RekorV1 {
    /// A new log, that nobody trusts yet.
    pub fn new() -> RekorV1 {
        RekorV1 { key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("generate a key") }
    }

    /// What goes into the `tlogs` of a trusted root.
    pub fn trusted(&self) -> Value {
        json!({
            "baseUrl": format!("https://{ORIGIN}"),
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(self.key.subject_public_key_info()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": STANDARD.encode(self.id())},
        })
    }

    /// An entry of a bundle: `tlogEntries[…]`.
    pub fn entry(&self, body: &Value, integrated: u64) -> Value {
        let canonical = body.to_string();
        let leaf = Sha256::digest([&[0], canonical.as_bytes()].concat());
        json!({
            "logIndex": "0",
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": integrated.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.promise(&canonical, integrated))},
            "inclusionProof": {
                "logIndex": "0", "treeSize": "1", "hashes": [],
                "rootHash": STANDARD.encode(leaf),
                "checkpoint": {"envelope": self.checkpoint(&leaf)},
            },
            "canonicalizedBody": STANDARD.encode(canonical),
        })
    }

    /// What the older format keeps as `dev.sigstore.cosign/bundle`.
    pub fn annotation(&self, body: &Value, integrated: u64) -> Value {
        let canonical = body.to_string();
        json!({
            "SignedEntryTimestamp": STANDARD.encode(self.promise(&canonical, integrated)),
            "Payload": {
                "body": STANDARD.encode(canonical),
                "integratedTime": integrated, "logIndex": 0, "logID": hex::encode(self.id()),
            },
        })
    }

    fn id(&self) -> Vec<u8> {
        Sha256::digest(self.key.subject_public_key_info()).to_vec()
    }

    // The signed entry timestamp: over canonical JSON, whose keys are sorted.
    fn promise(&self, canonical: &str, integrated: u64) -> Vec<u8> {
        let (body, id) = (STANDARD.encode(canonical), hex::encode(self.id()));
        let text =
            format!(r#"{{"body":"{body}","integratedTime":{integrated},"logID":"{id}","logIndex":0}}"#);
        self.key.sign(text.as_bytes()).expect("sign")
    }

    // A signed note (C2SP signed-note.md) of a tree with this root.
    fn checkpoint(&self, root: &[u8]) -> String {
        let text = format!("{ORIGIN} - 1\n1\n{}\n", STANDARD.encode(root));
        let signature = self.key.sign(text.as_bytes()).expect("sign");
        let line = [&self.id()[..4], &signature].concat();
        format!("{text}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode(line))
    }
}

/// The body of the entry for an envelope, with the certificate (PEM) of who signed it.
pub fn dsse(envelope: &Value, certificate: &str) -> Value {
    let payload = STANDARD.decode(envelope["payload"].as_str().expect("a payload")).expect("base64");
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(Sha256::digest(bytes))});
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": hash(envelope.to_string().as_bytes()),
            "payloadHash": hash(&payload),
            "signatures": [{
                "signature": envelope["signatures"][0]["sig"],
                "verifier": STANDARD.encode(certificate),
            }],
        },
    })
}

/// The same for bytes and their signature.
pub fn hashedrekord(bytes: &[u8], signature: &[u8], certificate: &str) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(bytes))}},
            "signature": {
                "content": STANDARD.encode(signature),
                "publicKey": {"content": STANDARD.encode(certificate)},
            },
        },
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}
