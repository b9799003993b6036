//! Authentication against a registry: successful sessions are remembered by access,
//! repository and scope.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use reqwest::Url;

use super::challenge::{self, Challenge};
use super::context::{RequestContext, TokenScope};
use super::provider::{Given, Providers, Variables};
use super::token::{self, TOKEN_MARGIN, secret};
use super::token_hosts::TokenHost;
use crate::oci::credentials::{Credential, Fingerprint};
use crate::oci::error::{Denial, OciError};
use crate::oci::limits::MAX_REMEMBERED;
use crate::oci::reference::{Repository, Zone};
use crate::oci::transport::{Reach, Reply, Request, Transport};

type Key = (Fingerprint, Repository, TokenScope);

/// The last successful authentication.
#[derive(Clone)]
struct Session {
    asked: Asked,
    header: HeaderValue,
    expires: Option<Instant>,
}

/// The challenge of the registry, and its zone.
#[derive(Clone)]
struct Asked {
    challenge: Challenge,
    zone: Zone,
}

/// The last successful authentication of each access at each registry.
pub(in crate::oci) struct Sessions {
    known: Mutex<HashMap<Key, Session>>,
    token_hosts: Vec<TokenHost>,
    providers: Providers,
}

impl Sessions {
    pub fn new(token_hosts: Vec<TokenHost>, variables: Variables) -> Self {
        Self { known: Mutex::default(), token_hosts, providers: Providers::new(variables) }
    }

    /// The environment of this process.
    pub fn variables(&self) -> &Variables {
        self.providers.variables()
    }

    /// Sends a request to the registry with the credentials that it requires. A session
    /// that the registry no longer accepts is renewed once.
    pub async fn send(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
        mut request: Request,
    ) -> Result<Reply, OciError> {
        request.authorization = self.header(transport, context, &request.url).await?;
        let reply = transport.send(context.access, &request).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let asked = challenge::read(&reply.headers);
        let elsewhere = reply.url.origin() != request.url.origin();
        let Some(challenge) = asked.filter(|_| !elsewhere) else {
            return Ok(reply);
        };
        let asked = Asked { challenge, zone: reply.zone };
        // Its slot among the host's requests is needed for the token.
        drop(reply);
        let header = self.establish(transport, context, &request.url, asked).await?;
        if request.authorization.as_ref() == Some(&header) {
            self.providers.forget(context).await;
            return Err(context.denied("the registry rejected the credentials"));
        }
        request.authorization = Some(header);
        transport.send(context.access, &request).await
    }

    fn key(context: RequestContext<'_>) -> Key {
        (context.access.id(), context.repository.clone(), context.scope)
    }

    /// The header of the session, renewed if its token expired.
    async fn header(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
        registry: &Url,
    ) -> Result<Option<HeaderValue>, OciError> {
        let session =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&Self::key(context)).cloned();
        match session {
            Some(session) if session.expires.is_some_and(|at| at <= Instant::now()) => {
                self.establish(transport, context, registry, session.asked).await.map(Some)
            }
            other => Ok(other.map(|session| session.header)),
        }
    }

    /// Answers the challenge and remembers how.
    async fn establish(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
        registry: &Url,
        asked: Asked,
    ) -> Result<HeaderValue, OciError> {
        let own = context.access.parts().keyring.lookup(context.repository);
        let given = match own {
            Some(_) => None,
            None => self.providers.credential(transport, context, asked.zone).await?,
        };
        let credential = own.or(given.as_ref().map(|Given { credential, .. }| credential));
        let until = given.as_ref().map(|Given { until, .. }| *until);
        let (header, expires) = match (&asked.challenge, credential) {
            (_, Some(Credential::Token(token))) => (secret("Bearer", token, context)?, None),
            (Challenge::Basic, Some(Credential::Password { username, password })) => {
                (secret("Basic", &STANDARD.encode(format!("{username}:{password}")), context)?, until)
            }
            (Challenge::Basic, Some(_)) => {
                return Err(context
                    .denied("the registry requires a user and a password, but the credentials are a token"));
            }
            (Challenge::Basic, None) => {
                return Err(context.denied(Denial::NoCredentials));
            }
            (Challenge::Bearer { realm, service }, credential) => {
                let request = self.token_request(context, registry, &asked, (realm, service), credential)?;
                let (token, life) = token::fetch(transport, context, request).await?;
                (secret("Bearer", &token, context)?, Some(Instant::now() + life.saturating_sub(TOKEN_MARGIN)))
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
        sessions.insert(Self::key(context), Session { asked, header: header.clone(), expires });
        Ok(header)
    }

    /// The request to the token service that the registry names, if that is allowed.
    fn token_request(
        &self,
        context: RequestContext<'_>,
        registry: &Url,
        asked: &Asked,
        (realm, service): (&str, &Option<String>),
        credential: Option<&Credential>,
    ) -> Result<Request, OciError> {
        let allowed =
            |host: &str| self.token_hosts.iter().any(|h| h.allows(context.repository.registry(), host));
        let realm = challenge::realm(registry, realm, credential.is_some(), allowed)
            .map_err(|why| context.denied(why))?;
        let reach = Reach::Own.redirected(asked.zone, realm.host() == registry.host());
        // The registry's client certificate is not for others.
        let at_home = realm.origin() == registry.origin();
        let mut request = token::request(context, realm, service.as_deref(), credential)?;
        request.identified &= at_home;
        request.reach = reach;
        Ok(request)
    }
}
