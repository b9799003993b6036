//! Server-sent events: a page that is open gets the blocks that change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::parameter;
use super::delta::{Blocks, Delta, OpenPage};
use super::entry::gate::END;
use super::entry::token::EntryRefusal;
use super::entry::viewer::Viewer;
use super::look::{ViewRequest, look};
use super::row::Row;
use super::site::Site;
use super::view::frame::{AROUND, around};
use super::view::release::gone;
use crate::domain::identity::ReleaseId;
use crate::fair::Share;

/// Changes that come soon after another are sent together.
const TOGETHER: Duration = Duration::from_millis(250);
/// How often a silent stream says that it is alive, and asks whether its viewer counts still.
const ALIVE: Duration = Duration::from_secs(20);
/// How often the objects of a release are read at most.
const READING_PAUSE: Duration = Duration::from_secs(3);

/// How often they are read without a change of the release: the health of an object may change alone.
const READING_AGAIN: Duration = Duration::from_secs(30);

/// What a stream has read of a release.
struct ReadRelease {
    /// The release in the index then: another one is a reason to read again.
    row: Option<Arc<Row>>,
    at: Instant,
    blocks: Vec<Blocks>,
}

/// The stream of a view.
struct Feed {
    site: Arc<Site>,
    viewer: Viewer,
    wanted: ViewRequest,
    shown: OpenPage,
    changes: watch::Receiver<u64>,
    /// What the page shows by its own account; none after the first look.
    seen: Option<u64>,
    release: Option<ReadRelease>,
    /// When the release should be read again.
    due: Option<Instant>,
    /// That it reads the objects again and again: of the pages of one person, one does for each release.
    rereads: Option<Share>,
    is_over: bool,
    /// Its place among the streams.
    _place: Share,
}

impl Feed {
    /// The next change, a sign of life, or the end.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        loop {
            match self.site.viewer(&self.viewer.credential).await {
                Ok(viewer) => self.viewer = viewer,
                Err(EntryRefusal::Unknown) => {
                    self.is_over = true;
                    return Some((Ok(Bytes::from_static(END.as_bytes())), self));
                }
                // What is shown stays, and nothing new is shown.
                Err(EntryRefusal::NoAnswer(_)) => {
                    sleep(ALIVE).await;
                    return Some((Ok(Bytes::from_static(ALIVE_LINE)), self));
                }
            }
            self.changes.mark_unchanged();
            if let Some((delta, digest)) = self.look().await {
                let text = serde_json::to_string(&delta).unwrap_or_default();
                return Some((Ok(format!("id: {digest}\ndata: {text}\n\n").into()), self));
            }
            let stop = self.site.stop.clone();
            let due = self.due.unwrap_or_else(|| Instant::now() + ALIVE * 2);
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = other_rights(self.viewer.changes.as_mut()) => {}
                () = stop.cancelled() => return None,
                () = sleep_until(due) => continue,
                () = sleep(ALIVE) => return Some((Ok(Bytes::from_static(ALIVE_LINE)), self)),
            }
            sleep(TOGETHER).await;
        }
    }

    /// What has changed, and the number of what the page shows then.
    async fn look(&mut self) -> Option<(Delta, u64)> {
        let lists = match self.wanted.clone() {
            ViewRequest::Release(id) => self.release(&id).await?,
            wanted => look(&self.site, &self.viewer, &wanted, None).await.ok()?.lists,
        };
        let digest = OpenPage::digest(&lists);
        let delta = self.shown.update(lists)?;
        match self.seen.take() {
            None => Some((delta, digest)),
            // The page has just been made from the same blocks.
            Some(seen) if seen == digest => None,
            Some(_) => Some((delta.late(), digest)),
        }
    }

    /// The blocks of a release. It is read again when it has changed or after a while, and not all the time.
    async fn release(&mut self, id: &ReleaseId) -> Option<Vec<Blocks>> {
        let rows = self.viewer.rows(&self.site.index);
        // Of all rows: a person may open a release that they may not list. It is compared and not shown.
        let row = self.site.index.rows().rows.get(id).cloned();
        if self.viewer.can.read && self.rereads.is_none() {
            let reader = format!("{id} {}", self.viewer.tenant());
            self.rereads = self.site.rereaders.try_enter(&reader, 1);
        }
        let again = self.rereads.as_ref().and(self.release.as_ref()).map(|read| read.at + READING_AGAIN);
        let is_old = again.is_some_and(|again| again <= Instant::now());
        self.due = None;
        match &self.release {
            Some(read) if read.row == row && !is_old => self.due = again,
            Some(read) if read.at.elapsed() < READING_PAUSE => self.due = Some(read.at + READING_PAUSE),
            _ => {
                let at = Instant::now();
                match self.blocks(id).await {
                    Some(blocks) => self.release = Some(ReadRelease { row, at, blocks }),
                    // The API server gives no answer now; what was read is the best there is.
                    None => self.due = Some(at + READING_PAUSE),
                }
            }
        }
        let read = self.release.as_ref()?;
        Some(around(&rows, read.blocks.iter().cloned()))
    }

    async fn blocks(&self, id: &ReleaseId) -> Option<Vec<Blocks>> {
        let wanted = ViewRequest::Release(id.clone());
        match look(&self.site, &self.viewer, &wanted, None).await {
            Ok(view) => Some(view.lists.into_iter().filter(|list| !AROUND.contains(&list.name)).collect()),
            Err(problem) if [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&problem.status) => {
                Some(vec![gone(problem.title, &problem.why)])
            }
            Err(_) => None,
        }
    }
}

