//! Signatures without keys, by a private Sigstore.

use std::path::PathBuf;

use serde_json::{Value, json};
use supercargo_testbed::evidence::BUNDLE;
use supercargo_testbed::sigstore::{MAIL, OTHER_MAIL, WORKFLOW};

use super::material::{ALICE, Material, flip};
use super::{Accepted, Beside, Case, Expect, Refused, Stricter, With};

const PAST: &str = "2020-01-02T00:00:00Z";
const STAMPED: &[&str] = &["--use-signed-timestamps"];
const NO_SCT: &[&str] = &["--use-signed-timestamps", "--insecure-ignore-sct"];
const NO_LOG: &[&str] = &["--use-signed-timestamps", "--insecure-ignore-tlog"];

/// cosign makes the body of an entry of Rekor v2 anew from what was signed, and takes
/// the size of the tree from the checkpoint: it does not look at these.
const REBUILT: Expect = Stricter("an entry that contradicts itself was edited");

pub(super) fn cases(m: &Material) -> Vec<Case> {
    [identities(m), roots(m), times(m), logs(m), certificates(m), crowds(m)].into_iter().flatten().collect()
}

fn who(m: &Material, identity: &str, path: &str) -> With {
    let (issuer, root) = (m.sigstore.issuer(path), m.sigstore.trusted_root());
    With::Identity { identity: identity.to_owned(), issuer, root, cosign: STAMPED }
}

fn by(m: &Material, root: PathBuf, cosign: &'static [&'static str]) -> With {
    With::Identity { identity: ALICE.to_owned(), issuer: m.sigstore.issuer(MAIL), root, cosign }
}

fn alice(m: &Material) -> With {
    who(m, ALICE, MAIL)
}

fn identities(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, bundle: &str, with: &With, expect| {
        cases.push(Case::new(format!("identity: {name}"), Beside::bundle(&m.bundle(bundle)), with, expect));
    };
    check("the right one", "alice", &alice(m), Accepted);
    check("another", "alice", &who(m, "bob@example.com", MAIL), Refused);
    check("a prefix of it", "alice", &who(m, "alice@example.co", MAIL), Refused);
    check("a suffix of it", "alice", &who(m, "lice@example.com", MAIL), Refused);
    check("more than it", "alice", &who(m, "alice@example.com.evil.org", MAIL), Refused);
    check("in capitals", "alice", &who(m, "ALICE@example.com", MAIL), Refused);
    check("an expression", "alice", &who(m, ".*", MAIL), Refused);
    check("a dot is a dot", "dotted", &who(m, "alice@mail.example.com", MAIL), Refused);
    check("another issuer", "alice", &who(m, ALICE, OTHER_MAIL), Refused);
    check("the same name elsewhere", "other-issuer", &alice(m), Refused);
    check("the same name there", "other-issuer", &who(m, ALICE, OTHER_MAIL), Accepted);
    let workflow = m.sigstore.workflow("team/release.yaml");
    check("a workflow", "workflow", &who(m, &workflow, WORKFLOW), Accepted);
    check(
        "a workflow, a prefix",
        "workflow",
        &who(m, &m.sigstore.workflow("team/release"), WORKFLOW),
        Refused,
    );
    check("a workflow, a person", "workflow", &alice(m), Refused);
    check("copied from another digest", "alice-other", &alice(m), Refused);
    check("a key's", "P256", &alice(m), Refused);
    cases
}

