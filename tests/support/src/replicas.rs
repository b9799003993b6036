//! Replicas that share the releases: what they need, and what the audit log says of who has written.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::audit::Request;

/// The rights that they need more than one replica, as YAML. The chart grants the same.
pub const RIGHTS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: leases}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, watch, create, update, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: leases}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: leases}
subjects: [{kind: ServiceAccount, name: supercargo}]
";

/// The pod of a holder, as an owner or a Lease names it; empty when nobody is named.
pub fn pod_of(holder: &str) -> &str {
    holder.rsplit_once('_').map_or("", |(pod, _)| pod)
}

/// Who was in charge of something, from one change to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    holder: String,
    /// Counts the changes: a gap shows one that the log does not have, because the API server was killed
    /// before it wrote the line.
    number: u64,
}

/// What was written while a release had one owner: by which pod, which term of the leader it was, and the
/// request.
type Written = Vec<(String, usize, String)>;

/// Who has written for releases `r0`, `r1`, …, whose objects have names that begin with that of the release
/// and a hyphen.
#[derive(Debug, Default)]
pub struct Writers {
    leaders: Vec<Term>,
    owners: BTreeMap<String, Vec<(Term, Written)>>,
}

impl Writers {
    /// Reads the requests of the operator's account, in the order of the answers. `lease` is the Lease for
    /// leader election.
    pub fn read(requests: &[Request], namespace: &str, lease: &str) -> Writers {
        let nobody = Term { holder: String::new(), number: 0 };
        let mut writers = Writers { leaders: vec![nobody.clone()], owners: BTreeMap::new() };
        for request in requests.iter().filter(|request| request.writes() && request.code < 300) {
            if request.resource == "leases" {
                if request.name == lease {
                    writers.lead(&request.sent);
                }
                continue;
            }
            let Some(release) = release_of(request).filter(|_| request.namespace == namespace) else {
                continue;
            };
            let pod = request.pod().to_owned();
            let leader = writers.leaders.len() - 1;
            let terms = writers.owners.entry(release).or_insert_with(|| vec![(nobody.clone(), Vec::new())]);
            match moved(request) {
                Some(term) => terms.push((term, Vec::new())),
                None => terms.last_mut().expect("there is one").1.push((pod, leader, request.summary())),
            }
        }
        writers
    }

    fn lead(&mut self, lease: &Value) {
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        let number = lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default();
        let term = Term { holder, number };
        if self.leaders.last() != Some(&term) {
            self.leaders.push(term);
        }
    }

    /// How many releases were written for.
    pub fn count(&self) -> usize {
        self.owners.len()
    }

    /// How often releases have changed their owners.
    pub fn moves(&self) -> usize {
        self.owners.values().map(|terms| terms.len() - 1).sum()
    }

    /// The writes of replicas that were not the owner at that time, or not the leader while there was no
    /// owner. A term is not judged if the log lacks the change that ended it. `last` is the number of the
    /// last owner of each release now.
    pub fn intruders(&self, last: &BTreeMap<String, u64>) -> Vec<String> {
        let mut found = Vec::new();
        for (release, terms) in &self.owners {
            for (at, (term, written)) in terms.iter().enumerate() {
                let next = terms.get(at + 1).map(|(next, _)| next.number);
                let ends_unseen = match (next, last.get(release)) {
                    (Some(next), _) => next != term.number + 1,
                    (None, last) => last.is_some_and(|last| *last != term.number),
                };
                for (pod, leader, request) in written.iter().filter(|_| !ends_unseen) {
                    let owner = match term.holder.is_empty() {
                        true => self.leader(*leader),
                        false => Some(term.holder.as_str()),
                    };
                    // A leader that shares no work is called like its pod.
                    if owner.is_some_and(|owner| pod_of(owner) != pod && owner != pod) {
                        found.push(format!("{pod} wrote {request} in term {} of {owner:?}", term.number));
                    }
                }
            }
        }
        found
    }

