//! Why the controller ends.

use std::path::PathBuf;

use crate::cluster::error::ApiError;
use crate::domain::capacity::SmallBudget;
use crate::domain::configuration::Wrong;
use crate::observe::metrics::MetricsError;
use crate::observe::server::ServerError;

/// Why the controller ends without being stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no cluster to connect to.
    #[error("no cluster configured: run it in a pod, or set KUBECONFIG")]
    Cluster(#[source] ApiError),
    /// A namespace could not work with its memory.
    #[error(transparent)]
    Budget(SmallBudget),
    /// The endpoints cannot be served.
    #[error("cannot serve metrics and probes")]
    Server(#[source] ServerError),
    /// The metrics cannot be registered.
    #[error("cannot set up metrics")]
    Metrics(#[source] MetricsError),
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// Another replica took over.
    #[error("lost the lease {0}: another replica is the leader now")]
    LostLease(String),
    /// The lease could not be renewed.
    #[error(
        "cannot renew the lease {0} in time, another replica may be the leader now: check the API server"
    )]
    LeaseNotRenewed(String),
    /// The replicas cannot see each other.
    #[error(
        "cannot watch leases in namespace {namespace}, which --shards=auto needs (grant list, watch, get, create, \
         update and delete on leases there): {why}"
    )]
    Leases {
        /// Where.
        namespace: String,
        /// What the API server says.
        why: String,
    },
    /// The trust policy cannot be used.
    #[error("cannot use the trust policy")]
    TrustPolicy(#[source] FileError),
    /// The trusted root cannot be used.
    #[error("cannot use the trusted root")]
    TrustedRoot(#[source] FileError),
    /// The configuration of webhooks cannot be used.
    #[error("cannot use the configuration of webhooks")]
    WebhookConfig(#[source] FileError),
    /// The configuration of notifications cannot be used.
    #[error("cannot use the configuration of notifications")]
    NotifyConfig(#[source] FileError),
    /// Webhooks cannot be received.
    #[error("cannot listen on {address} for webhooks: choose another --webhook-addr")]
    Webhooks {
        /// The address as configured.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a file of the administrator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It, or a file that it names, cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It, or a file that it names, is too large.
    #[error("{path} is larger than {most} bytes")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// It is not a trusted root.
    #[error("{path} {problem}")]
    Root {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is not text.
    #[error("{0} is not UTF-8 text")]
    Text(PathBuf),
    /// It is invalid.
    #[error("{path}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Wrong,
    },
}
