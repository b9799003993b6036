//! What every answer of the page is made from.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::cure::AdviceBook;
use super::entry::hosts::PageHosts;
use super::entry::session::Visitors;
use super::entry::token::EntryRefusal;
use super::entry::tokens::TokenDoor;
use super::entry::viewer::{EntryProof, Place, Viewer};
use super::index::ReleaseIndex;
use super::read::turns::ComparisonTurns;
use crate::cluster::session::Session;
use crate::fair::Gate;
use crate::reconcile::frontend::workshop::Workshop;

/// Who may look, and by what they are known.
pub enum Entrance {
    /// The person who has started the page, by the link that was printed: with the rights of that person.
    Link(Visitors, Session),
    /// Everyone with a token of the cluster, each with their own rights.
    Tokens(Box<TokenDoor>),
    /// Everyone, without a name: statuses only, as the operator reads them.
    Open(Session),
}

/// The page, for everyone who may see it.
pub struct Site {
    /// Who may look.
    pub entrance: Entrance,
    /// All releases. A view takes those that its [`Viewer`] may see.
    pub index: ReleaseIndex,
    /// What to do about a reason.
    pub cures: AdviceBook,
    /// The names by which the page may be called.
    pub hosts: PageHosts,
    /// Where it looks.
    pub place: Place,
    /// Lets few comparisons run at a time.
    pub comparisons: ComparisonTurns,
    /// Lets one open page of each person and release read its objects again and again.
    pub rereaders: Arc<Gate>,
    /// What the page of the operator renders with; absent on that of a person.
    pub workshop: Option<Workshop>,
    /// Lets each person have some streams of changes, and leaves some for others.
    pub streams: Arc<Gate>,
    /// Ends the streams when the process ends.
    pub stop: CancellationToken,
}

/// What handlers share.
pub type SharedSite = Arc<Site>;

impl Site {
    /// What a request may see and do now.
    ///
    /// # Errors
    /// Why it may see nothing.
    pub async fn viewer(&self, credential: &EntryProof) -> Result<Viewer, EntryRefusal> {
        match (&self.entrance, credential) {
            (Entrance::Link(visitors, session), EntryProof::Visitor(visitor)) if visitors.knows(visitor) => {
                Ok(Viewer::of_link(session.clone(), self.place.clone(), visitor.clone()))
            }
            (Entrance::Tokens(door), EntryProof::Token(token, ends)) => {
                if ends.is_some_and(|ends| ends <= Timestamp::now()) {
                    return Err(EntryRefusal::Unknown);
                }
                let person = door.person(token).await?.ok_or(EntryRefusal::Unknown)?;
                let namespaces = self.index.namespaces();
                Ok(Viewer::of_token(door, person, &namespaces, self.place.clone(), (token, *ends)).await)
            }
            (Entrance::Open(session), _) => Ok(Viewer::anonymous(session.clone(), self.place.clone())),
            _ => Err(EntryRefusal::Unknown),
        }
    }
}
