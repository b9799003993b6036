//! The variables of a run, and their values.

use std::collections::BTreeMap;
use std::fmt;

use super::error::SubstitutionError;
use super::options::{Substitution, is_name};
use crate::api::post_build::{InputKind, SubstitutionMode};
use crate::domain::message::closest;
use crate::domain::release::inputs::{InputReference, RenderInputs};

/// The value of a variable. Its `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The value; of a Secret, it may be no text.
    pub value: Vec<u8>,
    /// The Secret that it comes from, if it does: then it is never shown.
    pub secret: Option<String>,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable").field("secret", &self.secret).finish_non_exhaustive()
    }
}

impl From<&str> for Variable {
    fn from(value: &str) -> Self {
        Self { value: value.as_bytes().to_vec(), secret: None }
    }
}

/// All variables of a run by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableSet(pub BTreeMap<String, Variable>);

impl VariableSet {
    /// Those that a spec declares, from what was read for it.
    ///
    /// # Errors
    /// The key of an input that is no name, in mode Flux, which accepts names only.
    pub fn of(substitution: &Substitution, inputs: &RenderInputs) -> Result<Self, SubstitutionError> {
        let Substitution { mode, values, from, .. } = substitution;
        let mut found = BTreeMap::new();
        for InputReference { kind, name, .. } in from {
            let Some(data) = inputs.get(*kind, name) else { continue };
            for (key, value) in &data.0 {
                match (is_name(key), mode) {
                    (true, _) => {}
                    // A file next to variables.
                    (false, SubstitutionMode::Typed) => continue,
                    (false, SubstitutionMode::Flux) => {
                        let kind = kind.as_str();
                        return Err(SubstitutionError::one(format!(
                            "{kind} {name} has the key {key:?}, which is not a name of a variable; with mode Flux, \
                             all keys have to be names (letters, digits and '_')"
                        )));
                    }
                }
                let secret = (*kind == InputKind::Secret).then(|| name.clone());
                found.insert(key.clone(), Variable { value: for_mode(*mode, value), secret });
            }
        }
        for (name, value) in values {
            let value = for_mode(*mode, value.as_bytes());
            found.insert(name.clone(), Variable { value, secret: None });
        }
        Ok(Self(found))
    }

    /// What a name was probably meant to be.
    pub fn closest(&self, name: &str) -> Option<&str> {
        closest(self.0.keys().map(String::as_str), name)
    }
}

/// Flux removes the line breaks of values.
fn for_mode(mode: SubstitutionMode, value: &[u8]) -> Vec<u8> {
    match mode {
        SubstitutionMode::Typed => value.to_vec(),
        SubstitutionMode::Flux => value.iter().copied().filter(|byte| *byte != b'\n').collect(),
    }
}
