//! Why there is no answer, as messages that do not change from one retry to the next.

use std::error::Error;

use super::observer::RequestOutcome;
use super::resolver::BlockedAddress;
use crate::oci::error::{OciError, Outage};

pub(super) fn outcome_of(error: &reqwest::Error) -> RequestOutcome {
    if error.is_timeout() {
        RequestOutcome::TimedOut
    } else if error.is_connect() {
        RequestOutcome::ConnectFailed
    } else {
        RequestOutcome::Broken
    }
}

/// A host without an answer in time.
pub(super) fn silent(host: &str) -> OciError {
    OciError::Unavailable { host: host.to_owned(), why: "no answer in time".into() }
}

pub(super) fn unavailable(host: &str, error: &reqwest::Error) -> OciError {
    let why = match outcome_of(error) {
        RequestOutcome::TimedOut if error.is_connect() => "no connection in time".into(),
        RequestOutcome::TimedOut => "no answer in time".into(),
        RequestOutcome::ConnectFailed if is_blocked(error) => root_cause(error).into(),
        RequestOutcome::ConnectFailed if has_unknown_authority(error) => Outage::UnknownAuthority,
        RequestOutcome::ConnectFailed if speaks_plain_http(error) => {
            "cannot connect: it speaks plain HTTP".into()
        }
        RequestOutcome::ConnectFailed => format!("cannot connect: {}", root_cause(error)).into(),
        _ => format!("the connection broke: {}", root_cause(error)).into(),
    };
    OciError::Unavailable { host: host.to_owned(), why }
}

/// Whether the name resolves to a blocked address.
pub(super) fn is_blocked(error: &(dyn Error + 'static)) -> bool {
    has_cause(error, |_: &BlockedAddress| true)
}

/// Whether a TLS handshake was answered with something other than TLS.
pub(super) fn speaks_plain_http(error: &(dyn Error + 'static)) -> bool {
    has_cause(error, |e: &rustls::Error| {
        matches!(e, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType))
    })
}

fn has_unknown_authority(error: &(dyn Error + 'static)) -> bool {
    has_cause(error, |e: &rustls::Error| {
        matches!(e, rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    })
}

/// Whether an error or one of its causes is an `E` that fits. An [`std::io::Error`]
/// names the causes of the error in it, and not that error.
fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static), fits: fn(&E) -> bool) -> bool {
    let mut inner = Some(error);
    while let Some(error) = inner {
        if error.downcast_ref::<E>().is_some_and(fits) {
            return true;
        }
        let held = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref());
        inner = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    false
}

/// The innermost message: the outer ones repeat the URL.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// An error as a connector wraps it.
    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn a_cause_is_found_by_its_type() {
        let check = |cause: rustls::Error, plain: bool, unknown: bool| {
            let error = Wrapped(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, cause)));
            let found = (speaks_plain_http(&error), has_unknown_authority(&error), is_blocked(&error));
            assert_eq!(found, (plain, unknown, false), "{error:?}");
        };
        check(rustls::InvalidMessage::InvalidContentType.into(), true, false);
        check(rustls::CertificateError::UnknownIssuer.into(), false, true);
        check(rustls::CertificateError::Expired.into(), false, false);
        assert!(is_blocked(&Wrapped(io::Error::other(BlockedAddress("a private address")))));
        assert!(!speaks_plain_http(&Wrapped(io::ErrorKind::ConnectionRefused.into())));
    }
}
