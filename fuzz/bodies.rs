//! What each fuzz target does with its bytes, as plain functions: the targets of
//! cargo-fuzz run them, and so does `tests/it/fuzz_corpus.rs` over the seeds. A
//! body fails by panicking. It says what has to hold for *all* bytes: no panic in
//! the product, and what was accepted keeps to the rules.

use std::sync::{Arc, OnceLock};

use supercargo::api::verify::OidcIdentity;
use supercargo::domain::manifest::budget::Budget;
use supercargo::domain::manifest::canonical::to_yaml;
use supercargo::domain::manifest::decode::{Decoded, decode_within};
use supercargo::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};
use supercargo::domain::verify::judge::{Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use supercargo::domain::verify::root::TrustRoot;
use supercargo::oci::{
    ArtifactReference, ContentLimits, Digest, Repository, Tag, content_of, unpack_layer, unpack_layers,
};

/// Small, so that inputs of a fuzzer reach the bounds.
const LIMITS: ContentLimits =
    ContentLimits { layer: 1 << 20, unpacked: 1 << 20, file: 64 << 10, entries: 64, name: 200, depth: 8 };

/// A layer, as it is and with the checksums of its tar headers put right:
/// otherwise hardly a change of a header gets past the first check.
pub fn untar(data: &[u8]) {
    for layer in [data, &with_checksums(data)] {
        if let Ok(files) = unpack_layer(layer, "", LIMITS) {
            check_files(&files);
        }
        // Several layers keep to the limits together, and no file is in two of them.
        let (head, tail) = data.split_at(data.len() / 2);
        for layers in [&[layer, b"a: b\n"][..], &[layer, layer], &[head, tail, layer]] {
            if let Ok(files) = unpack_layers(layers, "", LIMITS) {
                check_files(&files);
            }
        }
    }
}

fn check_files(files: &[(String, impl AsRef<[u8]>)]) {
    let total: usize = files.iter().map(|(_, content)| content.as_ref().len()).sum();
    assert!(total as u64 <= LIMITS.unpacked);
    assert!(files.len() <= LIMITS.entries);
    for (n, (name, content)) in files.iter().enumerate() {
        assert!(content.as_ref().len() as u64 <= LIMITS.file);
        assert!(name.len() <= LIMITS.name && name.split('/').count() <= LIMITS.depth, "{name:?}");
        assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{name:?}");
        assert!(!name.contains(['\\', '\0']) && !name.chars().any(char::is_control), "{name:?}");
        assert!(files.iter().skip(n + 1).all(|(other, _)| other != name), "{name:?} twice");
    }
}

/// The archive with the checksum of each header that a reader would come to.
fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(*byte));
        let size = digits.fold(0usize, |size, digit| size << 3 | usize::from(digit - b'0'));
        let Some(next) = size.checked_next_multiple_of(512).and_then(|size| at.checked_add(512 + size))
        else {
            break;
        };
        at = next;
    }
    bytes
}

/// A manifest or an index.
pub fn manifest(data: &[u8]) {
    if let Ok((digest, _)) = content_of(data) {
        assert_eq!(Digest::parse(digest.as_str()).as_ref(), Ok(&digest));
    }
}

