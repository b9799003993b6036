//! Who may send: each receiver's secret, and how its sender proves that it knows it.
//! Comparisons with a secret take constant time.

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
/// The prefix of every webhook path.
pub const PREFIX: &str = "/hook/";

/// A secret, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret of these bytes.
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

/// A sender that is accepted, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// The kind of its sender.
    pub sender: Sender,
    /// Its secret.
    pub secret: Secret,
    /// The registry that its repositories belong to; it overrides what the sender names.
    pub registry: Option<Host>,
    /// The namespaces whose releases it may trigger; all when absent.
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

/// The receiver that a path is for; it always compares the whole list, so that the
/// time reveals nothing about a secret path.
pub fn find<'a>(receivers: &'a [Receiver], path: &str) -> Option<&'a Receiver> {
    let last = path.strip_prefix(PREFIX)?;
    receivers.iter().fold(None, |found, receiver| if receiver.is_at(last) { Some(receiver) } else { found })
}

impl Receiver {
    /// The path that it listens on. For senders that cannot authenticate in another way,
    /// it contains their secret.
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

    /// Whether the headers have a proof of its kind at all, valid or not.
    pub fn is_offered_proof(&self, headers: &Headers<'_>) -> bool {
        match self.sender.proof() {
            SenderProof::Path => true,
            SenderProof::Bearer => headers.authorization.is_some(),
            SenderProof::HubSignature => headers.hub_signature.is_some(),
            SenderProof::TimedSignature => headers.signature.is_some(),
        }
    }

    /// Whether the headers alone authenticate the sender, so that the body comes from
    /// a sender that knows the secret.
    pub fn is_proven_by_headers(&self) -> bool {
        matches!(self.sender.proof(), SenderProof::Path | SenderProof::Bearer)
    }

    /// Whether the headers alone are valid. For a signature this only says that there is
    /// one: [`Receiver::admits`] decides.
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

    /// Parses a body of its sender.
    ///
    /// # Errors
    /// When it does not have the format of this kind of sender.
    pub fn read(&self, body: &[u8]) -> Result<Delivery, Malformed> {
        formats::read(self.sender, self.registry.as_ref(), body)
    }

    /// Whether it may trigger releases of that namespace.
    pub fn reaches(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|allowed| allowed.contains(namespace))
    }

    fn is_bearer(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|a| a.split_at_checked(7)) else { return false };
        // Compares digests, so that not even the length is revealed.
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
