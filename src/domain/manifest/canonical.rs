//! One form for one content: the hash that shows whether an object changed, and
//! the YAML that is pushed.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::objects::object::Object;

/// Hex digits of a content hash: 128 bits.
const HASH_DIGITS: usize = 32;

/// An object that cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {object} as YAML")]
pub struct NotWritten {
    object: String,
    #[source]
    source: serde_saphyr::ser::Error,
}

/// A value that is written with sorted keys, whatever the order of the map: a
/// dependency could enable `preserve_order` of `serde_json` for the whole program.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(key, _)| *key);
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, &Sorted(value))?;
                }
                map.end()
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}

/// SHA-256 of the object as JSON with sorted keys and no white space, the first
/// 32 hex digits. Not for Secrets where others can read it: they could check guesses.
pub fn content_hash(object: &Object) -> String {
    // A JSON value has string keys and no cycle: this cannot fail.
    let canonical = serde_json::to_vec(&Sorted(object.value())).unwrap_or_default();
    let mut hash = hex::encode(Sha256::digest(&canonical));
    hash.truncate(HASH_DIGITS);
    hash
}

/// The objects as YAML, keys sorted, each document followed by a line `---`.
/// kubectl reads back exactly what was written.
///
/// # Errors
/// The emitter refuses an object.
pub fn to_yaml(objects: &[Object]) -> Result<String, NotWritten> {
    let mut yaml = String::new();
    for object in objects {
        write(&mut yaml, object.value(), &|| object.id().to_string())?;
        yaml.push_str("---\n");
    }
    Ok(yaml)
}

/// Any value as YAML, keys sorted, one document without a separator.
///
/// # Errors
/// The emitter refuses it.
pub fn value_to_yaml(value: &Value) -> Result<String, NotWritten> {
    let mut yaml = String::new();
    write(&mut yaml, value, &|| "the value".into())?;
    Ok(yaml)
}

fn write(yaml: &mut String, value: &Value, name: &dyn Fn() -> String) -> Result<(), NotWritten> {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: true,
        prefer_block_scalars: !begins_with_tab(value),
    };
    serde_saphyr::to_fmt_writer_with_options(&mut *yaml, &Sorted(value), options)
        .map_err(|source| NotWritten { object: name(), source })?;
    if !yaml.ends_with('\n') {
        yaml.push('\n');
    }
    Ok(())
}

