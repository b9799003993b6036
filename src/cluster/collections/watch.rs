//! An endless list and watch: what exists, then events, then again from where it stopped. The
//! observer processes the objects.
//!
//! The list comes as the beginning of the watch, which is one request and one object at a time on both
//! sides. Where the API server cannot do that, it comes in pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pages::{self, Listing};
use super::stream::{StreamedChange, StreamedEvent, WatchStream};
use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{Call, METADATA_ONLY, Session};
use crate::domain::schedule::{LONGEST_DENIED, denied};

/// Objects requested in one page.
const PAGE: usize = 500;
/// How long the API server should keep a watch open.
const WATCH_SECONDS: u64 = 300;
/// How long nothing may come of a list in a stream, and how long all of it may take: a server that does
/// not know such lists leaves out the bookmark at its end.
const STREAM_SILENCE: Duration = Duration::from_secs(5);
const LONGEST_STREAM: Duration = Duration::from_secs(60);
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

/// A complete list, and the watch that continues it if it is open already.
struct Begun {
    version: String,
    stream: Option<WatchStream>,
}

/// Why a list did not come as a stream.
enum Unstreamed {
    /// In pages it would fail, too.
    Failed(ApiError),
    /// The API server cannot do it for this kind.
    Unsupported,
    /// It broke off.
    BrokenOff,
}

impl ListSelection {
    /// The request of a watch, with more in its query.
    fn watch(&self, more: &str) -> Call {
        let Self { path, query, metadata_only } = self;
        let accept = match metadata_only {
            true => METADATA_ONLY,
            false => "application/json",
        };
        let uri = format!(
            "{path}?{query}&watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&{more}"
        );
        Call { accept, ..Call::get(uri) }
    }
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
        let since = Instant::now();
        let failed = match begin_watch(session, selection, observe).await {
            Ok(begun) => {
                pause = FIRST_PAUSE;
                observe(Event::Listed);
                follow(session, selection, begun, observe).await
            }
            Err(error) => Some(error),
        };
        // It was allowed for a long time.
        if since.elapsed() > LONGEST_DENIED {
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
                // A server that is too busy says when to ask again.
                let asked = error.status().map_or(0, |status| status.details.retry_after_seconds);
                pause.max(Duration::from_secs(asked)).min(LONGEST_PAUSE)
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

/// Lists, as a stream if the API server can do it.
async fn begin_watch(
    session: &Session,
    selection: &ListSelection,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<Begun, ApiError> {
    let refused = &session.shared.refused_streams;
    if !refused.has(&selection.path, Instant::now()) {
        match stream(session, selection, observe).await {
            Ok(begun) => return Ok(begun),
            Err(Unstreamed::Failed(error)) => return Err(error),
            Err(Unstreamed::Unsupported) => refused.add(&selection.path, Instant::now()),
            Err(Unstreamed::BrokenOff) => {}
        }
        tracing::debug!(path = selection.path, "the list does not come as a stream");
    }
    // It begins again: what a stream has shown is confirmed or gone.
    let version = list(session, selection, observe).await?;
    Ok(Begun { version, stream: None })
}

/// Lists by a watch that begins with the objects that exist.
async fn stream(
    session: &Session,
    selection: &ListSelection,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<Begun, Unstreamed> {
    // Without a resource version: the list is as recent as one in pages.
    let call = selection.watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let opened = session.open_list(call).await;
    let (_share, slot, body) = opened.map_err(|error| unstreamed(session, error))?;
    let (mut stream, end) = (WatchStream::new(slot, body), Instant::now() + LONGEST_STREAM);
    observe(Event::Listing);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let StreamedEvent { version, change } = match stream.next(STREAM_SILENCE.min(left)).await {
            Ok(Some(event)) => event,
            Ok(None) | Err(ApiError::Unreachable(_)) => return Err(Unstreamed::BrokenOff),
            Err(ApiError::Timeout(_)) => return Err(Unstreamed::Unsupported),
            Err(error) => return Err(unstreamed(session, error)),
        };
        match change {
            StreamedChange::Present(object) => observe(Event::Present(object)),
            StreamedChange::Absent(object) => observe(Event::Absent(object)),
            StreamedChange::Bookmark { ends_list: false } => {}
            StreamedChange::Bookmark { ends_list: true } => {
                return Ok(Begun { version, stream: Some(stream) });
            }
        }
    }
}

fn unstreamed(session: &Session, error: ApiError) -> Unstreamed {
    match &error {
        ApiError::Status(status) => match status.code {
            400 | 405 | 406 | 415 | 422 | 501 => Unstreamed::Unsupported,
            401 | 403 | 404 | 429 => Unstreamed::Failed(error),
            // Such as a version that its cache does not come to.
            _ => Unstreamed::BrokenOff,
        },
        // Another cluster has answered something of this kind.
        ApiError::Away { .. } if session.check_reachable().is_ok() => Unstreamed::BrokenOff,
        ApiError::Answer(_) | ApiError::TooLong(_) => Unstreamed::BrokenOff,
        _ => Unstreamed::Failed(error),
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
    Begun { mut version, mut stream }: Begun,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Option<ApiError> {
    let mut pause = FIRST_PAUSE;
    let mut interrupted = false;
    loop {
        let followed = match stream.take() {
            Some(open) => follow_stream(open, &mut version, observe).await,
            None => follow_once(session, selection, &mut version, &mut interrupted, observe).await,
        };
        match followed {
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
    let (slot, body) = session.open(selection.watch(&format!("resourceVersion={version}"))).await?;
    if std::mem::take(interrupted) {
        observe(Event::Following);
    }
    follow_stream(WatchStream::new(slot, body), version, observe).await
}

/// The same of a watch that is open.
async fn follow_stream(
    mut stream: WatchStream,
    version: &mut String,
    observe: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<bool, ApiError> {
    let mut any = false;
    // The server ends the watch. A dead connection is found by its keep-alive, over
    // HTTP/1.1 by this timeout.
    let idle = Duration::from_secs(WATCH_SECONDS + 30);
    while let Some(event) = stream.next(idle).await? {
        any = true;
        *version = event.version;
        match event.change {
            StreamedChange::Present(object) => observe(Event::Present(object)),
            StreamedChange::Absent(object) => observe(Event::Absent(object)),
            StreamedChange::Bookmark { .. } => {}
        }
    }
    Ok(any)
}
