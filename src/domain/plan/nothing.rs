//! A cluster without objects, for tables of tests.

use super::build::Live;
use crate::domain::objects::identity::{ObjectId, ReleaseId};
use crate::domain::objects::live::Record;

/// The cluster.
pub struct Nothing;

impl Live for Nothing {
    fn record(&self, _: &ObjectId) -> Option<Record> {
        None
    }
    fn is_observed(&self, _: &ObjectId) -> bool {
        true
    }
    fn ended(&self, _: &ObjectId) -> Option<String> {
        None
    }
    fn claims(&self, _: &ReleaseId, _: &ObjectId) -> bool {
        false
    }
    fn retains(&self, _: &ReleaseId, _: &ObjectId) -> bool {
        false
    }
    fn reserved(&self, _: &ObjectId) -> Option<ReleaseId> {
        None
    }
}
