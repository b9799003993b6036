//! The values of a plan, by an HMAC with a secret key: with a bare hash, a reader of it could check
//! guesses of a short secret.

use std::fmt;

use aws_lc_rs::hmac;
use serde_json::Value;

/// A key for the values of one release.
#[derive(Clone)]
pub struct PlanKey(hmac::Key);

impl fmt::Debug for PlanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlanKey")
    }
}

/// The result of an HMAC.
pub(super) type Mac = [u8; 32];

impl PlanKey {
    /// The key of a release, from the secret key of the operator.
    pub fn of_release(secret: &[u8], uid: &str) -> Self {
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), format!("release {uid}").as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    /// The key of a plan of the command line, from the salt in its token.
    pub fn of_salt(salt: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, format!("salt {salt}").as_bytes()))
    }

    /// Of several parts, none of which can pass for a part of another one.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Mac {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Of several parts, for a status or an inventory: 32 hexadecimal digits.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        let parts: Vec<&[u8]> = std::iter::once(b"inputs".as_slice()).chain(parts.iter().copied()).collect();
        hex::encode(&self.mac(&parts)[..16])
    }

    /// Of a value; the order of its keys does not matter.
    pub(super) fn value(&self, value: &Value) -> Mac {
        let mut text = Vec::new();
        canonical(value, &mut text);
        self.mac(&[&text])
    }
}

fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for key in keys {
                canonical(&Value::from(key.as_str()), out);
                out.push(b':');
                canonical(&fields[key], out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                canonical(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mac_depends_on_the_key_and_on_every_value_but_not_on_the_order_of_keys() {
        let key = PlanKey::of_release(b"secret", "uid");
        assert_eq!(key.value(&json!({"a": 1, "b": [2]})), key.value(&json!({"b": [2], "a": 1})));
        assert_ne!(key.value(&json!({"a": 1})), key.value(&json!({"a": "1"})));
        assert_ne!(key.value(&json!(["a", "b"])), key.value(&json!(["a,b"])));
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        for other in [
            PlanKey::of_release(b"secret", "other"),
            PlanKey::of_release(b"other", "uid"),
            PlanKey::of_salt("a"),
        ] {
            assert_ne!(key.value(&json!(1)), other.value(&json!(1)));
        }
        assert_eq!(format!("{key:?}"), "PlanKey", "it is in no log");
    }
}
