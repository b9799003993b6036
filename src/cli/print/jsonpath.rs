//! kubectl's JSONPath templates: text, with `{…}` for what is taken out of the output. The paths are
//! translated to those of RFC 9535, which a crate evaluates.

use std::sync::Arc;

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// How deep ranges may be in each other.
const MAX_DEPTH: usize = 16;

/// A template. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JsonPathTemplate(Arc<[Part]>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// Everything that the path leads to, with a blank between two.
    Path(Box<JpQuery>),
    /// The parts below, for each value of the path.
    Range(Box<JpQuery>, Vec<Part>),
}

impl JsonPathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(template: &str) -> Result<Self, String> {
        if template.is_empty() {
            return Err("has no template; write jsonpath='{.metadata.name}'".into());
        }
        if !template.contains('{') {
            return Err(format!("needs braces around a path; write jsonpath='{{{template}}}'"));
        }
        let mut rest = template;
        let parts = parts(&mut rest, 0)?;
        Ok(Self(parts.into()))
    }

    /// What it prints of a value. Like kubectl, without a line break at the end.
    ///
    /// # Errors
    /// When a path cannot be evaluated.
    pub(in crate::cli) fn of(&self, value: &Value) -> Result<String, String> {
        let mut out = String::new();
        print(&self.0, value, &mut out)?;
        Ok(out)
    }
}

fn print(parts: &[Part], value: &Value, out: &mut String) -> Result<(), String> {
    let found = |path: &JpQuery| js_path_process(path, value).map_err(|error| error.to_string());
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let texts: Vec<String> = found(path)?.into_iter().map(|found| text_of(found.val)).collect();
                out.push_str(&texts.join(" "));
            }
            Part::Range(path, below) => {
                for each in found(path)? {
                    print(below, each.val, out)?;
                }
            }
        }
    }
    Ok(())
}

/// As Go prints it: texts without quotes, objects and lists as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => {
            let json = value.to_string();
            // Go writes these so that JSON can be a part of HTML; outside of strings they do not occur.
            let json = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
            json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
        }
        other => other.to_string(),
    }
}

/// The parts up to the end of the template, or of a range.
fn parts(rest: &mut &str, depth: usize) -> Result<Vec<Part>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("has more than {MAX_DEPTH} ranges in each other"));
    }
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (text, after) = rest.split_once('{').map_or((*rest, None), |(text, after)| (text, Some(after)));
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let Some(after) = after else {
            *rest = "";
            break;
        };
        let end = end_of(after).ok_or_else(|| format!("{{{after} has no closing brace"))?;
        let action = after[..end].trim();
        *rest = &after[end + 1..];
        match action.split_once(char::is_whitespace) {
            _ if action == "end" && depth > 0 => return Ok(parts),
            _ if action == "end" => return Err("has an {end} without a {range …}".into()),
            _ if action == "range" => return Err("{range} needs a path, such as {range .items[*]}".into()),
            Some(("range", path)) => {
                let path = query(path)?;
                parts.push(Part::Range(path, self::parts(rest, depth + 1)?));
            }
            _ if action.starts_with(['"', '\'']) => parts.push(Part::Text(unquoted(action)?)),
            _ => parts.push(Part::Path(query(action)?)),
        }
    }
    // kubectl prints such a range once too often.
    if depth > 0 { Err("has a {range …} without an {end}".into()) } else { Ok(parts) }
}

/// Where the brace is that closes an action: not one in quotes.
fn end_of(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            (None, _) => {}
        }
    }
    None
}

/// The text of a quoted action, `"\n"` or `'\t'`.
fn unquoted(action: &str) -> Result<String, String> {
    let broken = || format!("{{{action}}} is not one text in quotes");
    let mut chars = action.chars();
    let quote = chars.next().ok_or_else(broken)?;
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return if chars.next().is_none() { Ok(text) } else { Err(broken()) },
            '\\' => text.push(match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(c @ ('\\' | '"' | '\'')) => c,
                Some(c) => {
                    return Err(format!("\\{c} in {{{action}}} is not known; use \\n, \\t, \\r or \\\\"));
                }
                None => return Err(broken()),
            }),
            c => text.push(c),
        }
    }
    Err(broken())
}

/// A path as the crate reads it.
fn query(path: &str) -> Result<Box<JpQuery>, String> {
    let path = path.trim();
    let start = path.strip_prefix(['$', '@']).unwrap_or(path);
    if !start.is_empty() && !start.starts_with(['.', '[']) {
        return Err(format!("{{{path}}} is not a path; did you mean {{.{path}}}?"));
    }
    let mut rest = start;
    let translated = format!("${}", segments(&mut rest));
    // The crate panics for no text, and its messages are about its own grammar.
    match rest.is_empty().then(|| parse_json_path(&translated)) {
        Some(Ok(query)) => Ok(Box::new(query)),
        _ => Err(format!("{{{path}}} is not a path that can be read")),
    }
}

