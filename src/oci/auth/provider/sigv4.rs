//! AWS Signature Version 4, as far as one POST without a query, and one presigned GET, need it.
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
    let names = names(signed.headers);
    let (scope, signature) = sign(keys, signed, "", &hex::encode(Sha256::digest(signed.body)));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

/// The query of a presigned request: that of the request, and its signature. `parameters` are in
/// their order, and all before `X-Amz-`. `payload` stands for the body: its hash in hex.
pub(super) fn presigned(
    keys: &Keys,
    signed: &Signed<'_>,
    parameters: &[(&str, &str)],
    expires: u32,
    payload: &str,
) -> String {
    let (day, names) = (signed.time.get(..8).unwrap_or_default(), names(signed.headers));
    let credential = format!("{}/{day}/{}/{}/aws4_request", keys.id, signed.region, signed.service);
    let expires = expires.to_string();
    let mut all = parameters.to_vec();
    all.extend([
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", credential.as_str()),
        ("X-Amz-Date", signed.time),
        ("X-Amz-Expires", expires.as_str()),
    ]);
    if let Some(session) = &keys.session {
        all.push(("X-Amz-Security-Token", session));
    }
    all.push(("X-Amz-SignedHeaders", &names));
    let pairs: Vec<String> =
        all.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let query = pairs.join("&");
    let (_, signature) = sign(keys, signed, &query, payload);
    format!("{query}&X-Amz-Signature={signature}")
}

fn names(headers: &[(&str, &str)]) -> String {
    headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
}

/// The scope of the signature, and the signature.
fn sign(keys: &Keys, signed: &Signed<'_>, query: &str, payload: &str) -> (String, String) {
    let names = names(signed.headers);
    let headers: String = signed.headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("{}\n{}\n{query}\n{headers}\n{names}\n{payload}", signed.method, signed.path);
    let day = signed.time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", signed.region, signed.service);
    let hash = hex::encode(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", signed.time);
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, signed.region, signed.service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    (scope, hex::encode(mac(&key, text.as_bytes())))
}

/// As a query is signed: all but the unreserved characters as `%XX`.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
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

    /// The example of AWS's documentation for signed queries.
    #[test]
    fn a_signed_query_is_that_of_the_documentation() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session: None,
        };
        let signed = Signed {
            method: "GET",
            path: "/test.txt",
            headers: &[("host", "examplebucket.s3.amazonaws.com")],
            body: b"",
            region: "us-east-1",
            service: "s3",
            time: "20130524T000000Z",
        };
        assert_eq!(
            presigned(&keys, &signed, &[], 86400, "UNSIGNED-PAYLOAD"),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }
}
