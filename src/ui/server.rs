//! The addresses of the page, and what answers on each.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::answer::{named, nowhere, parameter, show, unknown};
use super::cure::AdviceBook;
use super::entry::gate::guard;
use super::entry::hosts::PageHosts;
use super::entry::session::Visitors;
use super::entry::sign_in;
use super::entry::tokens::TokenDoor;
use super::entry::viewer::{Place, Viewer};
use super::index::ReleaseIndex;
use super::listing::Query;
use super::live;
use super::look::ViewRequest;
use super::read::detail::PATIENCE;
use super::read::turns::ComparisonTurns;
use super::requests::{act, compare, confirm};
use super::site::{Entrance, SharedSite, Site};
use super::view::fleet::TimeSpan;
use super::view::problem;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::fair::Gate;
use crate::observe::listener::{MAX_CONNECTIONS, bind};
use crate::observe::server::answer;
use crate::reconcile::frontend::workshop::Workshop;

/// Connections at a time: those of a few open pages.
const CONNECTIONS: usize = 64;
/// Streams of changes at a time, and of one person: the other connections are for pages.
const STREAMS: u64 = 192;
const STREAMS_OF_ONE: u64 = 32;
/// The same where all are of one person, or where nobody is known.
const STREAMS_OF_LINK: u64 = 48;
/// How long a stream of changes lasts; a page then opens another.
const MAX_AGE: Duration = Duration::from_secs(3600);

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Cannot listen on the address.
    #[error("cannot listen on {address} for the page: choose another {flag}")]
    Bind {
        /// The address.
        address: String,
        /// The flag that gives it.
        flag: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The API server cannot be called for others.
    #[error(transparent)]
    Api(ApiError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the link")]
    NoSecret,
}

/// An address of this machine that no other one reaches.
///
/// # Errors
/// Why it is none.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let named = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = named.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = match local {
        Some(address) => address,
        None => {
            text.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:8090".to_owned())?
        }
    };
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            Err("must be an address of loopback, such as 127.0.0.1:8090: the page shows what you may see"
                .into())
        }
    }
}

/// How the page is served in a cluster.
#[derive(Clone)]
pub struct PageOptions {
    /// `host:port`.
    pub address: String,
    /// The names by which it may be called, besides those of loopback.
    pub hosts: Vec<String>,
    /// Whether everyone sees the statuses of all releases, without a sign-in.
    pub anonymous: bool,
    /// The namespaces whose releases are shown; all when empty.
    pub namespaces: Vec<String>,
    /// The labels of the releases that are shown.
    pub selector: Option<String>,
    /// The namespace of the Secret with the key of cookies (the pod's own when absent), and its name.
    pub key: (Option<String>, String),
    /// What comparisons render with.
    pub workshop: Workshop,
}

/// The page, bound and not yet served.
pub struct Page {
    listener: TcpListener,
    site: SharedSite,
    operator: Session,
    selector: Option<String>,
    connections: usize,
    link: String,
}

