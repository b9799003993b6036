//! Why a command failed.

use std::error::Error;
use std::io;

use crate::api::release::KIND;
use crate::cli::exit;
use crate::cli::print::text::{Lines, folded};
use crate::cluster::connection::ConnectionError;
use crate::cluster::error::ApiError;
use crate::cluster::inventory::StoreError;
use crate::observe::metrics::MetricsError;
use crate::oci::{Denial, OciError, Outage};

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An argument cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read, or is invalid.
    #[error("{0}")]
    Input(String),
    /// The registry or the artifact.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// No cluster can be reached.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The cluster.
    #[error("{0}")]
    Api(#[source] ApiError),
    /// An inventory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Metrics cannot be set up.
    #[error("cannot set up request metrics")]
    Metrics(#[from] MetricsError),
    /// The operation failed, or its object does not exist.
    #[error("{0}")]
    Failed(String),
    /// The same for several things, one per line.
    #[error("{0}")]
    Several(Lines),
    /// The comparison found differences, which have been printed.
    #[error("they differ")]
    Differs,
    /// The plan has changes, which have been printed.
    #[error("the plan has changes")]
    Planned,
    /// Some objects are not healthy; they have been printed.
    #[error("not all objects are healthy")]
    Unhealthy,
    /// A comparison failed, which has its own exit code.
    #[error("{0}")]
    NotCompared(Lines),
    /// Interrupted by a person. Says what continues or is left.
    #[error("interrupted: {0}")]
    Interrupted(Lines),
    /// Output could not be written.
    #[error("cannot write output")]
    Output(#[source] io::Error),
}

impl From<ApiError> for CliError {
    fn from(error: ApiError) -> Self {
        match &error {
            ApiError::NoSuchKind { kind, .. } if kind == KIND => Self::Failed(format!(
                "the cluster does not serve {KIND}: install Supercargo first (its definition: supercargo crd | kubectl apply --server-side -f -)"
            )),
            _ if error.code() == 401 => Self::Failed(
                "the API server rejected your credentials (401 Unauthorized): check the user of the \
                 kubeconfig context, or log in again"
                    .into(),
            ),
            _ => Self::Api(error),
        }
    }
}

impl CliError {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Oci(OciError::Spec(_)) => exit::USAGE,
            Self::Interrupted(_) => exit::INTERRUPTED,
            Self::Differs => exit::DIFFERS,
            Self::Planned => exit::PLANNED,
            Self::Unhealthy => exit::UNHEALTHY,
            Self::NotCompared(_) => exit::NOT_COMPARED,
            _ => exit::FAILURE,
        }
    }

    /// The error as that of a comparison: its exit codes are those of diff and
    /// of `kubectl diff`.
    pub(super) fn of_comparison(self) -> Self {
        match self {
            Self::Interrupted(_) | Self::Differs | Self::Unhealthy | Self::Usage(_) => self,
            other => Self::NotCompared(other.lines()),
        }
    }

    /// Whether stderr says why the command failed.
    pub(super) fn is_reported(&self) -> bool {
        !matches!(self, Self::Differs | Self::Planned | Self::Unhealthy)
    }

    /// The cure, where it is known.
    fn hint(&self) -> Option<&'static str> {
        let Self::Oci(error) = self else { return None };
        match error.root() {
            OciError::Encrypted { .. } => Some("pass your key file with --age-identities"),
            OciError::Denied { why: Denial::NoCredentials, .. } => {
                Some("log in with docker or podman, or pass --creds USER:PASSWORD")
            }
            OciError::Unavailable { why: Outage::UnknownAuthority, .. } => {
                Some("if you trust the registry's CA, pass its certificate with --ca-file")
            }
            OciError::Unavailable { why: Outage::PlainHttp, .. } => Some("add --insecure"),
            _ => None,
        }
    }

    /// The message for people: one line, unless it is about several things.
    pub(super) fn lines(&self) -> Lines {
        match self {
            Self::Several(lines) | Self::NotCompared(lines) | Self::Interrupted(lines) => lines.clone(),
            _ => folded(&self.chain()).into(),
        }
    }

    /// The message with its causes and the cure, for people.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = inner.source();
        }
        if let Some(hint) = self.hint() {
            text = format!("{text}; {hint}");
        }
        text
    }
}
