//! The connection to a receiver. It follows no redirect, reads little of an answer, and connects to no
//! metadata service, whatever a name resolves to. Where the administrator has set a proxy, that is what it
//! connects to. No error has the URL: it may open the receiver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, Url};

use crate::domain::message::chain;
use crate::domain::notify::format::NewsRequest;
use crate::domain::notify::hosts::Reachable;
use crate::domain::notify::receiver::{NewsReceiver, ReceiverType};
use crate::domain::notify::reply::{NewsFate, NewsReply, fate_of};
use crate::egress::EgressProxy;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a whole request may take.
const TOTAL: Duration = Duration::from_secs(30);
/// How much of an answer is read, so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// A client for one receiver.
pub struct NewsClient {
    client: Client,
    kind: ReceiverType,
}

/// What became of a request, and why for people.
pub struct Sent {
    /// What becomes of it.
    pub fate: NewsFate,
    /// Why it was not accepted.
    pub problem: String,
    /// Whether there was an answer.
    pub is_answered: bool,
}

impl NewsClient {
    fn new(receiver: &NewsReceiver) -> Result<Self, String> {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let url = Url::parse(receiver.url.reveal()).ok();
        let is_proxied = url.is_some_and(|url| EgressProxy::of_process().concerns(&url));
        // With a proxy, its name is the one that is resolved here.
        let reach = if is_proxied { Reachable::named_by_administrator() } else { receiver.reach.clone() };
        let mut builder = Client::builder()
            .user_agent(concat!("supercargo/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .dns_resolver(Arc::new(Addresses(reach)))
            .pool_max_idle_per_host(1);
        if !is_proxied {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &receiver.ca {
            let certificates =
                Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|all| !all.is_empty());
            builder = builder.tls_certs_merge(certificates.ok_or("caFile contains no valid certificate")?);
        }
        let client = builder.build().map_err(|error| chain(&error.without_url()))?;
        Ok(Self { client, kind: receiver.kind })
    }

    /// A client for this receiver; without one, the error is logged.
    pub fn of(receiver: &NewsReceiver) -> Option<Self> {
        let made = Self::new(receiver).inspect_err(|error| {
            tracing::error!(receiver = receiver.name, error, "cannot send notifications to this receiver");
        });
        made.ok()
    }

    /// Sends a request.
    pub async fn send(&self, request: NewsRequest) -> Sent {
        let mut made = self.client.post(request.url.reveal()).body(request.body);
        for (name, value) in request.headers {
            made = made.header(name, value);
        }
        let mut answer = match made.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let problem = chain(&error.without_url());
                return Sent { fate: NewsFate::Later(None), problem, is_answered: false };
            }
        };
        let status = answer.status();
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER_BYTES
            && let Ok(Some(part)) = answer.chunk().await
        {
            body.extend_from_slice(&part[..part.len().min(MAX_ANSWER_BYTES)]);
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let reply = NewsReply {
            status: status.as_u16(),
            retry_after: header("retry-after"),
            remaining: header("x-ratelimit-remaining"),
            reset: header("x-ratelimit-reset"),
            body: &body,
        };
        let fate = fate_of(self.kind, reply, Timestamp::now());
        let moved = if status.is_redirection() { ", which is not followed" } else { "" };
        let problem = format!("the answer is {}{moved}", status.as_u16());
        Sent { fate, problem, is_answered: true }
    }
}

/// The system's resolver, without the addresses that nothing is sent to.
struct Addresses(Reachable);

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|at| reach.admits(at.ip())).collect();
            if found.is_empty() {
                return Err("the name resolves to no address that may be connected to".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
