//! The signers of an artifact, for people and for programs.

use serde::Serialize;

use crate::api::status::VerifiedBy;
use crate::cli::{CliError, Printer};
use crate::domain::verify::proof::{Format, Proof, Signature, Signer};

/// An accepted signature, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct ShownSignature {
    #[serde(flatten)]
    by: VerifiedBy,
    /// Of the key, `sha256:…` of its DER form.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// The tag and layer, or the digest of the referrer.
    found_at: String,
}

/// For programs.
pub(in crate::cli) fn shown(proof: &Proof) -> Vec<ShownSignature> {
    let several = proof.signatures().len() > 1;
    let shown = |signature: &Signature| {
        let mut by = signature.shown(several);
        let mut print = None;
        if let Signer::Key { name, fingerprint } = &signature.signer {
            by.key = Some(name.clone());
            print = Some(fingerprint.clone());
        }
        ShownSignature { by, fingerprint: print, found_at: signature.place.clone() }
    };
    proof.signatures().iter().map(shown).collect()
}

/// All signers, in one line.
pub(in crate::cli) fn signers(proof: &Proof) -> String {
    let names: Vec<String> = proof.signatures().iter().map(|s| s.signer.to_string()).collect();
    names.join(", ")
}

/// Prints to stderr that an artifact was verified.
pub(in crate::cli) fn say(printer: &mut Printer<'_>, name: &str, proof: &Proof) {
    printer.say(format!("verified {name}: signed by {}", signers(proof)));
}

/// Prints the details of every accepted signature.
///
/// # Errors
/// When stdout cannot be written.
pub(in crate::cli) fn print(printer: &mut Printer<'_>, proof: &Proof) -> Result<(), CliError> {
    for signature in proof.signatures() {
        printer.line(format!("Verified by: {}", signature.signer))?;
        for (name, fact) in facts(signature) {
            printer.line(format!("   {name}: {fact}"))?;
        }
    }
    Ok(())
}

fn facts(signature: &Signature) -> Vec<(&'static str, String)> {
    let format = match signature.format {
        Format::SimpleSigning => "cosign's simple signing",
        Format::Bundle => "Sigstore bundle",
    };
    let mut facts = vec![("Format", format.to_owned()), ("Found at", signature.place.clone())];
    facts.extend(signature.signed_at.map(|at| ("Signed at", at.to_string())));
    facts.extend(signature.reference.clone().map(|name| ("Made for", name)));
    facts
}
