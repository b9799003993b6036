//! The addresses of the page, and what answers on each.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::{named, parameter, show, unknown};
use super::cure::AdviceBook;
use super::entry::gate::guard;
use super::entry::session::Visitors;
use super::index::ReleaseIndex;
use super::listing::Query;
use super::live;
use super::look::ViewRequest;
use super::read::compare::AT_ONCE;
use super::read::detail::PATIENCE;
use super::requests::{act, compare, confirm};
use super::site::{Place, SharedSite, Site};
use super::view::fleet::TimeSpan;
use super::view::problem;
use crate::cluster::session::Session;
use crate::observe::server::answer;

/// Connections at a time: those of a few open pages.
const CONNECTIONS: usize = 64;
/// The largest form, in bytes.
const MAX_FORM: usize = 8 << 10;
/// How long a stream of changes lasts; a page then opens another.
const MAX_AGE: Duration = Duration::from_secs(3600);

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Cannot listen on the address.
    #[error("cannot listen on {address}: choose another --addr")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
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

/// The page of a person, bound and not yet served.
pub struct Page {
    listener: TcpListener,
    site: SharedSite,
    link: String,
}

impl Page {
    /// Binds a loopback address.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn bind(
        address: SocketAddr,
        session: Session,
        namespace: Option<String>,
    ) -> Result<Self, PageError> {
        let wrong = |source| PageError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        let bound = listener.local_addr().map_err(wrong)?;
        let sessions = Visitors::new(bound.port());
        let token = sessions.invite().ok_or(PageError::NoSecret)?;
        let place = Place { server: session.api_server().to_owned(), namespace };
        let site = Site {
            session,
            index: ReleaseIndex::default(),
            sessions,
            cures: AdviceBook::default(),
            hosts: vec![bound.to_string(), format!("localhost:{}", bound.port())],
            place,
            comparisons: Arc::new(Semaphore::new(AT_ONCE)),
            stop: CancellationToken::new(),
        };
        Ok(Self { listener, site: Arc::new(site), link: format!("http://{bound}/enter?token={token}") })
    }

    /// The link that opens the page once.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Follows the releases and answers until the future is dropped or `shutdown` ends.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let site = &self.site;
        let following = site.index.follow(site.session.clone(), site.place.namespace.clone());
        let stop = site.stop.clone();
        let ending = async move {
            shutdown.await;
            stop.cancel();
        };
        let answering = answer(self.listener, CONNECTIONS, MAX_AGE, routes(&self.site), ending);
        tokio::select! {
            () = following => {}
            () = answering => {}
        }
    }
}

fn routes(site: &SharedSite) -> Router {
    let asset = |kind: &'static str, text: &'static str| {
        get(
            move || async move { ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text) },
        )
    };
    Router::new()
        .route("/enter", get(enter))
        .route("/", get(first))
        .route("/releases", get(all))
        .route("/fleet", get(fleet))
        .route("/live/fleet", get(live_fleet))
        .route("/release/{namespace}/{name}", get(one))
        .route("/release/{namespace}/{name}/diff", get(compare))
        .route("/release/{namespace}/{name}/confirm", get(confirm))
        .route("/release/{namespace}/{name}/act", post(act).layer(DefaultBodyLimit::max(MAX_FORM)))
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

async fn enter(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    let token = parameter(query.as_deref(), "token").unwrap_or_default();
    match site.sessions.enter(&token) {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], problem::entered()).into_response(),
        None => (StatusCode::FORBIDDEN, problem::void_link()).into_response(),
    }
}

async fn first(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    show(&site, ViewRequest::Wrong(of_query(query.as_deref()).page), None, None).await
}

async fn all(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    show(&site, ViewRequest::Releases(of_query(query.as_deref())), None, None).await
}

async fn fleet(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    show(&site, ViewRequest::Fleet(span(query.as_deref())), None, None).await
}

async fn live_fleet(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    live::stream(site, ViewRequest::Fleet(span(query.as_deref())), seen(query.as_deref()))
}

async fn one(
    State(site): State<SharedSite>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(id) = named(namespace, name) else { return unknown(State(site)).await };
    let waits = parameter(query.as_deref(), "wait").is_some();
    let done = parameter(query.as_deref(), "done");
    let done = done.map(|done| (done, parameter(query.as_deref(), "event").is_some()));
    show(&site, ViewRequest::Release(id), (!waits).then_some(PATIENCE), done).await
}

async fn live_first(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    let page = of_query(query.as_deref()).page;
    live::stream(site, ViewRequest::Wrong(page), seen(query.as_deref()))
}

async fn live_all(State(site): State<SharedSite>, RawQuery(query): RawQuery) -> Response {
    let wanted = ViewRequest::Releases(of_query(query.as_deref()));
    live::stream(site, wanted, seen(query.as_deref()))
}

async fn live_one(
    State(site): State<SharedSite>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(id) = named(namespace, name) else { return unknown(State(site)).await };
    live::stream(site, ViewRequest::Release(id), seen(query.as_deref()))
}

fn of_query(query: Option<&str>) -> Query {
    Query::parse(query.unwrap_or_default())
}

fn span(query: Option<&str>) -> TimeSpan {
    TimeSpan::named(&parameter(query, "span").unwrap_or_default())
}

fn seen(query: Option<&str>) -> Option<u64> {
    parameter(query, "seen")?.parse().ok()
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
