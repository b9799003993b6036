//! The ConfigMaps and Secrets that decide what is rendered: watched, and as read last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::accounts::{SecretData, WatchedObject};
use crate::cluster::session::Identity;
use crate::domain::release::inputs::{InputData, RenderInputs};

/// The inputs of a release.
#[derive(Default)]
pub struct InputCache {
    /// Watches over the Secrets.
    pub secrets: BTreeMap<String, WatchedObject<SecretData>>,
    /// Watches over the ConfigMaps.
    pub config_maps: BTreeMap<String, WatchedObject<InputData>>,
    /// As whom they are read.
    identity: Option<Identity>,
    /// What the last run has read.
    pub last: Option<Arc<RenderInputs>>,
}

impl InputCache {
    /// Forgets what was read with the rights of another account.
    pub fn read_as(&mut self, identity: &Identity) {
        if self.identity.as_ref() != Some(identity) {
            *self = Self { identity: Some(identity.clone()), ..Self::default() };
        }
    }
}
