//! What every story asks of the API server as the admin: its namespace, its accounts,
//! and that they go. A process of kubectl for each of these would cost more than most
//! stories do.

use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::bed::client;

/// Longer than any answer takes; a test that waits for as long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a request is sent whose connection broke: the API server may have been
/// restarted since the last one.
const ATTEMPTS: usize = 3;

type Request = http::Request<Vec<u8>>;

/// The admin of a cluster.
pub(crate) struct Admin {
    kubeconfig: String,
    client: OnceLock<kube::Client>,
}

impl Admin {
    pub(crate) fn new(kubeconfig: String) -> Admin {
        Admin { kubeconfig, client: OnceLock::new() }
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn send(&self, method: &Method, path: &str, kind: &str, body: &str) -> kube::Result<Value> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(body.as_bytes().to_vec()).expect("a request");
        self.ask(request, |client, request| async move { client.request(request).await })
    }

    /// The body of a GET, which need not be JSON, when the answer is 200.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        self.ask(request, |client, request| async move { client.request_text(request).await }).ok()
    }

    /// Blocks; usable inside and outside of a runtime, because it has one of its own, to
    /// which the client belongs.
    fn ask<T, F>(
        &self,
        request: Request,
        send: impl Fn(kube::Client, Request) -> F + Send + 'static,
    ) -> kube::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = kube::Result<T>> + Send,
    {
        let what = format!("{} {}", request.method(), request.uri());
        let known = self.client.get().cloned();
        let kubeconfig = self.kubeconfig.clone();
        let (sender, receiver) = mpsc::channel();
        runtime().spawn(async move {
            let client = match known {
                Some(client) => client,
                None => client(&kubeconfig).await,
            };
            let mut answer = send(client.clone(), request.clone()).await;
            for _ in 1..ATTEMPTS {
                if matches!(answer, Ok(_) | Err(kube::Error::Api(_))) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer = send(client.clone(), request.clone()).await;
            }
            drop(sender.send((client, answer)));
        });
        let answer = receiver.recv_timeout(PATIENCE);
        let (client, answer) = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
        self.client.get_or_init(|| client);
        answer
    }

    /// Creates an object; `path` is that of its kind. Panics when that is refused.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        let created = self.send(&Method::POST, path, "application/json", &object.to_string());
        created.unwrap_or_else(|error| panic!("create {object}: {error}"))
    }

    /// Applies YAML documents of which every key that is looked for, up to the metadata,
    /// has a line of its own, as Helm prints them. Panics when one is refused.
    pub(crate) fn apply(&self, yaml: &str) {
        for document in yaml.split("\n---").filter(|document| document.contains("kind: ")) {
            let path = format!("{}?fieldManager=testbed&force=true", path_of(document));
            let document = document.trim_start_matches('-');
            let applied = self.send(&Method::PATCH, &path, "application/apply-patch+yaml", document);
            applied.unwrap_or_else(|error| panic!("apply {document}: {error}"));
        }
    }

    /// Deletes an object, if it is there and the API server is, too.
    pub(crate) fn delete(&self, path: &str) {
        drop(self.send(&Method::DELETE, path, "application/json", ""));
    }
}

/// The path of the object that a document describes.
fn path_of(document: &str) -> String {
    let line = |key: &str| {
        let value = document.lines().find_map(|line| line.strip_prefix(key));
        value.map(|value| value.trim().trim_matches('"'))
    };
    let version = line("apiVersion: ").expect("a version");
    let root = if version.contains('/') { "apis" } else { "api" };
    let place = line("  namespace: ").map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    let plural = line("kind: ").expect("a kind").to_lowercase() + "s";
    format!("/{root}/{version}/{place}{plural}/{}", line("  name: ").expect("a name"))
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime")
    })
}
