//! The root that keyless signatures are trusted by: a Sigstore `trusted_root.json`.
//!
//! Everything that a root lists is required. If it has logs, a signature has to be in
//! one of them; if it has certificate transparency logs, its certificate has to be in one
//! too; a root without logs needs a timestamp authority, which is then the only proof of
//! the time. There are no flags to require less: remove the part from the root.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sigstore_verify::Verifier;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{DerPublicKey, TimeRange, TsaAuthority};

use super::json;
use super::text::printable;

/// The largest file, in bytes. The one of the public good instance has 7 thousand.
const MAX_ROOT_BYTES: usize = 1 << 20;
/// The most authorities, logs and timestamp authorities of each kind.
const MAX_PARTS: usize = 64;
/// The forms that are read.
const MEDIA_TYPES: &[&str] = &[
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// The authorities, logs and timestamp authorities of one Sigstore.
#[derive(Clone)]
pub struct TrustRoot {
    fingerprint: String,
    parts: Arc<Parts>,
}

/// What signatures are verified with.
pub(super) struct Parts {
    /// Absent: it trusts nobody.
    pub(super) verifier: Option<Verifier>,
    pub(super) logs: Vec<Log>,
    pub(super) clocks: Vec<TsaAuthority>,
    /// Whether certificates have to be in a certificate transparency log.
    pub(super) logged_certificates: bool,
    newest: Option<Timestamp>,
}

/// A log of signatures.
pub(super) struct Log {
    pub(super) id: Vec<u8>,
    pub(super) valid: Option<TimeRange>,
    key: DerPublicKey,
}

impl Log {
    /// Its key; it was checked when the root was read.
    pub(super) fn key(&self) -> Option<VerificationKey> {
        VerificationKey::from_spki(&self.key).ok()
    }
}

impl TrustRoot {
    /// Reads a `trusted_root.json`.
    ///
    /// # Errors
    /// A fragment that says what is wrong with it. A part that cannot be used is not
    /// skipped, because its author requires it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_ROOT_BYTES {
            return Err(format!("is larger than {MAX_ROOT_BYTES} bytes"));
        }
        let broken = |e: &str| format!("is not a Sigstore trusted root: {}", printable(e, 160));
        let document = json::read(bytes).map_err(|e| broken(&e))?;
        let root: TrustedRoot = serde_json::from_value(document).map_err(|e| broken(&e.to_string()))?;
        if !MEDIA_TYPES.contains(&root.media_type.as_str()) {
            return Err(broken(&format!("its mediaType is {:?}", root.media_type)));
        }
        let counts = [
            ("certificateAuthorities", root.certificate_authorities.len()),
            ("tlogs", root.tlogs.len()),
            ("ctlogs", root.ctlogs.len()),
            ("timestampAuthorities", root.timestamp_authorities.len()),
        ];
        if let Some((name, count)) = counts.into_iter().find(|(_, count)| *count > MAX_PARTS) {
            return Err(format!("has {count} {name}; at most {MAX_PARTS} are allowed"));
        }
        if root.certificate_authorities.is_empty() {
            return Err("has no certificateAuthorities: no certificate could be trusted".to_owned());
        }
        if root.tlogs.is_empty() && root.timestamp_authorities.is_empty() {
            return Err("has neither tlogs nor timestampAuthorities: \
                the time of a signature could not be proven"
                .to_owned());
        }
        let verifier = Verifier::new(&root).map_err(|e| broken(&e.to_string()))?;
        let fingerprint = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        Ok(Self { fingerprint, parts: Arc::new(Parts::of(&root, verifier)) })
    }

    /// The root of the public good instance, as of the build of this program.
    pub fn public_good() -> Self {
        Self::parse(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).unwrap_or_else(|_| Self::nobody())
    }

    /// Without anything in it, no signature counts.
    fn nobody() -> Self {
        let parts = Parts {
            verifier: None,
            logs: Vec::new(),
            clocks: Vec::new(),
            logged_certificates: true,
            newest: None,
        };
        Self { fingerprint: String::new(), parts: Arc::new(parts) }
    }

    /// `sha256:` of the file that it was read from.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Since when its newest part is valid: the root is not older than this. A Sigstore
    /// that has rotated its keys since then needs a newer file.
    pub fn newest_part(&self) -> Option<Timestamp> {
        self.parts.newest
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustRoot").field(&self.fingerprint).finish()
    }
}

