//! What a cluster can, as charts ask for it.

use serde::{Deserialize, Serialize};

/// The most bytes of a record in an inventory: what several thousand kinds take. The entries leave that
/// much room in a ConfigMap.
const MAX_RECORDED: usize = 256 << 10;

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
    /// What has rendered it.
    #[serde(default)]
    pub renderer: String,
    /// What tells its output from another one, see [`output_trace`](super::output_trace); absent where
    /// values of Secrets may be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl ChartRecord {
    /// Whether a later rendering of the same by the same program has come to something else.
    pub fn denies(&self, later: &Self) -> bool {
        let causes = |record: &Self| (record.key.clone(), record.renderer.clone());
        let both = self.output.as_ref().zip(later.output.as_ref());
        causes(self) == causes(later)
            && self.capabilities == later.capabilities
            && both.is_some_and(|(before, after)| before != after)
    }

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
    fn another_output_of_the_same_is_denied() {
        let check = |change: fn(&mut ChartRecord), expected: bool| {
            let output = Some("o".to_owned());
            let before = ChartRecord {
                key: "k".into(),
                capabilities: capabilities(),
                renderer: "helm".into(),
                output,
            };
            let mut later = ChartRecord { output: Some("other".into()), ..before.clone() };
            change(&mut later);
            assert_eq!(before.denies(&later), expected, "{later:?}");
        };
        check(|_| {}, true);
        check(|later| later.output = Some("o".into()), false);
        check(|later| later.output = None, false);
        check(|later| later.key = "other".into(), false);
        check(|later| later.renderer = "another helm".into(), false);
        check(|later| later.capabilities.api_versions.clear(), false);
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_no_option_is_made_of_it() {
        let output = Some("o".to_owned());
        let record =
            ChartRecord { key: "k".into(), capabilities: capabilities(), renderer: "helm".into(), output };
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
