//! Untrusted text, sanitized for a message.

/// At most `max` bytes of `text`, on one line: control characters, and characters that
/// change the direction of text, become question marks.
pub(in crate::domain) fn printable(text: &str, max: usize) -> String {
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

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_printable() {
        let check = |text: &str, max, expected: &str| assert_eq!(printable(text, max), expected);
        check("plain", 10, "plain");
        check("a\nb\u{1b}[2Jc\u{202e}d", 20, "a?b?[2Jc?d");
        check("abcdef", 3, "abc…");
        check("äöü", 3, "ä…");
    }
}
