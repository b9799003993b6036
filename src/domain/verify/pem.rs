//! The blocks of a PEM file (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const RULE: &str = "-----";

/// One block.
pub(super) struct Block {
    /// Its label: `PUBLIC KEY`, `CERTIFICATE`.
    pub label: String,
    /// Its content; absent if that is not base64, or has headers, as encrypted keys have.
    pub der: Option<Vec<u8>>,
}

/// All blocks of a file. Text around them is skipped, as in other tools.
///
/// # Errors
/// For a block without an END line.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(RULE)) else { continue };
        let end = format!("{END}{label}{RULE}");
        let mut body = String::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) if !line.starts_with(RULE) => body.push_str(line),
                _ => return Err("has a PEM block without an END line".to_owned()),
            }
        }
        found.push(Block { label: label.to_owned(), der: STANDARD.decode(&body).ok() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found() {
        let check = |text: &str, expected: Option<&str>| {
            let shown = |block: &Block| format!("{}={:?}", block.label, block.der.as_deref());
            let found = blocks(text).ok().map(|f| f.iter().map(shown).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("", Some(""));
        check("a note\n-----BEGIN A-----\r\nYWI=\r\n-----END A-----\n", Some("A=Some([97, 98])"));
        check(
            "-----BEGIN A-----\nYW\nI=\n-----END A-----\n-----BEGIN B-----\n!\n-----END B-----",
            Some("A=Some([97, 98]) B=None"),
        );
        check("-----BEGIN A-----\nYWI=\n", None);
        check("-----BEGIN A-----\nYWI=\n-----END B-----\n", None);
        check("-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----", None);
    }
}
