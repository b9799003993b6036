//! Where two renderings of one chart differ.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::hooks::is_left_out;
use crate::domain::manifest::decode::{Decoded, decode};

/// The first field that differs between two outputs for the same input, without its value; `None` if
/// they make the same objects. Hooks that are left out, such as tests, may differ: charts often name
/// those by chance.
pub fn difference(first: &[u8], second: &[u8]) -> Option<String> {
    if first == second {
        return None;
    }
    let (Ok(mut first), Ok(mut second)) = (decode("chart", first), decode("chart", second)) else {
        return Some("they differ in what is not a manifest".to_owned());
    };
    let all = first.len() + second.len();
    for objects in [&mut first, &mut second] {
        objects.retain(|decoded| !is_left_out(&decoded.object));
    }
    between(&first, &second)
        .or_else(|| (first.len() + second.len() == all).then(|| "they differ in comments".to_owned()))
}

fn between(first: &[Decoded], second: &[Decoded]) -> Option<String> {
    if first.len() != second.len() {
        return Some(format!("one has {} objects, the other {}", first.len(), second.len()));
    }
    for (Decoded { object, .. }, other) in first.iter().zip(second) {
        if object.id() != other.object.id() {
            return Some(format!("{} is {} in the other", object.id(), other.object.id()));
        }
        let mut path = String::new();
        if differs(object.value(), other.object.value(), &mut path) {
            return Some(format!("{}: {}", object.id(), path.trim_start_matches('.')));
        }
    }
    None
}

/// A hash of an output, to tell it from a later one. Documents in which the word `Secret` is do not
/// count: a reader of the hash of a short secret could check guesses. Nor do hooks that are left out.
pub fn output_trace(output: &[u8]) -> String {
    let has = |document: &[u8], word: &[u8]| document.windows(word.len()).any(|part| part == word);
    let is_no_object = |document: &[u8]| {
        let decoded = has(document, b"helm.sh/hook").then(|| decode("chart", document));
        decoded.is_some_and(|found| found.is_ok_and(|all| all.iter().all(|one| is_left_out(&one.object))))
    };
    let mut hash = Sha256::new();
    let mut add = |document: &[u8]| {
        if !has(document, b"Secret") && !is_no_object(document) {
            hash.update(document);
        }
    };
    let mut begin = 0;
    let mut at = 0;
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"---") {
            add(&output[begin..at]);
            begin = at;
        }
        at += line.len();
    }
    add(&output[begin..]);
    hex::encode(&hash.finalize()[..16])
}

/// Whether they differ; `path` names the place then.
fn differs(first: &Value, second: &Value, path: &mut String) -> bool {
    let length = path.len();
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            let names = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
            for name in names {
                path.push('.');
                path.push_str(name);
                let both = (first.get(name), second.get(name));
                match both {
                    (Some(first), Some(second)) if !differs(first, second, path) => path.truncate(length),
                    _ => return true,
                }
            }
            false
        }
        (Value::Array(first), Value::Array(second)) if first.len() == second.len() => {
            for (n, (first, second)) in first.iter().zip(second).enumerate() {
                path.push_str(&format!("[{n}]"));
                if differs(first, second, path) {
                    return true;
                }
                path.truncate(length);
            }
            false
        }
        (first, second) => first != second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_output_leaves_another_trace_and_a_secret_none() {
        let trace = |text: &str| output_trace(text.as_bytes());
        let with = |value: &str, secret: &str| {
            format!("---\nkind: ConfigMap\na: {value}\n---\nkind: Secret\na: {secret}\n---\nkind: A\n")
        };
        assert_eq!(trace(&with("1", "2")), trace(&with("1", "3")));
        assert_ne!(trace(&with("1", "2")), trace(&with("2", "2")));
        assert_ne!(trace(""), trace("a: 1"));
        assert_eq!(trace("").len(), 32);
        // Tests of charts often have names by chance.
        let hook = |name: &str, event: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: {event}}}}}\n"
            )
        };
        assert_eq!(trace(&hook("a", "test")), trace(&hook("b", "test")));
        assert_ne!(trace(&hook("a", "post-install")), trace(&hook("b", "post-install")));
    }

    #[test]
    fn the_field_is_named_and_its_value_is_not() {
        let check = |first: &str, second: &str, expected: &str| {
            let found = difference(first.as_bytes(), second.as_bytes());
            assert_eq!(found.as_deref().unwrap_or("nothing"), expected);
        };
        let secret = |value: &str| {
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata: {{a: b, password: {value}}}\n"
            )
        };
        check(&secret("x"), &secret("y"), "Secret/a: data.password");
        let list = |value: &str| {
            format!("apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nspec: {{l: [a, {{b: {value}}}]}}\n")
        };
        check(&list("1"), &list("2"), "A/a: spec.l[1].b");
        check(&secret("x"), &format!("{}---\n{}", secret("x"), list("1")), "one has 1 objects, the other 2");
        check(&secret("x"), &list("1"), "Secret/a is A/a in the other");
        check(&secret("x"), &format!("# now\n{}", secret("x")), "they differ in comments");
        check(&secret("x"), &secret("x"), "nothing");
        let with = |value: &str, events: &str, name: &str| {
            let pod = format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: {events:?}}}}}\n"
            );
            secret(value) + &pod
        };
        check(&with("x", "test", "a"), &with("x", "test", "b"), "nothing");
        check(&with("x", "test", "a"), &with("y", "test", "b"), "Secret/a: data.password");
        let events = "test,post-install";
        check(&with("x", events, "a"), &with("x", events, "b"), "Pod/a is Pod/b in the other");
    }
}
