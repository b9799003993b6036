//! Files that the administrator writes: one YAML document of one of our kinds.
//! Unknown fields are refused, because a misspelled field would have no effect.

use std::collections::BTreeSet;

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

/// What the receivers in a file have in common.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverFields<'a> {
    /// All fields.
    pub known: &'a [&'a str],
    /// Those with a text that must not be shown.
    pub hidden: &'a [&'a str],
    /// Those with the name of a file.
    pub files: &'a [&'a str],
    /// The most receivers.
    pub most: usize,
}

/// The receivers in a file, before they are read. No error has a value but that of a name: the message of serde would
/// show it, and a URL or a secret in the field of a file name opens a receiver as well.
///
/// # Errors
/// When there are none or too many, or one has a field that cannot be, or the name of another one.
pub fn receivers<'d>(document: &'d Value, fields: ReceiverFields<'_>) -> Result<&'d [Value], Wrong> {
    let receivers = document.get("receivers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut names = BTreeSet::new();
    for (n, receiver) in receivers.iter().enumerate() {
        let place = format!("receivers[{n}]");
        refuse_unknown(&place, receiver, fields.known)?;
        if let Some(name) = receiver.get("name").and_then(Value::as_str) {
            refuse_name(&place, name, !names.insert(name))?;
        }
        let given = |names: &'_ [&str]| {
            let given =
                names.iter().filter_map(|name| Some((format!("{place}.{name}"), receiver.get(*name)?)));
            given.filter(|(_, value)| !value.is_null()).collect::<Vec<_>>()
        };
        for (field, value) in given(fields.hidden).into_iter().chain(given(fields.files)) {
            if !value.is_string() {
                return Err(wrong(field, "not a string, put it in quotes"));
            }
        }
        for (field, value) in given(fields.files) {
            if value.as_str().is_some_and(|name| !is_file_name(name)) {
                let problem =
                    "is not the name of a file: put what opens the receiver in a file, and write its name";
                return Err(wrong(field, problem));
            }
        }
    }
    if receivers.is_empty() {
        return Err(wrong("receivers", "needs at least one receiver"));
    }
    if receivers.len() > fields.most {
        return Err(wrong("receivers", format!("has more than {} receivers", fields.most)));
    }
    Ok(receivers)
}

/// Whether a text can be the name of a file that a person writes, and is no URL.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.contains("://") && !name.contains(char::is_control)
}

/// The longest name of a receiver: the limit of a label.
const MAX_NAME_BYTES: usize = 63;

/// Refuses a name of a receiver that is no label, or that another one has.
fn refuse_name(place: &str, name: &str, is_used: bool) -> Result<(), Wrong> {
    let place = format!("{place}.name");
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let is_label = name.len() <= MAX_NAME_BYTES
        && ends.iter().all(|end| end.is_some_and(alphanumeric))
        && name.bytes().all(|b| alphanumeric(b) || b == b'-');
    if !is_label {
        let problem = format!(
            "{name:?} is not a valid name: use at most {MAX_NAME_BYTES} lower case letters, digits and '-'"
        );
        return Err(wrong(place, problem));
    }
    if is_used {
        return Err(wrong(place, format!("duplicate receiver name {name:?}")));
    }
    Ok(())
}
