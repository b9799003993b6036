//! Signatures without keys as cosign 2 wrote them: with an entry of Rekor v1, which
//! has a time of its own, in the older format and in a bundle.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::Signer;
use supercargo_testbed::evidence::SigLayer;
use supercargo_testbed::rekor_v1::{self, RekorV1};
use supercargo_testbed::signer::Algorithm;
use supercargo_testbed::sigstore::MAIL;

use super::material::{ALICE, Material, SIGNATURE, flip};
use super::{Accepted, Beside, Case, Expect, Refused, With};

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const ENTRY: &str = "dev.sigstore.cosign/bundle";

pub(super) fn cases(m: &Material) -> Vec<Case> {
    let older = Older::make(m);
    [older.sigs(), older.entries(), older.bundles()].into_iter().flatten().collect()
}

struct Older<'m> {
    m: &'m Material,
    log: RekorV1,
    stranger: RekorV1,
    signer: Signer,
    /// The certificate of the signer, and those above it.
    certificate: String,
    chain: String,
    root: PathBuf,
}

impl<'m> Older<'m> {
    fn make(m: &'m Material) -> Self {
        let signer = Signer::new(Algorithm::P256);
        let mut chain = m.sigstore.certificate(&signer, MAIL, ALICE);
        let certificate = chain.remove(0);
        let log = RekorV1::new();
        let root = m.sigstore.trusted_root_with(|root| root["tlogs"] = json!([log.trusted()]));
        let (stranger, chain) = (RekorV1::new(), chain.concat());
        Older { m, log, stranger, signer, certificate, chain, root }
    }