/// Waits until a person sees more or less.
async fn other_rights(changes: Option<&mut watch::Receiver<u64>>) {
    let is_over = match changes {
        Some(changes) => changes.changed().await.is_err(),
        None => true,
    };
    if is_over {
        std::future::pending().await
    }
}

/// Says why a page does not follow changes.
fn busy(headers: &HeaderMap) -> Response {
    let is_stream = headers.get(header::ACCEPT).is_some_and(|kind| kind.as_bytes() == EVENTS.as_bytes());
    match is_stream {
        // A script sees no code of an answer.
        true => ([(header::CONTENT_TYPE, EVENTS)], format!("event: busy\ndata: {BUSY}\n\n")).into_response(),
        false => (StatusCode::TOO_MANY_REQUESTS, BUSY).into_response(),
    }
}

/// What it says.
const BUSY: &str = "Too many pages are open: this one does not follow changes. Close others, or reload it.";
const EVENTS: &str = "text/event-stream";

const ALIVE_LINE: &[u8] = b": alive\n\n";

/// Answers with the stream of a view.
pub fn stream(
    site: Arc<Site>,
    viewer: Viewer,
    wanted: ViewRequest,
    (headers, query): (&HeaderMap, Option<&str>),
) -> Response {
    let Some(place) = site.streams.try_enter(viewer.tenant(), 1) else { return busy(headers) };
    let changes = site.index.changes();
    let feed = Feed {
        site,
        viewer,
        wanted,
        shown: OpenPage::default(),
        changes,
        seen: Some(seen(headers, query)),
        release: None,
        due: None,
        rereads: None,
        is_over: false,
        _place: place,
    };
    let body = Body::from_stream(updates(feed));
    ([(header::CONTENT_TYPE, EVENTS)], body).into_response()
}

/// What the page shows: a browser that connects again says what it got last, and the address what the page began with.
fn seen(headers: &HeaderMap, query: Option<&str>) -> u64 {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.filter(|id| !id.is_empty()).map(str::to_owned);
    last.or_else(|| parameter(query, "seen")).and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn updates(feed: Feed) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    futures::stream::unfold(feed, Feed::next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_connects_again_says_what_it_got_last() {
        let check = |last: &str, query: &str, expected: u64| {
            let mut headers = HeaderMap::new();
            if !last.is_empty() {
                headers.insert("last-event-id", last.parse().unwrap());
            }
            assert_eq!(seen(&headers, Some(query)), expected, "{last} {query}");
        };
        check("", "span=day&seen=7", 7);
        check("8", "span=day&seen=7", 8);
        check("x", "seen=7", 0);
        check("", "seen=", 0);
        check("", "", 0);
    }
}
