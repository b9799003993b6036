//! Whether an object that left the revision, or whose release is deleted, may be
//! deleted. Only what provably belongs to the release is.

use std::time::Duration;

use jiff::Timestamp;

use super::build::Leaving;
use super::order::spared;
use crate::domain::inventory::Entry;
use crate::domain::objects::identity::{ObjectId, ReleaseId};
use crate::domain::objects::live::{DeletionHold, Record};

/// What is done with an object that left the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PruneVerdict {
    /// Deleted, with these preconditions.
    Delete {
        /// The uid it must have.
        uid: String,
        /// The resource version it must have.
        version: u64,
    },
    /// It does not exist any more.
    Gone,
    /// It is kept, in the cluster and in the inventory.
    Keep(Kept),
    /// It does not belong to this release: it is kept, and removed from the inventory.
    Drop(Foreign),
}

/// Why an object of the release is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// `prune` is off.
    PruneOff,
    /// The object opts out by annotation.
    OptedOut,
    /// It is being deleted already.
    Terminating,
    /// Another release may write it and waits for it. Until that release owns it, it
    /// stays in the inventory: if the handover fails, it is deleted like any other object.
    HandedOver(ReleaseId),
}

/// Why an object does not belong to the release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Its labels name another release.
    OtherOwner(ReleaseId),
    /// Its labels name a release that is managed from another cluster.
    Elsewhere,
    /// It has no ownership labels.
    Unlabelled,
    /// Another client has recreated the object.
    Replaced,
}

impl Foreign {
    /// The reason as text, with a name for the other owner.
    pub fn describe(&self, other: &str) -> String {
        match self {
            Self::OtherOwner(_) => format!("its labels say that it belongs to {other}"),
            Self::Elsewhere => "its labels say that it is managed from another cluster".to_owned(),
            Self::Unlabelled => "it has no owner labels".to_owned(),
            Self::Replaced => "it is not the object that was applied (the uid differs)".to_owned(),
        }
    }
}

/// Finalizers that Kubernetes itself removes, independent of other deletions.
const OF_KUBERNETES: &[&str] = &[
    "batch.kubernetes.io/job-tracking",
    "customresourcecleanup.apiextensions.k8s.io",
    "foregroundDeletion",
    "kubernetes",
    "kubernetes.io/pv-protection",
    "kubernetes.io/pvc-protection",
    "orphan",
    "resource.kubernetes.io/delete-protection",
    "service.kubernetes.io/load-balancer-cleanup",
];

/// An object that delays the deletion of the stages after it: the controller that
/// removes its finalizer may be in one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The object.
    pub id: ObjectId,
    /// When its deletion began.
    pub since: Timestamp,
    /// The finalizers that Kubernetes does not remove itself.
    pub finalizers: Vec<String>,
}

impl DeletionHold {
    /// The object as a holder, if it is one.
    pub fn holder(self, id: &ObjectId) -> Option<Holder> {
        Some(self.of(id)).filter(|holder| !holder.finalizers.is_empty())
    }

    /// The object as the holder of what it depends on, whatever its finalizers.
    pub fn of(self, id: &ObjectId) -> Holder {
        let Self { since, mut finalizers } = self;
        finalizers.retain(|f| !OF_KUBERNETES.contains(&f.as_str()));
        Holder { id: id.clone(), since, finalizers }
    }
}

impl Holder {
    /// Whether it has delayed the rest for longer than a release waits.
    pub fn is_overdue(&self, patience: Duration, now: Timestamp) -> bool {
        now.duration_since(self.since).unsigned_abs() > patience && now > self.since
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.finalizers.as_slice() {
            [] => write!(f, "{} (terminating)", self.id),
            [one] => write!(f, "{} (waiting for finalizer {one})", self.id),
            several => write!(f, "{} (waiting for finalizers {})", self.id, several.join(", ")),
        }
    }
}

/// The input of the decision.
#[derive(Clone, Copy, Debug)]
pub struct PruneQuestion<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// Whether objects that leave the revision are deleted at all.
    pub prune: bool,
    /// The release that may write the object and waits for it to be free.
    pub pending_owner: Option<&'a ReleaseId>,
}

