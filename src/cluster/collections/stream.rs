//! One open watch, line by line.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use tokio_util::io::StreamReader;

use crate::cluster::error::{ApiError, Status};
use crate::cluster::session::Slot;

/// The longest line of a watch; objects are at most 1.5 MiB in etcd.
const MAX_LINE: usize = 16 << 20;
/// The part of its buffer that is kept between two lines.
const USUAL_LINE: usize = 64 << 10;
/// Says that a bookmark ends the list that a watch began with.
const LIST_END: &str = "k8s.io/initial-events-end";

/// An open watch.
pub(super) struct WatchStream {
    /// Keeps the place of the stream on its connection.
    _slot: Slot,
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    line: Vec<u8>,
}

/// What a line says.
pub(super) enum StreamedChange<'a> {
    /// The state of an object.
    Present(&'a str),
    /// An object no longer matches; its last state.
    Absent(&'a str),
    /// Nothing has changed.
    Bookmark {
        /// Whether all objects that existed were sent before it.
        ends_list: bool,
    },
}

/// A line of a watch.
pub(super) struct StreamedEvent<'a> {
    /// The version that the watch has come to, except within a list, which is not in the order of versions.
    pub version: String,
    /// What it says.
    pub change: StreamedChange<'a>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: VersionedMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionedMetadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Annotated {
    metadata: Annotations,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl WatchStream {
    pub fn new(slot: Slot, body: Incoming) -> Self {
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        Self { _slot: slot, lines: Box::new(StreamReader::new(stream)), line: Vec::new() }
    }

    /// The next line; `None` when the server has ended the watch.
    ///
    /// # Errors
    /// When nothing comes for so long, or the line is an error or too long.
    pub async fn next(&mut self, idle: Duration) -> Result<Option<StreamedEvent<'_>>, ApiError> {
        self.line.clear();
        self.line.shrink_to(USUAL_LINE);
        let mut bounded = (&mut self.lines).take(MAX_LINE as u64);
        let read = tokio::time::timeout(idle, bounded.read_until(b'\n', &mut self.line)).await;
        read.map_err(|_| ApiError::Timeout(idle))?.map_err(ApiError::unreachable)?;
        if !self.line.ends_with(b"\n") {
            return if self.line.len() == MAX_LINE { Err(ApiError::TooLong(MAX_LINE)) } else { Ok(None) };
        }
        said(&self.line).map(Some)
    }
}

/// What a line says.
fn said(line: &[u8]) -> Result<StreamedEvent<'_>, ApiError> {
    let Line { kind, object } = serde_json::from_slice(line).map_err(ApiError::answer)?;
    let object = object.get();
    if kind == "ERROR" {
        let status: Status = serde_json::from_str(object).map_err(ApiError::answer)?;
        return Err(ApiError::Status(Box::new(status)));
    }
    let Versioned { metadata } = serde_json::from_str(object).map_err(ApiError::answer)?;
    let change = match kind {
        "ADDED" | "MODIFIED" => StreamedChange::Present(object),
        "DELETED" => StreamedChange::Absent(object),
        _ => StreamedChange::Bookmark { ends_list: ends_list(object) },
    };
    Ok(StreamedEvent { version: metadata.resource_version, change })
}

fn ends_list(bookmark: &str) -> bool {
    let read = serde_json::from_str::<Annotated>(bookmark);
    read.is_ok_and(|read| read.metadata.annotations.get(LIST_END).is_some_and(|value| value == "true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_has_changed_and_whether_the_list_has_ended() {
        let check = |kind: &str, metadata: &str, expected: &str| {
            let line = format!(r#"{{"type": "{kind}", "object": {{"metadata": {metadata}}}}}"#);
            let found = match said(line.as_bytes()) {
                Ok(StreamedEvent { version, change }) => {
                    let change = match change {
                        StreamedChange::Present(_) => "present",
                        StreamedChange::Absent(_) => "absent",
                        StreamedChange::Bookmark { ends_list: true } => "end",
                        StreamedChange::Bookmark { ends_list: false } => "bookmark",
                    };
                    format!("{change} {version}")
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{line}");
        };
        check("ADDED", r#"{"name": "a", "resourceVersion": "1"}"#, "present 1");
        check("MODIFIED", r#"{"name": "a", "resourceVersion": "2"}"#, "present 2");
        check("DELETED", r#"{"name": "a", "resourceVersion": "3"}"#, "absent 3");
        check("BOOKMARK", r#"{"resourceVersion": "4"}"#, "bookmark 4");
        let bookmark = |value: &str| {
            format!(
                r#"{{"resourceVersion": "5", "annotations": {{"k8s.io/initial-events-end": "{value}"}}}}"#
            )
        };
        check("BOOKMARK", &bookmark("true"), "end 5");
        check("BOOKMARK", &bookmark("false"), "bookmark 5");
        // An object may have any annotation.
        check("ADDED", &bookmark("true"), "present 5");
        check("ADDED", "{}", "cannot read the API server's answer");
    }
}