impl Page {
    /// The page of a person, on a loopback address.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn bind(
        address: SocketAddr,
        session: Session,
        namespace: Option<String>,
    ) -> Result<Self, PageError> {
        let wrong = |source| PageError::Bind { address: address.to_string(), flag: "--addr", source };
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        let visitors = Visitors::new(bound.port());
        let token = visitors.invite().ok_or(PageError::NoSecret)?;
        let index = ReleaseIndex::new(namespace.as_slice());
        let place = Place { server: session.api_server().to_owned(), namespace, ..Place::default() };
        let hosts = PageHosts::Exact(vec![bound.to_string(), format!("localhost:{}", bound.port())]);
        let site = site(Entrance::Link(visitors, session.clone()), index, hosts, place, None);
        let link = format!("http://{bound}/enter?token={token}");
        Ok(Self { listener, site, operator: session, selector: None, connections: CONNECTIONS, link })
    }

    /// The page of the operator, for everyone with a token of its cluster.
    ///
    /// # Errors
    /// When the address is invalid or in use.
    pub async fn bind_in_cluster(options: PageOptions, operator: Session) -> Result<Self, PageError> {
        let PageOptions { address, hosts, anonymous, namespaces, selector, key, workshop } = options;
        let wrong = |source| PageError::Bind { address: address.clone(), flag: "--ui-addr", source };
        let listener = bind(&address).await.map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        let entrance = match anonymous {
            true => Entrance::Open(operator.clone()),
            false => {
                let home = (key.0.unwrap_or_else(|| operator.default_namespace().to_owned()), key.1);
                Entrance::Tokens(Box::new(TokenDoor::new(operator.clone(), home).map_err(PageError::Api)?))
            }
        };
        let place = Place { server: operator.api_server().to_owned(), ..Place::default() };
        let site =
            site(entrance, ReleaseIndex::new(&namespaces), PageHosts::Named(hosts), place, Some(workshop));
        tracing::info!(address = %bound, "serving the page");
        if anonymous {
            tracing::warn!(
                "the page asks for no sign-in: everyone who reaches its port reads the statuses of all releases of \
                 this operator, and nothing else; let only a proxy that knows its users reach it"
            );
        }
        Ok(Self { listener, site, operator, selector, connections: MAX_CONNECTIONS, link: String::new() })
    }

    /// The link that opens the page of a person once.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Follows the releases and answers until the future is dropped or `shutdown` ends.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let site = &self.site;
        let following = site.index.follow(&self.operator, self.selector.as_deref());
        let stop = site.stop.clone();
        let ending = async move {
            shutdown.await;
            stop.cancel();
        };
        let answering = answer(self.listener, self.connections, MAX_AGE, routes(&self.site), ending);
        tokio::select! {
            () = following => {}
            () = answering => {}
        }
    }
}

/// One whom all streams belong to may have all of them; a gate gives one tenant half.
fn streams(entrance: &Entrance) -> Arc<Gate> {
    match entrance {
        Entrance::Link(..) => Gate::new(2 * STREAMS_OF_LINK),
        Entrance::Open(_) => Gate::new(2 * STREAMS),
        Entrance::Tokens(_) => Gate::bounded(STREAMS, STREAMS_OF_ONE),
    }
}

/// The same of comparisons: on the page of the operator each person has one at a time.
fn comparisons(entrance: &Entrance) -> ComparisonTurns {
    match entrance {
        Entrance::Link(..) => ComparisonTurns::of_one(),
        Entrance::Open(_) | Entrance::Tokens(_) => ComparisonTurns::of_many(),
    }
}

fn site(
    entrance: Entrance,
    index: ReleaseIndex,
    hosts: PageHosts,
    place: Place,
    workshop: Option<Workshop>,
) -> SharedSite {
    Arc::new(Site {
        streams: streams(&entrance),
        index,
        cures: AdviceBook::default(),
        hosts,
        place,
        comparisons: comparisons(&entrance),
        rereaders: Gate::bounded(2 * STREAMS, 1),
        workshop,
        stop: CancellationToken::new(),
        entrance,
    })
}

fn routes(site: &SharedSite) -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        get(
            move || async move { ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text) },
        )
    };
    Router::new()
        .route("/enter", get(enter))
        .route("/sign-in", get(sign_in::ask).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/", get(first))
        .route("/releases", get(all))
        .route("/fleet", get(fleet))
        .route("/live/fleet", get(live_fleet))
        .route("/release/{namespace}/{name}", get(one))
        .route("/release/{namespace}/{name}/diff", get(compare))
        .route("/release/{namespace}/{name}/confirm", get(confirm))
        .route("/release/{namespace}/{name}/act", post(act))
        .route("/live/wrong", get(live_first))
        .route("/live/releases", get(live_all))
        .route("/live/release/{namespace}/{name}", get(live_one))
        .route("/assets/page.css", asset("text/css; charset=utf-8", STYLE))
        .route("/assets/page.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .route("/assets/icon.svg", asset("image/svg+xml", ICON))
        .fallback(unknown)
        .layer(from_fn_with_state(Arc::clone(site), guard))
        .with_state(Arc::clone(site))
}

/// What most handlers take of a request.
type Asked = (State<SharedSite>, Extension<Viewer>, RawQuery);

async fn enter(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    let Entrance::Link(visitors, _) = &site.entrance else { return problem::nothing_here() };
    let token = parameter(query.as_deref(), "token").unwrap_or_default();
    match visitors.enter(&token) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], problem::entered()).into_response(),
        None => (StatusCode::FORBIDDEN, problem::void_link()).into_response(),
    }
}

