//! A namespace with more releases or objects than the administrator allows.

use super::super::decision::Decision;
use super::super::facts::{Facts, QuotaFacts};
use crate::api::reason::Reason;

/// Refuses a release beyond the number of its namespace, and a revision that would bring more
/// objects than there is room for. What makes a release no larger is allowed.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(QuotaFacts { releases, objects }) = facts.quota else { return Decision::Pass };
    let namespace = &facts.release.id.namespace;
    if let Some(limit) = releases {
        let message = format!(
            "the namespace {namespace} has more releases than the administrator allows ({limit}, \
             --max-releases-per-namespace), and this one is not among the oldest: it is not reconciled; delete a \
             release of the namespace, or ask the administrator for more"
        );
        return Decision::refuse(Reason::QuotaExceeded, message);
    }
    let (Some((limit, others)), Some((revision, _, planned))) = (objects, facts.rendered) else {
        return Decision::Pass;
    };
    if planned <= facts.entries || others.saturating_add(planned) <= limit {
        return Decision::Pass;
    }
    let message = format!(
        "revision {revision} has {planned} objects, and the other releases of the namespace {namespace} have {others}: \
         the administrator allows {limit} (--max-objects-per-namespace); make the artifact smaller, delete another \
         release, or ask the administrator for more"
    );
    Decision::refuse(Reason::QuotaExceeded, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn what_is_beyond_the_quota_is_refused() {
        let check = |quota: QuotaFacts, entries: usize, planned: Option<usize>, expected: Option<&str>| {
            let release = release();
            let rendered = planned.map(|planned| ("1@sha256:a", "sha256:a", planned));
            let facts = Facts { quota: Some(quota), rendered, entries, ..Facts::of(&release) };
            let found = held(decide(&facts));
            assert_eq!(found.as_ref().map(|(reason, _)| *reason), expected.map(|_| Reason::QuotaExceeded));
            let message = found.map(|(_, message)| message).unwrap_or_default();
            assert!(message.starts_with(expected.unwrap_or_default()), "{message}");
        };
        let none = QuotaFacts::default();
        check(none, 0, Some(1000), None);
        let beyond = QuotaFacts { releases: Some(3), ..none };
        check(
            beyond,
            5,
            None,
            Some("the namespace team has more releases than the administrator allows (3, "),
        );
        let objects = QuotaFacts { objects: Some((10, 4)), ..none };
        check(objects, 0, None, None);
        check(objects, 0, Some(6), None);
        let more = "revision 1@sha256:a has 7 objects, and the other releases of the namespace team have 4: the \
                    administrator allows 10 (--max-objects-per-namespace)";
        check(objects, 0, Some(7), Some(more));
        check(objects, 6, Some(7), Some(more));
        // The limit was lowered: what is there may stay, and get smaller.
        check(objects, 7, Some(7), None);
        check(objects, 8, Some(7), None);
    }
}