/// The verdict. `record` describes the object as it is now, fetched by name or from
/// a synced watch; `None` means that it does not exist.
pub fn judge(question: PruneQuestion<'_>, entry: &Entry, record: Option<&Record>) -> PruneVerdict {
    let Some(record) = record else { return PruneVerdict::Gone };
    match &record.owner {
        None if record.elsewhere.is_some() => return PruneVerdict::Drop(Foreign::Elsewhere),
        None => return PruneVerdict::Drop(Foreign::Unlabelled),
        Some(owner) if owner != question.release => {
            return PruneVerdict::Drop(Foreign::OtherOwner(owner.clone()));
        }
        Some(_) => {}
    }
    // An entry written ahead by an interrupted run has no uid yet; then the labels
    // and our field manager on the object are the proof.
    let ours = match &entry.uid {
        Some(uid) => *uid == record.uid,
        None => !record.fields.is_empty(),
    };
    if !ours {
        return PruneVerdict::Drop(Foreign::Replaced);
    }
    if let Some(pending_owner) = question.pending_owner {
        return PruneVerdict::Keep(Kept::HandedOver(pending_owner.clone()));
    }
    if record.prune_disabled {
        return PruneVerdict::Keep(Kept::OptedOut);
    }
    if !question.prune {
        return PruneVerdict::Keep(Kept::PruneOff);
    }
    if record.deleting {
        return PruneVerdict::Keep(Kept::Terminating);
    }
    PruneVerdict::Delete { uid: record.uid.clone(), version: record.version }
}

