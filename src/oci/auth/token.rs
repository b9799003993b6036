//! The token service that a registry names: the request and the answer. Whether it may be
//! called is not decided here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use super::context::RequestContext;
use crate::oci::credentials::Credential;
use crate::oci::error::OciError;
use crate::oci::limits::{DEFAULT_TOKEN_LIFE, MAX_TOKEN_BYTES};
use crate::oci::transport::{Body, Request, Transport};

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// The end of a token's lifetime that is reserved for the way to the registry.
pub(super) const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Longest use of one token, whatever its lifetime.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Calls the token service and reads its answer.
pub(super) async fn fetch(
    transport: &Transport,
    context: RequestContext<'_>,
    request: Request,
) -> Result<(String, Duration), OciError> {
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let reply = transport.send(context.access, &request).await?;
    if reply.url.origin() != request.url.origin() {
        return Err(context.denied(format!("the token service {host} redirects to another host")));
    }
    if matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
        let status = reply.status.as_u16();
        return Err(context.denied(format!("the token service {host} answered {status}")));
    }
    if !reply.status.is_success() {
        return Err(reply.error(context.subject).await);
    }
    let Body::Whole(body) = reply.body(MAX_TOKEN_BYTES).await? else {
        return Err(context.denied(format!("the token service {host} returned more than a token")));
    };
    let unusable = || context.denied(format!("the token service {host} returned no token"));
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| unusable())?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() {
        return Err(unusable());
    }
    let life = answer.expires_in.map_or(DEFAULT_TOKEN_LIFE, Duration::from_secs);
    // A token with no lifetime left after the margin would be fetched for every request;
    // a lifetime of a century would overflow the clock.
    Ok((token, life.clamp(TOKEN_MARGIN * 2, MAX_TOKEN_LIFE)))
}

/// The request of distribution's token specification; for an identity token,
/// the refresh token grant of its OAuth2 variant.
pub(super) fn request(
    context: RequestContext<'_>,
    mut realm: Url,
    service: Option<&str>,
    credential: Option<&Credential>,
) -> Result<Request, OciError> {
    let scope = format!("repository:{}:{}", context.repository.path(), context.scope.actions());
    if let Some(Credential::Identity(token)) = credential {
        // A URL's query is the encoding that a form has.
        let mut form = Url::parse("form:x").map_err(|_| context.denied("cannot build the token request"))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", service.unwrap_or_default())
            .append_pair("scope", &scope)
            .append_pair("client_id", "supercargo")
            .append_pair("refresh_token", token);
        let body = Bytes::from(form.query().unwrap_or_default().to_owned());
        let mut request = Request::new(Method::POST, realm);
        request.body = Some(("application/x-www-form-urlencoded".to_owned(), body));
        return Ok(request);
    }
    if let Some(service) = service {
        realm.query_pairs_mut().append_pair("service", service);
    }
    realm.query_pairs_mut().append_pair("scope", &scope);
    let mut request = Request::new(Method::GET, realm);
    if let Some(Credential::Password { username, password }) = credential {
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        request.authorization = Some(secret("Basic", &encoded, context)?);
    }
    Ok(request)
}

/// A header that is not shown in a log.
pub(super) fn secret(
    scheme: &str,
    value: &str,
    context: RequestContext<'_>,
) -> Result<HeaderValue, OciError> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}")).map_err(|_| {
        context.denied("the credentials contain characters that are not valid in an HTTP header")
    })?;
    header.set_sensitive(true);
    Ok(header)
}