    /// The leader of a term; none if the log lacks the next one.
    fn leader(&self, at: usize) -> Option<&str> {
        let term = &self.leaders[at];
        // A Lease that is given up has no holder, and the next one raises the number.
        let next = self.leaders.get(at + 1);
        let is_seen = next.is_none_or(|next| next.number <= term.number + 1);
        (is_seen && !term.holder.is_empty()).then_some(&term.holder)
    }
}

/// The release that a request is about.
fn release_of(request: &Request) -> Option<String> {
    // A webhook may come to any replica, which asks the owner by an annotation; and events come later.
    let is_of_any = request.resource == "ociartifactreleases" && request.subresource.is_empty();
    if is_of_any || request.resource == "events" {
        return None;
    }
    let name = request.name.strip_prefix("inv-").unwrap_or(&request.name);
    let release = name.split(['-', '.']).next()?;
    release.strip_prefix('r')?.parse::<usize>().ok()?;
    Some(release.to_owned())
}

/// The owner that a request has set: only that is a merge patch.
fn moved(request: &Request) -> Option<Term> {
    let owner = request.sent.pointer("/status/owner").filter(|_| request.subresource == "status")?;
    let holder = owner["holder"].as_str().unwrap_or_default().to_owned();
    Some(Term { holder, number: owner["term"].as_u64().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LEASE: &str = "leader";

    fn request(pod: &str, resource: &str, name: &str, sent: Value) -> Request {
        let subresource = if resource == "ociartifactreleases" { "status" } else { "" };
        Request {
            verb: "patch".into(),
            user: "operator".into(),
            impersonated: None,
            uri: format!("/{resource}/{name}"),
            group: String::new(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "apps".into(),
            name: name.into(),
            code: 200,
            agent: format!("supercargo/1 ({pod})"),
            sent,
        }
    }

    fn writes(pod: &str) -> Request {
        request(pod, "configmaps", "r0-a", Value::Null)
    }

    fn moves(to: &str, term: u64) -> Request {
        let owner = json!({"status": {"owner": {"holder": to, "term": term}}});
        request("any", "ociartifactreleases", "r0", owner)
    }

    fn leads(holder: &str, transitions: u64) -> Request {
        let lease = json!({"spec": {"holderIdentity": holder, "leaseTransitions": transitions}});
        request("any", "leases", LEASE, lease)
    }

    #[test]
    fn a_write_of_a_replica_that_is_not_the_owner_is_found() {
        let check = |requests: &[Request], last: u64, expected: usize| {
            let writers = Writers::read(requests, "apps", LEASE);
            let found = writers.intruders(&BTreeMap::from([("r0".to_owned(), last)]));
            assert_eq!(found.len(), expected, "{found:?}\n{requests:?}");
        };
        let (a, b) = ("a_1", "b_1");
        check(&[leads(a, 1), writes("a"), moves(b, 1), writes("b"), moves(a, 2), writes("a")], 2, 0);
        check(&[leads(a, 1), writes("b")], 0, 1);
        check(&[leads(a, 1), moves(b, 1), writes("a"), writes("b"), writes("a")], 1, 2);
        // Without an owner, the leader writes.
        check(&[leads(a, 1), writes("a"), leads("", 1), leads(b, 2), writes("b")], 0, 0);
        check(&[leads(a, 1), writes("a"), leads(b, 2), writes("a")], 0, 1);
        // A change that the log does not have.
        check(&[leads(a, 1), moves(b, 1), writes("b"), writes("a")], 2, 0);
        check(&[leads(a, 1), moves(b, 1), writes("a"), moves(b, 3), writes("b")], 3, 0);
        check(&[leads(a, 1), writes("b"), leads(a, 3)], 0, 0);
        check(&[leads("c", 1), writes("c"), writes("b")], 0, 1);
        // What is nobody's.
        check(&[leads(a, 1), moves(a, 1), request("b", "events", "r0.17", Value::Null)], 1, 0);
    }
}
