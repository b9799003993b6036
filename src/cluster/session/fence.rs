//! Keeps a process from writing after its lease expired, also one that was frozen in
//! between: the time is compared right before each write.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::cluster::error::ApiError;

/// Open until a time is set, then until that time.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Fence {
    until: Mutex<Option<Instant>>,
}

impl Fence {
    /// Sets the time.
    pub fn set(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// # Errors
    /// [`ApiError::LeaseOver`] after the time.
    pub fn check(&self) -> Result<(), ApiError> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match until {
            Some(until) if Instant::now() >= until => Err(ApiError::LeaseOver),
            _ => Ok(()),
        }
    }
}