/// Whether a text in the value has several lines and begins with a tab. serde-saphyr
/// 2.1 writes it as a block scalar, which other parsers cannot read: go-yaml takes
/// the tab for indentation.
fn begins_with_tab(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\n') && text.trim_start_matches(['\n', ' ']).starts_with('\t'),
        Value::Array(values) => values.iter().any(begins_with_tab),
        Value::Object(fields) => fields.values().any(begins_with_tab),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::decode::decode;
    use serde_json::json;

    fn object(data: Value) -> Object {
        let meta = json!({"name": "a"});
        Object::new(json!({"apiVersion": "v1", "kind": "A", "metadata": meta, "data": data})).unwrap()
    }

    #[test]
    fn a_hash_knows_content_and_no_order() {
        let one = object(serde_json::from_str(r#"{"a": {"x": 1, "y": [1, 2]}, "b": null}"#).unwrap());
        let two = object(serde_json::from_str(r#"{"b": null, "a": {"y": [1, 2], "x": 1}}"#).unwrap());
        assert_eq!(content_hash(&one), content_hash(&two));
        // Of {"apiVersion":"v1","data":{"a":{"x":1,"y":[1,2]},"b":null},"kind":"A","metadata":{"name":"a"}}
        assert_eq!(content_hash(&one), "07f20324dd36bbdef46020d708e7995b");
        let other = object(json!({"a": {"x": 1, "y": [2, 1]}, "b": null}));
        assert_ne!(content_hash(&one), content_hash(&other));
    }

    /// Strings that YAML may take for something else, or break.
    fn tricky() -> Vec<String> {
        let words = "yes no on off y n Y N true false null ~ Null NULL .nan .inf -.inf << = - -- --- ... ? : ! & * \
                     | > % @ ` # , [ ] { } 0 00 08 0644 0o644 0x1F 0b101 1_000 _1 1e3 1.5 .5 1. -1 +1 -0 1e400 \
                     1234e5678 1:30 190:20:30 2001-12-14 2001-12-14T21:59:43Z 18446744073709551616 a:b a: :a #a \
                     a#b a,b [a {a a] !a &a *a |a >a %a @a `a -a ?a - 'a' \"a\" \\ \\n a\\b / \\/ {{.x}} ${x} yEs";
        let mut all: Vec<String> = words.split_ascii_whitespace().map(str::to_owned).collect();
        let rough = [
            "",
            " ",
            "  a",
            "a ",
            "a  b",
            "\n",
            "a\n",
            "\na",
            "a\nb",
            "a\n\n",
            "a\n\nb\n",
            " a\nb",
            "a\n b\n",
            "a: b",
            "a #b",
            "- a",
            "? a",
            "a:\nb",
            "---\na",
            "a\n---\nb\n",
            "a\n...\n",
            "\t",
            "\ta",
            "a\t",
            "a\tb\n",
            "\r",
            "a\r\nb",
            "a\rb",
            "\u{0}",
            "\u{7}",
            "\u{7f}",
            "\u{85}",
            "a\u{85}b",
            "\u{a0}",
            "\u{2028}",
            "a\u{2029}b\n",
            "\u{feff}",
            "a\u{feff}b",
            "é",
            "日本",
            "😀",
            "\u{fffe}",
            "\u{ffff}",
            "#!/bin/sh\nset -e\n",
            "key: |\n  x\n",
            "{\n  \"a\": 1\n}\n",
            "   \n  a\n",
            "\n\n",
            "a\n \n",
            "'",
            "\"",
            "''",
            "a'b",
            "a\"b",
            "%YAML 1.2",
            "!!str a",
            "&a b",
            "*",
            "a\n#b\n",
            "x\n\ty\n",
            "\ta\nb",
            "\n\n  \t\na\n",
            "  \n",
        ];
        all.extend(rough.map(str::to_owned));
        all.push("long ".repeat(100));
        all.push(format!("{}\n{}", "word ".repeat(40), "x".repeat(300)));
        all.push("k".repeat(1100));
        all
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in tricky() {
            let mut objects = vec![
                object(json!({"k": text, "list": [text, [text], {"k": text}]})),
                object(json!([{"k": text, "l": [text]}])),
            ];
            // Longer keys than libyaml takes are written as keys all the same.
            if text.chars().count() < 1000 {
                objects.push(object(json!({text.clone(): {text.clone(): [{text.clone(): text}]}})));
            }
            reads_back(&objects, &text);
        }
        let numbers = json!([0, -1, i64::MAX, i64::MIN, 0.1, -1.5e-9, 1e21, 1e300, 5e-324, 123456789.125]);
        reads_back(
            &[object(numbers), object(json!({"a": {}, "b": [], "c": null, "d": [{}, [], null]}))],
            "numbers",
        );
    }

    fn reads_back(objects: &[Object], what: &str) {
        let yaml = to_yaml(objects).unwrap();
        let back = decode("all.yaml", yaml.as_bytes()).unwrap_or_else(|e| panic!("{what:?}: {e:?}\n{yaml}"));
        let back: Vec<Object> = back.into_iter().map(|d| d.object).collect();
        assert_eq!(back, objects, "{what:?}\n{yaml}");
    }

    #[test]
    fn each_document_ends_in_a_separator() {
        let yaml = to_yaml(&[object(json!({"b": 1, "a": ["x"]})), object(json!({}))]).unwrap();
        let expected = "apiVersion: v1\ndata:\n  a:\n  - x\n  b: 1\nkind: A\nmetadata:\n  name: a\n---\n\
                        apiVersion: v1\ndata: {}\nkind: A\nmetadata:\n  name: a\n---\n";
        assert_eq!(yaml, expected);
    }
}
