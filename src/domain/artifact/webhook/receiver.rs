//! Who may send: each receiver's secret, and how its sender proves to know it.
//! Every comparison with a secret takes the same time whatever is compared.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};

use super::formats::{self, Delivery, Malformed};
use super::push::Host;

pub use super::sender::{Sender, SenderProof};

/// How far the clock of a generic sender may be from ours, in seconds.
pub const FRESH_SECONDS: i64 = 300;
/// The longest timestamp: seconds, a point, and nanoseconds fit.
const MAX_TIMESTAMP_BYTES: usize = 32;
/// What every path of a webhook begins with.
pub const PREFIX: &str = "/hook/";

/// A secret, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes as they are.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A sender that is let in, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// What sends.
    pub sender: Sender,
    /// What it knows.
    pub secret: Secret,
    /// The registry that its repositories belong to, whatever the sender says.
    pub registry: Option<Host>,
    /// The namespaces whose releases it may ask to run; all when absent.
    pub namespaces: Option<BTreeSet<String>>,
}

/// The headers that can prove something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// `X-Hub-Signature-256`.
    pub hub_signature: Option<&'a [u8]>,
    /// `Supercargo-Timestamp`.
    pub timestamp: Option<&'a [u8]>,
    /// `Supercargo-Signature`.
    pub signature: Option<&'a [u8]>,
}

/// The receiver that a path is for; the whole list is gone through, so that the
/// time tells nothing of a path that nobody may guess.
pub fn find<'a>(receivers: &'a [Receiver], path: &str) -> Option<&'a Receiver> {
    let last = path.strip_prefix(PREFIX)?;
    receivers.iter().fold(None, |found, receiver| if receiver.is_at(last) { Some(receiver) } else { found })
}

impl Receiver {
    /// The path that it listens on. Of senders that cannot prove anything else,
    /// it is their secret.
    pub fn path(&self) -> String {
        match self.sender.proof() {
            SenderProof::Path => {
                format!("{PREFIX}{}", hex::encode(hmac::sign(&self.secret.key(), self.name.as_bytes())))
            }
            _ => format!("{PREFIX}{}", self.name),
        }
    }

    fn is_at(&self, last: &str) -> bool {
        match self.sender.proof() {
            SenderProof::Path => {
                let given = hex::decode(last).unwrap_or_default();
                hmac::verify(&self.secret.key(), self.name.as_bytes(), &given).is_ok()
            }
            _ => self.name == last,
        }
    }

    /// Whether there is a proof of its kind at all, right or wrong: who has none is
    /// anybody.
    pub fn is_offered_proof(&self, headers: &Headers<'_>) -> bool {
        match self.sender.proof() {
            SenderProof::Path => true,
            SenderProof::Bearer => headers.authorization.is_some(),
            SenderProof::HubSignature => headers.hub_signature.is_some(),
            SenderProof::TimedSignature => headers.signature.is_some(),
        }
    }

    /// Whether the headers alone prove who sends: the body is that of somebody
    /// who knows the secret.
    pub fn is_proven_by_headers(&self) -> bool {
        matches!(self.sender.proof(), SenderProof::Path | SenderProof::Bearer)
    }

    /// Whether the headers alone are as they have to be. For a signature this
    /// says only that there is one: [`Receiver::admits`] has the last word.
    pub fn may_admit(&self, headers: &Headers<'_>, now: i64) -> bool {
        match self.sender.proof() {
            SenderProof::Path => true,
            SenderProof::Bearer => self.is_bearer(headers.authorization),
            SenderProof::HubSignature => headers.hub_signature.and_then(signature).is_some(),
            SenderProof::TimedSignature => {
                headers.signature.and_then(signature).is_some()
                    && headers.timestamp.and_then(seconds).is_some_and(|at| (now - at).abs() <= FRESH_SECONDS)
            }
        }
    }

    /// Whether the sender knows the secret. `now` is in seconds of Unix time.
    pub fn admits(&self, headers: &Headers<'_>, body: &[u8], now: i64) -> bool {
        if !self.may_admit(headers, now) {
            return false;
        }
        let mut signed = hmac::Context::with_key(&self.secret.key());
        let given = match self.sender.proof() {
            SenderProof::Path | SenderProof::Bearer => return true,
            SenderProof::HubSignature => headers.hub_signature,
            SenderProof::TimedSignature => {
                signed.update(headers.timestamp.unwrap_or_default());
                signed.update(b".");
                headers.signature
            }
        };
        signed.update(body);
        let given = given.and_then(signature).unwrap_or_default();
        constant_time::verify_slices_are_equal(signed.sign().as_ref(), &given).is_ok()
    }

    /// What its sender says.
    ///
    /// # Errors
    /// When it is not what this kind of sender sends.
    pub fn read(&self, body: &[u8]) -> Result<Delivery, Malformed> {
        formats::read(self.sender, self.registry.as_ref(), body)
    }

    /// Whether it may ask releases of that namespace to run.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|allowed| allowed.contains(namespace))
    }

    fn is_bearer(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|a| a.split_at_checked(7)) else { return false };
        // Digests, so that not even the length is compared.
        let [given, known] = [token, &self.secret.0].map(|b| digest::digest(&digest::SHA256, b));
        scheme.eq_ignore_ascii_case(b"bearer ")
            && constant_time::verify_slices_are_equal(given.as_ref(), known.as_ref()).is_ok()
    }
}

/// `sha256=` and 64 hexadecimal digits.
fn signature(header: &[u8]) -> Option<Vec<u8>> {
    let digits = header.strip_prefix(b"sha256=").filter(|digits| digits.len() == 64)?;
    hex::decode(digits).ok()
}

/// Seconds of Unix time, with or without a fraction.
fn seconds(header: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_TIMESTAMP_BYTES)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && digits(fraction) { whole.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