/// Fields and brackets up to the first character that belongs to none, in the notation of RFC 9535.
fn segments(rest: &mut &str) -> String {
    let mut out = String::new();
    loop {
        if let Some(after) = rest.strip_prefix('.') {
            let deep = after.strip_prefix('.');
            *rest = deep.unwrap_or(after);
            let name = field(rest);
            let dots = if deep.is_some() { ".." } else { "" };
            match name.as_str() {
                // `{.}` is the value itself, and `..[0]` has its brackets next.
                "" => out.push_str(dots),
                "*" => out.push_str(&format!("{dots}[*]")),
                name => out.push_str(&format!("{dots}[{}]", quoted(name))),
            }
        } else if let Some(after) = rest.strip_prefix('[') {
            *rest = after;
            out.push_str(&bracket(rest));
        } else if rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with(['.', '[']) {
            // kubectl takes a path in pieces.
            *rest = rest.trim_start();
        } else {
            return out;
        }
    }
}

/// A name after a dot; a backslash takes the meaning from the next character, so that a name may have
/// dots.
fn field(rest: &mut &str) -> String {
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' | ']' | ')' | '(' | '=' | '!' | '<' | '>' | '&' | '|' | ',' | '\'' | '"' => {
                *rest = &rest[at..];
                return name;
            }
            c if c.is_whitespace() => {
                *rest = &rest[at..];
                return name;
            }
            c => name.push(c),
        }
    }
    *rest = "";
    name
}

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// What is in brackets, up to the one that closes them: the paths of a filter are translated, too.
fn bracket(rest: &mut &str) -> String {
    let mut out = String::from("[");
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        *rest = &rest[c.len_utf8()..];
        out.push(c);
        match (quote, c) {
            (Some(_), '\\') => {
                if let Some(c) = rest.chars().next() {
                    *rest = &rest[c.len_utf8()..];
                    out.push(c);
                }
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '@' | '$') => out.push_str(&segments(rest)),
            (None, ']') => return out,
            (None, _) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(template: &str) -> Result<String, String> {
        let value = json!({
            "kind": "List", "none": null, "half": 1.5, "yes": true,
            "items": [
                {"metadata": {"name": "a", "labels": {"x": "<1>"}, "annotations": {"supercargo.dev/pin": "1.0"}},
                 "status": {"n": 1, "conditions": [{"type": "Ready", "status": "True"}, {"type": "Drifted", "status": "False"}]}},
                {"metadata": {"name": "b", "dash-ed": "'"}, "status": {"n": 2, "conditions": []}},
            ],
        });
        JsonPathTemplate::parse(template)?.of(&value)
    }

    #[test]
    fn a_template_prints_what_kubectl_prints() {
        let check = |template: &str, expected: &str| {
            assert_eq!(printed(template).as_deref(), Ok(expected), "{template}");
        };
        check("{.kind}", "List");
        check("{ .kind }", "List");
        check("{$.kind} and {@.kind}", "List and List");
        check("{.items[*].metadata.name}", "a b");
        check("{.items[0].metadata.name}{\"\\n\"}{'\\t'}", "a\n\t");
        check("{.items[-1:].metadata.name}", "b");
        check("{.items[0:2].metadata.name}", "a b");
        check("{..name}", "a b");
        check("{.items[*].status.n}", "1 2");
        check("{.half} {.yes}", "1.5 true");
        check("{.nothing.at.all}", "");
        check("{.items[9].metadata.name}", "");
        check("{.items[0].metadata.labels}", r#"{"x":"\u003c1\u003e"}"#);
        check("{.items[0].metadata.labels.x}", "<1>");
        check(r"{.items[0].metadata.annotations.supercargo\.dev/pin}", "1.0");
        check("{.items[0].metadata.annotations['supercargo.dev/pin']}", "1.0");
        check("{.items[1].metadata.dash-ed}", "'");
        check("{.items[1].metadata['name','dash-ed']}", "b '");
        check("{.items[?(@.metadata.name==\"b\")].status.n}", "2");
        check("{.items[?(@.metadata.dash-ed)].metadata.name}", "b");
        check("{.items[?(@.status.n > 1)].metadata.name}", "b");
        check("{.items[*].status.conditions[?(@.type=='Ready')].status}", "True");
        check("{range .items[*]}{.metadata.name}={.status.n}{\"\\n\"}{end}", "a=1\nb=2\n");
        check(
            "{range .items[*]}{.metadata.name}:{range .status.conditions[*]} {.type}{end};{end}.",
            "a: Ready Drifted;b:;.",
        );
        check("{\"}\"}", "}");
        check("{.metadata .name}{.items[1] .metadata .name}", "b");
    }

    #[test]
    fn a_template_that_cannot_be_read_says_why() {
        let check = |template: &str, expected: &str| {
            assert_eq!(printed(template), Err(expected.to_owned()), "{template}");
        };
        check("", "has no template; write jsonpath='{.metadata.name}'");
        check(".metadata.name", "needs braces around a path; write jsonpath='{.metadata.name}'");
        check("{.kind", "{.kind has no closing brace");
        check("{kind}", "{kind} is not a path; did you mean {.kind}?");
        check("{end}", "has an {end} without a {range …}");
        check("{range .items[*]}{.status.n}", "has a {range …} without an {end}");
        check("{range}x{end}", "{range} needs a path, such as {range .items[*]}");
        check("{.items[}", "{.items[} is not a path that can be read");
        check("{.items[x]}", "{.items[x]} is not a path that can be read");
        check("{\"a\" \"b\"}", "{\"a\" \"b\"} is not one text in quotes");
        check("{\"\\q\"}", "\\q in {\"\\q\"} is not known; use \\n, \\t, \\r or \\\\");
        check(&"{range .a}".repeat(MAX_DEPTH + 1), "has more than 16 ranges in each other");
    }
}
