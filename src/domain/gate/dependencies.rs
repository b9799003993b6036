//! Dependencies that are not ready, or that the administrator does not allow.

use super::decision::{Blocker, Decision, WakeOn};
use super::facts::{DependencyFacts, Facts};
use crate::api::reason::Reason;
use crate::domain::message::List;

/// How many dependencies a message names.
const NAMED: usize = 3;

/// Waits for the dependencies of a release, before a new revision is applied.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(DependencyFacts { across_namespaces, waited_for, .. }) = facts.dependencies else {
        return Decision::Pass;
    };
    let release = facts.release;
    let mut others = release.depends_on.iter().filter(|d| d.id.namespace != release.id.namespace);
    if let Some(other) = others.next().filter(|_| !across_namespaces) {
        let message = format!(
            "spec.dependsOn: {other} is in another namespace, which the administrator does not allow \
             (--allow-cross-namespace-dependencies)"
        );
        return Decision::refuse(Reason::DependencyNotAllowed, message);
    }
    if waited_for.is_empty() {
        return Decision::Pass;
    }
    let list = List::Clauses.few(waited_for, NAMED);
    let message = format!("Waiting for dependencies: {list}");
    Decision::Wait(Blocker::new(Reason::DependencyNotReady, message), WakeOn::Dependencies)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::gate::tests::{held, release};
    use crate::domain::release::dependency::{Dependency, WaitedFor};

    #[test]
    fn what_is_not_ready_is_waited_for_and_another_namespace_has_to_be_allowed() {
        let check =
            |namespace: &str, across_namespaces: bool, words: &[&str], expected: Option<(Reason, &str)>| {
                let reference =
                    serde_json::from_value(json!({"name": "db", "namespace": namespace})).unwrap();
                let mut release = release();
                release.depends_on = Dependency::parse_all(&[reference], "team").unwrap().into();
                let waited: Vec<WaitedFor> = words
                    .iter()
                    .map(|words| WaitedFor {
                        id: release.depends_on[0].id.clone(),
                        api_version: String::new(),
                        words: (*words).to_owned(),
                    })
                    .collect();
                let facts = DependencyFacts { cycle: None, across_namespaces, waited_for: &waited };
                let found = held(decide(&Facts { dependencies: Some(facts), ..Facts::of(&release) }));
                let expected = expected.map(|(reason, message)| (reason, message.to_owned()));
                assert_eq!(found, expected);
            };
        check("team", false, &[], None);
        let waits = Reason::DependencyNotReady;
        check(
            "team",
            false,
            &["is not ready yet"],
            Some((waits, "Waiting for dependencies: OCIArtifactRelease/team/db is not ready yet")),
        );
        check("infra", true, &[], None);
        let refused = "spec.dependsOn: OCIArtifactRelease/infra/db is in another namespace, which the administrator does \
                       not allow (--allow-cross-namespace-dependencies)";
        check("infra", false, &[], Some((Reason::DependencyNotAllowed, refused)));
    }
}
