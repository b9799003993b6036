//! How a person reaches a cluster, with the rules of kubectl.

use std::path::PathBuf;

use http::header::{HeaderName, HeaderValue};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::cluster::error::ApiError;
use crate::domain::message::chain;
use crate::domain::proxy::{Environment, ProxyUrl};

/// The values of kubectl's flags of the same names. Absent: the kubeconfig decides.
#[derive(Clone, Default)]
pub struct Connection {
    /// The file; absent: `$KUBECONFIG`, then `~/.kube/config`, then the pod's
    /// own account.
    pub kubeconfig: Option<PathBuf>,
    /// The context; absent: the current one.
    pub context: Option<String>,
    /// The cluster in place of the context's.
    pub cluster: Option<String>,
    /// The user in place of the context's.
    pub user: Option<String>,
    /// The namespace in place of the context's.
    pub namespace: Option<String>,
    /// The API server's URL.
    pub server: Option<String>,
    /// A bearer token.
    pub token: Option<String>,
    /// The user to impersonate.
    pub act_as: Option<String>,
    /// The groups to impersonate.
    pub act_as_groups: Vec<String>,
    /// The uid to impersonate.
    pub act_as_uid: Option<String>,
    /// The CA that verifies the API server's certificate.
    pub certificate_authority: Option<PathBuf>,
    /// A client certificate.
    pub client_certificate: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// Whether the API server's certificate is not verified.
    pub insecure_skip_tls_verify: bool,
    /// The name that the API server's certificate is verified for.
    pub tls_server_name: Option<String>,
}

/// The names of what a kubeconfig has.
#[derive(Debug, Default)]
pub struct KubeconfigEntries {
    /// Its contexts.
    pub contexts: Vec<String>,
    /// Its clusters.
    pub clusters: Vec<String>,
    /// Its users.
    pub users: Vec<String>,
}

impl KubeconfigEntries {
    fn of(file: &Kubeconfig) -> Self {
        Self {
            contexts: file.contexts.iter().map(|c| c.name.clone()).collect(),
            clusters: file.clusters.iter().map(|c| c.name.clone()).collect(),
            users: file.auth_infos.iter().map(|u| u.name.clone()).collect(),
        }
    }
}

