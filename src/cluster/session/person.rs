//! Persons who show a token: each calls with the rights of that token, and never with those of the process.

use std::sync::Arc;

use http::HeaderValue;

use super::{Identity, Session, Shared};
use crate::cluster::error::ApiError;
use crate::domain::capacity::Capacity;

/// The API server without any credentials, until a token is given. There is no request without one.
#[derive(Clone)]
pub struct PersonSessions(Arc<Shared>);

impl PersonSessions {
    /// For the API server of a session.
    ///
    /// # Errors
    /// When the certificates of the API server are invalid.
    pub fn of(session: &Session) -> Result<Self, ApiError> {
        let transport = session.shared.transport.without_credentials()?;
        let metrics = Arc::clone(&session.shared.metrics);
        let shared = Shared::new(transport, metrics, &Capacity::default(), Arc::new(Identity::User));
        let (namespace, server) = (session.shared.namespace.clone(), session.shared.server.clone());
        Ok(Self(Arc::new(Shared { namespace, server, ..shared })))
    }

    /// The session of the person of this name who has this token. All of them share connections, and one bound on their
    /// requests, of which nobody gets more than half.
    ///
    /// # Errors
    /// When the token cannot be part of a request.
    pub fn with_token(&self, token: &str, name: &str) -> Result<Session, ApiError> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(ApiError::configuration)?;
        bearer.set_sensitive(true);
        let Self(nobody) = self;
        let identity = Arc::new(Identity::User);
        let shared = Shared {
            namespace: nobody.namespace.clone(),
            server: nobody.server.clone(),
            in_flight: Arc::clone(&nobody.in_flight),
            bearer: Some(bearer),
            ..Shared::new(
                Arc::clone(&nobody.transport),
                Arc::clone(&nobody.metrics),
                &Capacity::default(),
                Arc::clone(&identity),
            )
        };
        Ok(Session { shared: Arc::new(shared), identity, user: None, tenant: Some(name.into()) })
    }
}
