//! The rendering of a Helm chart: what is read and what is run.

use std::sync::Arc;

use bytes::Bytes;

use super::directory::packed;
use super::error::BuildError;
use super::limits::{ARGUMENT_BYTES, MAX_CAPABILITIES, MAX_FILES, MORE_DRAWS};
use super::prepared::{KeyHash, Prepared, Repeats, Variant};
use super::program::BuildProgram;
use crate::domain::manifest::chart::{
    ChartInputs, ChartMentions, ChartName, ClusterCapabilities, look_at_chart,
};

/// The chart in the directory of the build.
const ARCHIVE: &str = "chart.tgz";

/// A Helm chart, and what it is rendered with.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Its files, by their names from the root of the artifact.
    pub files: Vec<(String, Bytes)>,
    /// The namespace of the release.
    pub namespace: String,
    /// Name and values.
    pub inputs: ChartInputs,
    /// What the cluster can; absent: what Helm assumes.
    pub capabilities: Option<Arc<ClusterCapabilities>>,
    /// Whether a record says so, of when it was rendered before: then it is complete.
    pub recorded: bool,
}

impl Chart {
    /// Looks at it before anything runs. Blocks.
    pub(super) fn prepare(self) -> Result<Prepared, BuildError> {
        let Self { files, namespace, inputs, mut capabilities, recorded } = self;
        if files.len() > MAX_FILES {
            let why = format!("the chart has more than {MAX_FILES} files, which is too many for a build");
            return Err(BuildError::TooLarge(why));
        }
        let listed = || files.iter().map(|(name, content)| (name.as_str(), &content[..]));
        let refused = |why: String| BuildError::Failed(format!("the Helm chart cannot be rendered: {why}"));
        let ChartName { name, version, directory } = look_at_chart(listed()).map_err(refused)?;
        // Not --skip-tests: it also leaves out a hook that is a test among others.
        let mut arguments = ["template", &inputs.release_name, ARCHIVE, "--namespace", &namespace]
            .map(str::to_owned)
            .to_vec();
        if !inputs.skips_crds {
            arguments.push("--include-crds".to_owned());
        }
        if inputs.skips_hooks {
            arguments.push("--no-hooks".to_owned());
        }
        let mut written = Vec::with_capacity(inputs.values.len() + 1);
        for (n, values) in inputs.values.into_iter().enumerate() {
            let file = format!("values-{n}.yaml");
            arguments.extend(["--values".to_owned(), file.clone()]);
            written.push((file, Bytes::from(values)));
        }
        let texts = || listed().chain(written.iter().map(|(name, values)| (name.as_str(), &values[..])));
        if let Some(all) = &mut capabilities
            && !recorded
            && !inputs.skips_crds
            && ChartMentions::asks(texts())
        {
            *all = Arc::new(all.with_defined_in(&directory, listed()));
        }
        if capabilities.as_ref().is_some_and(|all| all.api_versions.len() > MAX_CAPABILITIES) {
            let why = format!("the API server serves more than {MAX_CAPABILITIES} kinds and versions");
            return Err(refused(why));
        }
        let mut hash = KeyHash::new(BuildProgram::Helm);
        arguments.iter().for_each(|argument| hash.part(argument.as_bytes()));
        // Behind the arguments, which say how many there are.
        written.iter().for_each(|(_, values)| hash.part(values));
        for (name, content) in &files {
            hash.part(name.as_bytes());
            hash.part(content);
        }
        let served = capabilities.as_ref().map(|all| all.api_versions.as_slice());
        let mentions = ChartMentions::of(texts(), served.unwrap_or_default());
        let narrow = capabilities.as_ref().map(|all| ClusterCapabilities {
            kube_version: all.kube_version.clone(),
            api_versions: mentions.versions.clone(),
        });
        let repeats = Repeats {
            // What is in an archive is not known.
            later: mentions.has_clock || files.iter().any(|(name, _)| is_archive(name)),
            more: if mentions.has_draw { MORE_DRAWS } else { 0 },
        };
        let wide = capabilities.filter(|all| narrow.as_ref() != Some(&**all));
        let wide = wide.map(|all| variant(&arguments, &hash, Some(all)));
        let variant = variant(&arguments, &hash, narrow.map(Arc::new));
        let archive =
            packed(&files).map_err(|e| BuildError::Unavailable(format!("cannot pack the chart: {e}")))?;
        drop(files);
        written.push((ARCHIVE.to_owned(), archive));
        Ok(Prepared {
            program: BuildProgram::Helm,
            variant,
            wide,
            files: written,
            has_secrets: inputs.has_secrets,
            shown: format!("helm template of {name} {version}").trim_end().to_owned(),
            repeats: Some(repeats),
        })
    }
}

/// Whether a file of a chart is the archive of a dependency.
fn is_archive(name: &str) -> bool {
    name.split('/').any(|part| part == "charts") && [".tgz", ".tar.gz"].iter().any(|end| name.ends_with(end))
}

/// A rendering for a cluster that can this.
fn variant(arguments: &[String], hash: &KeyHash, capabilities: Option<Arc<ClusterCapabilities>>) -> Variant {
    let (mut arguments, mut hash) = (arguments.to_vec(), hash.clone());
    if let Some(capabilities) = &capabilities {
        let listed = [vec!["--kube-version".to_owned(), capabilities.kube_version.clone()]].into_iter();
        let listed = listed.chain([listed_in(&capabilities.api_versions)]).flatten();
        listed.for_each(|argument| {
            hash.part(argument.as_bytes());
            arguments.push(argument);
        });
    }
    Variant { arguments, key: hash.key(), capabilities }
}