fn roots(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, bundle: &str, with: With, expect| {
        cases.push(Case::new(format!("root: {name}"), Beside::bundle(&m.bundle(bundle)), &with, expect));
    };
    let sigstore = m.sigstore;
    check("of another Sigstore", "alice", by(m, m.foreign.trusted_root(), STAMPED), Refused);
    check("signed by another Sigstore", "foreign", alice(m), Refused);
    check("without logs", "alice", by(m, sigstore.trusted_root_without("tlogs"), STAMPED), Refused);
    let clockless = sigstore.trusted_root_without("timestampAuthorities");
    check("without clocks", "alice", by(m, clockless, STAMPED), Refused);
    let hidden = sigstore.trusted_root_without("ctlogs");
    check("without certificate logs", "alice", by(m, hidden, NO_SCT), Accepted);
    let empty = sigstore.trusted_root_without("certificateAuthorities");
    check("without certificate authorities", "alice", by(m, empty, STAMPED), Refused);
    let foreign = root_of(&m.foreign.trusted_root());
    for part in ["tlogs", "ctlogs", "timestampAuthorities", "certificateAuthorities"] {
        let mixed = sigstore.trusted_root_with(|root| root[part] = foreign[part].clone());
        check(&format!("{part} of another Sigstore"), "alice", by(m, mixed, STAMPED), Refused);
        let both = sigstore.trusted_root_with(|root| {
            let more = foreign[part].as_array().cloned().unwrap_or_default();
            root[part].as_array_mut().expect("a list").extend(more);
        });
        check(&format!("{part} of another Sigstore too"), "alice", by(m, both, STAMPED), Accepted);
    }
    let windows = [
        ("certificateAuthorities", "/certificateAuthorities/0/validFor"),
        ("timestampAuthorities", "/timestampAuthorities/0/validFor"),
        ("ctlogs", "/ctlogs/0/publicKey/validFor"),
        ("tlogs", "/tlogs/0/publicKey/validFor"),
    ];
    for (part, pointer) in windows {
        let ended = sigstore.trusted_root_with(|root| {
            let window = json!({"start": "2020-01-01T00:00:00Z", "end": PAST});
            let (parent, name) = pointer.rsplit_once('/').expect("a path");
            root.pointer_mut(parent).expect("the root has it")[name] = window;
        });
        // An entry of Rekor v2 has no time of its own, and cosign looks at no other.
        let expect = if part == "tlogs" {
            Stricter("a log that had ended could have logged nothing")
        } else {
            Refused
        };
        check(&format!("{part} that had ended"), "alice", by(m, ended, STAMPED), expect);
    }
    cases
}

fn root_of(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("read a file")).expect("JSON")
}

fn times(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, bundle: &str, with: &With, expect: Expect| {
        cases.push(Case::new(format!("time: {name}"), Beside::bundle(&m.bundle(bundle)), with, expect));
    };
    check("of the certificate", "in-time", &alice(m), Accepted);
    check("after the certificate", "late", &alice(m), Refused);
    check("before the certificate", "early", &alice(m), Refused);
    let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let mut edit = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("alice");
        change(bundle.pointer_mut(stamps).expect("the bundle has timestamps"));
        cases.push(Case::new(format!("time: {name}"), Beside::bundle(&bundle), &alice(m), expect));
    };
    let stamp = |name: &str| m.bundle(name).pointer(stamps).expect("a timestamp")[0].clone();
    edit("removed", &|all| *all = json!([]), Refused);
    edit("of another signature", &|all| *all = json!([stamp("alice-again")]), Refused);
    edit("by another Sigstore", &|all| *all = json!([stamp("foreign")]), Refused);
    edit("a bit of it", &|all| flip(&mut all[0]["signedTimestamp"]), Refused);
    edit("twice", &|all| *all = json!([all[0], all[0]]), Accepted);
    edit("one by another Sigstore too", &|all| *all = json!([stamp("foreign"), all[0]]), Accepted);
    edit("a late one too", &|all| *all = json!([stamp("late"), all[0]]), Refused);
    edit("junk", &|all| *all = json!([{"signedTimestamp": "anVuaw=="}]), Refused);
    cases
}

