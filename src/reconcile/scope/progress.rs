//! What a run tells while it goes on. The operator listens to the end only; a
//! person wants to see it.

use crate::domain::identity::ObjectId;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// It is new.
    Created,
    /// It was changed.
    Configured,
    /// It was deleted and made anew, because it could not be changed.
    Recreated,
    /// It has not changed.
    Unchanged,
    /// It was deleted; it may still be terminating.
    Deleted,
}

impl ObjectChange {
    /// As kubectl says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Recreated => "recreated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// Something that happened in a run.
#[derive(Debug)]
pub enum ProgressEvent<'a> {
    /// An object is done.
    Object(&'a ObjectId, ObjectChange),
    /// The wait for health begins.
    AwaitsHealth,
    /// What is waited for now, each with why.
    Pending(&'a [(&'a ObjectId, &'a str)]),
    /// Everything is healthy.
    Healthy,
    /// The wait for what was deleted begins.
    AwaitsTermination,
}

/// Who listens. It must not block.
pub trait Progress: Send + Sync {
    /// Takes an event.
    fn tell(&self, event: ProgressEvent<'_>);

    /// Whether anybody looks at what is waited for.
    fn is_watching(&self) -> bool {
        true
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn tell(&self, _: ProgressEvent<'_>) {}

    fn is_watching(&self) -> bool {
        false
    }
}
