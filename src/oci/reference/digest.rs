//! The digest that names content, and whether it is that of some bytes.

use std::{fmt, io};

use sha2::{Digest as _, Sha256, Sha512};

use crate::domain::digest::is_digest;
use crate::oci::error::OciError;

/// The digest of some bytes: `sha256:` or `sha512:` and lower case hex.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Checks algorithm and length.
    ///
    /// # Errors
    /// When the algorithm is another one or the hex digits are not what it
    /// gives.
    pub fn parse(text: &str) -> Result<Self, OciError> {
        if is_digest(text) {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(80).collect();
            Err(OciError::Spec(format!("{shown:?} is not a digest of the form sha256:<64 hex digits>")))
        }
    }

    /// The sha256 digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(bytes))))
    }

    /// Whether this is the digest of the bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        match self.0.split_once(':') {
            Some(("sha512", digits)) => hex::encode(Sha512::digest(bytes)) == digits,
            Some((_, digits)) => hex::encode(Sha256::digest(bytes)) == digits,
            None => false,
        }
    }

    /// Whether this is the digest of what the stream has, which is not kept.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub fn is_of_stream(&self, stream: &mut impl io::Read) -> io::Result<bool> {
        let (mut short, mut long) = (Sha256::new(), Sha512::new());
        let is_long = self.algorithm() == "sha512";
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let n = stream.read(&mut buffer)?;
            match buffer.get(..n).filter(|read| !read.is_empty()) {
                None => break,
                Some(read) if is_long => long.update(read),
                Some(read) => short.update(read),
            }
        }
        let digits = if is_long { hex::encode(long.finalize()) } else { hex::encode(short.finalize()) };
        Ok(digits == self.hex())
    }

    /// The algorithm: `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits alone: safe as a file name.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, digits)| digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_of_bytes() {
        let digest = Digest::of(b"abc");
        assert!(digest.is_of(b"abc") && !digest.is_of(b"abd"));
        let sha512 = format!("sha512:{}", hex::encode(Sha512::digest(b"abc")));
        let sha512 = Digest::parse(&sha512).unwrap();
        assert!(sha512.is_of(b"abc"));
        for digest in [digest, sha512] {
            assert!(digest.is_of_stream(&mut b"abc".as_slice()).unwrap());
            assert!(!digest.is_of_stream(&mut b"ab".as_slice()).unwrap());
        }
    }
}