impl Parts {
    fn of(root: &TrustedRoot, verifier: Verifier) -> Self {
        let keys = root.tlogs.iter().map(|log| &log.public_key);
        let keys = keys.chain(root.ctlogs.iter().map(|log| &log.public_key)).map(|key| key.valid_for);
        let chains = root.certificate_authorities.iter().map(|authority| authority.valid_for);
        let clocks = root.timestamp_authorities.iter().map(|authority| authority.valid_for);
        let newest = keys.chain(chains).chain(clocks).flatten().map(|valid| valid.start).max();
        let logs = root.tlogs.iter().map(|log| Log {
            id: log.log_id.key_id.as_bytes().to_vec(),
            valid: log.public_key.valid_for,
            key: log.public_key.raw_bytes.clone(),
        });
        Self {
            verifier: Some(verifier),
            logs: logs.collect(),
            clocks: root.tsa_authorities(),
            logged_certificates: !root.ctlogs.is_empty(),
            newest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_public_good_root_is_one() {
        let root = TrustRoot::public_good();
        assert!(root.fingerprint().starts_with("sha256:"));
        assert!(root.newest_part().unwrap() > "2025-01-01T00:00:00Z".parse().unwrap());
        let parts = root.parts();
        assert!(parts.verifier.is_some() && !parts.logs.is_empty() && parts.logged_certificates);
        assert!(parts.logs.iter().all(|log| log.key().is_some()));
    }

    #[test]
    fn what_is_no_root_is_named() {
        let check = |change: &dyn Fn(&mut Value), expected: &str| {
            let mut root: Value = serde_json::from_str(SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
            change(&mut root);
            let error = TrustRoot::parse(root.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&|root| root["mediaType"] = json!("x\n"), "its mediaType is \"x");
        check(&|root| root["certificateAuthorities"] = json!([]), "no certificateAuthorities");
        check(
            &|root| {
                root["tlogs"] = json!([]);
                root["timestampAuthorities"] = json!([]);
            },
            "neither tlogs nor timestampAuthorities",
        );
        check(&|root| root["tlogs"] = json!(vec![root["tlogs"][0].clone(); 65]), "has 65 tlogs");
        check(&|root| root["tlogs"] = json!(vec![root["tlogs"][0].clone(); 2]), "duplicate");
        check(
            &|root| root["tlogs"][0]["publicKey"]["rawBytes"] = json!("anVuaw=="),
            "not a Sigstore trusted root",
        );
        let chain = "certChain";
        check(&|root| root["certificateAuthorities"][0][chain]["certificates"] = json!([]), "empty");
        let junk = json!([{"rawBytes": "anVuaw=="}]);
        check(
            &|root| root["certificateAuthorities"][0][chain]["certificates"] = junk.clone(),
            "not a Sigstore",
        );
        check(
            &|root| {
                root["tlogs"][0]["publicKey"]["validFor"] =
                    json!({"start": "2022-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
            },
            "ends before it starts",
        );
        let raw = |bytes: &[u8], expected: &str| {
            let error = TrustRoot::parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        raw(b"", "not a Sigstore trusted root");
        raw(b"{}", "not a Sigstore trusted root");
        raw(b"{\"mediaType\":\"a\",\"mediaType\":\"b\"}", "duplicate name");
        raw(&vec![b' '; MAX_ROOT_BYTES + 1], "larger than 1048576 bytes");
    }

    #[test]
    fn another_file_is_another_root() {
        let spaced = format!("{SIGSTORE_PRODUCTION_TRUSTED_ROOT} ");
        let other = TrustRoot::parse(spaced.as_bytes()).unwrap();
        assert_ne!(other.fingerprint(), TrustRoot::public_good().fingerprint());
    }
}
