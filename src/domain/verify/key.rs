//! Public keys that are trusted.

/// A public key, by the name that it is trusted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    fingerprint: String,
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// A fragment that says what the file is instead.
    pub fn parse(name: &str, _pem: &[u8]) -> Result<Self, String> {
        Err(format!("cannot be read: {name}"))
    }

    /// The name that it is trusted under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `sha256:` of its DER form.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The keys of a Secret.
///
/// # Errors
/// That there is none.
pub fn keys<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<PublicKey>, String> {
    files.into_iter().map(|(name, pem)| PublicKey::parse(name, pem)).collect()
}