/// Why no cluster can be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nothing configures one.
    #[error(
        "no cluster is configured: set KUBECONFIG or --kubeconfig to a kubeconfig file, or create ~/.kube/config"
    )]
    None,
    /// A flag names an entry that the kubeconfig does not have.
    #[error("the kubeconfig has no {what} {name:?}; it has {}", listed(.known))]
    Missing {
        /// context, cluster or user.
        what: &'static str,
        /// The requested name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A flag or variable names a file that does not exist.
    #[error("cannot read the kubeconfig {path}")]
    Unread {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is invalid.
    #[error("invalid kubeconfig: {0}")]
    Kubeconfig(String),
    /// The proxy-url of the kubeconfig is invalid.
    #[error("invalid kubeconfig: proxy-url {0}")]
    Proxy(&'static str),
    /// A value is malformed.
    #[error("invalid --{flag}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials or certificates are invalid.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl From<KubeconfigError> for ConnectionError {
    fn from(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::ReadConfig(source, path) => {
                Self::Unread { path: path.display().to_string(), source }
            }
            KubeconfigError::LoadContext(name) => Self::Kubeconfig(format!(
                "it has no context {name:?}; `kubectl config get-contexts` lists what it has"
            )),
            KubeconfigError::CurrentContextNotSet => {
                Self::Kubeconfig("it has no current context; name one with --context".to_owned())
            }
            KubeconfigError::LoadClusterOfContext(name) => {
                Self::Kubeconfig(format!("it has no cluster {name:?}"))
            }
            other => {
                let text = chain(&other);
                // A parser shows the place on several lines.
                Self::Kubeconfig(text.lines().next().unwrap_or_default().to_owned())
            }
        }
    }
}

fn flag(flag: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> ConnectionError {
    move |source| ConnectionError::Flag { flag, source }
}

impl Connection {
    /// The configuration of a client.
    pub(super) async fn config(&self) -> Result<Config, ConnectionError> {
        let (mut config, proxy) = self.base().await?;
        if let Some(server) = &self.server {
            config.cluster_url =
                server.parse().map_err(|e: http::uri::InvalidUri| flag("server")(e.into()))?;
        }
        if let Some(token) = &self.token {
            config.auth_info.token = Some(token.clone().into());
            config.auth_info.token_file = None;
        }
        let path = |path: &PathBuf| Some(path.display().to_string());
        if let Some(certificate) = &self.client_certificate {
            config.auth_info.client_certificate = path(certificate);
            config.auth_info.client_certificate_data = None;
        }
        if let Some(key) = &self.client_key {
            config.auth_info.client_key = path(key);
            config.auth_info.client_key_data = None;
        }
        if let Some(authority) = &self.certificate_authority {
            let pem = std::fs::read(authority).map_err(|e| flag("certificate-authority")(e.into()))?;
            config.root_cert = Some(certificates(&pem).map_err(|e| flag("certificate-authority")(e))?);
            config.root_cert_file = None;
        }
        config.accept_invalid_certs |= self.insecure_skip_tls_verify;
        if let Some(name) = &self.tls_server_name {
            config.tls_server_name = Some(name.clone());
        }
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        // Last: `NO_PROXY` is matched against the final server.
        let proxy = match proxy {
            Way::Named(proxy) => Some(proxy),
            Way::Environment => environment(&config.cluster_url),
            Way::Direct => None,
        };
        let proxy = proxy.map(|proxy| proxy.url().parse()).transpose();
        config.proxy_url = proxy.map_err(|_| ConnectionError::Proxy("is not a URL"))?;
        Ok(config)
    }

    /// The names in the kubeconfig; none where there is none that can be read.
    pub fn entries(&self) -> KubeconfigEntries {
        self.file().ok().flatten().as_ref().map(KubeconfigEntries::of).unwrap_or_default()
    }

    fn file(&self) -> Result<Option<Kubeconfig>, ConnectionError> {
        match &self.kubeconfig {
            Some(path) => Ok(Some(Kubeconfig::read_from(path)?)),
            None => found(),
        }
    }

    async fn base(&self) -> Result<(Config, Way), ConnectionError> {
        let file = self.file()?;
        if let Some(file) = &file {
            self.check(file)?;
        }
        // An empty file, or one without a context, counts as missing.
        let chosen = |file: &Kubeconfig| {
            self.context.is_some() || file.current_context.as_ref().is_some_and(|name| !name.is_empty())
        };
        match (file.filter(chosen), &self.server) {
            (Some(file), _) => self.read(file).await,
            (None, Some(server)) => {
                let url = server.parse().map_err(|e: http::uri::InvalidUri| flag("server")(e.into()))?;
                Ok((Config::new(url), Way::Environment))
            }
            // A pod reaches its API server directly, whatever its proxy is for.
            (None, None) => match Config::incluster() {
                Ok(config) => Ok((config, Way::Direct)),
                Err(_) => Err(ConnectionError::None),
            },
        }
    }

    /// What a kubeconfig says. kube matches `NO_PROXY` against the proxy in place of the
    /// API server, and knows no proxy without a scheme: a placeholder proxy, which is
    /// removed afterwards, keeps it from reading the environment.
    async fn read(&self, mut file: Kubeconfig) -> Result<(Config, Way), ConnectionError> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        let context = self.context.as_ref().or(file.current_context.as_ref());
        let context = file.contexts.iter().find(|named| Some(&named.name) == context);
        let cluster =
            self.cluster.as_ref().or(context.and_then(|c| Some(&c.context.as_ref()?.cluster))).cloned();
        let mut own = None;
        for named in &mut file.clusters {
            let Some(of) = named.cluster.as_mut() else { continue };
            let proxy = of.proxy_url.replace(NO_ENVIRONMENT.to_owned()).filter(|proxy| !proxy.is_empty());
            if cluster.as_ref() == Some(&named.name) {
                own = proxy;
            }
        }
        let mut config = Config::from_custom_kubeconfig(file, &options).await?;
        if let Some(cluster) = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut()) {
            cluster.proxy_url.clone_from(&own);
        }
        let Some(own) = own else { return Ok((config, Way::Environment)) };
        let own = ProxyUrl::parse(&own).map_err(ConnectionError::Proxy)?;
        Ok((config, Way::Named(own)))
    }

    /// Whether the kubeconfig has what the flags name.
    fn check(&self, file: &Kubeconfig) -> Result<(), ConnectionError> {
        let KubeconfigEntries { contexts, clusters, users } = KubeconfigEntries::of(file);
        let named: [(&str, &Option<String>, Vec<String>); 3] = [
            ("context", &self.context, contexts),
            ("cluster", &self.cluster, clusters),
            ("user", &self.user, users),
        ];
        for (what, name, known) in named {
            if let Some(name) = name.as_ref().filter(|name| !known.contains(name)) {
                return Err(ConnectionError::Missing { what, name: name.clone(), known });
            }
        }
        Ok(())
    }

    /// The headers by which a person acts as another user.
    pub(super) fn impersonation(
        &self,
        config: &Config,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, ConnectionError> {
        let auth = &config.auth_info;
        let user = self.act_as.as_ref().or(auth.impersonate.as_ref());
        let groups = match self.act_as_groups.is_empty() {
            true => auth.impersonate_groups.as_deref().unwrap_or_default(),
            false => self.act_as_groups.as_slice(),
        };
        let uid = self.act_as_uid.as_ref().or(auth.impersonate_uid.as_ref());
        let named = user.iter().map(|u| ("impersonate-user", u.as_str()));
        let named = named.chain(groups.iter().map(|g| ("impersonate-group", g.as_str())));
        let named = named.chain(uid.iter().map(|u| ("impersonate-uid", u.as_str())));
        named
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).map_err(|e| flag("as")(e.into()))?;
                Ok((HeaderName::from_static(name), value))
            })
            .collect()
    }
}

