//! Why a command ended without doing what was asked.

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
    /// A file cannot be read, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The registry or the artifact.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// There is no cluster to talk to.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The cluster.
    #[error("{0}")]
    Api(#[source] ApiError),
    /// An inventory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be counted.
    #[error("requests cannot be counted")]
    Metrics(#[from] MetricsError),
    /// What was asked for was done, and came to no good end; or is not there.
    #[error("{0}")]
    Failed(String),
    /// The same for several things, each on a line of its own.
    #[error("{0}")]
    Several(Lines),
    /// What was compared differs; that has been printed.
    #[error("they differ")]
    Differs,
    /// A comparison came to no end, which has an exit code of its own.
    #[error("{0}")]
    NotCompared(Lines),
    /// A person has ended it. Says what is left under way.
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
                "the cluster has no {KIND}: install supercargo there first (supercargo crd | kubectl apply -f -)"
            )),
            _ if error.code() == 401 => Self::Failed(
                "the API server does not accept your credentials (401 Unauthorized): look at the user of the \
                 kubeconfig's context, or log in again"
                    .into(),
            ),
            _ => Self::Api(error),
        }
    }
}

impl CliError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Oci(OciError::Spec(_)) => exit::USAGE,
            Self::Interrupted(_) => exit::INTERRUPTED,
            Self::Differs => exit::DIFFERS,
            Self::NotCompared(_) => exit::NOT_COMPARED,
            _ => exit::FAILURE,
        }
    }

    /// The same as the end of a comparison: its exit codes are those of diff and
    /// of `kubectl diff`.
    pub(super) fn of_comparison(self) -> Self {
        match self {
            Self::Interrupted(_) | Self::Differs | Self::Usage(_) => self,
            other => Self::NotCompared(other.told()),
        }
    }

    /// Whether stderr says why it ended.
    pub(super) fn is_told(&self) -> bool {
        !matches!(self, Self::Differs)
    }

    /// What a person can do about it, where it is known.
    fn hint(&self) -> Option<&'static str> {
        let Self::Oci(error) = self else { return None };
        match error.root() {
            OciError::Encrypted { .. } => Some("name the file of your key with --age-identities"),
            OciError::Denied { why: Denial::NoCredentials, .. } => {
                Some("log in with docker or podman, or give --creds USER:PASSWORD")
            }
            OciError::Unavailable { why: Outage::UnknownAuthority, .. } => {
                Some("if you trust the registry's CA, name its certificate with --ca-file")
            }
            OciError::Unavailable { why: Outage::PlainHttp, .. } => Some("add --insecure"),
            _ => None,
        }
    }

    /// What a person reads: a line, unless it is about several things.
    pub(super) fn told(&self) -> Lines {
        match self {
            Self::Several(lines) | Self::NotCompared(lines) | Self::Interrupted(lines) => lines.clone(),
            _ => folded(&self.chain()).into(),
        }
    }

    /// The message with its causes and what to do, for people.
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
