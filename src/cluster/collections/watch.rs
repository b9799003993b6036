//! An endless list and watch: pages, then events, then again from where it stopped. The
//! observer processes the objects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncBufReadExt;
use tokio::sync::Notify;
use tokio_util::io::StreamReader;

use super::pages::{self, Listing};
use crate::cluster::error::{ApiError, Status};
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{Call, Session};
use crate::domain::schedule::{LONGEST_DENIED, denied};

/// Objects requested in one page.
const PAGE: usize = 500;
/// How long the API server should keep a watch open.
const WATCH_SECONDS: u64 = 300;
/// The longest line of a watch; objects are at most 1.5 MiB in etcd.
const MAX_LINE: u64 = 16 << 20;
/// The part of its buffer that is kept between two lines.
const USUAL_LINE: usize = 64 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct ListSelection {
    /// Path of the collection.
    pub path: String,
    /// Selectors, as the escaped part of a query, such as `labelSelector=a`.
    pub query: String,
    /// Whether only metadata is wanted.
    pub metadata_only: bool,
}

/// The state of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The first list is not complete yet.
    Syncing,
    /// The existing objects are known.
    Synced,
    /// The identity cannot list or watch; with the API server's message.
    Denied(String),
    /// The kind is no longer served.
    NotServed,
}

/// What a watch reports.
pub(in crate::cluster) enum Event<'a> {
    /// A list begins; an object that is not listed before [`Event::Listed`] does not exist any
    /// more.
    Listing,
    /// The state of an object, from a list or an event.
    Present(&'a str),
    /// An object no longer matches.
    Absent(&'a str),
    /// The list is complete.
    Listed,
    /// The watch resumed after an interruption.
    Following,
    /// The watch failed.
    Failed(State),
}

#[derive(Deserialize)]
struct WatchEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
}

/// Watches until the future is dropped, and does not report interruptions: the objects seen before are
/// still the best information.
pub(in crate::cluster) async fn run(
    session: Session,
    selection: ListSelection,
    mut observe: impl FnMut(Event<'_>) + Send,
) {
    let interruption = |event: &Event<'_>| matches!(event, Event::Failed(State::Syncing) | Event::Following);
    let observe = |event: Event<'_>| {
        if !interruption(&event) {
            observe(event);
        }
    };
    run_with_interruptions(session, selection, observe).await;
}