/// The placeholder for a proxy while kube reads a kubeconfig.
const NO_ENVIRONMENT: &str = "http://proxy.invalid";

/// How the API server is reached.
enum Way {
    /// Through the proxy of the kubeconfig; `NO_PROXY` is ignored.
    Named(ProxyUrl),
    /// As the environment configures.
    Environment,
    /// Without a proxy.
    Direct,
}

/// The proxy of the environment for this API server, with the variables in the order of
/// kubectl.
fn environment(server: &http::Uri) -> Option<ProxyUrl> {
    let variable = |name: &str| {
        let names = [name.to_owned(), name.to_lowercase()];
        names
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default()
    };
    let environment = Environment {
        https: variable("HTTPS_PROXY"),
        http: variable("HTTP_PROXY"),
        exempt: variable("NO_PROXY"),
    };
    let scheme = server.scheme_str().unwrap_or("https");
    let port = server.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    environment.proxy(scheme, server.host()?, port)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The kubeconfig that the environment or the home directory has. Of several files the
/// first non-empty one wins and missing ones are skipped, as in kubectl; it is an error
/// if all are missing.
fn found() -> Result<Option<Kubeconfig>, ConnectionError> {
    use kube::config::KubeconfigError;
    let missing = |error: &KubeconfigError| matches!(error, KubeconfigError::ReadConfig(e, _) if e.kind() == std::io::ErrorKind::NotFound);
    let Some(named) = std::env::var_os("KUBECONFIG").filter(|named| !named.is_empty()) else {
        return match Kubeconfig::read() {
            Ok(file) => Ok(Some(file)),
            Err(KubeconfigError::FindPath) => Ok(None),
            Err(error) if missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        };
    };
    let (mut merged, mut absent): (Option<Kubeconfig>, _) = (None, None);
    for path in std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()) {
        let next = match Kubeconfig::read_from(&path) {
            Ok(next) => next,
            Err(error) if missing(&error) => {
                absent = Some(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(ConnectionError::from)?,
            None => next,
        });
    }
    match (merged, absent) {
        (None, Some(error)) => Err(error.into()),
        (merged, _) => Ok(merged),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found: Vec<Vec<u8>> = found?.into_iter().map(|c| c.to_vec()).collect();
    if found.is_empty() { Err("it contains no certificate".into()) } else { Ok(found) }
}
