//! By whose word keyless signatures are believed.

/// The authorities, logs and clocks of one Sigstore.
#[derive(Clone, Debug)]
pub struct TrustRoot {
    fingerprint: String,
}

impl TrustRoot {
    /// `sha256:` of the file that it was read from.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
