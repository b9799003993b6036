//! A token of a cloud for the API server of a cluster: what a cloud gives for the token of a
//! ServiceAccount. The identity of this process is not used: the author of a release chooses which
//! server sees the token.

use std::time::Duration;

use super::call::{Caller, POD, Variables};
use super::{aws, azure, gcp};
use crate::domain::remote::cloud::CloudLogin;
use crate::oci::error::OciError;
use crate::oci::limits::MAX_CLOUD_TOKEN_LIFE;
use crate::oci::transport::Transport;

/// The token of a ServiceAccount that is exchanged.
pub struct Assertion<'a> {
    /// Whose token it is, for messages and the log of the cloud: namespace and name.
    pub account: (&'a str, &'a str),
    /// The audience of the exchange, where it is not the cloud's own.
    pub audience: &'a str,
    /// The token.
    pub token: &'a str,
}

/// The audiences of the pool of the cluster that this process runs in.
pub struct WorkloadPool {
    /// That of a ServiceAccount's token.
    pub of_token: String,
    /// That of its exchange.
    pub of_exchange: String,
}

/// The longest name of a session in the log of AWS.
const MAX_SESSION: usize = 64;

pub(in crate::oci) async fn token(
    transport: &Transport,
    variables: &Variables,
    login: &CloudLogin,
    assertion: &Assertion<'_>,
) -> Result<(String, Duration), OciError> {
    let Assertion { account: (namespace, name), audience, token } = assertion;
    let subject = format!("ServiceAccount/{namespace}/{name}");
    let caller = Caller { transport, variables, subject: &subject, whose: "the account's identity" };
    let (token, life) = match login {
        CloudLogin::Aws { cluster, role } => {
            let session: String = format!("{namespace}.{name}").chars().take(MAX_SESSION).collect();
            aws::cluster_token(caller, cluster, (role, &session), token).await?
        }
        CloudLogin::Azure { tenant, client } => azure::cluster_token(caller, (tenant, client), token).await?,
        CloudLogin::Gcp { email } => gcp::cluster_token(caller, audience, email.as_deref(), token).await?,
    };
    Ok((token, life.min(MAX_CLOUD_TOKEN_LIFE)))
}

pub(in crate::oci) async fn own_pool(
    transport: &Transport,
    variables: &Variables,
) -> Result<WorkloadPool, OciError> {
    let caller = Caller { transport, variables, subject: "the pool of this cluster", whose: POD };
    let (of_token, of_exchange) = gcp::own_pool(caller).await?;
    Ok(WorkloadPool { of_token, of_exchange })
}
