//! Text of others for people: nothing in it controls a terminal, or makes a screen show other text.

use std::borrow::Cow;

/// Text of several lines without the characters that [`steers`] finds; line breaks and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let kept = |c: char| matches!(c, '\n' | '\t');
    match text.chars().any(|c| steers(c) && !kept(c)) {
        true => text.chars().map(|c| if steers(c) && !kept(c) { '?' } else { c }).collect(),
        false => Cow::Borrowed(text),
    }
}

/// Control characters, the line breaks of Unicode, and characters that change the
/// direction of text (<https://trojansource.codes>).
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_controls_no_screen() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("oci://host/äpp:1\n\tb", "oci://host/äpp:1\n\tb");
        check("a\u{1b}]0;b\u{7}", "a?]0;b?");
        check("safe\u{202e}cod.exe\u{2066}", "safe?cod.exe?");
    }
}
