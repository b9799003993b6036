//! The text of a notification in the words of the administrator: text with `{fields}` of a fixed set, and
//! nothing else. What a field says is never read as a template.

use super::news::News;

/// The longest template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 1024;

/// A text with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

type Field = (&'static str, fn(&News) -> String);

/// The fields.
pub const FIELDS: [Field; 13] = [
    ("namespace", |news| news.release.namespace.clone()),
    ("name", |news| news.release.name.clone()),
    ("outcome", |news| news.kind.as_str().to_owned()),
    ("severity", |news| news.kind.severity().as_str().to_owned()),
    ("reason", |news| news.reason.clone()),
    ("message", |news| news.message.clone()),
    ("revision", |news| news.revision.clone().unwrap_or_default()),
    ("digest", |news| news.digest.clone().unwrap_or_default()),
    ("repository", |news| news.repository.clone()),
    ("cluster", |news| news.cluster.clone().unwrap_or_default()),
    ("source", |news| news.source.clone().unwrap_or_default()),
    ("sourceRevision", |news| news.source_revision.clone().unwrap_or_default()),
    ("time", |news| news.at.to_string()),
];

impl Template {
    /// Reads it: `{field}`, and `{{` and `}}` for braces.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(format!("longer than {MAX_TEMPLATE_BYTES} bytes"));
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                return Err(format!(
                    "has a single {brace:?}: write {{field}}, or {brace}{brace} for the character"
                ));
            };
            let Some(field) = FIELDS.iter().find(|(known, _)| *known == name) else {
                let known = FIELDS.map(|(known, _)| known).join(", ");
                return Err(format!("{{{name}}} is not one of {known}"));
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Field(*field));
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text for one notification. `escape` takes formatting out of the values of fields.
    pub fn fill(&self, news: &News, escape: impl Fn(&str) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field((_, read)) => escape(&read(news)),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    #[test]
    fn fields_are_filled_in_once() {
        let check = |template: &str, expected: &str| {
            let mut news = news();
            news.message = "{name} {{".into();
            let filled = Template::parse(template).unwrap().fill(&news, |text| text.to_owned());
            assert_eq!(filled, expected, "{template}");
        };
        check("", "");
        check("{namespace}/{name} {outcome}!", "apps/web Failed!");
        check("{{{name}}}", "{web}");
        check("{message}", "{name} {{");
        check("é{cluster}é", "éprodé");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let check = |template: &str, expected: &str| {
            let error = Template::parse(template).unwrap_err();
            assert!(error.starts_with(expected), "{template}: {error}");
        };
        check("{secret}", "{secret} is not one of namespace, name,");
        check("{ name }", "{ name } is not one of");
        check("{name", "has a single \"{\"");
        check("name}", "has a single \"}\"");
        check("{", "has a single \"{\"");
        check(&"a".repeat(MAX_TEMPLATE_BYTES + 1), "longer than 1024 bytes");
    }
}
