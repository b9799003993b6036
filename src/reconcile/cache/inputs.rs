//! The ConfigMaps and Secrets that decide what is rendered: watched, and as read last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::accounts::{SecretData, WatchedObject};
use crate::domain::release::inputs::{InputData, RenderInputs};

/// The inputs of a release.
#[derive(Default)]
pub struct InputCache {
    /// Watches over the Secrets.
    pub secrets: BTreeMap<String, WatchedObject<SecretData>>,
    /// Watches over the ConfigMaps.
    pub config_maps: BTreeMap<String, WatchedObject<InputData>>,
    /// What the last run has read.
    pub last: Option<Arc<RenderInputs>>,
}

impl InputCache {
    /// Forgets what was read with the rights of the previous account.
    pub fn forget_identity(&mut self) {
        *self = Self::default();
    }
}