/// The objects that would be deleted of those that leave a release, with their uids: without those
/// on which a kept one depends. `pending_owner` is the release that waits for an object, and `record`
/// what is known of it.
pub fn deleted<'a>(
    release: &ReleaseId,
    prune: bool,
    leaving: &'a [Leaving],
    pending_owner: impl Fn(&ObjectId) -> Option<ReleaseId>,
    record: impl Fn(&ObjectId) -> Option<Record>,
) -> Vec<(&'a Leaving, String)> {
    let records: Vec<Option<Record>> = leaving.iter().map(|leaving| record(&leaving.id)).collect();
    let known =
        leaving.iter().zip(&records).filter_map(|(leaving, record)| Some((&leaving.id, record.as_ref()?)));
    let spared = spared(known);
    let judged = leaving.iter().zip(&records).filter_map(|(leaving, record)| {
        let pending_owner = pending_owner(&leaving.id).filter(|other| other != release);
        let question = PruneQuestion { release, prune, pending_owner: pending_owner.as_ref() };
        match judge(question, &leaving.entry, record.as_ref()) {
            PruneVerdict::Delete { uid, .. } if !spared.contains(&leaving.id) => Some((leaving, uid)),
            _ => None,
        }
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::objects::live::JobRun;

    fn release(name: &str) -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: name.into() }
    }

    #[test]
    fn only_what_provably_belongs_to_the_release_is_deleted() {
        let me = release("me");
        let other = release("other");
        let entry = |uid: Option<&str>| Entry { uid: uid.map(Into::into), ..Entry::default() };
        let live = Record {
            uid: "u".into(),
            version: 7,
            fields: "f".into(),
            owner: Some(me.clone()),
            elsewhere: None,
            prune_disabled: false,
            deleting: false,
            run: JobRun::default(),
            placement: None,
        };
        let on = PruneQuestion { release: &me, prune: true, pending_owner: None };
        let check = |what: &str,
                     question: PruneQuestion<'_>,
                     uid: Option<&str>,
                     record: Option<Record>,
                     expected: PruneVerdict| {
            assert_eq!(judge(question, &entry(uid), record.as_ref()), expected, "{what}");
        };
        let delete = PruneVerdict::Delete { uid: "u".into(), version: 7 };
        check("ours", on, Some("u"), Some(live.clone()), delete.clone());
        check("ours, cut off before its uid was known", on, None, Some(live.clone()), delete);
        check("gone", on, Some("u"), None, PruneVerdict::Gone);
        let of_other = Record { owner: Some(other.clone()), ..live.clone() };
        check(
            "another's",
            on,
            Some("u"),
            Some(of_other),
            PruneVerdict::Drop(Foreign::OtherOwner(other.clone())),
        );
        let unlabelled = Record { owner: None, ..live.clone() };
        check("unlabelled", on, Some("u"), Some(unlabelled), PruneVerdict::Drop(Foreign::Unlabelled));
        check("recreated", on, Some("v"), Some(live.clone()), PruneVerdict::Drop(Foreign::Replaced));
        let unmanaged = Record { fields: String::new(), ..live.clone() };
        check("never applied", on, None, Some(unmanaged), PruneVerdict::Drop(Foreign::Replaced));
        let kept = Record { prune_disabled: true, ..live.clone() };
        check("opted out", on, Some("u"), Some(kept), PruneVerdict::Keep(Kept::OptedOut));
        let off = PruneQuestion { prune: false, ..on };
        check("prune off", off, Some("u"), Some(live.clone()), PruneVerdict::Keep(Kept::PruneOff));
        let dying = Record { deleting: true, ..live.clone() };
        check("dying", on, Some("u"), Some(dying), PruneVerdict::Keep(Kept::Terminating));
        let pending_owner = PruneQuestion { pending_owner: Some(&other), ..on };
        let waits = PruneVerdict::Keep(Kept::HandedOver(other.clone()));
        check("wanted", pending_owner, Some("u"), Some(live.clone()), waits);
        let taken = Record { owner: Some(other.clone()), ..live };
        check(
            "taken",
            pending_owner,
            Some("u"),
            Some(taken),
            PruneVerdict::Drop(Foreign::OtherOwner(other.clone())),
        );
    }

    #[test]
    fn what_another_release_owns_or_takes_over_is_not_deleted() {
        let (me, other) = (release("me"), release("other"));
        let id = ObjectId::from_inventory_id("apps_c__ConfigMap").unwrap();
        let live = |owner: &ReleaseId, prune_disabled: bool| Record {
            uid: "u".into(),
            version: 7,
            fields: "f".into(),
            owner: Some(owner.clone()),
            elsewhere: None,
            prune_disabled,
            deleting: false,
            run: JobRun::default(),
            placement: None,
        };
        let check = |pending_owner: Option<&ReleaseId>, prune: bool, record: Option<Record>, goes: bool| {
            let entry = Entry { uid: Some("u".into()), ..Entry::default() };
            let leaving = [Leaving { id: id.clone(), entry }];
            let found = deleted(&me, prune, &leaving, |_| pending_owner.cloned(), |_| record.clone());
            let found: Vec<(ObjectId, String)> =
                found.into_iter().map(|(l, uid)| (l.id.clone(), uid)).collect();
            let expected = if goes { vec![(id.clone(), "u".to_owned())] } else { Vec::new() };
            assert_eq!(found, expected, "{pending_owner:?} {record:?}");
        };
        check(None, true, Some(live(&me, false)), true);
        // It waits for its own object.
        check(Some(&me), true, Some(live(&me, false)), true);
        check(Some(&other), true, Some(live(&me, false)), false);
        check(None, true, Some(live(&other, false)), false);
        check(None, true, Some(live(&me, true)), false);
        check(None, false, Some(live(&me, false)), false);
        check(None, true, None, false);
    }

    #[test]
    fn finalizers_of_controllers_delay_the_rest_and_those_of_kubernetes_do_not() {
        let id = ObjectId::from_inventory_id("a_w_example.com_Widget").unwrap();
        let since = Timestamp::from_second(1_000).unwrap();
        let check = |finalizers: &[&str], expected: Option<&str>| {
            let finalizers = finalizers.iter().map(|f| (*f).to_owned()).collect();
            let holder = DeletionHold { since, finalizers }.holder(&id);
            assert_eq!(holder.map(|h| h.to_string()).as_deref(), expected);
        };
        check(&[], None);
        check(&["example.com/a"], Some("Widget/a/w (waiting for finalizer example.com/a)"));
        let both = ["example.com/a", "example.com/b"];
        check(&both, Some("Widget/a/w (waiting for finalizers example.com/a, example.com/b)"));
        check(&["kubernetes.io/pvc-protection", "foregroundDeletion"], None);
        check(&["foregroundDeletion", "a/b"], Some("Widget/a/w (waiting for finalizer a/b)"));
        // A controller of another vendor, though of a domain of Kubernetes.
        let gateway = "gateway-exists-finalizer.gateway.networking.k8s.io";
        check(&[gateway], Some(&format!("Widget/a/w (waiting for finalizer {gateway})")));

        let holder = Holder { id, since, finalizers: Vec::new() };
        let overdue =
            |second: i64| holder.is_overdue(Duration::from_secs(60), Timestamp::from_second(second).unwrap());
        // Also with a clock that is behind.
        assert_eq!([0, 1_000, 1_060, 1_061].map(overdue), [false, false, false, true]);
    }
}
