//! Takes the values of Secrets out of texts that others have written, such as the message of a pod.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::release::inputs::RenderInputs;

/// Shorter values are in many texts by chance, in bytes.
const TELLING_BYTES: usize = 4;
/// The same for a single line of a longer value.
const TELLING_LINE: usize = 8;
/// A longer value is a file, which no message quotes as a whole.
const MAX_BYTES: usize = 16 << 10;
/// A value that is not shown.
const MASK: &str = "*****";

/// The texts that are never shown. Its `Debug` shows none.
#[derive(Clone, Default)]
pub struct Redaction {
    /// The longest first.
    hidden: Vec<String>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("count", &self.hidden.len()).finish()
    }
}

impl Redaction {
    /// Of the values of the Secrets among the inputs.
    pub fn of(inputs: &RenderInputs) -> Self {
        let mut hidden = BTreeSet::new();
        for value in inputs.secret_values().filter(|value| (TELLING_BYTES..=MAX_BYTES).contains(&value.len()))
        {
            hidden.insert(STANDARD.encode(value));
            let Ok(text) = std::str::from_utf8(value) else { continue };
            let joined: String = text.chars().filter(|c| *c != '\n').collect();
            for text in [text, text.trim(), &joined] {
                let quoted = format!("{text:?}");
                hidden.insert(quoted[1..quoted.len() - 1].to_owned());
                hidden.insert(text.to_owned());
            }
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= TELLING_LINE);
            hidden.extend(lines.map(str::to_owned));
        }
        let mut hidden: Vec<String> = hidden.into_iter().filter(|text| text.len() >= TELLING_BYTES).collect();
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { hidden }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// Replaces them.
    pub fn redact(&self, text: &mut String) {
        for hidden in &self.hidden {
            if text.contains(hidden.as_str()) {
                *text = text.replace(hidden.as_str(), MASK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::post_build::InputKind;
    use crate::domain::release::inputs::InputData;

    #[test]
    fn values_are_found_in_every_form_that_a_message_has() {
        let inputs = |kind: InputKind, value: &str| {
            let data = InputData(BTreeMap::from([("k".to_owned(), value.as_bytes().to_vec())]));
            RenderInputs::new(BTreeMap::from([((kind, "s".to_owned()), data)]))
        };
        let check = |value: &str, text: &str, expected: &str| {
            let mut found = text.to_owned();
            Redaction::of(&inputs(InputKind::Secret, value)).redact(&mut found);
            assert_eq!(found, expected);
        };
        check("hunter2", "exec: \"hunter2\": not found", "exec: \"*****\": not found");
        check("hunter2\n", "exec: \"hunter2\": not found", "exec: \"*****\": not found");
        check("a\"b\\c\nd", "Invalid value: \"a\\\"b\\\\c\\nd\"", "Invalid value: \"*****\"");
        check("first line\nsecond line\n", "says second line", "says *****");
        check("first line\nsecond line\n", "says first linesecond line", "says *****");
        check("hunter2", "has aHVudGVyMg==", "has *****");
        // It is no secret, and in every other word.
        check("on", "not connected", "not connected");
        let mut text = "hunter2".to_owned();
        let open = Redaction::of(&inputs(InputKind::ConfigMap, "hunter2"));
        open.redact(&mut text);
        assert!(open.is_empty() && text == "hunter2");
        assert!(!format!("{:?}", Redaction::of(&inputs(InputKind::Secret, "hunter2"))).contains("hunter2"));
    }
}
