//! The chart's README: its table of values is made from values.yaml, whose comments
//! `# -- …` are the descriptions.
//!
//! A value that is described stands on one line with its key; a map of described
//! values is not described itself. That is all of YAML that is read here.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Between these lines the table is.
const BEGIN: &str = "<!-- values: written by `make generate` from values.yaml -->\n";
const END: &str = "<!-- end of values -->\n";
const MARK: &str = "# -- ";
const INDENT: usize = 2;

/// One described value.
#[derive(Debug, PartialEq, Eq)]
pub struct Described {
    /// `cache.maxSize`.
    pub key: String,
    /// As values.yaml has it.
    pub default: String,
    /// What the comment says.
    pub description: String,
}

/// The described values, in the order of the file. Says which line breaks the
/// rules.
pub fn described(values: &str) -> Result<Vec<Described>, String> {
    let mut found = Vec::new();
    let mut path: Vec<&str> = Vec::new();
    let mut description: Option<&str> = None;
    for (n, line) in values.lines().enumerate() {
        let wrong = |why: &str| Err(format!("values.yaml:{}: {why}: {line}", n + 1));
        let text = line.trim_start();
        if let Some(comment) = text.strip_prefix(MARK) {
            description = Some(comment);
            continue;
        }
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            return wrong("neither a comment nor a key; write lists and maps on one line");
        };
        path.truncate((line.len() - text.len()) / INDENT);
        path.push(key);
        match (description.take(), default.trim()) {
            (None, "") => {}
            (None, _) => return wrong("a value without a description, `# -- …`"),
            (Some(_), "") => return wrong("described, and not on one line"),
            (Some(description), default) => found.push(Described {
                key: path.join("."),
                default: default.to_owned(),
                description: description.to_owned(),
            }),
        }
    }
    Ok(found)
}

/// The README with the table of these values in the place of the one that it has.
pub fn readme(present: &str, values: &str) -> Result<String, String> {
    let (head, rest) = present.split_once(BEGIN).ok_or(format!("README.md lacks the line {BEGIN}"))?;
    let (_, tail) = rest.split_once(END).ok_or(format!("README.md lacks the line {END}"))?;
    let mut table = String::from("| Value | Default | |\n| --- | --- | --- |\n");
    for Described { key, default, description } in described(values)? {
        let description = description.replace('|', "\\|");
        writeln!(table, "| `{key}` | `{default}` | {description} |").unwrap();
    }
    Ok(format!("{head}{BEGIN}{table}{END}{tail}"))
}

/// The values that a schema lists, and the maps that it leaves open.
pub fn allowed(schema: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
    let closed = schema["additionalProperties"] == false;
    let Some(properties) = schema["properties"].as_object().filter(|_| closed) else {
        into.insert(path.to_owned());
        return;
    };
    for (name, value) in properties {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        allowed(value, &inner, into);
    }
}

mod tests {
    use super::*;

    #[test]
    fn values_are_described_line_by_line() {
        let check = |values: &str, expected: Result<&[(&str, &str, &str)], &str>| {
            let found = described(values);
            let found = found.as_ref().map(|all| {
                let parts = |d: &'_ Described| (d.key.clone(), d.default.clone(), d.description.clone());
                all.iter().map(parts).collect::<Vec<_>>()
            });
            let owned = |(a, b, c): &(&str, &str, &str)| ((*a).into(), (*b).into(), (*c).into());
            match expected {
                Ok(expected) => assert_eq!(found, Ok(expected.iter().map(owned).collect()), "{values}"),
                Err(part) => assert!(found.is_err_and(|e| e.contains(part)), "{values}"),
            }
        };
        check("# -- How many.\na: 1\n", Ok(&[("a", "1", "How many.")]));
        check(
            "a:\n  # -- B.\n  b: {x: y}\n  c:\n    # -- D.\n    d: []\n# -- E.\ne: \"\"\n",
            Ok(&[("a.b", "{x: y}", "B."), ("a.c.d", "[]", "D."), ("e", "\"\"", "E.")]),
        );
        check("# A comment.\n\n# -- A.\na: x:y\n", Ok(&[("a", "x:y", "A.")]));
        check("a: 1\n", Err("values.yaml:1: a value without a description"));
        check("# -- A.\na:\n  b: 1\n", Err("values.yaml:2: described, and not on one line"));
        check("# -- A.\n- a\n", Err("values.yaml:2: neither"));
    }

    #[test]
    fn the_table_replaces_the_old_one_and_nothing_else() {
        let present = format!("# A\n{BEGIN}old\n{END}rest\n");
        let written = readme(&present, "# -- This | that.\na: 1\n").unwrap();
        assert_eq!(
            written,
            format!(
                "# A\n{BEGIN}| Value | Default | |\n| --- | --- | --- |\n| `a` | `1` | This \\| that. |\n{END}rest\n"
            )
        );
        assert!(readme("# A\n", "").is_err());
    }
}
