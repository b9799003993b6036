//! Label selectors, in the text form of Kubernetes:
//! `app=web,tier in (front, back),!legacy,size>3`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// The longest text of a selector, in bytes.
pub const MAX_SELECTOR_BYTES: usize = 1024;

/// All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads a selector. An empty one selects everything.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(format!("the selector is longer than {MAX_SELECTOR_BYTES} bytes"));
        }
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        let mut requirements = Vec::new();
        if parser.peek().is_none() {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(parser.requirement()?);
            match parser.take() {
                None => return Ok(Self(requirements)),
                Some(",") => {}
                Some(token) => return Err(format!("expected a comma, found {token:?}")),
            }
        }
    }

    /// Whether labels, or annotations, satisfy it.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels
                .and_then(|labels| labels.get(&requirement.key))
                .map(crate::domain::manifest::patch::value::scalar_text);
            let number = || value.as_deref().and_then(|value| value.parse::<i64>().ok());
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.contains(&value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
                Test::Above(least) => number().is_some_and(|value| value > *least),
                Test::Below(most) => number().is_some_and(|value| value < *most),
            }
        })
    }
}

impl fmt::Display for Selector {
    /// One spelling of it, which has the same meaning for the API server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Requirement { key, test }) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "," })?;
            let join =
                |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            match test {
                Test::Exists => f.write_str(key)?,
                Test::Missing => write!(f, "!{key}")?,
                Test::In(values) => write!(f, "{key} in ({})", join(values))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", join(values))?,
                Test::Above(least) => write!(f, "{key}>{least}")?,
                Test::Below(most) => write!(f, "{key}<{most}")?,
            }
        }
        Ok(())
    }
}

const SPECIAL: &[char] = &['=', '!', '(', ')', ',', '>', '<'];

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else if SPECIAL.contains(&first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| SPECIAL.contains(&c) || c.is_whitespace()).unwrap_or(rest.len())
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self) -> Option<&'a str> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let missing = self.peek() == Some("!");
        if missing {
            self.take();
        }
        let key = self.take().unwrap_or_default();
        if !is_key(key) {
            return Err(format!("{key:?} is not a valid label key"));
        }
        let test = if missing { Test::Missing } else { self.test()? };
        Ok(Requirement { key: key.to_owned(), test })
    }

    fn test(&mut self) -> Result<Test, String> {
        let Some(operator) = self.peek().filter(|token| *token != ",") else { return Ok(Test::Exists) };
        self.take();
        match operator {
            "=" | "==" => Ok(Test::In([self.value()?].into())),
            "!=" => Ok(Test::NotIn([self.value()?].into())),
            "in" => self.values().map(Test::In),
            "notin" => self.values().map(Test::NotIn),
            ">" => self.number().map(Test::Above),
            "<" => self.number().map(Test::Below),
            _ => Err(format!("expected one of =, ==, !=, in, notin, > and <, found {operator:?}")),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let value = match self.peek() {
            None | Some(",") => "",
            Some(_) => self.take().unwrap_or_default(),
        };
        if is_value(value) {
            Ok(value.to_owned())
        } else {
            Err(format!("{value:?} is not a valid label value"))
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| format!("{value:?} is not an integer"))
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        if self.take() != Some("(") {
            return Err("in and notin must be followed by values in parentheses".into());
        }
        loop {
            let value = match self.peek() {
                Some("," | ")") => "",
                _ => self.take().unwrap_or_default(),
            };
            if !is_value(value) {
                return Err(format!("{value:?} is not a valid label value"));
            }
            values.insert(value.to_owned());
            match self.take() {
                Some(")") => return Ok(values),
                Some(",") => {}
                _ => return Err("the parenthesis after in or notin is not closed".into()),
            }
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, a letter or digit at both ends.
fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_key(text: &str) -> bool {
    let is_domain = |domain: &str| {
        let part = |part: &str| {
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                && ends(part.chars().next())
                && ends(part.chars().next_back())
        };
        domain.len() <= 253 && domain.split('.').all(part)
    };
    match text.split_once('/') {
        None => is_name(text),
        Some((domain, name)) => is_domain(domain) && is_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_choose_as_kubectl_does() {
        let check = |text: &str, labels: Value, expected: bool| {
            let selector = Selector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.matches(labels.as_object()), expected, "{text} {labels}");
        };
        let web = || json!({"app": "web", "example.com/tier": "front", "size": "5", "empty": ""});
        check("", web(), true);
        check("", Value::Null, true);
        check("app=web", web(), true);
        check("app==web , size", web(), true);
        check("app != web", web(), false);
        check("other!=web", web(), true);
        check("!other", web(), true);
        check("!app", web(), false);
        check("example.com/tier in (front, back)", web(), true);
        check("example.com/tier notin (front)", web(), false);
        check("other notin (front)", web(), true);
        check("size>4,size<6", web(), true);
        check("size>5", web(), false);
        check("app>1", web(), false);
        check("empty=", web(), true);
        check("empty in (,a)", web(), true);
        check("app", Value::Null, false);
        check("in", json!({"in": "x"}), true);
    }

    #[test]
    fn what_is_written_means_what_was_read() {
        let check = |text: &str, expected: &str| {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.to_string(), expected);
            assert_eq!(Selector::parse(expected).unwrap(), selector);
        };
        check("", "");
        check(" shard = a , !off,size>3", "shard in (a),!off,size>3");
        check("a!=b,c in (y, x),d notin (),e<1,f", "a notin (b),c in (x,y),d notin (),e<1,f");
        check("empty=", "empty in ()");
        check("a in (,b)", "a in (,b)");
    }

    #[test]
    fn what_is_not_a_selector_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = Selector::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("=web", "\"=\" is not a valid label key");
        check("app=web,", "\"\" is not a valid label key");
        check("app=web tier", "expected a comma, found \"tier\"");
        check("app=a/b", "\"a/b\" is not a valid label value");
        check("app in web", "in parentheses");
        check("app in (web", "not closed");
        check("app in (a b)", "not closed");
        check("app ~ web", "expected one of =, ==, !=, in, notin, > and <, found \"~\"");
        check("size>x", "\"x\" is not an integer");
        check("UPPER.example/app", "is not a valid label key");
        check(&"a,".repeat(600), "longer than 1024 bytes");
    }
}
