//! What a digest is.

/// Whether the text is a digest: `sha256:` or `sha512:`, and as many hexadecimal digits as
/// the algorithm gives, in lower case (OCI image specification, descriptor.md).
pub fn is_digest(text: &str) -> bool {
    let hex = |digits: &str, count: usize| {
        digits.len() == count && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some(("sha256", digits)) => hex(digits, 64),
        Some(("sha512", digits)) => hex(digits, 128),
        _ => false,
    }
}
