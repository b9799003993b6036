//! What every answer of the page is made from.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::cure::AdviceBook;
use super::entry::session::Visitors;
use super::index::ReleaseIndex;
use crate::cluster::session::Session;

/// Where the page looks, for its head.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The API server.
    pub server: String,
    /// The only namespace that is shown; all of them without one.
    pub namespace: Option<String>,
}

/// The page of a person.
pub struct Site {
    /// The rights of the person.
    pub session: Session,
    /// All releases.
    pub index: ReleaseIndex,
    /// Who has entered.
    pub sessions: Visitors,
    /// What to do about a reason.
    pub cures: AdviceBook,
    /// The names by which the page may be called, with its port.
    pub hosts: Vec<String>,
    /// Where it looks.
    pub place: Place,
    /// Lets few comparisons run at a time.
    pub comparisons: Arc<Semaphore>,
    /// Ends the streams when the process ends.
    pub stop: CancellationToken,
}

/// What handlers share.
pub type SharedSite = Arc<Site>;
