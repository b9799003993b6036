//! Several who have to sign: nobody counts twice, and nobody is asked for ever.

use supercargo::api::reason::Reason;
use supercargo::domain::verify::judge::{MAX_CHECKS, MAX_JUDGED, Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::Trust;

use super::signatures::{DIGEST, evidence, file, policy, read, refused};

const SUBJECT: Subject<'_> = Subject { repository: "ghcr.io/acme/app", digest: DIGEST };

/// The key of a fixture under a name.
fn named(name: &str, key: &str) -> PublicKey {
    PublicKey::parse(name, &file(&format!("keys/{key}.pub"))).unwrap()
}

#[test]
fn one_key_is_one_signer_whatever_its_names() {
    let keys =
        |names: &[(&str, &str)]| Trust::Keys(names.iter().map(|(name, key)| named(name, key)).collect());
    let two = |dev: &[(&str, &str)], security: &[(&str, &str)]| {
        policy(vec![("dev", keys(dev)), ("security", keys(security))], 2)
    };
    let shared = two(&[("a.pub", "p256")], &[("b.pub", "p256")]);
    let both = [read("p256.simple"), read("p256.bundle")];
    refused(
        judge(&shared, SUBJECT, &evidence(both)),
        Reason::SignerUntrusted,
        &["1 of 2 authorities signed", "missing: security"],
    );
    // Where one of them has another key too, both can have signed.
    let overlapping = two(&[("a.pub", "p256"), ("c.pub", "p384")], &[("b.pub", "p256")]);
    for order in [["p256.simple", "p384.simple"], ["p384.simple", "p256.simple"]] {
        let proof = judge(&overlapping, SUBJECT, &evidence(order.map(read))).unwrap();
        let who: Vec<_> =
            proof.signatures().iter().map(|s| (s.authority.as_str(), s.signer.to_string())).collect();
        assert!(who[0].1.starts_with("key c.pub") && who[1].1.starts_with("key b.pub"), "{who:?}");
    }
}

/// Junk that is tried with each of many keys ends, and says that it did.
#[test]
fn promise_7_the_work_for_one_digest_has_a_bound() {
    let keys = 32;
    assert!(2 * keys * MAX_JUDGED > MAX_CHECKS);
    let many =
        |prefix: &str| Trust::Keys((0..keys).map(|n| named(&format!("{prefix}{n}.pub"), "p256")).collect());
    let two = policy(vec![("dev", many("a")), ("security", many("b"))], 2);
    let junk = (0..MAX_JUDGED).map(|_| read("p384.simple"));
    let refusal = judge(&two, SUBJECT, &evidence(junk)).unwrap_err();
    assert_eq!(refusal.reason, Reason::SignerUntrusted);
}
