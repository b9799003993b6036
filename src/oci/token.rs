//! Authentication against a registry: what worked is remembered by access,
//! repository and scope, and nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::credentials::{Access, Credential, Fingerprint};
use super::error::OciError;
use super::limits::{DEFAULT_TOKEN_LIFE, MAX_REMEMBERED, MAX_TOKEN_BYTES};
use super::provider::{Given, Providers};
use super::reference::{Repository, Zone};
use super::token_hosts::TokenHost;
use super::transport::{Body, Reach, Reply, Request, Transport};

/// What a request is going to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Pull,
    Push,
}

impl Scope {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

type Key = (Fingerprint, Repository, Scope);

/// How a registry was satisfied the last time.
#[derive(Clone)]
struct Session {
    asked: Asked,
    header: HeaderValue,
    expires: Option<Instant>,
}

/// What the registry asked for, and from where.
#[derive(Clone)]
struct Asked {
    challenge: Challenge,
    zone: Zone,
}

/// Who asks for what; the subject is for messages.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub repository: &'a Repository,
    pub access: &'a Access,
    pub scope: Scope,
    pub subject: &'a str,
}

pub(super) struct Sessions {
    known: Mutex<HashMap<Key, Session>>,
    token_hosts: Vec<TokenHost>,
    providers: Providers,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Of a token's life, what is kept back for the way to the registry.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Longest use of one token, whatever its service says.
const MAX_TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

impl Sessions {
    pub fn new(token_hosts: Vec<TokenHost>, providers: Providers) -> Self {
        Self { known: Mutex::default(), token_hosts, providers }
    }

    /// Sends a request to the registry with whatever credentials it asks for.
    /// A session that the registry no longer takes is renewed once.
    pub async fn send(
        &self,
        transport: &Transport,
        asker: Asker<'_>,
        mut request: Request,
    ) -> Result<Reply, OciError> {
        request.authorization = self.header(transport, asker, &request.url).await?;
        let reply = transport.send(asker.access, &request).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let asked = challenge::read(&reply.headers);
        let elsewhere = reply.url.origin() != request.url.origin();
        let Some(challenge) = asked.filter(|_| !elsewhere) else {
            return Ok(reply);
        };
        let asked = Asked { challenge, zone: reply.zone };
        // Its place among the host's requests is needed for the token.
        drop(reply);
        let header = self.establish(transport, asker, &request.url, asked).await?;
        if request.authorization.as_ref() == Some(&header) {
            self.providers.forget(asker).await;
            return Err(denied(asker, "the registry refuses the credentials"));
        }
        request.authorization = Some(header);
        transport.send(asker.access, &request).await
    }

    fn key(asker: Asker<'_>) -> Key {
        (asker.access.id(), asker.repository.clone(), asker.scope)
    }

    /// The header of the session, renewed if its token has run out.
    async fn header(
        &self,
        transport: &Transport,
        asker: Asker<'_>,
        registry: &Url,
    ) -> Result<Option<HeaderValue>, OciError> {
        let session =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&Self::key(asker)).cloned();
        match session {
            Some(session) if session.expires.is_some_and(|at| at <= Instant::now()) => {
                self.establish(transport, asker, registry, session.asked).await.map(Some)
            }
            other => Ok(other.map(|session| session.header)),
        }
    }

