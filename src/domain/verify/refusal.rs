//! What is said when nothing counts, or not enough.

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
/// How many signatures a message tells of.
const MAX_TOLD: usize = 3;
/// How many keys or identities a message names.
const MAX_TRUSTED: usize = 3;

/// Why one thing did not count.
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
            format!("{artifact} has no signature, and {} asks for one", policy.origin)
        }
        Reason::SignatureMissing => format!("{artifact} has no signature"),
        Reason::SignatureInvalid => format!("{artifact} has no valid signature"),
        _ if !policy.is_keyless() => {
            format!("{artifact} is not signed by a trusted key, as {} asks for", policy.origin)
        }
        _ => format!("{artifact} is not signed by whom {} asks for", policy.origin),
    };
    if policy.authorities.len() > 1 {
        message.push_str(&missing(policy, counted));
    }
    tell(&mut message, evidence, misses, counted);
    let advice = advice(reason, policy, misses, &artifact);
    message = printable(&message, MAX_MESSAGE.saturating_sub(advice.len() + "….".len()));
    message.push_str(&advice);
    Refusal { reason, message: printable(&message, MAX_MESSAGE) }
}

/// The best that was found decides: a good signature of a stranger is told from a
/// forged one, and that from none.
fn reason(misses: &[Miss], counted: &[Signature]) -> Reason {
    match misses.iter().map(|miss| &miss.flaw).max() {
        Some(Flaw::Untrusted(_)) => Reason::SignerUntrusted,
        _ if !counted.is_empty() => Reason::SignerUntrusted,
        Some(Flaw::Invalid(_) | Flaw::Elsewhere(_)) => Reason::SignatureInvalid,
        Some(Flaw::Other(_)) | None => Reason::SignatureMissing,
    }
}

/// Who of several has not signed.
fn missing(policy: &Policy, counted: &[Signature]) -> String {
    let signed = |name: &str| counted.iter().any(|signature| signature.authority == name);
    let names: Vec<&str> =
        policy.authorities.iter().map(|a| a.name.as_str()).filter(|name| !signed(name)).collect();
    format!(
        ": {} of {} authorities have signed, {} have to; missing: {}",
        counted.len(),
        policy.authorities.len(),
        policy.threshold,
        printable(&names.join(", "), 200)
    )
}

fn tell(message: &mut String, evidence: &Evidence, misses: &[Miss], counted: &[Signature]) {
    let found = evidence.found.len();
    if found > 0 {
        let judged = found.min(MAX_JUDGED);
        message.push_str(&format!(". Looked at {judged}"));
        if found > judged {
            message.push_str(&format!(", {} more left out: there are too many", found - judged));
        }
    }
    // The nearest miss first: junk does not hide the one that matters.
    let mut told: Vec<&Miss> = Vec::new();
    for miss in misses {
        let counts = counted.iter().any(|signature| signature.place == miss.place);
        let again = told.iter().any(|other| other.place == miss.place && other.flaw == miss.flaw);
        if !counts && !again {
            told.push(miss);
        }
    }
    told.sort_by_key(|miss| match miss.flaw {
        Flaw::Untrusted(_) => 0,
        Flaw::Elsewhere(_) => 1,
        Flaw::Invalid(_) => 2,
        Flaw::Other(_) => 3,
    });
    if !told.is_empty() {
        let told = List::Clauses.few_as(told, MAX_TOLD, |miss| {
            format!("{} {}", shortened(&miss.place), printable(&miss.flaw.to_string(), MAX_FLAW))
        });
        message.push_str(&format!(": {told}"));
    }
    if !evidence.skipped.is_empty() {
        let one = |place: &String| printable(&shortened(place), MAX_FLAW);
        let skipped = List::Names.few_as(&evidence.skipped, 1, one);
        message.push_str(&format!(". Could not be looked at: {skipped}"));
    }
}

/// What to do.
fn advice(reason: Reason, policy: &Policy, misses: &[Miss], artifact: &str) -> String {
    // Without --key cosign signs keyless, and tells the public log.
    let key = match (policy.keys().next().is_some(), policy.is_keyless()) {
        (true, false) => "--key YOUR.key ",
        (true, true) => "[--key YOUR.key] ",
        _ => "",
    };
    let elsewhere = misses.iter().any(|miss| matches!(miss.flaw, Flaw::Elsewhere(_)));
    let mut advice = match reason {
        Reason::SignerUntrusted => format!(". Trusted: {}", trusted(policy)),
        // Only the older form says for which repository it was made.
        Reason::SignatureInvalid if elsewhere => {
            let flag = policy.match_reference_name();
            format!(
                ". {flag} wants signatures for this repository: cosign sign --new-bundle-format=false \
                 --use-signing-config=false {key}{artifact}, or drop {flag}"
            )
        }
        _ => format!(". Sign it: cosign sign {key}{artifact}"),
    };
    let tried = matches!(reason, Reason::SignerUntrusted | Reason::SignatureInvalid);
    if let Some(key) = policy.keys().find(|key| tried && key.is_ed25519()) {
        advice.push_str(&format!(
            ". If it was signed with {}: cosign 3 signs images with an Ed25519 key in a form (prehashed) that its \
             own verify refuses too; use an ECDSA key",
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
                // Twelve digits tell keys apart; the Secret has the rest.
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
