//! One call of the API server at a time, as one identity.

mod answer;
mod body;
pub mod bounds;
mod breaker;
mod call;
pub mod connection;
mod event_turns;
mod fence;
pub mod person;
mod plugin;
mod remote;
mod resolver;
mod transport;
mod watching;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Method, Request, header};

use super::collections::refused::RefusedStreams;
use super::error::ApiError;
use super::inventory::InventoryRooms;
use super::kinds::served::DiscoveryCache;
use crate::domain::capacity::Capacity;
use crate::fair::Gate;
use crate::observe::labels::{self, Verb};
use crate::observe::metrics::Metrics;
use answer::read;
use body::RequestBody;
use bounds::AnswerBounds;
use breaker::Remote;
use connection::{Connection, ConnectionError};
use event_turns::EventTurns;
use fence::{Fence, WriteLimit};
use transport::{ApiTransport, Lane};

pub use call::ApiResponse;
pub(super) use call::{Call, JSON, METADATA_ONLY};
pub(super) use transport::Slot;

/// Concurrent requests of all identities, without watches and the lease. An idle API
/// server has some 57 seats for all ServiceAccounts (priority level workload-low, which
/// lends most of them to others), and more only ten seconds after the demand: if requests
/// that hang in a webhook took all of them, the lease would wait for a seat until it
/// expires. One tenant gets at most half, see [`Gate`].
const IN_FLIGHT: u64 = 48;
/// How many watches of pods there are at most. A tenant has at most half of them.
const POD_WATCHES: u64 = 256;
/// Longer than the 30 s that the API server gives the slowest webhook, and
/// about what it allows a request (60 s).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(70);
/// How often a call is retried while the API server is too busy.
const ATTEMPTS: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The time over which all callers that waited for the API server retry.
const LONGEST_STAGGER: Duration = Duration::from_secs(1);

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// The process's own identity, as the operator.
    Controller,
    /// The process's own identity, as the command line of a person.
    User,
    /// The user of the kubeconfig of another cluster.
    Kubeconfig,
    /// A ServiceAccount, impersonated.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("the controller's own account"),
            Self::User => f.write_str("your account"),
            Self::Kubeconfig => f.write_str("the kubeconfig's user"),
            Self::ServiceAccount { namespace, name } => write!(f, "ServiceAccount/{namespace}/{name}"),
        }
    }
}

/// What all identities share.
pub(super) struct Shared {
    pub(super) transport: Arc<ApiTransport>,
    pub(super) discovery: Arc<DiscoveryCache>,
    pub(super) refused_streams: RefusedStreams,
    in_flight: Arc<Gate>,
    pod_watches: Arc<Gate>,
    pub(super) event_turns: EventTurns,
    pub(super) inventories: InventoryRooms,
    pub(super) fence: Arc<Fence>,
    remote: Option<Remote>,
    /// The id of the cluster that objects there are managed from, for another cluster.
    pub(super) mark: Option<Arc<str>>,
    metrics: Arc<Metrics>,
    namespace: String,
    /// The URL of the API server.
    server: String,
    own: Arc<Identity>,
    agent: HeaderValue,
    /// The process's own identity.
    acting: Vec<(HeaderName, HeaderValue)>,
    /// The token of a person, instead of the process's own credentials.
    bearer: Option<HeaderValue>,
}

impl Shared {
    fn new(
        transport: impl Into<Arc<ApiTransport>>,
        metrics: Arc<Metrics>,
        inventories: InventoryRooms,
        own: Arc<Identity>,
    ) -> Self {
        Self {
            transport: transport.into(),
            discovery: Arc::default(),
            refused_streams: RefusedStreams::default(),
            in_flight: Gate::new(IN_FLIGHT),
            pod_watches: Gate::new(POD_WATCHES),
            event_turns: EventTurns::default(),
            inventories,
            fence: Arc::default(),
            remote: None,
            mark: None,
            metrics,
            namespace: String::new(),
            server: String::new(),
            own,
            agent: call::agent(),
            acting: Vec::new(),
            bearer: None,
        }
    }
}

/// The API server as one identity sees it. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
    identity: Arc<Identity>,
    user: Option<HeaderValue>,
    /// Whose share of the concurrent requests it uses; absent: that of the namespace in
    /// the request.
    tenant: Option<Arc<str>>,
    /// Bounds on the answers, for a person who looks at objects.
    bounds: Option<Arc<AnswerBounds>>,
}