/// The options for what the API server serves, each within the length of one argument. Commas separate
/// them, and what is no name of an API is none.
fn listed_in(versions: &[String]) -> Vec<String> {
    let is_plain = |text: &&String| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/'))
    };
    let mut lists: Vec<String> = Vec::new();
    for version in versions.iter().filter(is_plain) {
        match lists.last_mut().filter(|last| last.len() + version.len() < ARGUMENT_BYTES) {
            Some(last) => {
                last.push(',');
                last.push_str(version);
            }
            None => lists.push(version.clone()),
        }
    }
    lists.into_iter().flat_map(|list| ["--api-versions".to_owned(), list]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let files =
            [("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"), ("web/templates/a.yaml", "")];
        let files = files.map(|(name, text)| (name.to_owned(), Bytes::from_static(text.as_bytes())));
        let inputs = ChartInputs { release_name: "rel".into(), ..ChartInputs::default() };
        Chart { files: files.to_vec(), namespace: "ns".into(), inputs, ..Chart::default() }
    }

    #[test]
    fn the_arguments_contain_no_value() {
        let mut chart = chart();
        chart.inputs.values = vec![b"password: hunter2".to_vec()];
        let capabilities = ClusterCapabilities {
            kube_version: "v1.36.3".into(),
            api_versions: vec!["v1".into(), "v1/Pod".into(), "--set=a".into(), "a,b".into()],
        };
        chart.capabilities = Some(capabilities.into());
        let prepared = chart.prepare().unwrap();
        let begin = "template rel chart.tgz --namespace ns --include-crds --values values-0.yaml --kube-version v1.36.3";
        assert_eq!(prepared.variant.arguments.join(" "), begin);
        let wide = prepared.wide.unwrap();
        assert_eq!(wide.arguments.join(" "), format!("{begin} --api-versions v1,v1/Pod"));
        assert_eq!(prepared.shown, "helm template of web 1.0.0");
        let names: Vec<&str> = prepared.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["values-0.yaml", "chart.tgz"]);
    }

    #[test]
    fn its_own_definitions_are_there_unless_they_are_left_out() {
        let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n\
             spec: {group: example.com, names: {kind: Widget}, versions: [{name: v1, served: true}]}\n";
        let check = |change: fn(&mut Chart), expected: &[&str]| {
            let mut chart = chart();
            let asks = "{{ .Capabilities.APIVersions.Has \"example.com/v1/Widget\" }}";
            chart.files[1].1 = Bytes::from_static(asks.as_bytes());
            chart.files.push(("web/crds/a.yaml".into(), Bytes::copy_from_slice(definition.as_bytes())));
            chart.capabilities = Some(Arc::default());
            change(&mut chart);
            let narrow = chart.prepare().unwrap().variant.capabilities.unwrap();
            assert_eq!(narrow.api_versions, expected);
        };
        check(|_| {}, &["example.com/v1/Widget"]);
        check(|chart| chart.inputs.skips_crds = true, &[]);
        check(|chart| chart.recorded = true, &[]);
    }

    #[test]
    fn a_chart_with_a_clock_or_a_draw_runs_again_accordingly() {
        let check = |text: &'static str, later: bool, more: usize| {
            let mut chart = chart();
            chart.files[1].1 = Bytes::from_static(text.as_bytes());
            assert_eq!(chart.prepare().unwrap().repeats, Some(Repeats { later, more }), "{text}");
        };
        check("a: 1", false, 0);
        check("a: {{ now }}", true, 0);
        check("a: {{ randInt 0 2 }}", false, MORE_DRAWS);
        let mut packed = chart();
        packed.files.push(("web/charts/a.tgz".into(), Bytes::new()));
        assert!(packed.prepare().unwrap().repeats.unwrap().later);
    }

    #[test]
    fn the_key_is_of_all_that_decides() {
        let key = |change: fn(&mut Chart)| {
            let mut chart = chart();
            change(&mut chart);
            chart.prepare().unwrap().variant.key
        };
        let keys = [
            key(|_| {}),
            key(|chart| chart.namespace = "other".into()),
            key(|chart| chart.inputs.release_name = "other".into()),
            key(|chart| chart.inputs.skips_crds = true),
            key(|chart| chart.inputs.values = vec![b"a: 1".to_vec()]),
            key(|chart| chart.inputs.values = vec![b"a: 1".to_vec(), Vec::new()]),
            key(|chart| chart.files[1].1 = Bytes::from_static(b"x")),
            key(|chart| chart.capabilities = Some(Arc::default())),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key(|_| {}), keys[0]);
    }

    #[test]
    fn many_versions_are_several_arguments() {
        let versions: Vec<String> = (0..5000).map(|n| format!("example{n}.com/v1/Kind")).collect();
        let arguments = listed_in(&versions);
        assert!(arguments.len() > 2 && arguments.iter().all(|one| one.len() <= ARGUMENT_BYTES));
        let lists: Vec<&str> =
            arguments.iter().filter(|one| *one != "--api-versions").map(String::as_str).collect();
        assert_eq!(lists.join(",").split(',').count(), 5000);
    }
}
