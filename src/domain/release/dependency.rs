//! What a release depends on, as its spec says.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::ready::ReadyExpression;
use crate::api::dependency::{DependencyReference, DependencyStatus};
use crate::api::release::{GROUP, KIND, OCIArtifactRelease, VERSION};
use crate::domain::objects::identity::{ObjectId, ReleaseId, api_version};

/// The most dependencies of a release.
pub const MAX_DEPENDENCIES: usize = 64;

/// An object that must be ready before a new revision is applied.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The object. One of a kind without namespaces has that of the release, until the kind is
    /// known.
    pub id: ObjectId,
    /// The version of its API.
    pub version: String,
    /// Replaces the rules for its kind.
    pub ready: Option<ReadyExpression>,
}

impl Dependency {
    /// The dependencies of a release.
    ///
    /// # Errors
    /// The first invalid one: its field below `spec`, and what is wrong with it.
    pub fn parse_all(
        references: &[DependencyReference],
        namespace: &str,
    ) -> Result<Vec<Self>, (String, String)> {
        if references.len() > MAX_DEPENDENCIES {
            let problem = format!("has more than {MAX_DEPENDENCIES} entries");
            return Err(("dependsOn".to_owned(), problem));
        }
        let mut known = BTreeSet::new();
        let mut parsed = Vec::new();
        for (n, reference) in references.iter().enumerate() {
            let field = |below: &str| format!("dependsOn[{n}]{below}");
            let dependency = Self::parse(reference, namespace).map_err(|(f, p)| (field(f), p))?;
            if !known.insert(dependency.id.clone()) {
                return Err((field(""), format!("names {dependency} again")));
            }
            parsed.push(dependency);
        }
        Ok(parsed)
    }

    fn parse(reference: &DependencyReference, home: &str) -> Result<Self, (&'static str, String)> {
        let own = (GROUP, VERSION);
        let (group, version) = match reference.api_version.as_deref() {
            None => own,
            Some(api_version) => api_version.split_once('/').unwrap_or(("", api_version)),
        };
        let kind = reference.kind.as_deref().unwrap_or(KIND);
        if (group == GROUP) != (kind == KIND) && (reference.api_version.is_none() || reference.kind.is_none())
        {
            return Err(("", "needs both apiVersion and kind".to_owned()));
        }
        // They become part of paths and queries.
        let word = |text: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
            !text.is_empty() && !text.starts_with('.') && text.chars().all(allowed)
        };
        let namespace = reference.namespace.as_deref().unwrap_or(home);
        for (field, text) in [(".name", reference.name.as_str()), (".namespace", namespace), (".kind", kind)]
        {
            if !word(text) {
                return Err((field, format!("{text:?} is not a valid name")));
            }
        }
        if !word(version) || !(group.is_empty() || word(group)) {
            return Err((".apiVersion", "must be VERSION or GROUP/VERSION".to_owned()));
        }
        let ready = reference.ready.as_deref().map(ReadyExpression::parse).transpose();
        Ok(Self {
            id: ObjectId {
                namespace: namespace.to_owned(),
                name: reference.name.clone(),
                group: group.to_owned(),
                kind: kind.to_owned(),
            },
            version: version.to_owned(),
            ready: ready.map_err(|problem| (".ready", problem))?,
        })
    }

    /// The release that it is, if it is one.
    pub fn release(&self) -> Option<ReleaseId> {
        self.id
            .is(GROUP, KIND)
            .then(|| ReleaseId { namespace: self.id.namespace.clone(), name: self.id.name.clone() })
    }

    /// The `apiVersion` of the object.
    pub fn api_version(&self) -> String {
        api_version(&self.id.group, &self.version)
    }
}

/// A dependency that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitedFor {
    /// The object; without a namespace where its kind has none.
    pub id: ObjectId,
    /// Its `apiVersion`.
    pub api_version: String,
    /// Why it is not ready: a lowercase fragment that follows its name.
    pub words: String,
}

impl WaitedFor {
    /// The same for the status, with the time of the first run that found it not ready.
    pub fn reported(&self, before: &[DependencyStatus], now: Timestamp) -> DependencyStatus {
        let namespace = Some(self.id.namespace.clone()).filter(|namespace| !namespace.is_empty());
        let known = before.iter().find(|known| {
            (&known.api_version, &known.kind, &known.namespace, &known.name)
                == (&self.api_version, &self.id.kind, &namespace, &self.id.name)
        });
        DependencyStatus {
            api_version: self.api_version.clone(),
            kind: self.id.kind.clone(),
            since: known.map_or_else(|| now.to_string(), |known| known.since.clone()),
            namespace,
            name: self.id.name.clone(),
            message: self.words.clone(),
        }
    }
}

