//! What is read of the pods behind a workload: watched while a wait lasts, and the end of
//! a log.

use futures::TryStreamExt;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::AsyncBufReadExt;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use super::collections::pages::{self, Listing};
use super::collections::watch::{Event, ListSelection, State, run};
use super::error::ApiError;
use super::kinds::resource::{Resource, escape};
use super::session::{Call, Session};

/// The longest log that is read, in bytes.
const MAX_LOG: usize = 4096;
/// The longest line of a log that is streamed, in bytes; the rest of a longer one is the next line.
const MAX_LOG_LINE: u64 = 1 << 20;

/// What a watch of whole objects reports.
#[derive(Debug)]
pub enum PodEvent {
    /// A list begins; what is not reported before [`PodEvent::Listed`] is gone.
    Listing,
    /// An object as it is.
    Present(Value),
    /// An object is gone.
    Absent(Value),
    /// Everything that existed has been reported.
    Listed,
    /// The identity cannot list or watch.
    Denied,
}

/// Which part of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSelection {
    /// Whether new lines are waited for.
    pub follow: bool,
    /// The number of lines at its end; absent for all.
    pub tail: Option<u64>,
    /// The age of its oldest line, in seconds.
    pub since_seconds: Option<u64>,
    /// Whether it is that of the run before the last restart.
    pub previous: bool,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}

impl LogSelection {
    fn query(self) -> String {
        let Self { follow, tail, since_seconds, previous, timestamps } = self;
        let mut query = format!("follow={follow}&previous={previous}&timestamps={timestamps}");
        query.extend(tail.map(|tail| format!("&tailLines={tail}")));
        query.extend(since_seconds.map(|seconds| format!("&sinceSeconds={seconds}")));
        query
    }
}

/// Where a log is.
#[derive(Clone, Copy, Debug)]
pub struct LogPlace<'a> {
    /// The namespace of the pod.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// Its container.
    pub container: &'a str,
}

impl LogPlace<'_> {
    fn uri(&self) -> String {
        let Self { namespace, pod, container } = self;
        let (namespace, pod, container) = (escape(namespace), escape(pod), escape(container));
        format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}")
    }
}

fn selecting(selector: &str) -> String {
    format!("labelSelector={}", escape(selector))
}

impl Session {
    /// A few objects of a kind in a namespace that match a label selector.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn first_objects(
        &self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
        count: usize,
    ) -> Result<Vec<Value>, ApiError> {
        self.first(resource, Some(namespace), &selecting(selector), false, count).await
    }

    /// The same, and only their metadata.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn first_metadata(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: &str,
        count: usize,
    ) -> Result<Vec<Value>, ApiError> {
        let query = if selector.is_empty() { String::new() } else { selecting(selector) };
        self.first(resource, namespace, &query, true, count).await
    }

    async fn first(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        query: &str,
        metadata_only: bool,
        page: usize,
    ) -> Result<Vec<Value>, ApiError> {
        let path = resource.collection(namespace);
        pages::first(self, Listing { path: &path, query, metadata_only, page }).await
    }

    /// Watches the objects of a kind in a namespace that match a label selector, until the
    /// future is dropped.
    pub async fn follow_objects(
        self,
        resource: &Resource,
        namespace: &str,
        selector: &str,
        mut observe: impl FnMut(PodEvent) + Send,
    ) {
        let selection = ListSelection {
            path: resource.collection(Some(namespace)),
            query: selecting(selector),
            metadata_only: false,
        };
        run(self, selection, move |event| {
            let followed = match event {
                Event::Listing => Some(PodEvent::Listing),
                Event::Present(text) => serde_json::from_str(text).ok().map(PodEvent::Present),
                Event::Absent(text) => serde_json::from_str(text).ok().map(PodEvent::Absent),
                Event::Listed => Some(PodEvent::Listed),
                Event::Failed(State::Denied(_)) => Some(PodEvent::Denied),
                Event::Failed(_) | Event::Following => None,
            };
            if let Some(followed) = followed {
                observe(followed);
            }
        })
        .await;
    }

    /// The last line of the log of a container's last run that has ended, or of its first run
    /// if there was none before; at most 4 KiB.
    ///
    /// # Errors
    /// When the API server does not give it.
    pub async fn last_log(&self, place: LogPlace<'_>) -> Result<String, ApiError> {
        match self.log(place, true).await {
            // The kubelet has no earlier run of it.
            Err(error) if error.code() == 400 => self.log(place, false).await,
            answer => answer,
        }
    }

    /// Sends a log line by line, as `into` makes it, until it or its container ends, or nobody receives.
    /// A line is split after 1 MiB.
    ///
    /// # Errors
    /// When the API server does not give it, or it breaks off.
    pub async fn stream_log<T: Send>(
        &self,
        place: LogPlace<'_>,
        selection: LogSelection,
        lines: &mpsc::Sender<T>,
        into: impl Fn(&str) -> T + Send,
    ) -> Result<(), ApiError> {
        let uri = format!("{}&{}", place.uri(), selection.query());
        // The slot keeps the stream's place on its connection.
        let (_slot, body) = self.open(Call { accept: "*/*", ..Call::get(uri) }).await?;
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        let mut stream = StreamReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut bounded = tokio::io::AsyncReadExt::take(&mut stream, MAX_LOG_LINE);
            let read = bounded.read_until(b'\n', &mut line).await.map_err(ApiError::unreachable)?;
            if read == 0 {
                return Ok(());
            }
            let next = into(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
            if lines.send(next).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn log(&self, place: LogPlace<'_>, previous: bool) -> Result<String, ApiError> {
        let uri = format!("{}&previous={previous}&tailLines=1&limitBytes={MAX_LOG}", place.uri());
        let answer = self.call(Call { accept: "*/*", most: 2 * MAX_LOG, ..Call::get(uri) }).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}
