//! What a digest is, and how a message shows it.

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

/// How many digits of a digest tell it from others for a reader.
const DIGITS: usize = 12;

/// The text with every SHA-256 digest, also as tags have it (`sha256-…`), cut to its first
/// twelve digits: `1.0.1@sha256:540d93205d33`. For messages and tables; fields and JSON keep
/// the whole digest, and so does what stands between backticks: it is a command to copy.
pub fn shortened(text: &str) -> String {
    let mut quoted = text.split('`').enumerate();
    let first = quoted.next().map(|(_, prose)| without_digits(prose)).unwrap_or_default();
    quoted.fold(first, |shown, (n, part)| match n % 2 {
        0 => format!("{shown}`{}", without_digits(part)),
        _ => format!("{shown}`{part}"),
    })
}

fn without_digits(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sha256") {
        let start = at + "sha256".len() + 1;
        let is_digest = rest[at + "sha256".len()..].starts_with([':', '-'])
            && rest
                .get(start..start + 64)
                .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (kept, left) = match is_digest {
            true => (start + DIGITS, start + 64),
            false => (at + "sha256".len(), at + "sha256".len()),
        };
        shown.push_str(&rest[..kept]);
        rest = &rest[left..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_become_short() {
        let digest = format!("0b3b4c7a3358{}", "0".repeat(52));
        let check = |text: &str, expected: &str| {
            assert_eq!(shortened(&text.replace("DIGEST", &digest)), expected);
        };
        check("1.0.1@sha256:DIGEST", "1.0.1@sha256:0b3b4c7a3358");
        check("tag sha256-DIGEST.sig", "tag sha256-0b3b4c7a3358.sig");
        check("a@sha256:DIGEST, b@sha256:DIGEST", "a@sha256:0b3b4c7a3358, b@sha256:0b3b4c7a3358");
        check("sha256:00 sha256é sha256", "sha256:00 sha256é sha256");
        check("latest", "latest");
        check("a", "a");
        check(
            "sha256:DIGEST: `sign a@sha256:DIGEST`",
            &format!("sha256:0b3b4c7a3358: `sign a@sha256:{digest}`"),
        );
        check("`a` sha256:DIGEST `b` c", "`a` sha256:0b3b4c7a3358 `b` c");
        check("", "");
    }
}
