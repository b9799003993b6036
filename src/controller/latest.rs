//! The newest state of a release: set by the engine, read by its actor, which is notified by its signals.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::kept::KeptRelease;

/// Shared by its clones.
#[derive(Clone, Debug)]
pub struct Latest(Arc<Mutex<Arc<KeptRelease>>>);

impl Latest {
    /// With the first state.
    pub fn new(kept: Arc<KeptRelease>) -> Self {
        Self(Arc::new(Mutex::new(kept)))
    }

    /// The newest one.
    pub fn get(&self) -> Arc<KeptRelease> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the newest one, and returns the one before.
    pub fn replace(&self, kept: Arc<KeptRelease>) -> Arc<KeptRelease> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), kept)
    }
}
