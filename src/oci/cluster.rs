//! Tokens of clouds for API servers. They are here because the requests are those for the clouds'
//! registries, with the same rules.

use std::time::Duration;

use super::auth::{Assertion, WorkloadPool, cluster_token, own_pool};
use super::error::{OciError, Outage};
use super::registry::Registry;
use crate::domain::remote::cloud::CloudLogin;

/// Why a cloud gives no token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CloudError(String);

impl From<OciError> for CloudError {
    fn from(error: OciError) -> Self {
        Self(match error {
            OciError::Denied { why, .. } => why.to_string(),
            OciError::Unavailable { host, why: Outage::Other(why) } => {
                format!("{host} is unavailable: {why}")
            }
            OciError::Unavailable { host, .. } => format!("{host} is unavailable: no TLS connection"),
            other => other.to_string(),
        })
    }
}

impl Registry {
    /// A token for API servers that accept those of a cloud, and for how long it is valid.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the identity. Contains no token.
    pub async fn cluster_token(
        &self,
        login: &CloudLogin,
        assertion: &Assertion<'_>,
    ) -> Result<(String, Duration), CloudError> {
        let (transport, variables) = (&self.0.transport, self.0.sessions.variables());
        Ok(cluster_token(transport, variables, login, assertion).await?)
    }

    /// The pool of Google for the ServiceAccounts of the cluster that this process runs in.
    ///
    /// # Errors
    /// When it runs in no cluster of Google.
    pub async fn own_pool(&self) -> Result<WorkloadPool, CloudError> {
        Ok(own_pool(&self.0.transport, self.0.sessions.variables()).await?)
    }
}
