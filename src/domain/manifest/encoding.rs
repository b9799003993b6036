//! Text as Windows editors and shells write it.

use std::borrow::Cow;

/// The bytes as UTF-8, where a byte order mark says that they are UTF-16, as YAML
/// allows and PowerShell's `>` writes. All other bytes are returned unchanged.
pub fn utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        // UTF-32 begins in the same way, but is not used.
        [0xff, 0xfe, 0, 0, ..] => return Cow::Borrowed(bytes),
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(bytes),
    };
    let (units, rest) = bytes[2..].as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
    match text {
        Ok(text) if rest.is_empty() => Cow::Owned(text.into_bytes()),
        _ => Cow::Borrowed(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_with_its_mark_is_read() {
        let written = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
        };
        for text in ["", "a: ä\r\nb: 😀\n"] {
            assert_eq!(&*utf8(&written(text, u16::to_le_bytes)), text.as_bytes());
            assert_eq!(&*utf8(&written(text, u16::to_be_bytes)), text.as_bytes());
            assert_eq!(&*utf8(text.as_bytes()), text.as_bytes());
        }
        let check = |bytes: &[u8]| assert_eq!(&*utf8(bytes), bytes);
        check(b"\xef\xbb\xbfa: b");
        check(b"\xff\xfea\x00b");
        check(b"\xff\xfe\x00\xd8a\x00");
        check(b"\xff\xfe\x00\x00a\x00\x00\x00");
    }
}
