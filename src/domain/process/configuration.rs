//! Files that the administrator writes: one YAML document of a kind of ours.
//! Whatever nobody reads is refused, because a misspelt field would mean less
//! than is meant.

use serde_json::Value;

use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::yaml;

/// What such YAML may hold once decoded, aliases included, in bytes.
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
/// When it is too large, no YAML, more than one document, or of another kind.
pub fn read_document(text: &str, most: usize, kind: &str) -> Result<Value, Wrong> {
    if text.len() > most {
        return Err(wrong("the file", format!("it has more than {most} bytes")));
    }
    let parsed = yaml::parse(text, &mut Budget::new(MAX_DECODED_BYTES));
    let mut documents = parsed.map_err(|problems| match problems.into_iter().next() {
        Some(problem) => wrong(format!("line {}", problem.line), problem.message),
        None => wrong("the file", "it is not YAML"),
    })?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return Err(wrong("the file", "it holds more than one document"));
    };
    // Said first: a file of another kind has other fields.
    if document["apiVersion"] != "supercargo.dev/v1alpha1" || document["kind"] != kind {
        let problem = format!("it is no {kind}: write apiVersion: supercargo.dev/v1alpha1 and kind: {kind}");
        return Err(wrong("the file", problem));
    }
    Ok(document)
}

/// Refuses fields that are not among the known ones.
///
/// # Errors
/// The first such field.
pub fn refuse_unknown(place: &str, value: &Value, known: &[&str]) -> Result<(), Wrong> {
    let mut fields = value.as_object().into_iter().flat_map(|o| o.keys());
    match fields.find(|f| !known.contains(&f.as_str())) {
        Some(field) => Err(wrong(place, format!("there is no field {field:?}"))),
        None => Ok(()),
    }
}
