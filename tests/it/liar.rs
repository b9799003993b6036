//! A registry that says what a test wants it to say, and remembers what it
//! was asked.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::Response;
use serde_json::{Value, json};
use supercargo::oci::{
    Access, AccessParts, Artifact, ArtifactReference, Digest, Keyring, OciError, Registry, RegistryOptions,
    Repository, Selection, Wanted,
};
use supercargo_testbed::certificates::Identity;
use tokio::net::TcpListener;

use crate::secure;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub authorization: Option<String>,
    /// The host that was asked for; another than the Liar's where it is a proxy.
    pub host: String,
    pub headers: HeaderMap,
    pub version: Version,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name)
    }
}

pub type Answer = Box<dyn Fn(&Seen) -> Option<Response> + Send + Sync>;

/// What is stored, and what is told instead.
#[derive(Default)]
pub struct Shelf {
    pub answers: Vec<Answer>,
    content: HashMap<String, (&'static str, Vec<u8>)>,
}

#[derive(Clone)]
pub struct Liar {
    pub host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    shelf: Arc<Mutex<Shelf>>,
    _task: Arc<Task>,
}

struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (key, value) in headers {
        response = response.header(*key, *value);
    }
    response.body(body.into()).unwrap()
}

/// A body that never ends.
pub fn endless() -> Body {
    Body::from_stream(futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 16384]))
    }))
}

/// A body that breaks off after these bytes.
pub fn broken(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    let pieces = pieces.into_iter().map(Ok).chain([Err(std::io::Error::other("cut"))]);
    // A pause lets the server send what it has before it breaks off.
    Body::from_stream(futures::stream::unfold(pieces, async |mut pieces| {
        tokio::task::yield_now().await;
        Some((pieces.next()?, pieces))
    }))
}

impl Liar {
    pub async fn start() -> Self {
        Self::serving(|listener, app| async move { axum::serve(listener, app).await.unwrap() }).await
    }

    /// One over TLS that offers only this protocol.
    pub async fn secure(identity: &Identity, protocol: &'static str) -> Self {
        let acceptor = secure::acceptor(identity, protocol);
        Self::serving(|listener, app| secure::serve(listener, acceptor, protocol, app)).await
    }

    async fn serving<F>(serve: impl FnOnce(TcpListener, Router) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (seen, shelf): (Arc<Mutex<Vec<Seen>>>, Arc<Mutex<Shelf>>) = Default::default();
        let state = (Arc::clone(&seen), Arc::clone(&shelf));
        let app = Router::new().fallback(move |request: Request| {
            let (seen, shelf) = (Arc::clone(&state.0), Arc::clone(&state.1));
            async move { answer(&seen, &shelf, request).await }
        });
        let task = tokio::spawn(serve(listener, app));
        Self { host, seen, shelf, _task: Arc::new(Task(task)) }
    }

    /// Says this before anything else, where it says something.
    pub fn lie(&self, answer: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) {
        self.shelf.lock().unwrap().answers.push(Box::new(answer));
    }

    /// Stops lying.
    pub fn repent(&self) {
        self.shelf.lock().unwrap().answers.clear();
    }

    pub fn repository(&self) -> Repository {
        Repository::parse(&format!("oci://{}/team/app", self.host)).unwrap()
    }

    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("/v2/team/app/blobs/{digest}");
        self.shelf.lock().unwrap().content.insert(path, ("application/octet-stream", bytes.to_vec()));
        digest
    }

    /// Stores a manifest by digest and under a tag.
    pub fn manifest(&self, tag: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let mut shelf = self.shelf.lock().unwrap();
        for name in [tag, digest.as_str()] {
            let kind = "application/vnd.oci.image.manifest.v1+json";
            shelf.content.insert(format!("/v2/team/app/manifests/{name}"), (kind, bytes.clone()));
        }
        digest
    }

    /// Stores a good artifact of one YAML layer.
    pub fn artifact(&self, tag: &str, yaml: &str) -> Digest {
        let layer = self.blob(yaml.as_bytes());
        self.manifest(tag, &manifest(&layer, yaml.len()))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests since the last call, as `METHOD last/two`.
    pub fn asked(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let short = |s: Seen| format!("{} {}", s.method, s.path.trim_start_matches("/v2/team/app/"));
        seen.into_iter().map(short).collect()
    }
}

/// A manifest with one layer.
pub fn manifest(layer: &Digest, size: usize) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}").as_str(), "size": 2},
        "layers": [{"mediaType": "application/yaml", "digest": layer.as_str(), "size": size}],
    })
}

async fn answer(seen: &Mutex<Vec<Seen>>, shelf: &Mutex<Shelf>, request: Request) -> Response {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap();
    let authorization = header(request.headers(), "authorization");
    let method = request.method().clone();
    let headers = request.headers().clone();
    let version = request.version();
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| header(&headers, "host")).unwrap_or_default();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    let request = Seen { method, path, authorization, host, headers, version, body };
    seen.lock().unwrap().push(request.clone());
    let shelf = shelf.lock().unwrap();
    if let Some(lie) = shelf.answers.iter().find_map(|answer| answer(&request)) {
        return lie;
    }
    let Some((kind, bytes)) = shelf.content.get(&request.path) else {
        return reply(StatusCode::NOT_FOUND.as_u16(), &[], r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
    };
    let digest = Digest::of(bytes).to_string();
    let headers = [("content-type", *kind), ("docker-content-digest", &digest)];
    match request.method {
        Method::HEAD => reply(200, &headers, Body::empty()),
        _ => reply(200, &headers, bytes.clone()),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// An access over plain HTTP, with credentials for the host.
pub fn access(credentials: Option<(&str, &str, &str)>) -> Access {
    let mut keyring = Keyring::default();
    if let Some((host, user, password)) = credentials {
        keyring.add_password(host, user, password);
    }
    Access::new(AccessParts { keyring, insecure: true, ..AccessParts::default() })
}

pub fn options() -> RegistryOptions {
    RegistryOptions { idle_timeout: Duration::from_secs(5), ..RegistryOptions::default() }
}

/// Resolves a tag and fetches what it points at.
pub async fn pull(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    access: &Access,
) -> Result<Artifact, OciError> {
    let digest = resolve(registry, repository, tag, access).await?;
    registry.fetch(repository, &digest, access, &Selection::default()).await
}

pub async fn resolve(
    registry: &Registry,
    repository: &Repository,
    tag: &str,
    access: &Access,
) -> Result<Digest, OciError> {
    Ok(registry.resolve(repository, &wanted(tag), access).await?.digest)
}

pub fn wanted(tag: &str) -> Wanted {
    ArtifactReference::parse(&format!("oci://h.io/x:{tag}")).unwrap().wanted().unwrap()
}

/// Fails a test that would otherwise wait for ever.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("the call does not return")
}
