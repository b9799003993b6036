//! Whether the evidence for a digest satisfies a policy.
//!
//! A signature that does not count does not hide one that does. Each authority needs a
//! signature that counts for it, and each signer counts for one authority only: a key
//! that two authorities list still has one owner, and so has a certificate with two names.

use super::evidence::Evidence;
use super::proof::{Proof, Refusal, Signature};
use super::refusal::{Miss, refusal};
use super::rules::policy::{Policy, Trust};
use super::signature::candidate::{Candidate, Witness, place};
use super::signature::claim::Flaw;

pub use super::evidence::MAX_JUDGED;
pub use super::signature::claim::Subject;

/// The most signatures that are tried with a key or a root for one digest: each with
/// each key takes a tenth of a millisecond, or more on the larger curves.
pub const MAX_CHECKS: usize = 8192;

/// The signatures that satisfy the policy, one for each authority that has signed.
///
/// # Errors
/// Why they do not satisfy it.
pub fn judge(policy: &Policy, subject: Subject<'_>, evidence: &Evidence) -> Result<Proof, Refusal> {
    let mut misses = Vec::new();
    let mut candidates = Vec::new();
    for found in evidence.found.iter().take(MAX_JUDGED) {
        match Candidate::read(found, subject, policy) {
            Ok(candidate) => candidates.push(candidate),
            Err(flaw) => misses.push(Miss { place: place(found), flaw }),
        }
    }
    let (mut heard, mut checks) = (Vec::new(), MAX_CHECKS);
    for authority in &policy.authorities {
        // All are needed where several authorities share the signatures.
        let enough = if policy.authorities.len() > 1 { usize::MAX } else { 1 };
        heard.push(hear(&authority.trust, &candidates, enough, &mut checks, &mut misses));
    }
    let chosen = choose(&heard);
    let signatures: Vec<Signature> = chosen
        .iter()
        .enumerate()
        .filter_map(|(n, heard)| heard.map(|heard| heard.signature(&policy.authorities[n].name)))
        .collect();
    // A policy without authorities is invalid: an empty set must not satisfy it.
    if !signatures.is_empty() && signatures.len() >= policy.threshold {
        return Ok(Proof { digest: subject.digest.to_owned(), signatures });
    }
    Err(refusal(policy, subject, evidence, &misses, &signatures))
}

/// A signature that counts for an authority.
struct Heard<'c, 'a> {
    candidate: &'c Candidate<'a>,
    witness: Witness,
}

impl Heard<'_, '_> {
    fn signature(&self, authority: &str) -> Signature {
        Signature {
            authority: authority.to_owned(),
            signer: self.witness.signer.clone(),
            format: self.candidate.format(),
            signed_at: self.witness.signed_at,
            reference: self.candidate.claim.reference.as_deref().map(|r| super::text::printable(r, 256)),
            place: self.candidate.place.clone(),
        }
    }
}

/// The first signatures that count for one authority.
fn hear<'c, 'a>(
    trust: &Trust,
    candidates: &'c [Candidate<'a>],
    enough: usize,
    checks: &mut usize,
    misses: &mut Vec<Miss>,
) -> Vec<Heard<'c, 'a>> {
    let mut heard = Vec::new();
    for candidate in candidates {
        if heard.len() >= enough {
            break;
        }
        let cost = match trust {
            Trust::Keys(keys) => keys.len(),
            Trust::Keyless { .. } => 1,
        };
        let Some(left) = checks.checked_sub(cost) else {
            let flaw = Flaw::invalid("was not checked: there are too many signatures and keys");
            misses.push(Miss { place: candidate.place.clone(), flaw });
            continue;
        };
        *checks = left;
        match candidate.witness(trust) {
            Ok(witness) => heard.push(Heard { candidate, witness }),
            Err(flaw) => misses.push(Miss { place: candidate.place.clone(), flaw }),
        }
    }
    heard
}

/// Assigns a signature to as many authorities as possible: each signer counts once.
fn choose<'h, 'c, 'a>(heard: &'h [Vec<Heard<'c, 'a>>]) -> Vec<Option<&'h Heard<'c, 'a>>> {
    let mut chosen: Vec<Option<&Heard<'_, '_>>> = vec![None; heard.len()];
    for authority in 0..heard.len() {
        let mut asked = vec![false; heard.len()];
        place_signer(authority, heard, &mut chosen, &mut asked);
    }
    chosen
}

/// Finds a signer for an authority, also by taking it from another authority that has a
/// second one (an augmenting path of a bipartite matching).
fn place_signer<'h, 'c, 'a>(
    authority: usize,
    heard: &'h [Vec<Heard<'c, 'a>>],
    chosen: &mut Vec<Option<&'h Heard<'c, 'a>>>,
    asked: &mut Vec<bool>,
) -> bool {
    asked[authority] = true;
    let before = chosen[authority];
    for one in &heard[authority] {
        // The authority that has this signer looks for another one.
        chosen[authority] = Some(one);
        let Some(holding) = holder(chosen, authority, one) else { return true };
        let moved = !asked[holding] && place_signer(holding, heard, chosen, asked);
        // A signer with several names may conflict with several: then it is left
        // out, so that no signer counts twice.
        if moved && holder(chosen, authority, one).is_none() {
            return true;
        }
    }
    chosen[authority] = before;
    false
}

/// Which other authority has this signer already.
fn holder(chosen: &[Option<&Heard<'_, '_>>], authority: usize, one: &Heard<'_, '_>) -> Option<usize> {
    chosen.iter().enumerate().position(|(at, other)| {
        at != authority && other.is_some_and(|other| other.witness.is_same_as(&one.witness))
    })
}