/// A reference, a repository, a tag and a digest. What is accepted can be
/// written, and is then read as the same; and it cannot leave its place in a URL.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for text in [text.to_owned(), format!("oci://{text}")] {
        if let Ok(reference) = ArtifactReference::parse(&text) {
            let written = format!("oci://{reference}");
            assert_eq!(ArtifactReference::parse(&written).as_ref(), Ok(&reference), "{written}");
            let path = reference.repository.path();
            assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
            assert!(!path.contains(['?', '#', '%', '\\', '@', ':']), "{path:?}");
            let host = reference.repository.registry();
            assert!(!host.contains(['/', '?', '#', '@', '\\']), "{host:?}");
        }
        if let Ok(repository) = Repository::parse(&text) {
            assert_eq!(Repository::parse(&format!("oci://{repository}")).as_ref(), Ok(&repository));
        }
    }
    if let Ok(tag) = Tag::parse(text) {
        assert!(tag.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    }
    if let Ok(digest) = Digest::parse(text) {
        assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

/// A file of manifests. What was read can be written, and is then read as the same.
pub fn yaml(data: &[u8]) {
    let Ok(read) = decode_within("a.yaml", data, &mut Budget::new(8 << 20)) else { return };
    let objects: Vec<_> = read.into_iter().map(|decoded| decoded.object).collect();
    let Ok(written) = to_yaml(&objects) else { return };
    let again: Vec<Decoded> = match decode_within("b.yaml", written.as_bytes(), &mut Budget::new(64 << 20)) {
        Ok(again) => again,
        Err(errors) => panic!("what was written is not read: {errors:?}\n{written}"),
    };
    let again: Vec<_> = again.into_iter().map(|decoded| decoded.object).collect();
    assert_eq!(objects, again, "{written}");
}

/// What all signatures of `tests/fixtures/signatures` are for.
const DIGEST: &str = "sha256:da22257afd34a87caf724df11afd8c5dd39df668d561463d26aee337970fc701";
const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const KEYS: [(&str, &[u8]); 3] = [
    ("p256.pub", include_bytes!("../tests/fixtures/signatures/keys/p256.pub")),
    ("ed25519.pub", include_bytes!("../tests/fixtures/signatures/keys/ed25519.pub")),
    ("rsa2048.pub", include_bytes!("../tests/fixtures/signatures/keys/rsa2048.pub")),
];

/// Three keys, or whoever the public good instance knows.
fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| {
        let keys = KEYS.map(|(name, pem)| PublicKey::parse(name, pem).expect("a key"));
        let mut authorities = vec![TrustedAuthority { name: "keys".into(), trust: Trust::Keys(keys.into()) }];
        let anybody = OidcIdentity { issuer: ".*".into(), subject: ".*".into() };
        let identities = vec![SignerIdentity::parse(&anybody).expect("an expression")];
        let root = Arc::new(TrustRoot::public_good());
        authorities
            .push(TrustedAuthority { name: "anybody".into(), trust: Trust::Keyless { identities, root } });
        Policy { origin: "fuzz".into(), authorities, threshold: 1, match_reference: false }
    })
}

/// Whether it counts for the digest that the fixtures are for. For another it never
/// does, whatever it is, and a refusal is text that is fit to be shown.
fn counts(content: Content) -> bool {
    let evidence = Evidence { found: vec![Found { place: "here".into(), content }], ..Evidence::default() };
    let judged = |digest| judge(policy(), Subject { repository: "h.io/a", digest }, &evidence);
    let other = judged(OTHER);
    assert!(other.is_err(), "counts for another digest");
    for refusal in [other.err(), judged(DIGEST).err()].into_iter().flatten() {
        assert!(refusal.message.len() < 8192 && !refusal.message.chars().any(char::is_control), "{refusal}");
    }
    judged(DIGEST).is_ok()
}

/// A Sigstore bundle.
pub fn bundle(data: &[u8]) {
    counts(Content::Bundle(data.to_vec()));
}

/// A signature of cosign's older form: its signature, a line break, its payload. Of
/// payloads that are signed by one of the keys only that counts which it has signed.
pub fn payload(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let payload = data.get(end + 1..).unwrap_or_default().to_vec();
    let signature = String::from_utf8_lossy(&data[..end]).into_owned();
    for rest in [None, Some(signature.clone())] {
        let signed = SimpleSigning {
            payload: payload.clone(),
            signature: signature.clone(),
            certificate: rest.clone(),
            chain: rest.clone(),
            bundle: rest.clone(),
            timestamp: rest,
        };
        if counts(Content::SimpleSigning(signed)) {
            let text = std::str::from_utf8(&payload).expect("what counts is text");
            assert!(text.contains(DIGEST), "{text}");
            assert!(text.contains("cosign container image signature"), "{text}");
        }
    }
}
