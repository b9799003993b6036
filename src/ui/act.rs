//! What a person requests on the page: read from an address or a form, checked against the release as it is now.

use serde_json::Value;

use crate::api::status::ReleaseStatus;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::text;
use crate::domain::shown::revisions::rollback_target;
use crate::domain::shown::verbs::{PersonRequest, approvable};
use crate::reconcile::frontend::published::published;

/// The longest reason of a rollback, in characters.
const MAX_REASON: usize = 256;

/// The fields of an address or a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// What is requested: the word of the command line.
    pub verb: String,
    /// The hash of a plan.
    pub hash: String,
    /// A revision.
    pub to: String,
    /// Why.
    pub reason: String,
    /// What proves that the form is of the page.
    pub token: String,
}

impl Fields {
    /// From `name=value` pairs.
    pub fn parse(text: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            let value = value.into_owned();
            match name.as_ref() {
                "do" => fields.verb = value,
                "hash" => fields.hash = value,
                "to" => fields.to = value,
                "reason" => fields.reason = value.trim().chars().take(MAX_REASON).collect(),
                "token" => fields.token = value,
                _ => {}
            }
        }
        fields
    }

    /// What they request of a release.
    ///
    /// # Errors
    /// Why that is not possible now.
    pub fn verb(&self, id: &ReleaseId, release: &Value) -> Result<PersonRequest, String> {
        match self.verb.as_str() {
            "reconcile" => Ok(PersonRequest::Reconcile),
            "suspend" => Ok(PersonRequest::Suspend),
            "resume" => Ok(PersonRequest::Resume),
            "approve" => {
                let plan = approvable(id, published(release)?, Some(&self.hash))?;
                Ok(PersonRequest::Approve { hash: plan.hash })
            }
            "rollback" => {
                let status = release.get("status").cloned().unwrap_or_default();
                let status: ReleaseStatus = serde_json::from_value(status)
                    .map_err(|error| format!("cannot read the status of release {id}: {error}"))?;
                let to = Some(self.to.as_str()).filter(|to| !to.is_empty());
                let to = rollback_target(&status, to)
                    .map_err(|why| format!("cannot roll back release {id}: {why}"))?;
                Ok(PersonRequest::Rollback { to, reason: self.reason.clone() })
            }
            _ => Err("there is no such request".to_owned()),
        }
    }
}

/// The word of a request on the page and on the command line.
pub fn word(verb: &PersonRequest) -> &'static str {
    match verb {
        PersonRequest::Reconcile => "reconcile",
        PersonRequest::Suspend => "suspend",
        PersonRequest::Resume => "resume",
        PersonRequest::Approve { .. } => "approve",
        PersonRequest::Rollback { .. } => "rollback",
    }
}

/// The same on the command line.
pub fn command(verb: &PersonRequest, id: &ReleaseId) -> String {
    let ReleaseId { namespace, name } = id;
    let start = format!("supercargo {} release {name} -n {namespace}", word(verb));
    match verb {
        PersonRequest::Approve { hash } => format!("{start} --hash {hash}"),
        PersonRequest::Rollback { to, .. } => format!("{start} --to {}", to.digest),
        _ => start,
    }
}

/// Whether a release follows its spec: it is neither suspended nor pinned.
pub fn follows(release: &Value) -> bool {
    release.pointer("/spec/suspend") != Some(&Value::Bool(true))
        && text(release, "/metadata/annotations/supercargo.dev~1pin").is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_requests_what_is_possible_now() {
        let id = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let entry = |tag: &str, digit: &str| {
            json!({"revision": format!("{tag}@{}", digest(digit)), "digest": digest(digit), "appliedAt": "", "outcome": "Healthy",
                "changes": {"created": 0, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}})
        };
        let plan = json!({"revision": "2", "hash": "abc", "since": "", "counts": {"created": 0, "configured": 0,
            "recreated": 0, "pruned": 0, "handedOver": 0, "run": 0, "unknown": 0}});
        let release = json!({"status": {"plan": plan, "history": [entry("2", "b"), entry("1", "a")],
            "lastAppliedRevision": format!("2@{}", digest("b"))}});
        let check = |form: &str, expected: Result<&str, &str>| {
            let found = Fields::parse(form.as_bytes()).verb(&id, &release).map(|verb| command(&verb, &id));
            match expected {
                Ok(command) => assert_eq!(found.as_deref(), Ok(command), "{form}"),
                Err(says) => {
                    assert!(found.as_ref().is_err_and(|why| why.contains(says)), "{form}: {found:?}")
                }
            }
        };
        check("do=reconcile", Ok("supercargo reconcile release web -n apps"));
        check("do=suspend", Ok("supercargo suspend release web -n apps"));
        check("do=resume", Ok("supercargo resume release web -n apps"));
        check("do=approve&hash=abc", Ok("supercargo approve release web -n apps --hash abc"));
        check("do=approve&hash=old", Err("has plan abc, not old"));
        check("do=approve", Err("has plan abc, not ;"));
        let back = format!("supercargo rollback release web -n apps --to {}", digest("a"));
        check("do=rollback", Ok(&back));
        check("do=rollback&to=1", Ok(&back));
        check("do=rollback&to=9", Err("is not in the history"));
        check("do=delete", Err("no such request"));
        check("", Err("no such request"));
        let long = Fields::parse(format!("do=rollback&reason=+{}", "x".repeat(1000)).as_bytes());
        assert_eq!(long.reason.len(), MAX_REASON);
    }

    #[test]
    fn a_release_follows_its_spec_unless_a_person_has_stopped_it() {
        let check = |release: Value, expected: bool| assert_eq!(follows(&release), expected, "{release}");
        check(json!({}), true);
        check(json!({"spec": {"suspend": true}}), false);
        check(json!({"metadata": {"annotations": {"supercargo.dev/pin": "sha256:a"}}}), false);
    }
}
