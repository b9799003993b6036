//! The download of a blob. A broken transfer is resumed, a limited number of times.
//!
//! The bytes are not verified here; the caller knows the digest.

use bytes::BytesMut;
use http::StatusCode;
use http::header::CONTENT_RANGE;

use crate::oci::auth::{RequestContext, Sessions};
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_RESUMES, MIN_RESUMED_BYTES};
use crate::oci::reference::authority;
use crate::oci::transport::{Advance, Body, Part, Reply, Request, Transport};

/// The bytes of the answer, at most `size` of them.
///
/// # Errors
/// When the registry refuses, does not answer, breaks the transfer too often, or resumes
/// at the wrong offset.
pub(super) async fn blob(
    transport: &Transport,
    sessions: &Sessions,
    context: RequestContext<'_>,
    mut request: Request,
    size: u64,
    advance: Option<Advance>,
) -> Result<Body, OciError> {
    let mut body = BytesMut::new();
    let mut left = MAX_RESUMES;
    loop {
        let begun = body.len() as u64;
        request.from = (begun > 0).then_some(begun);
        let mut reply = sessions.send(transport, context, request.clone()).await?;
        match request.from {
            Some(from) if reply.status == StatusCode::PARTIAL_CONTENT => check(&reply, from, size)?,
            // It does not support ranges, or not this one: start again.
            Some(_) if matches!(reply.status, StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE) => {
                body.clear();
            }
            None if reply.status == StatusCode::OK => {}
            _ => return Err(reply.error(context.subject).await),
        }
        if reply.status != StatusCode::RANGE_NOT_SATISFIABLE {
            let watcher = advance.as_ref().filter(|_| body.len() as u64 == begun);
            match reply.append(&mut body, size, watcher).await? {
                Part::Whole => return Ok(Body::Whole(body.freeze())),
                Part::TooLong => return Ok(Body::TooLong),
                Part::Broken(error) if left == 0 => return Err(error),
                Part::Broken(_) => {}
            }
        }
        if left == 0 {
            return Err(reply.error(context.subject).await);
        }
        left -= 1;
        if size < MIN_RESUMED_BYTES {
            body.clear();
        }
    }
}

/// Whether the part in an answer is the requested one (RFC 9110 §14.4).
fn check(reply: &Reply, from: u64, size: u64) -> Result<(), OciError> {
    let range = reply.headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    if range.is_some_and(|range| is_rest(range, from, size)) {
        return Ok(());
    }
    let why = "it resumed a broken transfer at the wrong offset".to_owned();
    Err(OciError::Unavailable { host: authority(&reply.url), why: why.into() })
}

fn is_rest(range: &str, from: u64, size: u64) -> bool {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let Some((range, whole)) = range.strip_prefix("bytes").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let Some((first, last)) = range.split_once('-') else { return false };
    let whole_ok = whole.trim() == "*" || number(whole) == Some(size);
    whole_ok && number(first) == Some(from) && number(last).is_some_and(|last| last >= from && last < size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_is_from() {
        let check = |range: &str, expected: bool| assert_eq!(is_rest(range, 10, 100), expected, "{range}");
        check("bytes 10-99/100", true);
        check("bytes 10-99/*", true);
        check("bytes 10-50/100", true);
        check("bytes 0-99/100", false);
        check("bytes 11-99/100", false);
        check("bytes 10-100/101", false);
        check("bytes 10-9/100", false);
        check("bytes 10-99/200", false);
        check("bytes */100", false);
        check("items 10-99/100", false);
        check("bytes 10-99", false);
        check("", false);
    }
}
