//! The body of a request while it is sent, and how long to wait for it.
//!
//! Nothing here knows the content or the target.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::observer::Advance;
use crate::oci::limits::{UPLOAD_BUFFER, UPLOAD_CHUNK, UPLOAD_RATE};

/// The body in pieces, each reported when it is passed on.
pub(super) fn watched(body: Bytes, advance: Advance) -> reqwest::Body {
    let pieces = futures::stream::unfold(body, move |mut rest| {
        let advance = advance.clone();
        async move {
            let piece = rest.split_to(rest.len().min(UPLOAD_CHUNK));
            advance(piece.len() as u64);
            (!piece.is_empty()).then_some((Ok::<_, std::convert::Infallible>(piece), rest))
        }
    });
    reqwest::Body::wrap_stream(pieces)
}

/// The body of a request while it is sent.
pub(super) struct Upload {
    /// Its size, in bytes.
    whole: u64,
    /// How much of it the connection has taken, in bytes.
    handed: watch::Receiver<u64>,
}

impl Upload {
    /// A body of this many bytes, and the sender for how many the connection has taken.
    pub fn of(whole: usize) -> (watch::Sender<u64>, Self) {
        let (sender, handed) = watch::channel(0);
        (sender, Self { whole: whole as u64, handed })
    }

    /// The result of the work; `None` after this long without progress. The client's own
    /// read timeout counts from the beginning of a request and ignores a body that is
    /// still being sent.
    pub async fn watch<T>(mut self, idle: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let all = *self.handed.borrow_and_update() >= self.whole;
            // Taken is not sent: the progress of the last bytes is not visible.
            let unseen = if all { self.whole.min(UPLOAD_BUFFER) / UPLOAD_RATE } else { 0 };
            tokio::select! {
                done = &mut work => return Some(done),
                Ok(()) = self.handed.changed() => {}
                () = tokio::time::sleep(idle + Duration::from_secs(unseen)) => return None,
            }
        }
    }
}