async fn first((State(site), Extension(viewer), RawQuery(query)): Asked) -> Response {
    show(&site, &viewer, ViewRequest::Wrong(of_query(query.as_deref()).page), None, None).await
}

async fn all((State(site), Extension(viewer), RawQuery(query)): Asked) -> Response {
    show(&site, &viewer, ViewRequest::Releases(of_query(query.as_deref())), None, None).await
}

async fn fleet((State(site), Extension(viewer), RawQuery(query)): Asked) -> Response {
    show(&site, &viewer, ViewRequest::Fleet(span(query.as_deref())), None, None).await
}

async fn one(
    (State(site), Extension(viewer), RawQuery(query)): Asked,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let Some(id) = named(namespace, name) else { return nowhere(&site, &viewer) };
    let waits = parameter(query.as_deref(), "wait").is_some();
    let done = parameter(query.as_deref(), "done");
    let done = done.map(|done| (done, parameter(query.as_deref(), "event").is_some()));
    show(&site, &viewer, ViewRequest::Release(id), (!waits).then_some(PATIENCE), done).await
}

async fn live_first(
    (State(site), Extension(viewer), RawQuery(query)): Asked,
    headers: HeaderMap,
) -> Response {
    let page = of_query(query.as_deref()).page;
    live::stream(site, viewer, ViewRequest::Wrong(page), (&headers, query.as_deref()))
}

async fn live_all((State(site), Extension(viewer), RawQuery(query)): Asked, headers: HeaderMap) -> Response {
    let wanted = ViewRequest::Releases(of_query(query.as_deref()));
    live::stream(site, viewer, wanted, (&headers, query.as_deref()))
}

async fn live_fleet(
    (State(site), Extension(viewer), RawQuery(query)): Asked,
    headers: HeaderMap,
) -> Response {
    let wanted = ViewRequest::Fleet(span(query.as_deref()));
    live::stream(site, viewer, wanted, (&headers, query.as_deref()))
}

async fn live_one(
    (State(site), Extension(viewer), RawQuery(query)): Asked,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(id) = named(namespace, name) else { return nowhere(&site, &viewer) };
    live::stream(site, viewer, ViewRequest::Release(id), (&headers, query.as_deref()))
}

fn of_query(query: Option<&str>) -> Query {
    Query::parse(query.unwrap_or_default())
}

fn span(query: Option<&str>) -> TimeSpan {
    TimeSpan::named(&parameter(query, "span").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = loopback(text).map(|address| address.to_string());
            match expected {
                Ok(address) => assert_eq!(found.as_deref(), Ok(address)),
                Err(says) => assert!(found.clone().is_err_and(|why| why.contains(says)), "{text}: {found:?}"),
            }
        };
        check("127.0.0.1:0", Ok("127.0.0.1:0"));
        check("localhost:80", Ok("127.0.0.1:80"));
        check("[::1]:8090", Ok("[::1]:8090"));
        check("127.1.2.3:1", Ok("127.1.2.3:1"));
        check("0.0.0.0:8090", Err("of loopback"));
        check("[::]:8090", Err("of loopback"));
        check("192.168.0.1:8090", Err("of loopback"));
        check("example.com:80", Err("an address and a port"));
        check(":8090", Err("an address and a port"));
        check("127.0.0.1", Err("an address and a port"));
    }
}
