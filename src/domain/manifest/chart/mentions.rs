//! What the templates of a chart mention: one pass over their text.

use std::collections::HashSet;

/// Functions that tell the time.
const CLOCKS: &[&[u8]] =
    &[b"now", b"ago", b"date", b"dateInZone", b"date_in_zone", b"htmlDate", b"htmlDateInZone"];
/// Functions whose outcome is by chance, and may be the same a few times.
const DRAWS: &[&[u8]] = &[
    b"randInt",
    b"randAlpha",
    b"randAlphaNum",
    b"randNumeric",
    b"randAscii",
    b"randBytes",
    b"shuffle",
    b"keys",
];
/// How templates ask for what a cluster can.
const ASKS: &str = "APIVersions";

/// What the templates and values of a chart mention. It is not all that they do: archives of
/// dependencies are not opened, and a name may be made of parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartMentions {
    /// Of the versions that were looked for, those that it names, if it asks for any; in their order.
    pub versions: Vec<String>,
    /// Whether it tells the time.
    pub has_clock: bool,
    /// Whether it draws something.
    pub has_draw: bool,
}

impl ChartMentions {
    /// Whether the files ask for what a cluster can.
    pub fn asks<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> bool {
        files.into_iter().any(|(name, text)| is_template(name) && asks(text))
    }

    /// Looks at the files by their names, and for these versions.
    pub fn of<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>, versions: &[String]) -> Self {
        let (mut found, mut has_question) = (Self::default(), false);
        let known: HashSet<&[u8]> = versions.iter().map(String::as_bytes).collect();
        let mut named: HashSet<&[u8]> = HashSet::new();
        for (_, text) in files.into_iter().filter(|(name, _)| is_template(name)) {
            has_question |= asks(text);
            for token in text.split(|byte| !is_part(*byte)).filter(|token| !token.is_empty()) {
                found.has_clock |= CLOCKS.contains(&token);
                found.has_draw |= DRAWS.contains(&token);
                if let Some(version) = known.get(token) {
                    named.insert(version);
                }
            }
        }
        if has_question {
            found.versions = versions.iter().filter(|one| named.contains(one.as_bytes())).cloned().collect();
        }
        found
    }
}

fn asks(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.contains(ASKS))
}

/// Whether it is a template or has values, of the chart or of one in it.
fn is_template(name: &str) -> bool {
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    folder.split('/').any(|part| part == "templates") || last.starts_with("values")
}

/// Whether it is part of the name of a version or of a function.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(files: &[(&str, &str)]) -> ChartMentions {
        let versions = ["apps/v1", "example.com/v1", "example.com/v1/Widget", "v1"].map(str::to_owned);
        ChartMentions::of(files.iter().map(|(name, text)| (*name, text.as_bytes())), &versions)
    }

    #[test]
    fn what_a_chart_does_not_name_does_not_count() {
        let check = |files: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(mentions(files).versions, expected, "{files:?}");
        };
        let asks = |version: &str| format!("{{{{ .Capabilities.APIVersions.Has \"{version}\" }}}}");
        check(&[], &[]);
        check(&[("web/templates/a.yaml", "apiVersion: apps/v1")], &[]);
        check(&[("web/templates/a.yaml", &asks("example.com/v1"))], &["example.com/v1"]);
        check(&[("web/templates/a.yaml", &asks("example.com/v1/Widget"))], &["example.com/v1/Widget"]);
        check(&[("web/charts/x/templates/a.yaml", &asks("v1"))], &["v1"]);
        // A helper asks for what its callers name.
        let helper = ("web/templates/_a.tpl", "{{ .root.Capabilities.APIVersions.Has .version }}");
        let caller =
            ("web/templates/b.yaml", "include \"has\" (dict \"root\" . \"version\" \"example.com/v1\")");
        check(&[helper, caller], &["example.com/v1"]);
        check(&[helper, ("web/values.yaml", "api: example.com/v1")], &["example.com/v1"]);
        check(&[helper, ("web/crds/a.yaml", "example.com/v1"), ("web/README.md", "v1")], &[]);
    }

    #[test]
    fn clocks_and_draws_are_found_by_their_names() {
        let check = |text: &str, expected: (bool, bool)| {
            let found = mentions(&[("web/templates/a.yaml", text)]);
            assert_eq!((found.has_clock, found.has_draw), expected, "{text}");
        };
        check("a: {{ .Values.now }} {{ .Values.knowns }}", (false, false));
        check("a: {{now}}", (true, false));
        check("a: {{ now | date \"2006\" }}", (true, false));
        check("a: {{ dateInZone \"2006\" (.Values.day) \"UTC\" }}", (true, false));
        check("a: {{ randInt 0 2 }}", (false, true));
        check("a: {{ keys .Values.a | first }}", (false, true));
        check("a: {{- (list 1 2|shuffle) }}", (false, true));
    }
}
