//! A look at the files of a chart before Helm renders it: what Helm would say less clearly, or would
//! need a network for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::encoding::utf8;
use crate::domain::manifest::yaml;

/// The longest text of a chart that a message quotes, in characters.
const QUOTED: usize = 80;

/// What a chart calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The directory that all of its files are in.
    pub directory: String,
}

/// Looks at the files of an artifact, by their names from its root.
///
/// # Errors
/// Why they are no chart that can be rendered.
pub fn look_at_chart<'f>(
    files: impl IntoIterator<Item = (&'f str, &'f [u8])> + Clone,
) -> Result<ChartName, String> {
    let tops: BTreeSet<&str> =
        files.clone().into_iter().map(|(name, _)| name.split('/').next().unwrap_or(name)).collect();
    let is_within = files.clone().into_iter().all(|(name, _)| name.contains('/'));
    let directory = match tops.iter().collect::<Vec<_>>().as_slice() {
        [only] if is_within => (**only).to_owned(),
        _ => return Err("its files are not in one directory, as `helm package` makes it".to_owned()),
    };
    let path = format!("{directory}/Chart.yaml");
    let found = files.clone().into_iter().find(|(name, _)| *name == path);
    let (_, bytes) = found.ok_or_else(|| format!("it has no {path}"))?;
    let chart = document(bytes).map_err(|why| format!("{path}: {why}"))?;
    let text = |field: &str| chart.get(field).and_then(Value::as_str).unwrap_or_default();
    let (name, version) = (text("name"), text("version"));
    if !matches!(text("apiVersion"), "v1" | "v2") {
        return Err(format!("{path}: apiVersion must be v1 or v2, not {:?}", quoted(text("apiVersion"))));
    }
    if text("type") == "library" {
        return Err("it is a library, which other charts use; it has no objects".to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(format!("{path}: name {:?} is not the name of a chart", quoted(name)));
    }
    let missing = missing(&chart, &directory, files);
    if !missing.is_empty() {
        return Err(format!(
            "{path}: the dependencies {} are not in charts/ of the chart, and nothing is downloaded here; package it \
             with `helm package --dependency-update`",
            missing.join(", ")
        ));
    }
    Ok(ChartName { name: name.to_owned(), version: quoted(version), directory })
}

/// The dependencies that the chart does not contain. Helm finds them by the name in their own
/// Chart.yaml, and an archive by its file name.
fn missing<'f>(
    chart: &Value,
    directory: &str,
    files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
) -> Vec<String> {
    let wanted = chart.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    let wanted: BTreeSet<&str> = wanted.filter_map(|one| one.get("name")?.as_str()).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let below = format!("{directory}/charts/");
    let mut there: BTreeSet<String> = BTreeSet::new();
    for (name, bytes) in files {
        let Some(rest) = name.strip_prefix(&below) else { continue };
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            // Which name an archive has inside is Helm's business.
            [archive] if archive.ends_with(".tgz") => {
                there.extend(
                    wanted.iter().filter(|name| archive.starts_with(**name)).map(|n| (*n).to_owned()),
                );
            }
            [folder, "Chart.yaml"] => {
                let chart = document(bytes).unwrap_or_default();
                let named = chart.get("name").and_then(Value::as_str).map(str::to_owned);
                there.insert(named.unwrap_or_else(|| (*folder).to_owned()));
            }
            _ => {}
        }
    }
    let missing = wanted.into_iter().filter(|name| !there.contains(*name));
    missing.map(|name| format!("{:?}", quoted(name))).collect()
}

/// The first document of a file; `null` where there is none.
fn document(bytes: &[u8]) -> Result<Value, String> {
    let bytes = utf8(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let parsed = yaml::parse(text, &mut Budget::default());
    let parsed = parsed.map_err(|problems| {
        problems.into_iter().next().map_or_else(|| "it is not YAML".to_owned(), |problem| problem.message)
    });
    Ok(parsed?.into_iter().next().unwrap_or_default())
}

fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: Result<&str, &str>) {
        let files = files.iter().map(|(name, text)| (*name, text.as_bytes()));
        let found = look_at_chart(files.collect::<Vec<_>>());
        let found = found.map(|chart| format!("{} {} in {}", chart.name, chart.version, chart.directory));
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_chart_is_in_one_directory_and_says_its_name() {
        let chart = "apiVersion: v2\nname: web\nversion: 1.2.3\n";
        check(&[("web/Chart.yaml", chart), ("web/templates/a.yaml", "")], Ok("web 1.2.3 in web"));
        check(&[("any/Chart.yaml", chart)], Ok("web 1.2.3 in any"));
        let apart = Err("its files are not in one directory, as `helm package` makes it");
        check(&[("web/Chart.yaml", chart), ("other/templates/a.yaml", "")], apart);
        check(&[], apart);
        check(&[("web/values.yaml", "")], Err("it has no web/Chart.yaml"));
        check(&[("Chart.yaml", chart)], apart);
    }

    #[test]
    fn what_cannot_be_rendered_is_refused() {
        let one = |text: &str, expected: &str| check(&[("web/Chart.yaml", text)], Err(expected));
        one("apiVersion: v3\nname: web\n", "web/Chart.yaml: apiVersion must be v1 or v2, not \"v3\"");
        one("", "web/Chart.yaml: apiVersion must be v1 or v2, not \"\"");
        one(
            "apiVersion: v2\nname: web\ntype: library\n",
            "it is a library, which other charts use; it has no objects",
        );
        for name in ["", "../web", ".web", "a/b", "a b"] {
            let text = format!("apiVersion: v2\nname: {name:?}\n");
            one(&text, &format!("web/Chart.yaml: name {name:?} is not the name of a chart"));
        }
    }

    #[test]
    fn dependencies_are_in_the_chart() {
        let chart = "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies:\n\
                     - {name: redis, version: 1.x, repository: 'https://charts.example.com'}\n- {name: common}\n";
        let missing = |names: &str| {
            format!(
                "web/Chart.yaml: the dependencies {names} are not in charts/ of the chart, and nothing is downloaded \
                 here; package it with `helm package --dependency-update`"
            )
        };
        check(&[("web/Chart.yaml", chart)], Err(&missing("\"common\", \"redis\"")));
        let files = [("web/Chart.yaml", chart), ("web/charts/redis-1.2.0.tgz", "")];
        check(&files, Err(&missing("\"common\"")));
        let files = [files[0], files[1], ("web/charts/x/Chart.yaml", "name: common\n")];
        check(&files, Ok("web 1.0.0 in web"));
    }
}
