//! Persons who show a token: each calls with the rights of that token, and never with those of the process.

use std::sync::Arc;

use http::HeaderValue;

use super::bounds::AnswerBounds;
use super::call::{ApiResponse, Call};
use super::{Identity, Session, Shared};
use crate::cluster::error::ApiError;
use crate::fair::Share;

/// The API server without any credentials, until a token is given. There is no request without one.
#[derive(Clone)]
pub struct PersonSessions(Arc<Shared>);

impl PersonSessions {
    /// For the API server of a session, whose memory for inventories they share.
    ///
    /// # Errors
    /// When the certificates of the API server are invalid.
    pub fn of(session: &Session) -> Result<Self, ApiError> {
        let transport = session.shared.transport.without_credentials()?;
        let metrics = Arc::clone(&session.shared.metrics);
        let inventories = session.shared.inventories.clone();
        let shared = Shared::new(transport, metrics, inventories, Arc::new(Identity::User));
        let (namespace, server) = (session.shared.namespace.clone(), session.shared.server.clone());
        Ok(Self(Arc::new(Shared { namespace, server, ..shared })))
    }

    /// The session of the person of this name who has this token. All of them share connections, what is known of the
    /// kinds of the cluster, and the bounds on requests and on memory, of which nobody gets more than half.
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
            discovery: Arc::clone(&nobody.discovery),
            bearer: Some(bearer),
            ..Shared::new(
                Arc::clone(&nobody.transport),
                Arc::clone(&nobody.metrics),
                nobody.inventories.clone(),
                Arc::clone(&identity),
            )
        };
        // No namespace has such a name: a person takes nothing of the share of one.
        let tenant = format!("person {name}");
        Ok(Session {
            shared: Arc::new(shared),
            identity,
            user: None,
            tenant: Some(tenant.into()),
            bounds: None,
        })
    }
}

impl Session {
    /// The same for a look at objects: answers are read within these bounds, an object is looked at after the other, and
    /// nothing is watched.
    #[must_use]
    pub fn bounded(self, bounds: &Arc<AnswerBounds>) -> Self {
        Self { bounds: Some(Arc::clone(bounds)), ..self }
    }

    /// The same for answers that have bounds of their own, or that all persons share.
    pub(in crate::cluster) fn unbounded(&self) -> Self {
        Self { bounds: None, ..self.clone() }
    }

    /// Whether answers are read within bounds.
    pub fn is_bounded(&self) -> bool {
        self.bounds.is_some()
    }

    /// Reserves memory for the answer to a call, where there are bounds.
    pub(super) async fn reserve(&self, call: &Call) -> Option<Share> {
        let bounds = self.bounds.as_ref()?;
        bounds.enter(self.tenant.as_deref().unwrap_or_else(|| call.namespace())).await
    }

    /// The answer, if it is within the bounds.
    pub(super) fn within_bounds(
        &self,
        call: &Call,
        answer: Result<ApiResponse, ApiError>,
    ) -> Result<ApiResponse, ApiError> {
        match &self.bounds {
            Some(bounds) => bounds.check(call, answer),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::cluster::inventory::InventoryRooms;
    use crate::domain::capacity::Capacity;
    use crate::observe::metrics::Metrics;

    #[tokio::test]
    async fn persons_share_the_room_of_the_process() {
        let rooms = InventoryRooms::new(&Capacity::of(512 << 20));
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let metrics = Arc::new(Metrics::new("1.2.3").unwrap());
        let operator =
            Session::new(config, metrics, Identity::Controller, Vec::new(), rooms.clone()).unwrap();
        let persons = PersonSessions::of(&operator).unwrap();
        let [one, again, other] = [("a", "amara"), ("b", "amara"), ("c", "apps")]
            .map(|(token, name)| persons.with_token(token, name).unwrap());
        let [_, answer] = rooms.answers();
        let enter = |session: &Session| {
            let tenant = session.reader().unwrap().to_owned();
            let rooms = session.shared.inventories.clone();
            async move { rooms.enter(&tenant, "inv", answer).await }.boxed().now_or_never()
        };
        let mut held = Vec::new();
        while let Some(share) = enter(&one) {
            held.push(share.unwrap());
        }
        assert!(!held.is_empty());
        assert!(enter(&again).is_none(), "another token is no other person");
        let namespace = rooms.enter("apps", "inv", answer).now_or_never();
        drop(namespace.expect("a namespace has its own share").unwrap());
        drop(enter(&other).expect("so has a person who is called like it").unwrap());
        assert!(operator.reader().is_none());
        // What the page asks as the process for a look of a person is of the share of that person.
        let bounds = Arc::new(AnswerBounds::new(Capacity::of(512 << 20).look_shares()));
        assert_eq!(again.as_process().tenant, None);
        assert_eq!(again.bounded(&bounds).as_process().tenant.as_deref(), Some("person amara"));
    }
}
