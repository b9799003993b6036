//! Declared variables in the text values of an object: `${NAME}` and `${NAME:=default}`. What has
//! another form, or another name, is not touched.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{MAX_SUBSTITUTION_PROBLEMS, SubstitutionError};
use super::options::is_name;
use super::variables::VariableSet;
use crate::api::post_build::VariableType;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::scalar::Scalar;

/// What a value is replaced with, by name.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredVariables<'a> {
    /// The variables.
    pub variables: &'a VariableSet,
    /// What a value that is only a variable becomes. These names are declared, too.
    pub types: &'a BTreeMap<String, VariableType>,
    /// Whether each name must be declared.
    pub strict: bool,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableFault {
    /// The path of the field.
    pub path: Vec<String>,
    /// The name of the variable.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// What was done with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The paths of the fields that contain the value of a Secret now.
    pub secret: Vec<Vec<String>>,
    /// The Secrets that these values come from.
    pub from: Vec<String>,
    /// What is wrong: the first few.
    pub faults: Vec<VariableFault>,
    /// How many more faults there are.
    pub more_faults: usize,
}

/// Replaces the variables in a value.
///
/// # Errors
/// That the result is too large.
pub fn replace(
    value: &mut Value,
    declared: DeclaredVariables<'_>,
    budget: &mut Budget,
) -> Result<Replaced, SubstitutionError> {
    let mut typed = Typed { declared, budget, path: Vec::new(), done: Replaced::default() };
    typed.value(value)?;
    Ok(typed.done)
}

struct Typed<'a> {
    declared: DeclaredVariables<'a>,
    budget: &'a mut Budget,
    path: Vec<String>,
    done: Replaced,
}

/// A variable in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form<'t> {
    name: &'t str,
    default: Option<&'t str>,
    /// How long it is, in bytes.
    length: usize,
}

/// The variables of a text. Each byte is looked at a few times only, whatever the text is.
struct Forms<'t> {
    text: &'t str,
    /// Where the next closing brace is, as far as it is known: `None` inside where there is none.
    close: Option<Option<usize>>,
}

impl<'t> Forms<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, close: None }
    }

    /// The variable at that place, where the text has `${`. Places only grow.
    fn at(&mut self, at: usize) -> Option<Form<'t>> {
        let inner = at + 2;
        let rest = self.text.get(inner..)?;
        let is_part = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
        let length = rest.bytes().take_while(is_part).count();
        let (name, after) = rest.split_at_checked(length).filter(|(name, _)| is_name(name))?;
        if after.starts_with('}') {
            return Some(Form { name, default: None, length: length + 3 });
        }
        let default = after.strip_prefix(":=")?;
        let begin = inner + length + 2;
        let end = self.close_from(begin)? - begin;
        Some(Form { name, default: default.get(..end), length: length + end + 5 })
    }

    /// The first closing brace at or after that place.
    fn close_from(&mut self, begin: usize) -> Option<usize> {
        match self.close {
            Some(None) => None,
            Some(Some(close)) if close >= begin => Some(close),
            _ => {
                let found = self.text.get(begin..).and_then(|rest| rest.find('}')).map(|n| n + begin);
                self.close = Some(found);
                found
            }
        }
    }
}