impl fmt::Display for WaitedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.words)
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// The releases that a release depends on, also of a spec that is otherwise invalid.
pub fn releases_named(resource: &OCIArtifactRelease) -> BTreeSet<ReleaseId> {
    let home = resource.metadata.namespace.as_deref().unwrap_or_default();
    let of_ours = |reference: &&DependencyReference| {
        let group =
            reference.api_version.as_deref().map(|version| version.split_once('/').unwrap_or_default().0);
        reference.kind.as_deref().is_none_or(|kind| kind == KIND) && group.is_none_or(|group| group == GROUP)
    };
    let named = resource.spec.depends_on.iter().take(MAX_DEPENDENCIES).filter(of_ours);
    named
        .map(|reference| ReleaseId {
            namespace: reference.namespace.clone().unwrap_or_else(|| home.to_owned()),
            name: reference.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_dependency_is_a_release_of_the_namespace_unless_it_says_otherwise() {
        let check = |reference: Value, expected: &str| {
            let reference = serde_json::from_value(reference).unwrap();
            let found = match Dependency::parse_all(&[reference], "team") {
                Ok(parsed) => format!("{} {}", parsed[0].api_version(), parsed[0]),
                Err((field, problem)) => format!("{field}: {problem}"),
            };
            assert_eq!(found, expected);
        };
        check(json!({"name": "db"}), "supercargo.dev/v1alpha1 OCIArtifactRelease/team/db");
        check(
            json!({"name": "db", "namespace": "infra"}),
            "supercargo.dev/v1alpha1 OCIArtifactRelease/infra/db",
        );
        check(
            json!({"name": "db", "kind": "OCIArtifactRelease"}),
            "supercargo.dev/v1alpha1 OCIArtifactRelease/team/db",
        );
        check(
            json!({"name": "db", "apiVersion": "apps/v1", "kind": "Deployment"}),
            "apps/v1 Deployment/team/db",
        );
        check(json!({"name": "db", "apiVersion": "v1", "kind": "Service"}), "v1 Service/team/db");
        check(json!({"name": "db", "kind": "Service"}), "dependsOn[0]: needs both apiVersion and kind");
        check(json!({"name": "db", "apiVersion": "v1"}), "dependsOn[0]: needs both apiVersion and kind");
        check(json!({"name": "a/b"}), "dependsOn[0].name: \"a/b\" is not a valid name");
        check(
            json!({"name": "a", "apiVersion": "a/b/c", "kind": "D"}),
            "dependsOn[0].apiVersion: must be VERSION or GROUP/VERSION",
        );
    }

    #[test]
    fn a_wait_is_reported_with_the_time_of_its_begin() {
        let id =
            Dependency::parse_all(&[DependencyReference { name: "a".into(), ..Default::default() }], "team");
        let id = id.unwrap().remove(0).id;
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let waited =
            |words: &str| WaitedFor { id: id.clone(), api_version: "v1".into(), words: words.into() };
        let first = waited("does not exist").reported(&[], at(1));
        assert_eq!(
            (first.since.as_str(), first.namespace.as_deref()),
            ("1970-01-01T00:00:01Z", Some("team"))
        );
        let later = waited("is not ready yet").reported(std::slice::from_ref(&first), at(9));
        assert_eq!(
            (later.since.as_str(), later.message.as_str()),
            (first.since.as_str(), "is not ready yet")
        );
        let other = WaitedFor { api_version: "v2".into(), ..waited("does not exist") };
        assert_eq!(other.reported(&[first], at(9)).since, "1970-01-01T00:00:09Z");
    }

    #[test]
    fn an_object_is_named_once() {
        let twice: Vec<_> = ["a", "b", "a"]
            .map(|name| DependencyReference { name: name.into(), ..Default::default() })
            .into();
        let error = Dependency::parse_all(&twice, "team").unwrap_err();
        assert_eq!(error, ("dependsOn[2]".to_owned(), "names OCIArtifactRelease/team/a again".to_owned()));
    }

    #[test]
    fn the_releases_among_the_dependencies() {
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "app", "namespace": "team"},
            "spec": {"url": "oci://r.io/team/app", "prune": true, "dependsOn": [
                {"name": "a"}, {"name": "b", "namespace": "infra"},
                {"name": "c", "apiVersion": "apps/v1", "kind": "Deployment"},
                {"name": "d", "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease"},
            ]},
        });
        let named = releases_named(&serde_json::from_value(resource).unwrap());
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        assert_eq!(named, ["infra/b", "team/a", "team/d"]);
    }
}
