//! The list of what releases follow, made for webhooks and only then. All that
//! come while one list is made share the next: each gets a list that was begun
//! after it came, so that it knows every release that could have missed the push.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cluster::session::Session;
use crate::cluster::sources::ArtifactSource;
use crate::domain::patch::selector::Selector;
use crate::reconcile::error::chain;

/// Webhooks that wait for a list; the next is told to come back.
const WAITING: usize = 256;
/// The longest rest between two lists.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A list, or why there is none.
type Listed = Result<Arc<[ArtifactSource]>, ()>;

/// Asks for lists.
#[derive(Clone, Debug)]
pub struct Lists(mpsc::Sender<oneshot::Sender<Listed>>);

/// Which releases are listed: those that this controller reconciles.
#[derive(Clone, Debug)]
pub struct ListedReleases {
    /// The namespaces; all when empty.
    pub namespaces: Vec<String>,
    /// Their labels.
    pub selector: Option<Selector>,
}

impl Lists {
    /// Makes them until nobody asks any more.
    pub fn start(session: Session, scope: ListedReleases) -> Self {
        let (sender, mut requests) = mpsc::channel::<oneshot::Sender<Listed>>(WAITING);
        tokio::spawn(async move {
            while let Some(first) = requests.recv().await {
                let mut waiting = vec![first];
                while let Ok(other) = requests.try_recv() {
                    waiting.push(other);
                }
                let begun = Instant::now();
                let listed = list(&session, &scope).await;
                for waiter in waiting {
                    // Who has gone away needs no answer.
                    let _ = waiter.send(listed.clone());
                }
                // However many there are, the API server has half of the time off.
                tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
            }
        });
        Self(sender)
    }

    /// A list that is begun after now.
    ///
    /// # Errors
    /// When it cannot be made, or too many wait for one.
    pub async fn get(&self) -> Listed {
        let (sender, receiver) = oneshot::channel();
        self.0.try_send(sender).map_err(|_| ())?;
        receiver.await.unwrap_or(Err(()))
    }
}

async fn list(session: &Session, scope: &ListedReleases) -> Listed {
    let all = [None];
    let some: Vec<Option<&str>> = scope.namespaces.iter().map(|n| Some(n.as_str())).collect();
    let mut sources = Vec::new();
    for namespace in if some.is_empty() { &all[..] } else { &some[..] } {
        match session.list_sources(*namespace, scope.selector.as_ref()).await {
            Ok(found) => sources.extend(found),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "releases cannot be listed, so that a webhook cannot be taken");
                return Err(());
            }
        }
    }
    Ok(sources.into())
}
