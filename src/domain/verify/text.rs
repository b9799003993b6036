//! Untrusted text, sanitized for a message.

/// At most `max` bytes of `text`, on one line: control characters, and characters that
/// change the direction of text, become question marks.
pub(super) fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let character = if steers(character) { '?' } else { character };
        if shown.len() + character.len_utf8() > max {
            shown.push('…');
            break;
        }
        shown.push(character);
    }
    shown
}

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

/// The text with every SHA-256 digest, also those in tags, cut to its first digits.
pub(super) fn shortened(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("sha256") {
        let start = at + "sha256".len() + 1;
        let digits = rest.get(start..start + 64);
        let is_digest = rest[at + "sha256".len()..].starts_with([':', '-'])
            && digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (kept, left) = match is_digest {
            true => (start + DIGITS, start + 64),
            false => (at + "sha256".len(), at + "sha256".len()),
        };
        shown.push_str(&rest[..kept]);
        if is_digest {
            shown.push('…');
        }
        rest = &rest[left..];
    }
    shown + rest
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
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
        check("tag sha256-DIGEST.sig", "tag sha256-0b3b4c7a3358….sig");
        check("a@sha256:DIGEST, b@sha256:DIGEST", "a@sha256:0b3b4c7a3358…, b@sha256:0b3b4c7a3358…");
        check("sha256:00 sha256é sha256", "sha256:00 sha256é sha256");
        check("sha256:DIGEST sha512:DIGEST", &format!("sha256:0b3b4c7a3358… sha512:{digest}"));
    }

    #[test]
    fn texts_become_printable() {
        let check = |text: &str, max, expected: &str| assert_eq!(printable(text, max), expected);
        check("plain", 10, "plain");
        check("a\nb\u{1b}[2Jc\u{202e}d", 20, "a?b?[2Jc?d");
        check("abcdef", 3, "abc…");
        check("äöü", 3, "ä…");
    }
}
