//! The objects that a release waits for by name (`spec.healthChecks`).

use crate::api::health::HealthCheck;
use crate::domain::objects::identity::ObjectId;

/// An object that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The object. One of a kind without namespaces may have one all the same.
    pub id: ObjectId,
    /// The version of its API.
    pub version: String,
}

impl Awaited {
    /// Parses the list of a release in `namespace`.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub fn parse_all(checks: &[HealthCheck], namespace: &str) -> Result<Vec<Self>, (String, String)> {
        let mut all: Vec<Self> = Vec::with_capacity(checks.len());
        for (n, check) in checks.iter().enumerate() {
            let (group, version) = check.api_version.split_once('/').unwrap_or(("", &check.api_version));
            if version.is_empty() || version.contains('/') {
                let problem = format!("{:?} is not GROUP/VERSION, such as apps/v1", check.api_version);
                return Err((format!("healthChecks[{n}].apiVersion"), problem));
            }
            let id = ObjectId {
                group: group.to_owned(),
                kind: check.kind.clone(),
                namespace: check.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
                name: check.name.clone(),
            };
            // It becomes a part of a path.
            if id.name.contains('/') || id.kind.contains('/') || matches!(id.name.as_str(), "." | "..") {
                return Err((format!("healthChecks[{n}]"), format!("{id} cannot be the name of an object")));
            }
            if !all.iter().any(|other| other.id == id) {
                all.push(Self { id, version: version.to_owned() });
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn checks() {
        let check = |checks: Value, expected: Result<&[&str], &str>| {
            let checks: Vec<HealthCheck> = serde_json::from_value(checks).unwrap();
            let found = Awaited::parse_all(&checks, "apps");
            let found = found.map(|all| all.iter().map(|a| a.id.to_string()).collect::<Vec<_>>());
            assert_eq!(
                found.map_err(|(field, problem)| format!("{field}: {problem}")),
                expected.map(|all| all.iter().map(ToString::to_string).collect()).map_err(str::to_owned)
            );
        };
        check(json!([]), Ok(&[]));
        check(
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                   {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "apps"},
                   {"kind": "Secret", "name": "tls", "namespace": "other"}]),
            Ok(&["Deployment/apps/web", "Secret/other/tls"]),
        );
        check(
            json!([{"apiVersion": "a/b/c", "kind": "X", "name": "x"}]),
            Err("healthChecks[0].apiVersion: \"a/b/c\" is not GROUP/VERSION, such as apps/v1"),
        );
        check(
            json!([{"kind": "Secret", "name": "../x"}]),
            Err("healthChecks[0]: Secret/apps/../x cannot be the name of an object"),
        );
    }
}