    fn with(&self, identity: &str, root: PathBuf, cosign: &'static [&'static str]) -> With {
        With::Identity { identity: identity.to_owned(), issuer: self.m.sigstore.issuer(MAIL), root, cosign }
    }

    fn alice(&self) -> With {
        self.with(ALICE, self.root.clone(), &[])
    }

    // A signature of the older format, of this payload, logged at that time.
    fn sig(&self, payload: &[u8], at: u64) -> SigLayer {
        let signature = self.signer.sign_bytes(payload);
        let body = rekor_v1::hashedrekord(payload, &signature, &self.certificate);
        let annotations = json!({
            SIGNATURE: STANDARD.encode(&signature),
            CERTIFICATE: self.certificate,
            CHAIN: self.chain,
            ENTRY: self.log.annotation(&body, at).to_string(),
        });
        SigLayer {
            payload: payload.to_vec(),
            annotations: annotations.as_object().expect("an object").clone(),
        }
    }

    fn sigs(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let good = self.sig(&self.m.sig("P256").payload, rekor_v1::now());
        let mut check = |name: &str, layer: &SigLayer, with: &With, expect| {
            cases.push(Case::new(format!("older: {name}"), Beside::sig(layer.clone()), with, expect));
        };
        let root = |change: &dyn Fn(&mut Value)| self.m.sigstore.trusted_root_with(|root| change(root));
        check("good", &good, &self.alice(), Accepted);
        check("another person", &good, &self.with("bob@example.com", self.root.clone(), &[]), Refused);
        check("a prefix", &good, &self.with("alice@example.co", self.root.clone(), &[]), Refused);
        check(
            "a root without its log",
            &good,
            &self.with(ALICE, self.m.sigstore.trusted_root(), &[]),
            Refused,
        );
        let both = root(&|root| root["tlogs"].as_array_mut().expect("a list").push(self.log.trusted()));
        check("a root with its log too", &good, &self.with(ALICE, both, &[]), Accepted);
        let foreign = self.m.foreign.trusted_root_with(|root| root["tlogs"] = json!([self.log.trusted()]));
        check("a root of another Sigstore", &good, &self.with(ALICE, foreign, &[]), Refused);
        let ended = root(&|root| {
            root["tlogs"] = json!([self.log.trusted()]);
            root["tlogs"][0]["publicKey"]["validFor"]["end"] = json!("2020-01-02T00:00:00Z");
        });
        check("a log that had ended", &good, &self.with(ALICE, ended, &[]), Refused);
        check("with a key", &good, &self.m.key(), Refused);
        let now = rekor_v1::now();
        check("after the certificate", &self.sig(&good.payload, now + 3600), &self.alice(), Refused);
        check("before the certificate", &self.sig(&good.payload, now - 3600), &self.alice(), Refused);
        check("for another digest", &self.sig(&self.m.sig("other").payload, now), &self.alice(), Refused);
        cases
    }

    // Edits of the log entry and the certificate.
    fn entries(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let payload = self.m.sig("P256").payload;
        let mut check = |name: &str, change: &dyn Fn(&mut SigLayer), expect: Expect| {
            let mut layer = self.sig(&payload, rekor_v1::now());
            change(&mut layer);
            cases.push(Case::new(format!("older entry: {name}"), Beside::sig(layer), &self.alice(), expect));
        };
        let body = |signer: &Signer, certificate: &str| {
            rekor_v1::hashedrekord(&payload, &signer.sign_bytes(&payload), certificate)
        };
        let put = |entry: Value| move |sig: &mut SigLayer| sig.annotations[ENTRY] = json!(entry.to_string());
        let edit = |change: fn(&mut Value)| {
            move |sig: &mut SigLayer| {
                let text = sig.annotations[ENTRY].as_str().expect("text");
                let mut entry: Value = serde_json::from_str(text).expect("JSON");
                change(&mut entry);
                sig.annotations[ENTRY] = json!(entry.to_string());
            }
        };
        let now = rekor_v1::now();
        check("none", &|sig| drop(sig.annotations.remove(ENTRY)), Refused);
        let own = body(&self.signer, &self.certificate);
        check("by another log", &put(self.stranger.annotation(&own, now)), Refused);
        let others = body(self.m.signer(), &self.certificate);
        check("of another signature", &put(self.log.annotation(&others, now)), Refused);
        let mut changed = own.clone();
        changed["spec"]["data"]["hash"]["value"] = json!("00".repeat(32));
        check("of another payload", &put(self.log.annotation(&changed, now)), Refused);
        check("a bit of its signature", &edit(|entry| flip(&mut entry["SignedEntryTimestamp"])), Refused);
        check("no signature", &edit(|entry| entry["SignedEntryTimestamp"] = json!("")), Refused);
        check("another time", &edit(|entry| entry["Payload"]["integratedTime"] = json!(1)), Refused);
        check("another index", &edit(|entry| entry["Payload"]["logIndex"] = json!(1)), Refused);
        check("another body", &edit(|entry| flip(&mut entry["Payload"]["body"])), Refused);
        check(
            "another log's name",
            &edit(|entry| entry["Payload"]["logID"] = json!("00".repeat(32))),
            Refused,
        );
        check("no certificate", &|sig| drop(sig.annotations.remove(CERTIFICATE)), Refused);
        check("no chain", &|sig| drop(sig.annotations.remove(CHAIN)), Accepted);
        let again = self.m.sigstore.certificate(&self.signer, MAIL, "bob@example.com");
        check("another's certificate", &|sig| sig.annotations[CERTIFICATE] = json!(again[0]), Refused);
        check("a bit of the signature", &|sig| flip(&mut sig.annotations[SIGNATURE]), Refused);
        check("a bit of the payload", &|sig| sig.payload[20] ^= 1, Refused);
        cases
    }

    // The newer format with an entry of the older log.
    fn bundles(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut check = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
            let mut bundle = self.m.bundle("no-log");
            let body = rekor_v1::dsse(&bundle["dsseEnvelope"], &leaf(&bundle));
            let entry = self.log.entry(&body, rekor_v1::now());
            bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
            change(&mut bundle["verificationMaterial"]);
            let beside = Beside::bundle(&bundle);
            cases.push(Case::new(format!("older log: {name}"), beside, &self.alice(), expect));
        };
        check("good", &|_| (), Accepted);
        check("no timestamp", &|all| all["timestampVerificationData"] = json!({}), Accepted);
        check(
            "no promise, no timestamp",
            &|all| {
                remove(&mut all["tlogEntries"][0], "inclusionPromise");
                all["timestampVerificationData"] = json!({});
            },
            Refused,
        );
        check("no proof", &|all| remove(&mut all["tlogEntries"][0], "inclusionProof"), Refused);
        let promise = "/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
        check("a bit of the promise", &|all| flip(all.pointer_mut(promise).expect("a promise")), Refused);
        let root = "/tlogEntries/0/inclusionProof/rootHash";
        check("a bit of the proof", &|all| flip(all.pointer_mut(root).expect("a proof")), Refused);
        let of = |log: &RekorV1, name: &str, at: u64| {
            let bundle = self.m.bundle(name);
            json!([log.entry(&rekor_v1::dsse(&bundle["dsseEnvelope"], &leaf(&bundle)), at)])
        };
        let now = rekor_v1::now();
        check("by another log", &|all| all["tlogEntries"] = of(&self.stranger, "no-log", now), Refused);
        check("of another signature", &|all| all["tlogEntries"] = of(&self.log, "alice", now), Refused);
        check("of another digest", &|all| all["tlogEntries"] = of(&self.log, "alice-other", now), Refused);
        check(
            "after the certificate",
            &|all| all["tlogEntries"] = of(&self.log, "no-log", now + 3600),
            Refused,
        );
        check(
            "before the certificate",
            &|all| all["tlogEntries"] = of(&self.log, "no-log", now - 3600),
            Refused,
        );
        // Then the timestamp is the only time that there is.
        let mut bundle = self.m.bundle("no-log");
        bundle["verificationMaterial"]["tlogEntries"] = of(&self.log, "no-log", now);
        remove(&mut bundle["verificationMaterial"]["tlogEntries"][0], "inclusionPromise");
        let stamped = self.with(ALICE, self.root.clone(), &["--use-signed-timestamps"]);
        cases.push(Case::new("older log: no promise", Beside::bundle(&bundle), &stamped, Accepted));
        cases
    }
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().expect("an object").remove(name);
}

// The certificate of a bundle, PEM.
fn leaf(bundle: &Value) -> String {
    let der = bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().expect("a certificate");
    let lines: Vec<&str> = (0..der.len()).step_by(64).map(|at| &der[at..der.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
