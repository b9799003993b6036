//! A small blocking HTTP client for what no tool of the bed does.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificates::Identity;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One header, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Whom to trust and who to be, for `https:`.
#[derive(Clone, Copy, Default)]
pub struct Trust<'a> {
    /// The only CA to trust, PEM; none is trusted without it.
    pub authority: Option<&'a str>,
    /// The client's certificate.
    pub identity: Option<&'a Identity>,
}

/// Sends one request and waits for the whole answer. Usable inside and outside of a runtime; panics
/// when there is no answer.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8], trust: Trust<'_>) -> Answer {
    try_send(method, url, headers, body, trust).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// The same; with the error as text when there is no answer.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    trust: Trust<'_>,
) -> Result<Answer, String> {
    let (request, client) = (request(method, url, headers, body), client(trust));
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(answer(&client, request))
    };
    std::thread::spawn(work).join().expect("a request")
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

async fn answer(client: &HttpClient, request: http::Request<Full<Bytes>>) -> Result<Answer, String> {
    let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    Ok(Answer { code: head.status.as_u16(), headers: head.headers, body })
}

/// Sends many requests and keeps its connections. Usable outside of a runtime only.
pub struct Fetcher {
    runtime: tokio::runtime::Runtime,
    client: HttpClient,
}

impl Fetcher {
    /// Without connections.
    pub fn new(trust: Trust<'_>) -> Fetcher {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        Fetcher { runtime, client: client(trust) }
    }

    /// Sends one request and waits for the whole answer.
    ///
    /// # Errors
    /// What is wrong, when there is no answer.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        self.runtime.block_on(answer(&self.client, request(method, url, headers, body)))
    }

    /// Sends one request and does not wait. The answer may take as long as `limit`.
    pub fn send_off(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8], limit: Duration) {
        let (client, request) = (self.client.clone(), request(method, url, headers, body));
        self.runtime.spawn(async move { tokio::time::timeout(limit, answer(&client, request)).await });
    }
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request")
}

/// A client for any number of requests, within one runtime.
pub(crate) fn client<B>(trust: Trust<'_>) -> Client<HttpsConnector<HttpConnector>, B>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    let mut roots = rustls::RootCertStore::empty();
    if let Some(authority) = trust.authority {
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("a CA");
    }
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots);
    let tls = match trust.identity {
        Some(identity) => {
            let (certificate, key) = identity.to_der();
            tls.with_client_auth_cert(vec![certificate], key).expect("a certificate and its key")
        }
        None => tls.with_no_client_auth(),
    };
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Client::builder(TokioExecutor::new()).build(connector)
}

pub(crate) fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
