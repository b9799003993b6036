//! The ConfigMaps and Secrets that decide what is rendered: watched, and as read last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::post_build::InputKind;
use crate::cluster::accounts::SecretData;
use crate::cluster::by_name::{Keeps, WatchedObject};
use crate::cluster::session::Identity;
use crate::domain::manifest::substitute::Redaction;
use crate::domain::release::inputs::{InputData, RenderInputs};
use crate::fair::Share;
use crate::reconcile::env::input_room::{InputRoom, USUAL};

/// What a watch keeps before it is known how large its object is, in bytes.
const FIRST: u64 = USUAL / 8;
/// What watches and their tables take, in bytes.
const OVERHEAD: u64 = 512;

/// The inputs of a release.
pub struct InputCache {
    /// Watches over the Secrets.
    pub secrets: BTreeMap<String, WatchedObject<SecretData>>,
    /// Watches over the ConfigMaps.
    pub config_maps: BTreeMap<String, WatchedObject<InputData>>,
    /// How large an object is that the watches keep.
    pub keeps: Keeps,
    /// As whom they are read.
    identity: Option<Identity>,
    /// The generation of the spec of the last run that has read them.
    pub generation: i64,
    /// What the last run has read, if there is room to keep it.
    pub last: Option<Arc<RenderInputs>>,
    /// What of the last ones is never shown, and of those before them: objects, pods and their messages
    /// may still have these values.
    hidden: [Arc<Redaction>; 2],
    /// Both together.
    redaction: Arc<Redaction>,
    /// The memory of all this.
    held: Held,
}

/// The memory that inputs take.
#[derive(Default)]
enum Held {
    /// None was taken.
    #[default]
    Nothing,
    /// For this run.
    Used {
        /// Given back when the run has ended.
        _share: Share,
    },
    /// Between runs as well: so many bytes.
    Kept {
        /// Given back with the cache.
        _share: Share,
        bytes: u64,
    },
}

impl Default for InputCache {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            config_maps: BTreeMap::new(),
            keeps: Keeps::at_most(FIRST),
            identity: None,
            generation: 0,
            last: None,
            hidden: [Redaction::default().shared(), Redaction::default().shared()],
            redaction: Redaction::default().shared(),
            held: Held::Nothing,
        }
    }
}

impl InputCache {
    /// Forgets what was read with the rights of another account, except what is never shown.
    pub fn read_as(&mut self, identity: &Identity) {
        if self.identity.as_ref() != Some(identity) {
            self.end_watches();
            self.identity = Some(identity.clone());
        }
    }

    /// Forgets what was read, except what is never shown.
    pub fn end_watches(&mut self) {
        let held = std::mem::take(&mut self.held);
        let (hidden, redaction) = (self.hidden.clone(), Arc::clone(&self.redaction));
        *self = Self { hidden, held, redaction, ..Self::default() };
    }

    /// What reading them again takes, in bytes, as far as is known.
    pub fn weight(&self) -> u64 {
        match self.held {
            Held::Kept { bytes, .. } => bytes.max(USUAL),
            Held::Used { .. } | Held::Nothing => USUAL,
        }
    }

    /// What is never shown.
    pub fn redaction(&self) -> &Arc<Redaction> {
        &self.redaction
    }

    /// These are the inputs now, and what of them is never shown; none, if the spec names none.
    pub fn set(&mut self, inputs: Option<Arc<RenderInputs>>, redaction: Redaction) {
        if *self.hidden[0] != redaction {
            self.hidden.swap(0, 1);
            self.hidden[0] = redaction.shared();
        }
        self.redaction = self.hidden[0].union(&self.hidden[1]).shared();
        self.last = inputs;
    }

    /// Takes memory for what was read: to keep it if there is room, otherwise for this run.
    pub fn hold(&mut self, room: &InputRoom, namespace: &str, used: Share) {
        let Some(inputs) = &self.last else { return };
        let largest = inputs.objects().map(|(_, _, data)| data.bytes() as u64).max().unwrap_or_default();
        let most = largest.next_multiple_of(256);
        let watches = (self.secrets.len() + self.config_maps.len()) as u64;
        let in_use = OVERHEAD + inputs.bytes() as u64 + self.redaction.bytes();
        let bytes = in_use + watches * most;
        // What was kept so far is given back first: it may be the same.
        self.held = Held::Nothing;
        let Some(share) = room.keep(namespace, bytes) else {
            // The watches keep nothing.
            self.forget_contents();
            used.shrink(in_use);
            self.held = Held::Used { _share: used };
            return;
        };
        self.held = Held::Kept { _share: share, bytes };
        self.keeps.set(most);
        for (kind, name, data) in inputs.objects() {
            match kind {
                InputKind::Secret => {
                    let data = SecretData(data.0.clone());
                    self.secrets.get(name).into_iter().for_each(|watched| watched.keep(&data));
                }
                InputKind::ConfigMap => {
                    self.config_maps.get(name).into_iter().for_each(|watched| watched.keep(data));
                }
            }
        }
    }

    /// The run has ended: what there is no room for is forgotten. What was never to be shown is not known
    /// any more then, so that nothing is shown.
    pub fn rest(&mut self) {
        if matches!(self.held, Held::Kept { .. }) {
            return;
        }
        self.forget_contents();
        (self.held, self.last) = (Held::Nothing, None);
        if !self.redaction.is_empty() {
            self.hidden = Self::default().hidden;
            self.redaction = Redaction::of_everything().shared();
        }
    }

    /// The watches keep nothing, and still see changes.
    pub fn forget_contents(&mut self) {
        self.keeps.set(0);
        self.secrets.values().for_each(WatchedObject::forget);
        self.config_maps.values().for_each(WatchedObject::forget);
    }
}
