//! Public keys that are trusted.

/// A public key, by the name that it is trusted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    fingerprint: String,
}

impl PublicKey {
    /// The name that it is trusted under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `sha256:` of its DER form.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