fn logs(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let log = m.sigstore.trusted_root_without("tlogs");
    let beside = Beside::bundle(&m.bundle("no-log"));
    cases.push(Case::new("log: no entry", beside.clone(), &alice(m), Refused));
    cases.push(Case::new("log: no entry, none asked for", beside, &by(m, log, NO_LOG), Accepted));
    let mut list = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("alice");
        change(&mut bundle["verificationMaterial"]["tlogEntries"]);
        cases.push(Case::new(format!("log: {name}"), Beside::bundle(&bundle), &alice(m), expect));
    };
    let entry = |name: &str| m.bundle(name)["verificationMaterial"]["tlogEntries"][0].clone();
    let again = entry("alice-again");
    list("the entry twice", &|all| *all = json!([all[0], all[0]]), Refused);
    list("an entry of another log too", &|all| *all = json!([entry("foreign"), all[0]]), Accepted);
    list("the entry of another signature too", &|all| *all = json!([again, all[0]]), Refused);
    let mut edit = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("alice");
        change(&mut bundle["verificationMaterial"]["tlogEntries"][0]);
        cases.push(Case::new(format!("log: {name}"), Beside::bundle(&bundle), &alice(m), expect));
    };
    edit("the entry of another signature", &|own| *own = again.clone(), Refused);
    edit("the entry of another person", &|own| *own = entry("bob"), Refused);
    edit("the entry of another digest", &|own| *own = entry("alice-other"), Refused);
    edit("the entry of another log", &|own| *own = entry("foreign"), Refused);
    for part in ["inclusionProof", "canonicalizedBody"] {
        let expect = if part == "inclusionProof" { Refused } else { REBUILT };
        edit(&format!("the {part} of another entry"), &|own| own[part] = again[part].clone(), expect);
        edit(
            &format!("no {part}"),
            &|own| drop(own.as_object_mut().expect("an object").remove(part)),
            Refused,
        );
    }
    edit("a bit of the body", &|own| flip(&mut own["canonicalizedBody"]), Refused);
    edit("another index", &|own| own["inclusionProof"]["logIndex"] = json!("12345"), REBUILT);
    edit("another tree size", &|own| own["inclusionProof"]["treeSize"] = json!("12345"), REBUILT);
    edit("another hash", &|own| flip(&mut own["inclusionProof"]["rootHash"]), REBUILT);
    let checkpoint = entry("foreign")["inclusionProof"]["checkpoint"].clone();
    edit(
        "the checkpoint of another log",
        &|own| own["inclusionProof"]["checkpoint"] = checkpoint.clone(),
        Refused,
    );
    edit("no checkpoint", &|own| own["inclusionProof"]["checkpoint"] = json!({}), Refused);
    edit("the name of another log", &|own| own["logId"] = entry("foreign")["logId"].clone(), Refused);
    edit(
        "the name of another kind",
        &|own| own["kindVersion"] = json!({"kind": "intoto", "version": "0.0.2"}),
        REBUILT,
    );
    cases
}

fn certificates(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut edit = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("bob");
        change(&mut bundle);
        cases.push(Case::new(format!("certificate: {name}"), Beside::bundle(&bundle), &alice(m), expect));
    };
    let material = |name: &str| m.bundle(name)["verificationMaterial"].clone();
    edit("another's signature", &|_| (), Refused);
    edit(
        "another's, under our certificate",
        &|b| {
            b["verificationMaterial"]["certificate"] = material("alice")["certificate"].clone();
        },
        Refused,
    );
    edit("another's, under our material", &|b| b["verificationMaterial"] = material("alice"), Refused);
    edit(
        "ours, under another's certificate",
        &|b| b["dsseEnvelope"] = m.bundle("alice")["dsseEnvelope"].clone(),
        Refused,
    );
    edit(
        "none",
        &|b| {
            b["verificationMaterial"].as_object_mut().expect("an object").remove("certificate");
        },
        Refused,
    );
    let mut ours = |name: &str, change: &dyn Fn(&mut Value), expect: Expect| {
        let mut bundle = m.bundle("alice");
        change(&mut bundle);
        cases.push(Case::new(format!("certificate: {name}"), Beside::bundle(&bundle), &alice(m), expect));
    };
    ours("a bit of it", &|b| flip(&mut b["verificationMaterial"]["certificate"]["rawBytes"]), Refused);
    ours("a bit of the signature", &|b| flip(&mut b["dsseEnvelope"]["signatures"][0]["sig"]), Refused);
    ours("a bit of the payload", &|b| flip(&mut b["dsseEnvelope"]["payload"]), Refused);
    ours(
        "a key in its place",
        &|b| {
            let material = &mut b["verificationMaterial"];
            material.as_object_mut().expect("an object").remove("certificate");
            material["publicKey"] = json!({"hint": "x"});
        },
        Refused,
    );
    cases
}

fn crowds(m: &Material) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut check = |name: &str, beside: Beside, expect| {
        cases.push(Case::new(format!("several keyless: {name}"), beside, &alice(m), expect));
    };
    let bundle = |name: &str| Beside::bundle(&m.bundle(name));
    let junk = Beside { referrers: vec![(BUNDLE, b"junk".to_vec())], ..Beside::default() };
    check("another's first", bundle("bob").and(bundle("alice")), Accepted);
    check("another's last", bundle("alice").and(bundle("bob")), Accepted);
    check("a foreign one first", bundle("foreign").and(bundle("alice")), Accepted);
    check("a late one first", bundle("late").and(bundle("alice")), Accepted);
    check("junk first", junk.and(bundle("alice")), Accepted);
    check("a key's first", bundle("P256").and(bundle("alice")), Accepted);
    check("others only", bundle("bob").and(bundle("foreign")).and(bundle("P256")), Refused);
    cases
}
