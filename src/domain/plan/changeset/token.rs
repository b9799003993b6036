//! The hash of a plan of the command line.

use std::fmt;

/// The hash of a plan of the command line, with the salt of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanToken {
    /// The salt: hexadecimal digits.
    pub salt: String,
    /// The hash.
    pub hash: String,
}

impl PlanToken {
    /// Reads one.
    ///
    /// # Errors
    /// What one looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
        match text.split_once('.') {
            Some((salt, hash)) if salt.len() == 16 && hash.len() == 32 && is_hex(salt) && is_hex(hash) => {
                Ok(Self { salt: salt.to_owned(), hash: hash.to_owned() })
            }
            _ => Err("not a hash of `supercargo plan`: 16 hexadecimal digits, a dot and 32 more".to_owned()),
        }
    }
}

impl fmt::Display for PlanToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.salt, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_salt_and_a_hash() {
        let good = format!("{}.{}", "0a".repeat(8), "b1".repeat(16));
        assert_eq!(PlanToken::parse(&good).unwrap().to_string(), good);
        for bad in ["", "x.y", &"0a".repeat(24), &good[1..], &format!("{good}0"), &good.replace('a', "g")] {
            assert!(PlanToken::parse(bad).is_err(), "{bad}");
        }
    }
}
