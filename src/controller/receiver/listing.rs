//! The list of releases and their sources, made only for webhooks. All webhooks that arrive during
//! a list share the next one: each gets a list that was started after it arrived, so that it has
//! every release that could have missed the push.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cluster::session::Session;
use crate::cluster::sources::ArtifactSource;
use crate::domain::patch::selector::Selector;
use crate::reconcile::error::chain;

/// Webhooks that can wait for a list; further ones are rejected.
const WAITING: usize = 256;
/// The longest pause between two lists.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A list, or why there is none.
type Listed = Result<Arc<[ArtifactSource]>, ()>;

/// Requests lists.
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
    /// Makes lists until all senders are dropped.
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
                    // The sender may be gone already.
                    let _ = waiter.send(listed.clone());
                }
                // Lists take at most half of the time, to limit the load on the API server.
                tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
            }
        });
        Self(sender)
    }

    /// A list that is started after this call.
    ///
    /// # Errors
    /// When it cannot be made, or too many webhooks wait for one.
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
                tracing::warn!(error, "cannot list releases; the webhook is not processed");
                return Err(());
            }
        }
    }
    Ok(sources.into())
}