    /// Answers the challenge and remembers how.
    async fn establish(
        &self,
        transport: &Transport,
        asker: Asker<'_>,
        registry: &Url,
        asked: Asked,
    ) -> Result<HeaderValue, OciError> {
        let own = asker.access.parts().keyring.lookup(asker.repository);
        let given = match own {
            Some(_) => None,
            None => self.providers.credential(transport, asker, asked.zone).await?,
        };
        let credential = own.or(given.as_ref().map(|Given { credential, .. }| credential));
        let until = given.as_ref().map(|Given { until, .. }| *until);
        let (header, expires) = match (&asked.challenge, credential) {
            (_, Some(Credential::Token(token))) => (secret("Bearer", token, asker)?, None),
            (Challenge::Basic, Some(Credential::Password { username, password })) => {
                (secret("Basic", &STANDARD.encode(format!("{username}:{password}")), asker)?, until)
            }
            (Challenge::Basic, Some(_)) => {
                return Err(denied(
                    asker,
                    "the registry wants a user and a password, the credentials are a token",
                ));
            }
            (Challenge::Basic, None) => {
                return Err(denied(asker, "the registry wants credentials and there are none for it"));
            }
            (Challenge::Bearer { realm, service }, credential) => {
                let request = self.token_request(asker, registry, &asked, (realm, service), credential)?;
                let (token, life) = fetch(transport, asker, request).await?;
                (secret("Bearer", &token, asker)?, Some(Instant::now() + life.saturating_sub(TOKEN_MARGIN)))
            }
        };
        let mut sessions = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_REMEMBERED {
            let now = Instant::now();
            sessions.retain(|_, s| s.expires.is_some_and(|at| at > now));
        }
        if sessions.len() >= MAX_REMEMBERED {
            sessions.clear();
        }
        sessions.insert(Self::key(asker), Session { asked, header: header.clone(), expires });
        Ok(header)
    }

    /// The request to the token service that the registry names, if that may be
    /// asked.
    fn token_request(
        &self,
        asker: Asker<'_>,
        registry: &Url,
        asked: &Asked,
        (realm, service): (&str, &Option<String>),
        credential: Option<&Credential>,
    ) -> Result<Request, OciError> {
        let allowed =
            |host: &str| self.token_hosts.iter().any(|h| h.allows(asker.repository.registry(), host));
        let realm = challenge::realm(registry, realm, credential.is_some(), allowed)
            .map_err(|why| denied(asker, &why))?;
        let reach = Reach::Own.onward(asked.zone, realm.host() == registry.host());
        // The registry's client certificate is not for others.
        let at_home = realm.origin() == registry.origin();
        let mut request = token_request(asker, realm, service.as_deref(), credential)?;
        request.identified &= at_home;
        request.reach = reach;
        Ok(request)
    }
}

/// Asks the token service, and reads what it answers.
async fn fetch(
    transport: &Transport,
    asker: Asker<'_>,
    request: Request,
) -> Result<(String, Duration), OciError> {
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let reply = transport.send(asker.access, &request).await?;
    if reply.url.origin() != request.url.origin() {
        return Err(denied(asker, &format!("the token service {host} redirects elsewhere")));
    }
    if matches!(reply.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
        let status = reply.status.as_u16();
        return Err(denied(asker, &format!("the token service {host} answered {status}")));
    }
    if !reply.status.is_success() {
        return Err(reply.error(asker.subject).await);
    }
    let Body::Whole(body) = reply.body(MAX_TOKEN_BYTES).await? else {
        return Err(denied(asker, &format!("the token service {host} answers with more than a token")));
    };
    let unusable = || denied(asker, &format!("the token service {host} did not answer with a token"));
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| unusable())?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() {
        return Err(unusable());
    }
    let life = answer.expires_in.map_or(DEFAULT_TOKEN_LIFE, Duration::from_secs);
    // A token of which nothing is left after the margin would be fetched for
    // every request; a lifetime of a century would overflow the clock.
    Ok((token, life.clamp(TOKEN_MARGIN * 2, MAX_TOKEN_LIFE)))
}

/// The request of distribution's token specification; for an identity token,
/// the refresh token grant of its OAuth2 variant.
fn token_request(
    asker: Asker<'_>,
    mut realm: Url,
    service: Option<&str>,
    credential: Option<&Credential>,
) -> Result<Request, OciError> {
    let scope = format!("repository:{}:{}", asker.repository.path(), asker.scope.actions());
    if let Some(Credential::Identity(token)) = credential {
        // A URL's query is the encoding that a form has.
        let mut form = Url::parse("form:x").map_err(|_| denied(asker, "the token request cannot be made"))?;
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
        request.authorization = Some(secret("Basic", &encoded, asker)?);
    }
    Ok(request)
}

fn secret(scheme: &str, value: &str, asker: Asker<'_>) -> Result<HeaderValue, OciError> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}"))
        .map_err(|_| denied(asker, "the credentials hold characters that HTTP cannot carry"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn denied(asker: Asker<'_>, why: &str) -> OciError {
    OciError::Denied { subject: asker.subject.to_owned(), why: why.to_owned() }
}
