//! Whether a bundle is signed with a certificate that a trusted root has issued, and
//! when. The subject of the certificate is not checked here.
//!
//! The cryptography is that of `sigstore-verify`. The differences: log entries of
//! unlisted logs and timestamps of unlisted authorities are ignored, and do not
//! invalidate a bundle that also has valid ones (as in cosign); a log that ended before
//! the signature was made cannot contain it; the checkpoint of an entry has to be signed
//! by the log that the entry names.

use jiff::Timestamp;
use sigstore_verify::crypto::Checkpoint;
use sigstore_verify::tsa::verify_timestamp_for_authority;
use sigstore_verify::types::{
    Artifact, Bundle, KindVersion, SignatureBytes, SignatureContent, TransparencyLogEntry,
};
use sigstore_verify::{CertificateError, Error, TimestampError, VerificationPolicy};

use super::certificate::{Names, names};
use super::claim::Flaw;
use crate::domain::verify::root::{Log, Parts, TrustRoot};
use crate::domain::verify::text::printable;

/// The most log entries and the most timestamps of one signature. Usually there is one of
/// each.
const MAX_PROOFS: usize = 8;

/// A signature that is verified with a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The subject of its certificate.
    pub names: Names,
    /// The earliest time at which it is proven to have existed.
    pub at: Timestamp,
}

/// Verifies a bundle for this artifact with a trusted root.
///
/// # Errors
/// Why it is not trusted.
pub(super) fn vouched(root: &TrustRoot, mut bundle: Bundle, artifact: Artifact<'_>) -> Result<Vouched, Flaw> {
    let parts = root.parts();
    let Some(verifier) = &parts.verifier else {
        return Err(Flaw::invalid("cannot be verified: no trusted root is configured"));
    };
    let logs = keep_entries(parts, &mut bundle)?;
    keep_timestamps(parts, &mut bundle)?;
    let mut policy = VerificationPolicy::any_identity();
    if parts.logs.is_empty() {
        policy = policy.skip_tlog_unsafe();
    }
    if !parts.logged_certificates {
        policy = policy.skip_sct();
    }
    let result = verifier.verify(artifact, &bundle, &policy).map_err(|e| flaw(&e))?;
    let times = result.verified_timestamps();
    if !result.certificate_verified() || (!parts.logs.is_empty() && !result.tlog_verified()) {
        return Err(Flaw::invalid("cannot be verified"));
    }
    let Some(at) = times.iter().min() else {
        return Err(Flaw::invalid("has no proof of its signing time"));
    };
    if logs.iter().any(|log| times.iter().any(|time| log.valid.is_some_and(|valid| !valid.contains(*time)))) {
        return Err(Flaw::invalid(format!("was signed at {at}, when its log was not active")));
    }
    let leaf = bundle.signing_certificate().ok_or_else(|| Flaw::invalid("has no certificate"))?;
    let names = names(leaf.as_bytes()).map_err(|e| Flaw::invalid(format!("has a certificate that {e}")))?;
    Ok(Vouched { names, at: *at })
}

/// Keeps the entries of logs that the root lists, and returns those logs.
fn keep_entries<'r>(parts: &'r Parts, bundle: &mut Bundle) -> Result<Vec<&'r Log>, Flaw> {
    let entries = &mut bundle.verification_material.tlog_entries;
    if entries.len() > MAX_PROOFS {
        return Err(Flaw::invalid(format!(
            "has {} log entries; at most {MAX_PROOFS} are allowed",
            entries.len()
        )));
    }
    if parts.logs.is_empty() && !entries.is_empty() {
        return Err(Flaw::invalid("is in a log, but the trusted root has no logs"));
    }
    let log =
        |entry: &TransparencyLogEntry| parts.logs.iter().find(|log| log.id == entry.log_id.key_id.as_bytes());
    entries.retain(|entry| log(entry).is_some());
    if entries.is_empty() && !parts.logs.is_empty() {
        return Err(Flaw::invalid("is not in a log of the trusted root"));
    }
    let mut logs = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        if entries[..n].iter().any(|other| other.log_id == entry.log_id && other.log_index == entry.log_index)
        {
            return Err(Flaw::invalid("has the same log entry twice"));
        }
        if let Some(log) = log(entry) {
            consistent(entry, log)?;
            logs.push(log);
        }
    }
    Ok(logs)
}

/// Checks that the checkpoint of an entry is signed by the log, and has the values that the
/// entry repeats.
fn consistent(entry: &TransparencyLogEntry, log: &Log) -> Result<(), Flaw> {
    let Some(proof) = &entry.inclusion_proof else { return Ok(()) };
    let foreign = || Flaw::invalid("has a log entry with a checkpoint that its log did not sign");
    let checkpoint = Checkpoint::from_text(proof.checkpoint.envelope()).map_err(|_| foreign())?;
    let key = log.key().ok_or_else(foreign)?;
    let signed = checkpoint.signatures().iter().take(MAX_PROOFS);
    if !signed.into_iter().any(|signature| key.verify(checkpoint.signed_data(), &signature.signature).is_ok())
    {
        return Err(foreign());
    }
    let repeats = entry.kind_version != KindVersion::HashedRekordV002
        || (proof.log_index == entry.log_index && proof.tree_size == checkpoint.tree_size());
    if !repeats || proof.root_hash != *checkpoint.root_hash() {
        return Err(Flaw::invalid("has a log entry that contradicts its checkpoint"));
    }
    Ok(())
}

/// Keeps the timestamps of this signature by authorities that the root lists.
fn keep_timestamps(parts: &Parts, bundle: &mut Bundle) -> Result<(), Flaw> {
    let signature = signature(&bundle.content)?;
    let stamps = &mut bundle.verification_material.timestamp_verification_data.rfc3161_timestamps;
    if stamps.len() > MAX_PROOFS {
        return Err(Flaw::invalid(format!(
            "has {} timestamps; at most {MAX_PROOFS} are allowed",
            stamps.len()
        )));
    }
    stamps.retain(|stamp| {
        let by = |clock| verify_timestamp_for_authority(&stamp.signed_timestamp, &signature, clock).is_ok();
        parts.clocks.iter().any(by)
    });
    Ok(())
}

fn signature(content: &SignatureContent) -> Result<SignatureBytes, Flaw> {
    match content {
        SignatureContent::DsseEnvelope(envelope) => Ok(envelope.signature.sig.clone()),
        SignatureContent::MessageSignature(message) => Ok(message.signature.clone()),
        _ => Err(Flaw::invalid("has a signature of an unknown kind")),
    }
}

/// The error, rewritten where that is clearer.
fn flaw(error: &Error) -> Flaw {
    let text = match error {
        Error::Certificate(CertificateError::ChainInvalid(_) | CertificateError::NoValidAuthority { .. }) => {
            "has a certificate that was not issued by an authority of the trusted root, or was not valid \
             at the signing time"
                .to_owned()
        }
        Error::Certificate(CertificateError::Sct(_)) => {
            "has a certificate that is not in a certificate log of the trusted root".to_owned()
        }
        Error::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => {
            "has no proof of its signing time: neither a log entry with a time, nor a timestamp from an \
             authority of the trusted root"
                .to_owned()
        }
        other => format!("is not valid: {}", printable(&other.to_string(), 140)),
    };
    Flaw::invalid(text)
}