impl Session {
    /// The process's own identity, as the kubeconfig or the pod gives it, with this memory for inventories.
    ///
    /// # Errors
    /// When neither exists, or it is invalid.
    pub async fn infer(metrics: Arc<Metrics>, inventories: InventoryRooms) -> Result<Self, ApiError> {
        let config = Connection::default().config().await.map_err(ApiError::configuration)?;
        Self::new(config, metrics, Identity::Controller, Vec::new(), inventories)
    }

    /// The cluster that the flags select.
    ///
    /// # Errors
    /// When none is configured, or its configuration is invalid.
    pub async fn connect(connection: &Connection, metrics: Arc<Metrics>) -> Result<Self, ConnectionError> {
        let config = connection.config().await?;
        let acting = connection.impersonation(&config)?;
        let inventories = InventoryRooms::new(&Capacity::default());
        Ok(Self::new(config, metrics, Identity::User, acting, inventories)?)
    }

    fn new(
        config: kube::Config,
        metrics: Arc<Metrics>,
        own: Identity,
        acting: Vec<(HeaderName, HeaderValue)>,
        inventories: InventoryRooms,
    ) -> Result<Self, ApiError> {
        let own = Arc::new(own);
        let shared = Shared {
            acting,
            namespace: config.default_namespace.clone(),
            server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            ..Shared::new(ApiTransport::new(config, None)?, metrics, inventories, Arc::clone(&own))
        };
        Ok(Self { shared: Arc::new(shared), identity: own, user: None, tenant: None, bounds: None })
    }

    /// The same API server as another identity.
    ///
    /// # Errors
    /// When the name is not valid in a header; the API server refuses such a name too.
    pub fn impersonate(&self, identity: Identity) -> Result<Self, ApiError> {
        let user = match &identity {
            Identity::Controller | Identity::User | Identity::Kubeconfig => None,
            Identity::ServiceAccount { namespace, name } => {
                let user = format!("system:serviceaccount:{namespace}:{name}");
                Some(HeaderValue::try_from(user).map_err(ApiError::configuration)?)
            }
        };
        let tenant = match &identity {
            Identity::Controller | Identity::User | Identity::Kubeconfig => self.tenant.clone(),
            Identity::ServiceAccount { namespace, .. } => Some(Arc::from(namespace.as_str())),
        };
        let (shared, bounds) = (Arc::clone(&self.shared), self.bounds.clone());
        Ok(Self { shared, identity: Arc::new(identity), user, tenant, bounds })
    }

    /// The same, for a release of a namespace: a request that hangs uses the share of
    /// that namespace. A person uses their own.
    #[must_use]
    pub fn on_behalf_of(self, namespace: &str) -> Self {
        match self.reader() {
            Some(_) => self,
            None => Self { tenant: Some(namespace.into()), ..self },
        }
    }

    /// The process's own identity. Within bounds, it takes the share of the same tenant.
    pub fn as_process(&self) -> Self {
        let identity = Arc::clone(&self.shared.own);
        let (shared, bounds) = (Arc::clone(&self.shared), self.bounds.clone());
        let tenant = self.tenant.clone().filter(|_| bounds.is_some());
        Self { shared, identity, user: None, tenant, bounds }
    }

    /// Whether the last request got no answer.
    pub fn is_away(&self) -> bool {
        match &self.shared.remote {
            Some(remote) => remote.is_away(),
            None => self.shared.transport.is_away(),
        }
    }

    /// Waits while the API server gives no answers, and a random moment more: other callers have waited too.
    pub async fn answers(&self) {
        match &self.shared.remote {
            Some(remote) => remote.is_back().await,
            None => self.shared.transport.answers().await,
        }
        tokio::time::sleep(LONGEST_STAGGER.mul_f64(fastrand::f64())).await;
    }

    /// Waits until the API server answers again, and a random moment more: other callers
    /// have waited too.
    pub async fn is_back(&self) {
        match &self.shared.remote {
            Some(remote) => remote.is_back().await,
            None => self.shared.transport.is_back().await,
        }
        tokio::time::sleep(LONGEST_STAGGER.mul_f64(fastrand::f64())).await;
    }

