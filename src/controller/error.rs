//! Why the controller ends.

use crate::cluster::error::ApiError;
use crate::observe::metrics::MetricsError;
use crate::observe::server::ServerError;

/// Why the controller ends other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no cluster to talk to.
    #[error("no cluster: run it in a pod, or set KUBECONFIG")]
    Cluster(#[source] ApiError),
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
    #[error("lost the lease {0}: another replica leads now")]
    LostLease(String),
    /// The lease could not be renewed.
    #[error("could not renew the lease {0} in time, another replica may lead now: is the API server away?")]
    LeaseNotRenewed(String),
    /// The inventories could not be read.
    #[error("cannot read the inventories")]
    Inventories(#[source] ApiError),
}
