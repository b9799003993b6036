//! The body of a request. That of a write is handed over in time or not at all: a process that was frozen,
//! or whose connection was made slowly, would otherwise write after another one may have begun to.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// A body of one piece.
#[derive(Clone, Debug, Default)]
pub struct RequestBody {
    bytes: Bytes,
    /// Until when it may be handed over to its connection.
    until: Option<Instant>,
}

/// The time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request was not sent in time for the lease of this replica")]
pub struct TooLate;

impl RequestBody {
    /// These bytes, which may be sent at any time or until a given one.
    pub fn new(bytes: Bytes, until: Option<Instant>) -> Self {
        Self { bytes, until }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        let is_late = self.until.is_some_and(|until| until <= Instant::now());
        Poll::Ready(Some(if is_late { Err(TooLate) } else { Ok(Frame::data(bytes)) }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_not_sent_after_its_time() {
        let check = async |until: Option<Instant>, expected: Result<&str, TooLate>| {
            let body = RequestBody::new(Bytes::from_static(b"all"), until);
            assert_eq!(body.size_hint().exact(), Some(3));
            let found = body.collect().await.map(|all| all.to_bytes());
            assert_eq!(found, expected.map(|all| Bytes::copy_from_slice(all.as_bytes())));
        };
        check(None, Ok("all")).await;
        check(Some(Instant::now() + Duration::from_secs(60)), Ok("all")).await;
        check(Some(Instant::now()), Err(TooLate)).await;
        assert!(RequestBody::default().is_end_stream());
    }
}
