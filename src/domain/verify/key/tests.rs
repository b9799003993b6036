//! Files with keys, and files with something else.

use super::*;

const P256: &str = include_str!("../../../../tests/fixtures/signatures/keys/p256.pub");
const P384: &str = include_str!("../../../../tests/fixtures/signatures/keys/p384.pub");

fn parse(pem: &str) -> Result<PublicKey, String> {
    PublicKey::parse("a.pub", pem.as_bytes())
}

#[test]
fn what_is_no_key_is_named() {
    let check = |pem: &str, expected: &str| {
        let error = parse(pem).unwrap_err();
        assert!(error.contains(expected), "{pem}: {error}");
    };
    macro_rules! file {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/fixtures/signatures/not-keys/", $name, ".pub"))
        };
    }
    check(file!("rsa1024"), "does not have 2048 to 8192 bits");
    check(file!("secp256k1"), "on the unsupported curve 1.3.132.0.10");
    check(file!("pkcs1"), "PKCS #1 form");
    check(file!("cert"), "is a certificate");
    check(file!("compressed"), "damaged");
    check(file!("rsapss"), "key type 1.2.840.113549.1.1.10");
    check(file!("ed448"), "key type 1.3.101.113");
    let private = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nYWI=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
    check(private, "is a private key");
    check("-----BEGIN PRIVATE KEY-----\nYWI=\n-----END PRIVATE KEY-----\n", "is a private key");
    check("", "is not PEM");
    check("ssh-ed25519 AAAA", "is not PEM");
    check(&format!("{P256}{P384}"), "has 2 keys");
    check(&P256.replace("MFkw", "MFkx"), "damaged");
    check(&P256[..P256.len() - 30], "without an END line");
    check("-----BEGIN \u{1b}[2J-----\nYWI=\n-----END \u{1b}[2J-----\n", "is \"?[2J\"");
    check(&format!("{P256}{}", " ".repeat(MAX_KEY_BYTES)), "larger than 65536 bytes");
    assert!(PublicKey::parse("a.pub", b"\xff\xfe").unwrap_err().contains("is not PEM"));
}

#[test]
fn a_key_has_a_name_and_a_fingerprint() {
    let key = parse(P256).unwrap();
    assert_eq!(key.name(), "a.pub");
    // openssl pkey -pubin -in p256.pub -outform DER | sha256sum
    assert_eq!(key.fingerprint(), "sha256:eda9a4d714ffd71ae069df45e370c4db619d7d1978b94d3bd636532a61289edb");
    assert_eq!(parse(&P256.replace('\n', "\r\n")).unwrap(), key);
    assert_ne!(parse(P384).unwrap().fingerprint(), key.fingerprint());
}

#[test]
fn keys_of_a_secret_are_all_or_none() {
    let check = |files: &[(&str, &str)], expected: Result<&[&str], &str>| {
        let found = keys(files.iter().map(|(name, pem)| (*name, pem.as_bytes())));
        match (found, expected) {
            (Ok(found), Ok(names)) => {
                assert_eq!(found.iter().map(PublicKey::name).collect::<Vec<_>>(), names);
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{files:?}: {error}"),
            (found, _) => panic!("{files:?}: {found:?}"),
        }
    };
    check(&[("b.pub", P256), ("a.pub", P384), ("notes", "x")], Ok(&["a.pub", "b.pub"]));
    check(&[("cosign.pub", P256), ("cosign.key", "-----BEGIN PRIVATE KEY-----")], Ok(&["cosign.pub"]));
    check(&[], Err("no public key (no name ends in .pub); it is empty"));
    check(&[("cosign.key", "x")], Err("it has \"cosign.key\""));
    check(&[("a.pem", P256), ("b.pem", P256)], Err("\"a.pem\" and 1 more"));
    check(&[("a.pub", P256), ("junk.pub", "junk")], Err("\"junk.pub\" is not PEM"));
    let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!("{n}.pub")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), P256)).collect();
    check(&many, Err("has 33 public keys"));
}
