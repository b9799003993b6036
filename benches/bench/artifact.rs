//! What is released: manifests, packed and pushed as the command line does.

use std::fmt::Write;

use futures::StreamExt;
use supercargo::oci::{Access, AccessParts, Labels, Repository, Tag, pack};

/// Pushes many at once, with one set of connections.
pub struct Pusher {
    registry: supercargo::oci::Registry,
    access: Access,
    host: String,
}

impl Pusher {
    /// To a registry on plain HTTP.
    pub fn new(host: &str) -> Pusher {
        Pusher {
            registry: supercargo::oci::Registry::new(supercargo::oci::RegistryOptions::default()),
            access: Access::new(AccessParts { insecure: true, ..AccessParts::default() }),
            host: host.to_owned(),
        }
    }

    /// Pushes YAML to a tag of a repository.
    pub async fn push(&self, repository: &str, tag: &str, yaml: &str) {
        let labels = Labels { created: "2026-01-01T00:00:00Z".to_owned(), ..Labels::default() };
        let package = pack(yaml.as_bytes(), &labels).expect("packing in memory");
        let repository =
            Repository::parse(&format!("oci://{}/{repository}", self.host)).expect("a repository");
        let tag = Tag::parse(tag).expect("a tag");
        self.registry.push(&repository, &tag, &package, &self.access).await.expect("push an artifact");
    }

    /// Pushes to `app-0`, `app-1`, … what `yaml` says for each.
    pub async fn push_apps(&self, count: usize, tag: &str, yaml: impl Fn(usize) -> String) {
        let pushes = (0..count).map(|n| {
            let yaml = yaml(n);
            async move { self.push(&app(n), tag, &yaml).await }
        });
        futures::stream::iter(pushes).buffer_unordered(8).collect::<Vec<()>>().await;
    }
}

/// The name of the nth release and of its repository.
pub fn app(n: usize) -> String {
    format!("app-{n}")
}

/// A ConfigMap that says `text`.
pub fn config_map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  text: \"{text}\"\n---\n")
}

/// A small app: ConfigMap, ServiceAccount and Service.
pub fn small_app(n: usize, text: &str) -> String {
    let name = app(n);
    let mut yaml = config_map(&name, text);
    // Writing into a String does not fail.
    let _ = write!(yaml, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n---\n");
    let _ = write!(
        yaml,
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec:\n  selector: {{app: {name}}}\n  ports: [{{port: 80, protocol: TCP}}]\n---\n"
    );
    yaml
}
