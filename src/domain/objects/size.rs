//! Finds objects that are too large for any API server, before they are published.

use serde_json::Value;

use super::object::Object;

/// Most bytes of all values of a ConfigMap or a Secret together; a constant of the API
/// server (`MaxSecretSize`), which no flag changes.
pub const MAX_DATA_BYTES: usize = 1 << 20;
/// Largest object that etcd accepts by default, in bytes (`--max-request-bytes`).
pub const MAX_OBJECT_BYTES: usize = 3 << 19;

/// An object that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// The size of its data in bytes: every API server refuses it.
    Data(usize),
    /// Its size as JSON in bytes: an API server can be configured to accept it.
    Object(usize),
}

/// Whether the object is too large to be stored.
pub fn oversize(object: &Object) -> Option<Oversize> {
    if object.is("", "ConfigMap") || object.is("", "Secret") {
        let data = data_bytes(object);
        if data > MAX_DATA_BYTES {
            return Some(Oversize::Data(data));
        }
    }
    let bytes = serde_json::to_vec(object.value()).map_or(0, |json| json.len());
    (bytes > MAX_OBJECT_BYTES).then_some(Oversize::Object(bytes))
}

/// The bytes of all values; for base64, the decoded bytes.
fn data_bytes(object: &Object) -> usize {
    let secret = object.is("", "Secret");
    let fields = [("data", secret), ("binaryData", true), ("stringData", false)];
    let of = |(field, base64): (&str, bool)| -> usize {
        let values = object.value().get(field).and_then(Value::as_object).into_iter().flatten();
        values.filter_map(|(_, v)| v.as_str()).map(|v| if base64 { decoded(v) } else { v.len() }).sum()
    };
    fields.into_iter().map(of).sum()
}

fn decoded(base64: &str) -> usize {
    let digits = base64.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=').count();
    digits * 3 / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_limits_are_those_of_the_api_server() {
        let check = |kind: &str, field: &str, bytes: usize, expected: Option<Oversize>| {
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, (field): {"k": "x".repeat(bytes)}});
            assert_eq!(oversize(&Object::new(object).unwrap()), expected, "{kind} {field} {bytes}");
        };
        check("ConfigMap", "data", MAX_DATA_BYTES, None);
        check("ConfigMap", "data", MAX_DATA_BYTES + 1, Some(Oversize::Data(MAX_DATA_BYTES + 1)));
        check("ConfigMap", "binaryData", MAX_DATA_BYTES / 3 * 4, None);
        check("Secret", "stringData", MAX_DATA_BYTES + 1, Some(Oversize::Data(MAX_DATA_BYTES + 1)));
        check("Secret", "data", MAX_DATA_BYTES + 1, None);
        check("Secret", "data", MAX_DATA_BYTES * 2, Some(Oversize::Data(MAX_DATA_BYTES * 3 / 2)));
        check("Widget", "spec", MAX_DATA_BYTES + 1, None);
        assert!(matches!(
            oversize(&Object::new(json!({"apiVersion": "v1", "kind": "W", "metadata": {"name": "a"}, "s": "x".repeat(MAX_OBJECT_BYTES)})).unwrap()),
            Some(Oversize::Object(_))
        ));
    }
}
