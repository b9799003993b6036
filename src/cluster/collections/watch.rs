//! A list and a watch that never end: pages, then events, then again from where
//! it stopped. What is done with the objects is the observer's business.

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

/// Objects asked for in one page.
const PAGE: usize = 500;
/// How long the API server is asked to keep a watch open.
const WATCH_SECONDS: u64 = 300;
/// The longest line of a watch; objects are at most 1.5 MiB in etcd.
const MAX_LINE: u64 = 16 << 20;
/// What is kept of the room for one between two lines.
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

/// What became of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The list has not come through yet.
    Syncing,
    /// What is there is known.
    Synced,
    /// The identity may not list or watch; the message is the API server's.
    Denied(String),
    /// The kind is not served any more.
    NotServed,
}

/// What a watch tells.
pub(in crate::cluster) enum Event<'a> {
    /// A list begins; what is not listed until [`Event::Listed`] is gone.
    Listing,
    /// An object is as given, in a list or by an event.
    Present(&'a str),
    /// An object matches no more.
    Absent(&'a str),
    /// The list has come through.
    Listed,
    /// The watch goes on where it was interrupted.
    Following,
    /// The watch is not possible now.
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

/// Watches for ever; drop the future to stop.
pub(in crate::cluster) async fn run(
    session: Session,
    selection: ListSelection,
    mut observe: impl FnMut(Event<'_>) + Send,
) {
    // What it has shown is still the best that is known.
    let interruption = |event: &Event<'_>| matches!(event, Event::Failed(State::Syncing) | Event::Following);
    let mut observe = |event: Event<'_>| {
        if !interruption(&event) {
            observe(event);
        }
    };
    let again = Notify::new();
    loop {
        while_served(&session, &selection, &again, &mut observe).await;
        observe(Event::Failed(State::NotServed));
        tokio::time::sleep(LONGEST_DENIED).await;
    }
}

/// Watches the objects of a kind for ever, in whatever version it is served: where
/// the one at hand goes, it goes on in another. Interruptions are told, too, and what
/// has failed is tried again at once when someone asks for it.
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
        // One that cannot be asked what is served is asked again like a watch.
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

/// Watches until there is no such path.
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
        // It was allowed for long before.
        if begin.elapsed() > LONGEST_DENIED {
            denials = 0;
        }
        let wait = match &failed {
            // The version is too old: list again at once.
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
            // Nothing that waiting cures, such as an answer that cannot be read.
            Some(error) => {
                tracing::warn!(path = selection.path, %error, "a list cannot be read; trying again");
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

/// Waits, and no longer than the API server is away.
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

/// Follows events, over as many watches as it takes. Returns the error that
/// ended it, or none when it has to list again.
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
            // Ended without an event: do not ask again in a tight loop.
            Ok(false) => rest(session, pause).await,
            Err(error) if error.code() == 410 => return None,
            Err(error) if error.is_transient() => {
                // One that only ended is taken up in a moment.
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

/// One watch, until it ends; says whether there was any event.
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
    // The slot keeps the stream's place on its connection until the end.
    let (_slot, body) = session.open(Call { accept, ..Call::get(uri) }).await?;
    if std::mem::take(interrupted) {
        observe(Event::Following);
    }
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let mut lines = StreamReader::new(stream);
    let mut line = Vec::new();
    let mut any = false;
    // The server ends the watch; a connection that is dead says so by its
    // keep-alive, over HTTP/1.1 this does.
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
