//! Files that the administrator writes: one YAML document of one of our kinds.
//! Unknown fields are refused, because a misspelled field would have no effect.

use serde_json::Value;

use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::yaml;

/// The most bytes of such YAML once decoded, including aliases.
const MAX_DECODED_BYTES: u64 = 64 << 20;

/// What is wrong with such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Wrong {
    /// The field, or the line.
    pub place: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// What is wrong, and where.
pub fn wrong(place: impl Into<String>, problem: impl Into<String>) -> Wrong {
    Wrong { place: place.into(), problem: problem.into() }
}

/// Reads the one document of a file of at most so many bytes.
///
/// # Errors
/// When it is too large, not YAML, more than one document, or of another kind.
pub fn read_document(text: &str, most: usize, kind: &str) -> Result<Value, Wrong> {
    let document = read_single(text, most)?;
    // Checked first: a file of another kind has other fields.
    if document["apiVersion"] != "supercargo.dev/v1alpha1" || document["kind"] != kind {
        let problem = format!("not a {kind}: set apiVersion: supercargo.dev/v1alpha1 and kind: {kind}");
        return Err(wrong("the file", problem));
    }
    Ok(document)
}

/// Reads the one YAML document of a file.
///
/// # Errors
/// When it is too large, not YAML, or more than one document.
pub fn read_single(text: &str, most: usize) -> Result<Value, Wrong> {
    if text.len() > most {
        return Err(wrong("the file", format!("larger than {most} bytes")));
    }
    let parsed = yaml::parse(text, &mut Budget::new(MAX_DECODED_BYTES));
    let mut documents = parsed.map_err(|problems| match problems.into_iter().next() {
        Some(problem) => wrong(format!("line {}", problem.line), problem.message),
        None => wrong("the file", "not valid YAML"),
    })?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(wrong("the file", "has more than one YAML document")),
    }
}

/// Refuses unknown fields.
///
/// # Errors
/// The first such field.
pub fn refuse_unknown(place: &str, value: &Value, known: &[&str]) -> Result<(), Wrong> {
    let mut fields = value.as_object().into_iter().flat_map(|o| o.keys());
    match fields.find(|f| !known.contains(&f.as_str())) {
        Some(field) => Err(wrong(place, format!("unknown field {field:?}"))),
        None => Ok(()),
    }
}