impl Typed<'_> {
    fn value(&mut self, value: &mut Value) -> Result<(), SubstitutionError> {
        match value {
            Value::String(text) if text.contains("${") => {
                if let Some(replaced) = self.text(text)? {
                    *value = replaced;
                }
            }
            Value::Array(items) => {
                for (n, item) in items.iter_mut().enumerate() {
                    self.below(&n.to_string(), item)?;
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields.iter_mut() {
                    self.key(key);
                    self.below(key, field)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn below(&mut self, key: &str, value: &mut Value) -> Result<(), SubstitutionError> {
        self.path.push(key.to_owned());
        let done = self.value(value);
        self.path.pop();
        done
    }

    /// Keys are kept as they are: with variables in them, two keys could become one.
    fn key(&mut self, key: &str) {
        let Some(form) = key.find("${").and_then(|at| Forms::new(key).at(at)) else { return };
        if self.declared.strict {
            let problem = "is in a key, and keys keep their variables; write the key as it is meant";
            self.fault(form.name, problem);
        }
    }

    fn fault(&mut self, name: &str, problem: impl Into<String>) {
        if self.is_full() {
            self.done.more_faults += 1;
            return;
        }
        let (path, name) = (self.path.clone(), name.to_owned());
        self.done.faults.push(VariableFault { path, name, problem: problem.into() });
    }

    /// Whether there are as many faults as a message has: more are only counted.
    fn is_full(&self) -> bool {
        self.done.faults.len() >= MAX_SUBSTITUTION_PROBLEMS
    }

    /// The value of a text; `None` when it has no variable.
    fn text(&mut self, text: &str) -> Result<Option<Value>, SubstitutionError> {
        let (mut out, mut rest, mut is_changed) = (String::new(), text, false);
        let mut forms = Forms::new(text);
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let place = text.len() - from.len();
            let Some(form) = forms.at(place).filter(|form| self.touches(form.name)) else {
                out.push_str(before);
                out.push_str("${");
                rest = &from[2..];
                continue;
            };
            let after = &from[form.length..];
            is_changed = true;
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str(&from[..form.length]);
                rest = after;
                continue;
            }
            let Some(value) = self.of(form) else {
                out.push_str(before);
                rest = after;
                continue;
            };
            if !self.budget.spend((before.len() + value.len()) as u64) {
                return Err(SubstitutionError::TooLarge);
            }
            if form.length == text.len() {
                return Ok(self.as_declared(form.name, value));
            }
            out.push_str(before);
            out.push_str(&value);
            rest = after;
        }
        out.push_str(rest);
        Ok(is_changed.then_some(Value::String(out)))
    }

    fn touches(&self, name: &str) -> bool {
        let DeclaredVariables { variables, types, strict } = self.declared;
        strict || variables.0.contains_key(name) || types.contains_key(name)
    }

    /// The value of a variable, or its default if it has none or an empty one.
    fn of(&mut self, form: Form<'_>) -> Option<String> {
        let DeclaredVariables { variables, types, .. } = self.declared;
        let Some(variable) = variables.0.get(form.name) else {
            if let Some(default) = form.default {
                return Some(default.to_owned());
            }
            let problem = match types.contains_key(form.name) {
                true => "has a type, but neither a value nor a default".to_owned(),
                false if self.is_full() => String::new(),
                false => {
                    let close = variables.closest(form.name);
                    let close = close.map(|close| format!("; did you mean {close}?")).unwrap_or_default();
                    format!("is not declared{close}")
                }
            };
            self.fault(form.name, problem);
            return None;
        };
        if variable.value.is_empty()
            && let Some(default) = form.default
        {
            return Some(default.to_owned());
        }
        let Ok(value) = String::from_utf8(variable.value.clone()) else {
            self.fault(form.name, "has a value that is not UTF-8 text");
            return None;
        };
        if let Some(secret) = variable.secret.as_ref().filter(|_| !value.is_empty()) {
            if self.done.secret.last() != Some(&self.path) {
                self.done.secret.push(self.path.clone());
            }
            if !self.done.from.contains(secret) {
                self.done.from.push(secret.clone());
            }
        }
        Some(value)
    }

    fn as_declared(&mut self, name: &str, value: String) -> Option<Value> {
        let text = value.trim();
        let problem = match self.declared.types.get(name) {
            None | Some(VariableType::String) => return Some(Value::String(value)),
            Some(VariableType::Boolean) => match text {
                "true" => return Some(Value::Bool(true)),
                "false" => return Some(Value::Bool(false)),
                _ => "has the type Boolean, and its value is neither true nor false",
            },
            Some(VariableType::Number) => match number(text) {
                Some(number) => return Some(number),
                None => "has the type Number, and its value is not a number",
            },
        };
        self.fault(name, problem);
        None
    }
}

/// A number as in JSON, in the form in which kubectl sends it.
fn number(text: &str) -> Option<Value> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let scalar = match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => Scalar::Int(number),
        (None, Some(number)) => Scalar::Uint(number),
        (None, None) => Scalar::Float(number.as_f64()?),
    };
    scalar.into_value().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::variables::Variable;
    use super::*;

    fn variables() -> VariableSet {
        let secret = Variable { value: b"hunter2".to_vec(), secret: Some("tokens".into()) };
        let mut all: BTreeMap<String, Variable> = [
            ("HOST", "example.org"),
            ("REPLICAS", "3"),
            ("RATIO", "0.5"),
            ("DEBUG", "true"),
            ("EMPTY", ""),
            ("SELF", "${HOST}"),
            ("LINES", "a\nb\n"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        all.insert("TOKEN".into(), secret);
        all.insert("BYTES".into(), Variable { value: vec![0xff], secret: None });
        VariableSet(all)
    }

    fn types() -> BTreeMap<String, VariableType> {
        use VariableType::{Boolean, Number, String};
        let types = [
            ("REPLICAS", Number),
            ("RATIO", Number),
            ("DEBUG", Boolean),
            ("HOST", String),
            ("PORT", Number),
            ("EMPTY", Number),
        ];
        types.into_iter().map(|(name, of)| (name.to_owned(), of)).collect()
    }

    /// With a search to the end of the text for each variable, this would take hours.
    #[test]
    fn texts_of_variables_without_an_end_are_read_once() {
        for (part, end) in [("${", ""), ("${", "}"), ("${NOBODY:=", ""), ("${NOBODY:=", "}"), ("${A", "}")] {
            let text = part.repeat(500_000) + end;
            let (found, done) = replaced(json!({"a": text}), false);
            assert!(found["a"] == text.as_str() && done.faults.is_empty(), "{part}…{end}");
        }
    }

    #[test]
    fn faults_beyond_the_first_are_counted() {
        let (_, done) = replaced(json!({"a": "${NOBODY}".repeat(100_000)}), true);
        assert_eq!(done.faults.len(), MAX_SUBSTITUTION_PROBLEMS);
        assert_eq!(done.more_faults, 100_000 - MAX_SUBSTITUTION_PROBLEMS);
    }

    fn replaced(value: Value, strict: bool) -> (Value, Replaced) {
        let (variables, types) = (variables(), types());
        let mut value = value;
        let declared = DeclaredVariables { variables: &variables, types: &types, strict };
        let done = replace(&mut value, declared, &mut Budget::default()).unwrap();
        (value, done)
    }

    #[test]
    fn declared_variables_are_replaced_and_nothing_else() {
        let check = |text: &str, expected: Value| {
            let (found, done) = replaced(json!([text]), false);
            assert_eq!((found, done.faults), (json!([expected]), vec![]), "{text}");
        };
        check("${HOST}", json!("example.org"));
        check("https://${HOST}:443/${HOST}", json!("https://example.org:443/example.org"));
        check("${REPLICAS}", json!(3));
        check("${REPLICAS} of them", json!("3 of them"));
        check("${RATIO}", json!(0.5));
        check("${DEBUG}", json!(true));
        check("${PORT:=80}", json!(80));
        check("${HOST:=other}", json!("example.org"));
        check("${EMPTY:=7}", json!(7));
        check("x${EMPTY}x", json!("xx"));
        check("${LINES}", json!("a\nb\n"));
        // A value is not looked at again.
        check("${SELF}", json!("${HOST}"));
        check("$${HOST}", json!("${HOST}"));
        check("$$${HOST}", json!("$${HOST}"));
        for kept in [
            "$HOST",
            "${OTHER}",
            "${OTHER:=x}",
            "${OTHER:-x}",
            "$${OTHER}",
            "${HOST:-x}",
            "${HOST%.*}",
            "${#HOST}",
            "${HOST",
            "${}",
            "${ HOST }",
            "${1}",
            "a $$ b \\${",
            "proxy_set_header Host $host; # ${DS_PROMETHEUS}",
        ] {
            check(kept, json!(kept));
        }
    }

    #[test]
    fn a_name_that_is_not_declared_is_an_error_only_in_strict_mode() {
        let check = |text: &str, expected: &[&str]| {
            let (_, done) = replaced(json!({"spec": {"a": [text]}}), true);
            let found: Vec<String> = done
                .faults
                .iter()
                .map(|fault| format!("{} {} {}", fault.path.join("."), fault.name, fault.problem))
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("${HSOT}", &["spec.a.0 HSOT is not declared; did you mean HOST?"]);
        check("${WHATEVER}", &["spec.a.0 WHATEVER is not declared"]);
        check("${WHATEVER:=x} $${WHATEVER} ${WHATEVER:-x}", &[]);
        check("${PORT}", &["spec.a.0 PORT has a type, but neither a value nor a default"]);
        check("${PORT:=eighty}", &["spec.a.0 PORT has the type Number, and its value is not a number"]);
        check("${BYTES}", &["spec.a.0 BYTES has a value that is not UTF-8 text"]);
        let (found, _) = replaced(json!("${WHATEVER:=x} $${WHATEVER}"), true);
        assert_eq!(found, json!("x ${WHATEVER}"));
        let (_, done) = replaced(json!({"spec": {"${HOST}": 1}}), true);
        let problem = "is in a key, and keys keep their variables; write the key as it is meant";
        assert_eq!(done.faults[0].problem, problem);
        let (found, done) = replaced(json!({"spec": {"${HOST}": "${HOST}"}}), false);
        assert_eq!((found, done.faults), (json!({"spec": {"${HOST}": "example.org"}}), vec![]));
        assert_eq!(replaced(json!("${PORT}"), false).1.faults.len(), 1);
    }

    #[test]
    fn fields_with_the_value_of_a_secret_are_known() {
        let object =
            json!({"a": {"b": ["${HOST}", "x${TOKEN}${TOKEN}"]}, "c": "$${TOKEN}", "d": "${TOKEN:=x}"});
        let (found, done) = replaced(object, false);
        assert_eq!(found["a"]["b"][1], "xhunter2hunter2");
        assert_eq!(done.secret, [vec!["a", "b", "1"], vec!["d"]]);
        assert_eq!(done.from, ["tokens"]);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_built() {
        let large = VariableSet(BTreeMap::from([("X".to_owned(), "x".repeat(4096).as_str().into())]));
        let declared = DeclaredVariables { variables: &large, types: &BTreeMap::new(), strict: false };
        let mut value = json!({"data": {"a": "${X}".repeat(100_000)}});
        let found = replace(&mut value, declared, &mut Budget::new(16 << 20));
        assert_eq!(found, Err(SubstitutionError::TooLarge));
    }
}
