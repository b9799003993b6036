//! Runes as Go has them: bytes that are no UTF-8 are one rune each.

use std::sync::LazyLock;

use regex::Regex;

/// What Go reads where there is no UTF-8.
pub(super) const REPLACEMENT: char = '\u{fffd}';

/// The first rune of a text and how many bytes it has; `None` at its end.
pub(super) fn first(bytes: &[u8]) -> Option<(char, usize)> {
    let byte = *bytes.first()?;
    if byte.is_ascii() {
        return Some((char::from(byte), 1));
    }
    let few = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(few) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&few[..error.valid_up_to()]).unwrap_or_default(),
    };
    Some(valid.chars().next().map_or((REPLACEMENT, 1), |c| (c, c.len_utf8())))
}

/// All runes of a text.
pub(super) fn runes(bytes: &[u8]) -> impl Iterator<Item = char> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (rune, width) = first(rest)?;
        rest = &rest[width..];
        Some(rune)
    })
}

/// Each rune replaced.
pub(super) fn mapped(bytes: &[u8], map: impl Fn(char) -> char) -> Vec<u8> {
    runes(bytes).map(map).collect::<String>().into_bytes()
}

/// `unicode.IsLetter` or `unicode.IsDigit`, or `_`.
pub(super) fn is_identifier(rune: char) -> bool {
    static WIDE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}]$").ok());
    match rune.is_ascii() {
        true => rune == '_' || rune.is_ascii_alphanumeric(),
        false => WIDE.as_ref().is_some_and(|wide| wide.is_match(rune.encode_utf8(&mut [0; 4]))),
    }
}

/// `unicode.ToLower`: one rune for one rune.
pub(super) fn lower(rune: char) -> char {
    if rune == 'İ' {
        return 'i';
    }
    single(rune, rune.to_lowercase())
}

/// `unicode.ToUpper`: one rune for one rune.
pub(super) fn upper(rune: char) -> char {
    match rune {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(rune) + 8).unwrap_or(rune)
        }
        '\u{1fb3}' => '\u{1fbc}',
        '\u{1fc3}' => '\u{1fcc}',
        '\u{1ff3}' => '\u{1ffc}',
        _ => single(rune, rune.to_uppercase()),
    }
}

fn single(rune: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => rune,
    }
}
