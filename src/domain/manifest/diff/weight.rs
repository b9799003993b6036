//! What it takes to compare an object, estimated from its JSON before anything of it is decoded: what others have
//! written may be short as a text and large as values, or as lines with their indentation.

use crate::domain::manifest::budget::{ELEMENT_BYTES, MAPPING_BYTES, SCALAR_BYTES, SEQUENCE_BYTES};

/// A line while lines are compared.
const LINE_BYTES: u64 = 32;
/// The indentation of a line, for each level.
const INDENT_BYTES: u64 = 2;
/// How often values are in memory: as they are, and without what the server has written.
const COPIES: u64 = 2;
/// How often a text is: in both of these, and as YAML.
const TEXTS: u64 = 3;

/// An estimate, in bytes, of what one side of a comparison takes.
pub fn weight(json: &[u8]) -> u64 {
    let (mut values, mut lines, mut depth) = (0_u64, 0_u64, 0_u64);
    let (mut quoted, mut escaped, mut empty) = (false, false, false);
    for &byte in json {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => {
                    escaped = true;
                    // It may be the end of a line of a text.
                    lines += LINE_BYTES + INDENT_BYTES * depth;
                }
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'{' => {
                (values, depth) = (values + MAPPING_BYTES, depth + 1);
                lines += LINE_BYTES + INDENT_BYTES * depth;
            }
            b'[' => {
                (values, depth) = (values + SEQUENCE_BYTES, depth + 1);
                lines += LINE_BYTES + INDENT_BYTES * depth;
            }
            b'}' => {
                // Such as each field in managedFields: it allocates nothing.
                values -= if empty { MAPPING_BYTES } else { 0 };
                depth = depth.saturating_sub(1);
            }
            b']' => depth = depth.saturating_sub(1),
            b',' => {
                values += ELEMENT_BYTES + SCALAR_BYTES;
                lines += LINE_BYTES + INDENT_BYTES * depth;
            }
            b'"' => quoted = true,
            _ => {}
        }
        empty = byte == b'{' || empty && byte.is_ascii_whitespace();
    }
    COPIES * values + lines + TEXTS * json.len() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::manifest::diff::unified;

    #[test]
    fn the_weight_is_that_of_what_is_decoded_and_shown() {
        let check = |json: &str, expected: u64| {
            assert_eq!(weight(json.as_bytes()), expected + 3 * json.len() as u64, "{json}");
        };
        check("1", 0);
        check("{}", 34);
        check(r#"{"f:a": { }, "f:b":{}}"#, 2 * 600 + 2 * 96 + 34 + 36 + 34 + 36);
        check("[1,1]", 2 * (160 + 96) + 2 * 34);
        // Neither brackets nor commas of texts count, and each escape may end a line.
        check(r#"["{[,"]"#, 2 * 160 + 34);
        check(r#"["a\nb\"}"]"#, 2 * 160 + 3 * 34);
        // What is no JSON is not decoded.
        check("}}]]", 0);
    }

    #[test]
    fn no_text_is_much_longer_when_it_is_shown_than_its_weight() {
        let check = |spec: Value| {
            let object = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": spec});
            let json = serde_json::to_vec(&object).unwrap();
            let lines: Vec<String> = unified(None, Some(&object)).lines().map(str::to_owned).collect();
            let shown: usize = lines.iter().map(String::len).sum();
            assert!(weight(&json) >= shown as u64, "{} {shown}", weight(&json));
        };
        let deep = |inner: Value| (0..100).fold(inner, |inner, _| json!({"a": inner}));
        check(deep(json!(vec![1; 5_000])));
        check(deep(json!("a\n".repeat(5_000))));
        check(deep(json!(vec![json!({}); 5_000])));
        check(json!("<".repeat(50_000)));
        check(json!(vec!["\u{1}"; 5_000]));
    }
}
