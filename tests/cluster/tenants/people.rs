//! People with rights of their own, who send requests as they like.

use http::Method;
use kube::Error;
use serde_json::Value;
use supercargo_testbed::{Story, bed};

/// What a tenant may do who is no administrator: releases with their status, inputs and accounts' names.
pub const TENANT: &str = "
- {apiGroups: [supercargo.dev], resources: [ociartifactreleases, ociartifactreleases/status], verbs: [get, list, create, update, patch, delete]}
- {apiGroups: [''], resources: [configmaps, secrets], verbs: [get, list, create, update, patch, delete]}";

/// A user with a client.
pub struct Person {
    client: kube::Client,
    pub user: String,
}

impl Person {
    /// A user of the story's namespace with the rules of a Role, a YAML list.
    pub async fn with(story: &Story<'_>, user: &str, rules: &str) -> Person {
        Person::member(story, user, None, rules).await
    }

    /// The same; the rules are those of a group that the user is in.
    pub async fn member(story: &Story<'_>, user: &str, group: Option<&str>, rules: &str) -> Person {
        // Users have no namespace; stories have theirs at the same time.
        let unique = |name: &str| format!("{name}-{}", story.namespace());
        let (user, group) = (unique(user), group.map(unique));
        let (kind, subject) = group.as_ref().map_or(("User", &user), |group| ("Group", group));
        story.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {user}}}\nrules:{rules}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {user}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {user}}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {subject}}}]\n"
        ));
        let client = bed::client(&story.bed().kubeconfig_for_user(&user, group.as_deref())).await;
        Person { client, user }
    }

    /// The administrator.
    pub fn admin(story: &Story<'_>) -> Person {
        Person { client: story.client(), user: "testbed-admin".to_owned() }
    }

    /// Sends a request; what the API server answers, or says.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<Value, String> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match self.client.request::<Value>(request.body(body).expect("a request")).await {
            Ok(object) => Ok(object),
            Err(Error::Api(status)) => Err(status.message),
            Err(error) => panic!("{path}: {error}"),
        }
    }
}
