//! The variables of all objects of an artifact.

use super::error::{MAX_SUBSTITUTION_PROBLEMS, SubstitutionError};
use super::flux::{FluxError, FluxFailure, substitute_object};
use super::options::Substitution;
use super::place::{line_of, path_of};
use super::sensitive::hide;
use super::typed::{DeclaredVariables, VariableFault, replace};
use super::variables::VariableSet;
use crate::api::keys;
use crate::api::post_build::SubstitutionMode;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::decode::{Decoded, Origin};
use crate::domain::objects::identity::ObjectId;
use crate::domain::objects::object::Object;
use crate::domain::release::inputs::RenderInputs;

/// What the mode Flux does not write.
const DECLARE: &str = "declare it, or give it a default";

/// Replaces the variables of objects. `files` are what the objects were read from, for the lines in
/// messages.
///
/// # Errors
/// What is wrong, object by object.
pub fn substitute(
    objects: Vec<Decoded>,
    substitution: &Substitution,
    inputs: &RenderInputs,
    files: &[(&str, &[u8])],
    budget: &mut Budget,
) -> Result<Vec<Decoded>, SubstitutionError> {
    let variables = VariableSet::of(substitution, inputs)?;
    let (mut problems, mut more) = (Vec::new(), 0);
    let mut done = Vec::with_capacity(objects.len());
    for Decoded { object, origin } in objects {
        if is_disabled(&object) {
            done.push(Decoded { object, origin });
            continue;
        }
        let of = Subject {
            id: object.id(),
            origin: &origin,
            files,
            is_shown: problems.len() < MAX_SUBSTITUTION_PROBLEMS,
        };
        let replaced = match substitution.mode {
            SubstitutionMode::Typed => typed(object, substitution, &variables, &of, budget, &mut more)?,
            // Flux leaves objects as they are where there is no variable at all.
            SubstitutionMode::Flux if variables.0.is_empty() => Ok(object),
            SubstitutionMode::Flux => flux(&object, substitution, &variables, &of, budget)?,
        };
        match replaced {
            Ok(object) => done.push(Decoded { object, origin }),
            Err(found) => {
                let room = MAX_SUBSTITUTION_PROBLEMS - problems.len();
                more += found.len().saturating_sub(room);
                problems.extend(found.into_iter().take(room));
            }
        }
    }
    if problems.is_empty() { Ok(done) } else { Err(SubstitutionError::Invalid { first: problems, more }) }
}

/// Whether the object keeps its variables, by our name or by that of Flux.
fn is_disabled(object: &Object) -> bool {
    [keys::SUBSTITUTE, keys::FLUX_SUBSTITUTE].into_iter().any(|key| {
        [object.label(key), object.annotation(key)].into_iter().flatten().any(|value| value == keys::DISABLED)
    })
}

/// An object in messages.
struct Subject<'a> {
    id: ObjectId,
    origin: &'a Origin,
    files: &'a [(&'a str, &'a [u8])],
    /// Whether a message has room for what is said. If it has not, lines are not looked for.
    is_shown: bool,
}

impl Subject<'_> {
    fn says(&self, problem: &str) -> String {
        format!("{} ({}): {problem}", self.id, self.origin)
    }

    /// About a variable: with the field and the line that have it.
    fn says_of(&self, path: &[String], name: &str, problem: &str) -> String {
        let origin = Origin { line: self.line(path, name), ..self.origin.clone() };
        format!("{} ({origin}): {}: ${{{name}}} {problem}", self.id, shown(path))
    }

    /// The line of the document that has the variable; otherwise, where the document begins.
    fn line(&self, path: &[String], name: &str) -> usize {
        let begin = self.origin.line;
        let file = self.files.iter().filter(|_| self.is_shown).find(|(path, _)| *path == &*self.origin.file);
        let text = file.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok());
        text.and_then(|text| line_of(text, begin, &self.id, path, name)).unwrap_or(begin)
    }

    /// The object again, if it is one.
    fn object(&self, value: serde_json::Value) -> Result<Object, Vec<String>> {
        let object = Object::new(value);
        object.map_err(|error| vec![self.says(&format!("with its variables replaced, {error}"))])
    }

    /// The object, with the fields hidden that have the value of a Secret.
    fn hidden(
        &self,
        mut object: Object,
        paths: &[Vec<String>],
        doubtful: &[Vec<String>],
        from: &[String],
    ) -> Result<Object, Vec<String>> {
        hide(&mut object, paths, doubtful).map_err(|shown| {
            let secrets = from.join(", ");
            vec![self.says(&format!(
                "{} would contain a value of Secret {secrets}, and everyone sees this field; take the value from a \
                 ConfigMap",
                shown.0
            ))]
        })?;
        Ok(object)
    }
}

type Replaced = Result<Object, Vec<String>>;

fn typed(
    object: Object,
    substitution: &Substitution,
    variables: &VariableSet,
    of: &Subject<'_>,
    budget: &mut Budget,
    more: &mut usize,
) -> Result<Replaced, SubstitutionError> {
    let Substitution { types, strict, .. } = substitution;
    let mut value = object.into_value();
    let done = replace(&mut value, DeclaredVariables { variables, types, strict: *strict }, budget)?;
    *more += done.more_faults;
    if !done.faults.is_empty() {
        let shown_fault =
            |VariableFault { path, name, problem }: &VariableFault| of.says_of(path, name, problem);
        return Ok(Err(done.faults.iter().map(shown_fault).collect()));
    }
    Ok(of.object(value).and_then(|object| of.hidden(object, &done.secret, &[], &done.from)))
}

fn flux(
    object: &Object,
    substitution: &Substitution,
    variables: &VariableSet,
    of: &Subject<'_>,
    budget: &mut Budget,
) -> Result<Replaced, SubstitutionError> {
    let problem = match substitute_object(object.value(), variables, substitution.strict, budget) {
        Ok(done) => {
            return Ok(of
                .object(done.value)
                .and_then(|object| of.hidden(object, &done.secret, &done.doubtful, &done.from)));
        }
        Err(FluxFailure::Text(FluxError::TooLarge)) => return Err(SubstitutionError::TooLarge),
        Err(_) if budget.exhausted() => return Err(SubstitutionError::TooLarge),
        Err(FluxFailure::Text(FluxError::NotSet(name))) => {
            let close = variables.closest(&name);
            let close = close.map(|close| format!("; did you mean {close}?")).unwrap_or_default();
            let path = path_of(object.value(), &name).unwrap_or_default();
            of.says_of(&path, &name, &format!("is not declared{close} ({DECLARE})"))
        }
        Err(FluxFailure::Text(error)) => of.says(&format!(
            "{error}; mode Typed, or the annotation {}: {} on the object, leaves it as it is",
            keys::SUBSTITUTE,
            keys::DISABLED
        )),
        Err(FluxFailure::Yaml(line, problem)) => of.says(&format!(
            "with its variables replaced, it is no YAML any more: line {line} of the object: {problem}"
        )),
        Err(FluxFailure::Unwritable) => of.says("it cannot be written as YAML"),
    };
    Ok(Err(vec![problem]))
}

/// A path as people write it.
fn shown(path: &[String]) -> String {
    let mut out = String::new();
    for key in path {
        let is_index = !out.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match (is_index, is_plain) {
            (true, _) => out.push_str(&format!("[{key}]")),
            (false, false) => out.push_str(&format!("[{key:?}]")),
            (false, true) if out.is_empty() => out.push_str(key),
            (false, true) => out.push_str(&format!(".{key}")),
        }
    }
    out
}

#[cfg(test)]
mod tests;
