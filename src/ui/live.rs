//! Server-sent events: a page that is open gets the blocks that change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use tokio::time::sleep;

use super::delta::{Delta, OpenPage};
use super::look::{ViewRequest, look};
use super::site::Site;

/// Changes that come soon after another are sent together.
const TOGETHER: Duration = Duration::from_millis(250);
/// How often a silent stream says that it is alive.
const ALIVE: Duration = Duration::from_secs(20);

/// The stream of a view.
struct Feed {
    site: Arc<Site>,
    wanted: ViewRequest,
    shown: OpenPage,
    changes: tokio::sync::watch::Receiver<u64>,
    /// What the page shows by its own account; none after the first look.
    seen: Option<u64>,
}

impl Feed {
    /// The next change, or a sign of life.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            self.changes.mark_unchanged();
            let delta = self.look().await;
            if let Some(delta) = delta {
                let text = serde_json::to_string(&delta).unwrap_or_default();
                return Some((Ok(format!("data: {text}\n\n").into()), self));
            }
            let stop = self.site.stop.clone();
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = stop.cancelled() => return None,
                () = sleep(ALIVE) => return Some((Ok(Bytes::from_static(b": alive\n\n")), self)),
            }
            sleep(TOGETHER).await;
        }
    }

    async fn look(&mut self) -> Option<Delta> {
        let view = look(&self.site, &self.wanted, None).await.ok()?;
        let digest = OpenPage::digest(&view.lists);
        let delta = self.shown.update(view.lists)?;
        match self.seen.take() {
            None => Some(delta),
            // The page has just been made from the same blocks.
            Some(seen) if seen == digest => None,
            Some(_) => Some(delta.late()),
        }
    }
}

/// Answers with the stream of a view.
pub fn stream(site: Arc<Site>, wanted: ViewRequest, seen: Option<u64>) -> Response {
    let changes = site.index.changes();
    let feed =
        Feed { site, wanted, shown: OpenPage::default(), changes, seen: Some(seen.unwrap_or_default()) };
    let body = Body::from_stream(updates(feed));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn updates(feed: Feed) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    futures::stream::unfold(feed, Feed::next)
}
