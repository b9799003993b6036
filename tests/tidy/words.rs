//! The words of the code: those that operators use, and one name for one thing.

use std::collections::BTreeMap;

use crate::source::{Source, comments};

/// Words that the field does not use, as parts of names and in comments, and what to say.
const RETIRED: &[(&str, &str)] = &[
    ("farewell", "finalize result"),
    ("condemn", "mark for deletion"),
    ("condemned", "marked for deletion"),
    ("heir", "pending owner"),
    ("heirs", "pending owners"),
    ("salvage", "lenient parse"),
    ("salvaged", "parsed leniently"),
    ("homeless", "without a namespace"),
    ("floor", "trust policy"),
    ("disturbance", "drift kind"),
    ("disturbed", "drifted"),
    ("undisturbed", "as applied"),
    ("contest", "correction backoff"),
    ("contests", "correction backoffs"),
    ("uncontested", "correctable"),
    ("vigil", "health watch"),
    ("restless", "conflict retries exhausted"),
    ("walled", "blocked"),
    ("asker", "request context"),
    ("harmless", "printable, or sanitized for the terminal"),
    ("onward", "resume, or redirected"),
    ("foreseen", "planned"),
    ("distrusted", "rejected"),
    ("by_hand", "manual, or from the command line"),
    ("go_on", "resume"),
    ("stand_in", "placeholder"),
    ("told", "reported, notified"),
];

/// Words that keep an actor or a fact vague, in comments, and what to say.
const VAGUE: &[(&str, &str)] = &[
    ("beside", "next to, along with"),
    ("is told of", "sees, is notified of"),
    ("makes no sense", "is invalid"),
    ("what comes of it", "the result"),
    ("whoever", "name the actor"),
    ("somebody", "name the actor"),
];

/// Public types that share a name, and why.
const HOMONYMS: &[(&str, &str)] = &[
    ("Image", "the field of the custom resource, and what a kustomization file has"),
    ("Memory", "each phase remembers its own, and nothing else names it"),
    ("Traces", "one with exporters, one without; a build has one of them"),
];

/// The retired words of a file, in its names and its comments; strings do not count.
pub fn retired(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (n, (code, comment)) in source.code.lines().zip(comments(&source.text).lines()).enumerate() {
        let names: Vec<String> = names(code).map(snake).collect();
        let prose = spaced(comment);
        for (word, say) in RETIRED {
            let named = names.iter().any(|name| format!("_{name}_").contains(&format!("_{word}_")));
            if named || prose.contains(&format!(" {word} ")) {
                found.push(format!("{}:{}: {word:?}, say {say}", source.path, n + 1));
            }
        }
        for (word, say) in VAGUE {
            if prose.contains(&format!(" {word} ")) {
                found.push(format!("{}:{}: {word:?}, say {say}", source.path, n + 1));
            }
        }
    }
    found
}

/// Public types of which another has the name.
pub fn homonyms(sources: &[Source]) -> Vec<String> {
    let mut types: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources {
        for name in source.product.lines().filter_map(public_type) {
            types.entry(name).or_default().push(&source.path);
        }
    }
    let excused = |name: &str| HOMONYMS.iter().any(|(known, _)| *known == name);
    let mut found: Vec<String> = types
        .iter()
        .filter(|(name, paths)| paths.len() > 1 && !excused(name))
        .map(|(name, paths)| format!("{name}: {}", paths.join(", ")))
        .collect();
    let single = |name: &str| types.get(name).is_none_or(|paths| paths.len() < 2);
    let idle = HOMONYMS.iter().filter(|(name, _)| sources.len() > 20 && single(name));
    found.extend(idle.map(|(name, _)| format!("{name} is one type now, take it out of HOMONYMS")));
    found
}

/// The type that a line makes public to more than the folder of its file.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix("(super)") {
        Some(_) => return None,
        None if rest.starts_with('(') => rest.split_once(')')?.1,
        None => rest,
    };
    let (keyword, rest) = rest.trim_start().split_once(' ')?;
    let is_type = ["struct", "enum", "trait", "type"].contains(&keyword);
    is_type.then(|| rest.split(|c: char| !is_part(c)).next().unwrap_or_default())
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names of a line of code.
fn names(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_part(c)).filter(|name| !name.is_empty())
}

/// `FirstPart` and `FIRST_PART` as `first_part`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    let mut lower = false;
    for c in name.chars() {
        if c.is_uppercase() && lower {
            snake.push('_');
        }
        lower = c.is_lowercase() || c.is_numeric();
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The words of a comment, with one space before and after each.
fn spaced(comment: &str) -> String {
    let words: Vec<&str> = names(comment).collect();
    format!(" {} ", words.join(" ").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_words_are_found() {
        let check = |path: &str, text: &str, expected: &[&str]| {
            let found = retired(&Source::new(path, text));
            let found: Vec<&str> = found.iter().map(|f| f.split(", say ").next().unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("src/a.rs", "let heir = 1;\n", &["src/a.rs:1: \"heir\""]);
        check("src/a.rs", "\nfn by_hand_alone() {}\n", &["src/a.rs:2: \"by_hand\""]);
        check("src/a.rs", "struct TheFloor;\n", &["src/a.rs:1: \"floor\""]);
        check("src/a.rs", "const A_VIGIL: u8 = 1;\n", &["src/a.rs:1: \"vigil\""]);
        check("src/a.rs", "// The Heir.\n", &["src/a.rs:1: \"heir\""]);
        check("src/a.rs", "let their = \"an heir\"; // theirs\n", &[]);
        check("src/cluster/a.rs", "// For\n// somebody.\n", &["src/cluster/a.rs:2: \"somebody\""]);
        check("src/cluster/a.rs", "/// It makes no sense.\n", &["src/cluster/a.rs:1: \"makes no sense\""]);
        check("src/cluster/a.rs", "fn f() { say(\"somebody\") } // besides\n", &[]);
    }

    #[test]
    fn types_of_one_name_are_found() {
        let check = |texts: &[&str], expected: &[&str]| {
            let sources: Vec<_> =
                texts.iter().enumerate().map(|(n, text)| Source::new(&format!("src/{n}.rs"), text)).collect();
            assert_eq!(homonyms(&sources), expected, "{texts:?}");
        };
        check(&["pub struct A;", "pub enum B {}"], &[]);
        check(&["pub struct A;", "pub enum A {}"], &["A: src/0.rs, src/1.rs"]);
        check(&["pub type A<T> = B<T>;", "pub(in crate::x) trait A: C {"], &["A: src/0.rs, src/1.rs"]);
        check(&["pub(crate) struct A(u8);", "pub struct A<'a> {"], &["A: src/0.rs, src/1.rs"]);
        check(&["pub struct A;", "struct A;", "pub(super) enum A {}", "pub fn A() {}"], &[]);
        check(&["pub struct Memory;", "pub struct Memory;"], &[]);
        check(&["pub struct A;", "#[cfg(test)]\nmod tests {\n    pub struct A;\n}\n"], &[]);
    }
}
