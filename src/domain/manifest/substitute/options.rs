//! What a spec says about variables.

use std::collections::BTreeMap;

use crate::api::post_build::{PostBuild, SubstitutionMode, VariableType};
use crate::domain::release::inputs::InputReference;

/// The most bytes that all values of a spec have together.
const MAX_INLINE_BYTES: usize = 256 << 10;

/// VariableSet and how they are replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Substitution {
    /// In which way.
    pub mode: SubstitutionMode,
    /// The variables of the spec itself.
    pub values: BTreeMap<String, String>,
    /// The objects that have more of them: later ones win, and the spec itself wins over all.
    pub from: Vec<InputReference>,
    /// What a value that is only a variable becomes.
    pub types: BTreeMap<String, VariableType>,
    /// Whether each variable must be declared.
    pub strict: bool,
}

/// Whether a text is the name of a variable.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

impl Substitution {
    /// Reads the field `postBuild`.
    ///
    /// # Errors
    /// The field below it, and what is wrong there.
    pub fn parse(spec: &PostBuild) -> Result<Self, (String, String)> {
        let PostBuild { substitute, substitute_from, mode, types, strict } = spec;
        let unnamed = |field: &str, name: &String| {
            let problem = "is not a name of a variable: use letters, digits and '_', and no digit at first";
            (field.to_owned(), format!("{name:?} {problem}"))
        };
        if let Some(name) = substitute.keys().find(|name| !is_name(name)) {
            return Err(unnamed("substitute", name));
        }
        if let Some(name) = types.keys().find(|name| !is_name(name)) {
            return Err(unnamed("types", name));
        }
        let values: BTreeMap<String, String> =
            substitute.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        if values.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_INLINE_BYTES {
            let problem = format!("the values have more than {} KiB together", MAX_INLINE_BYTES >> 10);
            return Err(("substitute".into(), problem));
        }
        let from = substitute_from.iter().enumerate().map(|(n, reference)| InputReference {
            kind: reference.kind,
            name: reference.name.clone(),
            optional: reference.optional,
            field: format!("spec.postBuild.substituteFrom[{n}]"),
        });
        let found = Self {
            mode: *mode,
            values,
            from: from.collect(),
            types: types.clone(),
            strict: strict.unwrap_or(*mode == SubstitutionMode::Flux),
        };
        match mode {
            SubstitutionMode::Flux if !types.is_empty() => {
                Err(("types".into(), "needs mode Typed: in mode Flux, quotes decide about types".into()))
            }
            SubstitutionMode::Flux | SubstitutionMode::Typed => Ok(found),
        }
    }
}
