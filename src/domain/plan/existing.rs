//! To whom an object belongs that exists, where the plan only creates it if it does not.

use crate::domain::objects::identity::ReleaseId;
use crate::domain::objects::live::Record;

/// What a plan has seen of an object that exists and is only created if it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// The release that its labels name.
    pub owner: Option<ReleaseId>,
    /// Whether that is another release that leaves the object to any other. Until the
    /// labels name the new owner, it may delete the object.
    pub is_left: bool,
    /// Whether our inventory names the object without a uid: an earlier run has written
    /// it, if the labels name us.
    pub is_ours: bool,
}

/// To whom an existing object belongs that is not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// To the release.
    Ours,
    /// To another release that leaves it to this one.
    Left,
    /// To another release, since the plan was made.
    Taken,
    /// To nobody, or to whom its labels name from earlier.
    Foreign,
}

impl Existing {
    /// Compares what the plan has seen with what the object is now.
    pub fn standing(seen: Option<&Self>, me: &ReleaseId, now: &Record) -> Standing {
        match &now.owner {
            Some(owner) if owner == me => {
                let is_ours = now.is_of(me) || seen.is_some_and(|seen| seen.is_ours);
                if is_ours { Standing::Ours } else { Standing::Foreign }
            }
            Some(owner) => match seen.filter(|seen| seen.owner.as_ref() == Some(owner)) {
                Some(seen) if seen.is_left => Standing::Left,
                Some(_) => Standing::Foreign,
                None => Standing::Taken,
            },
            None => Standing::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::objects::live::JobRun;

    #[test]
    fn whose_an_existing_object_is() {
        let of_release = |owner: &str| {
            let (namespace, name) = owner.split_once('/').unwrap();
            ReleaseId { namespace: namespace.into(), name: name.into() }
        };
        let me = of_release("apps/web");
        let check = |found: Option<Existing>, owner: Option<&str>, fields: &str, expected: Standing| {
            let live = Record {
                uid: "u".into(),
                version: 7,
                fields: fields.into(),
                owner: owner.map(of_release),
                elsewhere: None,
                prune_disabled: false,
                deleting: false,
                run: JobRun::On,
                placement: None,
            };
            assert_eq!(
                Existing::standing(found.as_ref(), &me, &live),
                expected,
                "{found:?} {owner:?} {fields}"
            );
        };
        let of = |owner: &str, is_left: bool, is_ours: bool| {
            Some(Existing { owner: Some(of_release(owner)), is_left, is_ours })
        };
        check(None, Some("apps/web"), "f", Standing::Ours);
        check(of("apps/other", true, false), Some("apps/web"), "f", Standing::Ours);
        // A copy of an object has its labels too.
        check(None, Some("apps/web"), "", Standing::Foreign);
        check(of("apps/web", false, true), Some("apps/web"), "", Standing::Ours);
        check(of("apps/other", true, false), Some("apps/other"), "f", Standing::Left);
        check(of("apps/other", false, false), Some("apps/other"), "f", Standing::Foreign);
        // It is another's since the plan.
        check(of("apps/other", true, false), Some("apps/third"), "f", Standing::Taken);
        check(None, Some("apps/other"), "f", Standing::Taken);
        check(of("apps/other", true, false), None, "f", Standing::Foreign);
        check(None, None, "", Standing::Foreign);
    }
}
