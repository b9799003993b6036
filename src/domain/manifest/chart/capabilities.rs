//! What a cluster can, as charts ask for it.

use serde::{Deserialize, Serialize};

/// The most bytes of a rendering that an inventory records.
const MAX_RECORDED: usize = 64 << 10;

/// What a cluster can: `.Capabilities` of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCapabilities {
    /// The version of Kubernetes, such as `v1.36.3`.
    pub kube_version: String,
    /// `group/version` and `group/version/Kind`, sorted, each once.
    pub api_versions: Vec<String>,
}

/// What the chart of a revision was rendered for. The same revision is rendered for the same again, also
/// after the cluster has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartRecord {
    /// Identifies digest and rendering options.
    pub key: String,
    /// What the cluster could then, as far as the chart asks for it.
    pub capabilities: ClusterCapabilities,
}

impl ClusterCapabilities {
    /// Those that the files of a chart name. A chart may ask for others by a name that it makes: then it
    /// is rendered differently for all of them.
    #[must_use]
    pub fn named_in<'f>(&self, files: impl IntoIterator<Item = &'f [u8]>) -> Self {
        let texts = files.into_iter().filter_map(|bytes| std::str::from_utf8(bytes).ok());
        let texts: Vec<&str> = texts.filter(|text| text.contains("APIVersions")).collect();
        let named = |version: &&String| texts.iter().any(|text| text.contains(version.as_str()));
        let api_versions = self.api_versions.iter().filter(named).cloned().collect();
        Self { kube_version: self.kube_version.clone(), api_versions }
    }
}

impl ChartRecord {
    /// As an inventory has it; `None` if it is too long for that.
    pub fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok().filter(|text| text.len() <= MAX_RECORDED)
    }

    /// From an inventory, which others may have edited.
    pub fn read(text: &str) -> Option<Self> {
        let record: Self = serde_json::from_str(text).ok()?;
        is_version(&record.capabilities.kube_version).then_some(record)
    }
}

/// Whether a text can be a version of Kubernetes: it becomes an option of a program.
pub fn is_version(text: &str) -> bool {
    const LONGEST: usize = 128;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    text.starts_with('v') && text.len() <= LONGEST && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities() -> ClusterCapabilities {
        let api_versions = ["apps/v1", "example.com/v1", "example.com/v1/Widget", "v1"];
        ClusterCapabilities {
            kube_version: "v1.36.3".into(),
            api_versions: api_versions.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn what_a_chart_does_not_name_does_not_count() {
        let check = |files: &[&str], expected: &[&str]| {
            let named = capabilities().named_in(files.iter().map(|text| text.as_bytes()));
            assert_eq!(named.api_versions, expected, "{files:?}");
        };
        check(&[], &[]);
        check(&["apiVersion: apps/v1"], &[]);
        check(
            &["{{ .Capabilities.APIVersions.Has \"example.com/v1\" }}", "apps/v1"],
            &["example.com/v1", "v1"],
        );
        let kind = "{{ .Capabilities.APIVersions.Has \"example.com/v1/Widget\" }}";
        check(&[kind], &["example.com/v1", "example.com/v1/Widget", "v1"]);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_option_is_made_of_it() {
        let record = ChartRecord { key: "k".into(), capabilities: capabilities() };
        assert_eq!(ChartRecord::read(&record.text().unwrap()), Some(record.clone()));
        let evil = record.text().unwrap().replace("v1.36.3", "--set=a");
        assert_eq!(ChartRecord::read(&evil), None);
        let mut long = record;
        long.capabilities.api_versions = vec!["x".repeat(MAX_RECORDED)];
        assert_eq!(long.text(), None);
        for (text, expected) in [("v1.36.3-gke.1+x", true), ("1.36", false), ("v1 --set", false), ("", false)]
        {
            assert_eq!(is_version(text), expected, "{text:?}");
        }
    }
}
