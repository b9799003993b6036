//! The body of a request on its way, and how long it is waited for.
//!
//! Nothing here knows what is uploaded, or where to.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::observer::Advance;
use crate::oci::limits::{UPLOAD_BUFFER, UPLOAD_CHUNK, UPLOAD_RATE};

/// The body in pieces, each told when it is handed over.
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

/// The body of a request on its way.
pub(super) struct Upload {
    /// Its size, in bytes.
    whole: u64,
    /// How much of it the connection has taken, in bytes.
    handed: watch::Receiver<u64>,
}

impl Upload {
    /// A body of so many bytes, and who is to be told how many the connection has
    /// taken.
    pub fn of(whole: usize) -> (watch::Sender<u64>, Self) {
        let (sender, handed) = watch::channel(0);
        (sender, Self { whole: whole as u64, handed })
    }

    /// What the work comes to; `None` when nothing has moved for so long. The
    /// client's own read timeout counts from the beginning of a request and
    /// knows nothing of a body that is still on its way.
    pub async fn watch<T>(mut self, idle: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let all = *self.handed.borrow_and_update() >= self.whole;
            // Taken is not sent: nobody sees how the last of it moves.
            let unseen = if all { self.whole.min(UPLOAD_BUFFER) / UPLOAD_RATE } else { 0 };
            tokio::select! {
                done = &mut work => return Some(done),
                Ok(()) = self.handed.changed() => {}
                () = tokio::time::sleep(idle + Duration::from_secs(unseen)) => return None,
            }
        }
    }
}
