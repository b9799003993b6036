//! The guards that a spec declares.

use std::sync::Arc;
use std::time::Duration;

use super::windows::Windows;
use crate::api::guards::{Promotion, PruneGuard};
use crate::api::release::OCIArtifactReleaseSpec;
use crate::domain::objects::identity::{GroupKind, ReleaseId};
use crate::domain::schedule::parse_duration;

/// The longest `minimumAge` and `healthyFor`.
const LONGEST: Duration = Duration::from_secs(744 * 3600);
/// The most releases that a promotion names.
const MAX_SOURCES: usize = 8;

/// What holds a new revision back.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// The windows in which it may be applied.
    pub windows: Arc<Windows>,
    /// How old it must be.
    pub minimum_age: Option<Duration>,
    /// The releases that must have had it before.
    pub promotion: Arc<[PromotionRule]>,
    /// What it may remove.
    pub removal: Option<Arc<RemovalLimits>>,
}

/// A release that must have had a revision, healthy, for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromotionRule {
    /// The release.
    pub id: ReleaseId,
    /// How long.
    pub healthy_for: Duration,
}

/// What a revision may remove without approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalLimits {
    /// The largest part of the applied objects, in percent.
    pub max_percent: Option<u8>,
    /// The largest number of objects.
    pub max_count: Option<u32>,
    /// Kinds of which nothing is removed: the kind, and the group where only one counts.
    pub kinds: Vec<(String, Option<String>)>,
}

impl Guards {
    /// The guards of a spec. `me` is the release, `timeout` its timeout.
    ///
    /// # Errors
    /// The first invalid field below `spec`, and what is wrong with it.
    pub fn parse(
        spec: &OCIArtifactReleaseSpec,
        me: &ReleaseId,
        timeout: Duration,
    ) -> Result<Self, (String, String)> {
        let age = spec.minimum_age.as_deref().map(|text| age("minimumAge", text)).transpose()?;
        let promotion = spec.promotion.as_ref().map(|promotion| rules(promotion, me)).transpose()?;
        Ok(Self {
            windows: Windows::parse(&spec.schedule, timeout)?.into(),
            minimum_age: age.filter(|age| !age.is_zero()),
            promotion: promotion.unwrap_or_default().into(),
            removal: spec.prune_guard.as_ref().map(|guard| Arc::new(limits(guard))),
        })
    }
}

impl Guards {
    /// Whether they can hold a new revision back before it is obtained.
    pub fn hold_arrivals(&self) -> bool {
        !self.windows.is_empty() || self.minimum_age.is_some() || !self.promotion.is_empty()
    }
}

impl RemovalLimits {
    /// Whether nothing of a kind is removed without approval.
    pub fn protects(&self, kind: &GroupKind) -> bool {
        let same = |(name, group): &(String, Option<String>)| {
            *name == kind.kind && group.as_ref().is_none_or(|group| *group == kind.group)
        };
        self.kinds.iter().any(same)
    }
}

fn age(field: &str, text: &str) -> Result<Duration, (String, String)> {
    let age = parse_duration(text).map_err(|error| (field.to_owned(), error.to_string()))?;
    match age <= LONGEST {
        true => Ok(age),
        false => Err((field.to_owned(), "must be between 0s and 744h".to_owned())),
    }
}

fn rules(promotion: &Promotion, me: &ReleaseId) -> Result<Vec<PromotionRule>, (String, String)> {
    let field = "promotion.after";
    if promotion.after.len() > MAX_SOURCES {
        return Err((field.to_owned(), format!("has more than {MAX_SOURCES} entries")));
    }
    let rule = |(n, source): (usize, &crate::api::guards::PromotionSource)| {
        let home = source.namespace.as_deref().unwrap_or(&me.namespace);
        let id = ReleaseId { namespace: home.to_owned(), name: source.name.clone() };
        if id == *me {
            return Err((format!("{field}[{n}].name"), "is this release itself".to_owned()));
        }
        Ok(PromotionRule { id, healthy_for: age(&format!("{field}[{n}].healthyFor"), &source.healthy_for)? })
    };
    promotion.after.iter().enumerate().map(rule).collect()
}

fn limits(guard: &PruneGuard) -> RemovalLimits {
    let kind = |text: &str| match text.split_once('.') {
        Some((kind, group)) => (kind.to_owned(), Some(group.to_owned())),
        None => (text.to_owned(), None),
    };
    RemovalLimits {
        max_percent: guard.max_percent,
        max_count: guard.max_count,
        kinds: guard.protect_kinds.iter().map(|text| kind(&text.0)).collect(),
    }
}
