//! The progress events of a run. The operator uses only the outcome; the command line prints them.

use crate::domain::identity::ObjectId;

/// The change of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// It was created.
    Created,
    /// It was changed.
    Configured,
    /// It was deleted and created again, because it could not be updated.
    Recreated,
    /// It has not changed.
    Unchanged,
    /// It was deleted; it may still be terminating.
    Deleted,
    /// It is a step, and is run.
    Run,
}

impl ObjectChange {
    /// In kubectl's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Recreated => "recreated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Run => "run",
        }
    }
}

/// An event of a run.
#[derive(Debug)]
pub enum ProgressEvent<'a> {
    /// An object is done.
    Object(&'a ObjectId, ObjectChange),
    /// The wait for health begins.
    AwaitsHealth,
    /// The wait for dependencies begins: so many objects are applied after it.
    AwaitsDependencies(&'a [&'a ObjectId], usize),
    /// The objects that the run waits for, each with the reason.
    Pending(&'a [(&'a ObjectId, &'a str)]),
    /// Everything is healthy.
    Healthy,
    /// The wait for what was deleted begins.
    AwaitsTermination,
}

/// The receiver of events. It must not block.
pub trait Progress: Send + Sync {
    /// Takes an event.
    fn report(&self, event: ProgressEvent<'_>);

    /// Whether pending objects are shown.
    fn is_watching(&self) -> bool {
        true
    }
}

/// Ignores all events.
#[derive(Clone, Copy, Debug)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn report(&self, _: ProgressEvent<'_>) {}

    fn is_watching(&self) -> bool {
        false
    }
}
