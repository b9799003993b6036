//! Kubeconfig files, as text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::Identity;

/// How a client says who it is.
pub enum Credential<'a> {
    /// A bearer token.
    Token(&'a str),
    /// A client certificate.
    Certificate(&'a Identity),
}

/// A kubeconfig for the API server at `server` (an URL) that trusts the CA
/// `authority` (PEM).
pub fn render(server: &str, authority: &str, credential: &Credential<'_>) -> String {
    let user: Value = match credential {
        Credential::Token(token) => json!({"token": token}),
        Credential::Certificate(identity) => json!({
            "client-certificate-data": STANDARD.encode(&identity.certificate),
            "client-key-data": STANDARD.encode(&identity.key),
        }),
    };
    let cluster = json!({"server": server, "certificate-authority-data": STANDARD.encode(authority)});
    // JSON is YAML, so this is a kubeconfig that every client reads.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testbed",
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
    });
    serde_json::to_string_pretty(&config).expect("a kubeconfig is JSON")
}