/// The same, and reports interruptions.
pub(in crate::cluster) async fn run_with_interruptions(
    session: Session,
    selection: ListSelection,
    mut observe: impl FnMut(Event<'_>) + Send,
) {
    let again = Notify::new();
    loop {
        while_served(&session, &selection, &again, &mut observe).await;
        observe(Event::Failed(State::NotServed));
        tokio::time::sleep(LONGEST_DENIED).await;
    }
}

/// Watches the objects of a kind until the future is dropped, in any version that is
/// served: where one version is removed, it continues in another. Interruptions are
/// reported too, and a failed watch retries at once on request.
pub(in crate::cluster) async fn run_kind(
    session: Session,
    mut resource: Arc<Resource>,
    namespace: Option<String>,
    query: String,
    again: &Notify,
    mut observe: impl FnMut(Event<'_>) + Send,
) {
    loop {
        let path = resource.collection(namespace.as_deref());
        let selection = ListSelection { path, query: query.clone(), metadata_only: true };
        let discovery = session.snapshot();
        while_served(&session, &selection, again, &mut observe).await;
        // Failed discovery is retried like a failed watch.
        let newer = session.rediscover(&discovery).await.unwrap_or(discovery);
        match newer.preferred(&resource.group_kind()).filter(|other| **other != *resource) {
            Some(other) => resource = other,
            None => {
                observe(Event::Failed(State::NotServed));
                tokio::time::sleep(LONGEST_DENIED).await;
            }
        }
    }
}

/// Watches until the path does not exist.
async fn while_served(
    session: &Session,
    selection: &ListSelection,
    again: &Notify,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) {
    let (mut pause, mut denials) = (FIRST_PAUSE, 0);
    loop {
        let begin = Instant::now();
        let failed = match list(session, selection, observe).await {
            Ok(version) => {
                pause = FIRST_PAUSE;
                observe(Event::Listed);
                follow(session, selection, version, observe).await
            }
            Err(error) => Some(error),
        };
        // It was allowed for a long time.
        if begin.elapsed() > LONGEST_DENIED {
            denials = 0;
        }
        let wait = match &failed {
            // The resource version is too old: list again at once.
            None => continue,
            Some(error) if error.is_forbidden() || error.code() == 401 => {
                observe(Event::Failed(State::Denied(error.to_string())));
                denials += 1;
                denied(denials)
            }
            Some(error) if matches!(error.code(), 404 | 405) => return,
            Some(error) if error.is_transient() => {
                tracing::debug!(path = selection.path, %error, "watch interrupted");
                observe(Event::Failed(State::Syncing));
                pause
            }
            // An error that waiting does not cure, such as an unreadable answer.
            Some(error) => {
                tracing::warn!(path = selection.path, %error, "cannot list objects; retrying");
                observe(Event::Failed(State::Syncing));
                pause
            }
        };
        tokio::select! {
            () = rest(session, wait) => {}
            () = again.notified() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits, but not longer than the API server is unavailable.
async fn rest(session: &Session, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = session.is_back() => {}
    }
}

/// Lists all pages and returns the version to watch from.
pub(in crate::cluster) async fn list(
    session: &Session,
    selection: &ListSelection,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<String, ApiError> {
    observe(Event::Listing);
    let ListSelection { path, query, metadata_only } = selection;
    let listing = Listing { path, query, metadata_only: *metadata_only, page: PAGE };
    pages::each(session, listing, |object| {
        observe(Event::Present(object));
        Ok(())
    })
    .await
}

/// Follows events, over any number of watches. Returns the error that ended it, or none
/// when a new list is needed.
async fn follow(
    session: &Session,
    selection: &ListSelection,
    mut version: String,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Option<ApiError> {
    let mut pause = FIRST_PAUSE;
    let mut interrupted = false;
    loop {
        match follow_once(session, selection, &mut version, &mut interrupted, observe).await {
            Ok(true) => pause = FIRST_PAUSE,
            // Ended without an event: do not retry in a tight loop.
            Ok(false) => rest(session, pause).await,
            Err(error) if error.code() == 410 => return None,
            Err(error) if error.is_transient() => {
                // A watch that just ended is resumed after a moment.
                if pause > FIRST_PAUSE && !std::mem::replace(&mut interrupted, true) {
                    observe(Event::Failed(State::Syncing));
                }
                rest(session, pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Some(error),
        }
    }
}

/// One watch, until it ends; returns whether there was any event.
async fn follow_once(
    session: &Session,
    selection: &ListSelection,
    version: &mut String,
    interrupted: &mut bool,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<bool, ApiError> {
    let ListSelection { path, query, .. } = selection;
    let accept = match selection.metadata_only {
        true => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        false => "application/json",
    };
    let uri = format!(
        "{path}?{query}&watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}"
    );
    // The slot keeps the stream's place on its connection until the watch ends.
    let (_slot, body) = session.open(Call { accept, ..Call::get(uri) }).await?;
    if std::mem::take(interrupted) {
        observe(Event::Following);
    }
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let mut lines = StreamReader::new(stream);
    let mut line = Vec::new();
    let mut any = false;
    // The server ends the watch. A dead connection is found by its keep-alive, over
    // HTTP/1.1 by this timeout.
    let idle = Duration::from_secs(WATCH_SECONDS + 30);
    loop {
        line.clear();
        line.shrink_to(USUAL_LINE);
        let mut bounded = tokio::io::AsyncReadExt::take(&mut lines, MAX_LINE);
        let read = tokio::time::timeout(idle, bounded.read_until(b'\n', &mut line)).await;
        let read = read.map_err(|_| ApiError::Timeout(idle))?.map_err(ApiError::unreachable)?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(any);
        }
        any = true;
        let event: WatchEvent = serde_json::from_slice(&line).map_err(ApiError::answer)?;
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).map_err(ApiError::answer)?;
            return Err(ApiError::Status(Box::new(status)));
        }
        let seen: Bookmark = serde_json::from_str(event.object.get()).map_err(ApiError::answer)?;
        *version = seen.metadata.resource_version;
        match event.kind {
            "ADDED" | "MODIFIED" => observe(Event::Present(event.object.get())),
            "DELETED" => observe(Event::Absent(event.object.get())),
            _ => {}
        }
    }
}
