//! AWS Signature Version 4, as far as one POST without a query needs it.
//!
//! The crates for it bring a large part of AWS's SDK; the algorithm is short,
//! documented, and comes with test vectors, which are the tests below.

use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};

/// Keys to sign with.
pub(super) struct Keys {
    pub id: String,
    pub secret: String,
    /// Sent along with temporary keys.
    pub session: Option<String>,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Lower case names in their order, `host` and `x-amz-date` among them.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub region: &'a str,
    pub service: &'a str,
    /// `20150830T123600Z`.
    pub time: &'a str,
}

/// The value of the Authorization header.
pub(super) fn authorization(keys: &Keys, signed: &Signed<'_>) -> String {
    let names: Vec<&str> = signed.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = signed.headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let body = hex::encode(Sha256::digest(signed.body));
    let canonical = format!("{}\n{}\n\n{headers}\n{names}\n{body}", signed.method, signed.path);
    let day = signed.time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", signed.region, signed.service);
    let hash = hex::encode(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", signed.time);
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, signed.region, signed.service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    let signature = hex::encode(mac(&key, text.as_bytes()));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of AWS's published test suite for the algorithm.
    #[test]
    fn signatures_are_those_of_the_published_vectors() {
        let keys = Keys {
            id: "AKIDEXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session: None,
        };
        let time = "20150830T123600Z";
        let check = |method: &str, headers: &[(&str, &str)], body: &str, expected: &str| {
            let signed = Signed {
                method,
                path: "/",
                headers,
                body: body.as_bytes(),
                region: "us-east-1",
                service: "service",
                time,
            };
            let found = authorization(&keys, &signed);
            let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ";
            assert!(found.starts_with(start), "{found}");
            assert!(found.ends_with(&format!("Signature={expected}")), "{found}");
        };
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", time);
        check("GET", &[host, date], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        check("POST", &[host, date], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        check(
            "POST",
            &[("content-type", "application/x-www-form-urlencoded"), host, date],
            "Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        );
    }
}
