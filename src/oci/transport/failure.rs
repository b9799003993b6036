//! Why there is no answer, in the words that people read: nothing in them changes
//! from one try to the next.

use super::observer::RequestOutcome;
use super::resolver::BlockedAddress;
use crate::oci::error::OciError;

pub(super) fn outcome_of(error: &reqwest::Error) -> RequestOutcome {
    if error.is_timeout() {
        RequestOutcome::TimedOut
    } else if error.is_connect() {
        RequestOutcome::ConnectFailed
    } else {
        RequestOutcome::Broken
    }
}

/// A host of which nothing was heard in time.
pub(super) fn silent(host: &str) -> OciError {
    OciError::Unavailable { host: host.to_owned(), why: "no answer in time".to_owned() }
}

pub(super) fn unavailable(host: &str, error: &reqwest::Error) -> OciError {
    let why = match outcome_of(error) {
        RequestOutcome::TimedOut if error.is_connect() => "no connection in time".to_owned(),
        RequestOutcome::TimedOut => "no answer in time".to_owned(),
        RequestOutcome::ConnectFailed if is_blocked(error) => root_cause(error),
        RequestOutcome::ConnectFailed => format!("cannot connect: {}", root_cause(error)),
        _ => format!("the connection broke: {}", root_cause(error)),
    };
    OciError::Unavailable { host: host.to_owned(), why }
}

/// Whether the name that was to be asked stands for an address that may not be.
pub(super) fn is_blocked(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut inner = Some(error);
    while let Some(error) = inner {
        if error.is::<BlockedAddress>() {
            return true;
        }
        inner = error.source();
    }
    false
}

/// The innermost message: the outer ones repeat the URL.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
