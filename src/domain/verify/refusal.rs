//! The message when no signature counts, or not enough.

use super::evidence::{Evidence, MAX_JUDGED};
use super::proof::{Refusal, Signature};
use super::rules::policy::{Policy, Trust};
use super::signature::claim::{Flaw, Subject};
use super::text::printable;
use crate::api::reason::Reason;
use crate::domain::artifact::digest::shortened;
use crate::domain::message::List;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 1000;
/// The longest reason of one signature in it.
const MAX_FLAW: usize = 180;
/// How many signatures a message lists.
const MAX_LISTED: usize = 3;
/// How many keys or identities a message names.
const MAX_TRUSTED: usize = 3;

/// Why a signature did not count.
pub(super) struct Miss {
    pub place: String,
    pub flaw: Flaw,
}

pub(super) fn refusal(
    policy: &Policy,
    subject: Subject<'_>,
    evidence: &Evidence,
    misses: &[Miss],
    counted: &[Signature],
) -> Refusal {
    let reason = reason(misses, counted);
    let artifact = format!("{}@{}", subject.repository, subject.digest);
    let mut message = match reason {
        Reason::SignatureMissing if evidence.found.is_empty() => {
            format!("{artifact} has no signature (required by {})", policy.origin)
        }
        Reason::SignatureMissing => format!("{artifact} has no signature"),
        Reason::SignatureInvalid => format!("{artifact} has no valid signature"),
        _ if !policy.is_keyless() => {
            format!("{artifact} has no signature by a trusted key (required by {})", policy.origin)
        }
        _ => format!("{artifact} has no signature by a trusted signer (required by {})", policy.origin),
    };
    if policy.authorities.len() > 1 {
        message.push_str(&missing(policy, counted));
    }
    list_misses(&mut message, evidence, misses, counted);
    let advice = advice(reason, policy, misses, &artifact);
    message = printable(&message, MAX_MESSAGE.saturating_sub(advice.len() + "….".len()));
    // Backticks are for the command in the advice; signers may write any text.
    message = message.replace('`', "'");
    message.push_str(&advice);
    Refusal { reason, message: printable(&message, MAX_MESSAGE) }
}

/// The best signature that was found decides: a good one of an unknown signer differs from
/// a forged one, and that differs from none.
fn reason(misses: &[Miss], counted: &[Signature]) -> Reason {
    match misses.iter().map(|miss| &miss.flaw).max() {
        Some(Flaw::Untrusted(_)) => Reason::SignerUntrusted,
        _ if !counted.is_empty() => Reason::SignerUntrusted,
        Some(Flaw::Invalid(_) | Flaw::Elsewhere(_)) => Reason::SignatureInvalid,
        Some(Flaw::Other(_)) | None => Reason::SignatureMissing,
    }
}

/// Which of several authorities have not signed.
fn missing(policy: &Policy, counted: &[Signature]) -> String {
    let signed = |name: &str| counted.iter().any(|signature| signature.authority == name);
    let names: Vec<&str> =
        policy.authorities.iter().map(|a| a.name.as_str()).filter(|name| !signed(name)).collect();
    format!(
        ": {} of {} authorities signed, {} required; missing: {}",
        counted.len(),
        policy.authorities.len(),
        policy.threshold,
        printable(&names.join(", "), 200)
    )
}

fn list_misses(message: &mut String, evidence: &Evidence, misses: &[Miss], counted: &[Signature]) {
    let found = evidence.found.len();
    if found > 0 {
        let judged = found.min(MAX_JUDGED);
        message.push_str(&format!(". Found {found}"));
        if found > judged {
            message.push_str(&format!(", checked only the first {judged}"));
        }
    }
    // The nearest miss first: junk does not hide the one that matters.
    let mut listed: Vec<&Miss> = Vec::new();
    for miss in misses {
        let counts = counted.iter().any(|signature| signature.place == miss.place);
        let again = listed.iter().any(|other| other.place == miss.place && other.flaw == miss.flaw);
        if !counts && !again {
            listed.push(miss);
        }
    }
    listed.sort_by_key(|miss| match miss.flaw {
        Flaw::Untrusted(_) => 0,
        Flaw::Elsewhere(_) => 1,
        Flaw::Invalid(_) => 2,
        Flaw::Other(_) => 3,
    });
    if !listed.is_empty() {
        let listed = List::Clauses.few_as(listed, MAX_LISTED, |miss| {
            format!("{} {}", shortened(&miss.place), printable(&miss.flaw.to_string(), MAX_FLAW))
        });
        message.push_str(&format!(": {listed}"));
    }
    if !evidence.skipped.is_empty() {
        let one = |place: &String| printable(&shortened(place), MAX_FLAW);
        let skipped = List::Names.few_as(&evidence.skipped, 1, one);
        message.push_str(&format!(". Could not read: {skipped}"));
    }
}

/// What to do.
fn advice(reason: Reason, policy: &Policy, misses: &[Miss], artifact: &str) -> String {
    // Without --key cosign signs keyless, and writes to the public log.
    let key = match (policy.keys().next().is_some(), policy.is_keyless()) {
        (true, false) => "--key YOUR.key ",
        (true, true) => "[--key YOUR.key] ",
        _ => "",
    };
    let elsewhere = misses.iter().any(|miss| matches!(miss.flaw, Flaw::Elsewhere(_)));
    let mut advice = match reason {
        Reason::SignerUntrusted => format!(". Trusted: {}", trusted(policy)),
        // Only the older form has the repository that it was made for.
        Reason::SignatureInvalid if elsewhere => {
            let flag = policy.match_reference_name();
            format!(
                ". {flag} requires signatures made for this repository: `cosign sign --new-bundle-format=false \
                 --use-signing-config=false {key}{artifact}`, or remove {flag}"
            )
        }
        _ => format!(". Sign it: `cosign sign {key}{artifact}`"),
    };
    let tried = matches!(reason, Reason::SignerUntrusted | Reason::SignatureInvalid);
    if let Some(key) = policy.keys().find(|key| tried && key.is_ed25519()) {
        advice.push_str(&format!(
            ". If it was signed with {}: cosign 3 signs images with an Ed25519 key in a prehashed form that \
             cosign verify rejects too; use an ECDSA key",
            printable(key.name(), 60)
        ));
    }
    advice
}

fn trusted(policy: &Policy) -> String {
    let mut names = Vec::new();
    for authority in &policy.authorities {
        match &authority.trust {
            Trust::Keys(keys) => {
                // Twelve digits are enough to distinguish keys; the Secret has the rest.
                names.extend(keys.iter().map(|key| {
                    let short: String = key.fingerprint().chars().take("sha256:".len() + 12).collect();
                    format!("key {} ({short}…)", printable(key.name(), 60))
                }));
            }
            Trust::Keyless { identities, .. } => names.extend(identities.iter().map(|identity| {
                let written = identity.written();
                format!("{} of {}", printable(&written.subject, 80), printable(&written.issuer, 80))
            })),
        }
    }
    List::Names.few(names, MAX_TRUSTED)
}