    /// The namespace of the pod, or of the kubeconfig's context.
    pub fn default_namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// The URL of the API server, for people; empty for that of another cluster.
    pub fn api_server(&self) -> &str {
        &self.shared.server
    }

    /// The person of a token, who takes a share of what all tenants use; absent for everyone else.
    pub(super) fn reader(&self) -> Option<&str> {
        self.tenant.as_deref().filter(|_| self.shared.bearer.is_some())
    }

    /// The bound on the watches of pods, which all waits in this cluster share.
    pub fn pod_watches(&self) -> &Arc<Gate> {
        &self.shared.pod_watches
    }

    /// Whether both call the same API server as the same identity.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.identity == other.identity
    }

    /// The id of the cluster that objects of releases carry in this one: absent in the process's own.
    pub fn mark(&self) -> Option<&str> {
        self.shared.mark.as_deref()
    }

    /// Who calls.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The request of a call, which has to end in time if there is a limit.
    fn request(&self, call: &Call, limit: Option<WriteLimit>) -> Result<Request<RequestBody>, ApiError> {
        let uri = call.uri_within(limit.map(|limit| limit.longest));
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&*uri)
            .header(header::ACCEPT, call.accept)
            .header(header::USER_AGENT, self.shared.agent.clone());
        if !call.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, call.content_type);
        }
        if let Some(token) = self.authorization() {
            request = request.header(header::AUTHORIZATION, token);
        }
        match &self.user {
            // The groups of a ServiceAccount are added by the API server.
            Some(user) => request = request.header("Impersonate-User", user.clone()),
            None => {
                for (name, value) in &self.shared.acting {
                    request = request.header(name, value);
                }
            }
        }
        let body = RequestBody::new(call.body.clone(), limit.map(|limit| limit.sent_by));
        request.body(body).map_err(ApiError::configuration)
    }

    /// Calls, and retries when the API server was too busy or an idle connection was
    /// closed. Every call through here may be repeated.
    pub(super) async fn call(&self, call: Call) -> Result<ApiResponse, ApiError> {
        self.check_reachable()?;
        self.call_patiently(call).await.map_err(|error| self.of_cluster(error))
    }

    async fn call_patiently(&self, call: Call) -> Result<ApiResponse, ApiError> {
        let mut attempt = 1;
        loop {
            let error = match self.call_once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match &error {
                ApiError::Status(s) if s.code == 429 => {
                    Duration::from_secs(s.details.retry_after_seconds.max(1))
                }
                ApiError::Unreachable(_) if attempt == 1 => Duration::from_millis(20),
                _ => return Err(error),
            };
            if attempt >= ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    async fn call_once(&self, call: &Call) -> Result<ApiResponse, ApiError> {
        let is_write = call.method != Method::GET && !call.is_of_lease();
        // Before its place among the requests: others do not wait for the memory of this one.
        let _reserved = self.reserve(call).await;
        let (lane, _share) = match call.is_of_lease() {
            // The lease does not wait for other requests.
            true => (Lane::Lease, None),
            false => {
                let tenant = self.tenant.as_deref().unwrap_or_else(|| call.namespace());
                (Lane::Request, Some(self.shared.in_flight.place(tenant).await))
            }
        };
        let limit = if is_write { self.shared.fence.admit().await? } else { None };
        let request = self.request(call, limit)?;
        let asked = Instant::now();
        let longest = limit.map_or(REQUEST_TIMEOUT, |limit| limit.whole);
        let answer = tokio::time::timeout(longest, async {
            let (_slot, response) = self.shared.transport.send(lane, request).await?;
            read(response, self.most(call)).await
        });
        let answer = answer.await.unwrap_or(Err(ApiError::Timeout(longest)));
        let answer = self.within_bounds(call, answer);
        let code = match &answer {
            Ok(answer) => answer.code,
            Err(error) => error.code(),
        };
        tracing::trace!(verb = call.verb.as_str(), uri = call.uri, code, "API server request");
        self.count(call.verb, code, asked);
        answer
    }

    fn count(&self, verb: Verb, code: u16, asked: Instant) {
        let answer = if code == 0 { labels::Answer::Nothing } else { labels::Answer::Status(code) };
        match self.shared.remote {
            Some(_) => self.shared.metrics.remote_api_request(verb),
            None => self.shared.metrics.api_request(verb, answer, asked.elapsed()),
        }
    }
}
