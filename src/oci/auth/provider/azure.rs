//! Azure Container Registry: the pod's federated token is exchanged for a token of Entra
//! ID, and that for a refresh token of the registry. Azure Kubernetes Service: that of a ServiceAccount
//! is exchanged for a token of Entra ID.

use std::time::Duration;

use serde::Deserialize;

use super::call::{Caller, form, seconds};
use crate::oci::credentials::{Access, Credential};
use crate::oci::error::OciError;

/// How long a refresh token of the registry is used; it is valid for three.
const TOKEN_LIFE: Duration = Duration::from_secs(3 * 3600);
/// The scope of the token of Entra ID: any registry, in any of the clouds.
const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// The same for the API servers of all clusters: the id of their application, in each of the clouds.
const AKS_SCOPE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// How long a token of Entra ID is used when its lifetime is not given.
const ENTRA_TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct RefreshToken {
    refresh_token: String,
}

/// The two exchanges. The registry is reached with the settings of the release.
pub(super) async fn credential(
    caller: Caller<'_>,
    registry: &str,
    access: &Access,
) -> Result<(Credential, Duration), OciError> {
    let of = "Microsoft Entra Workload ID";
    let path = caller.required("AZURE_FEDERATED_TOKEN_FILE", of)?;
    let tenant = caller.required("AZURE_TENANT_ID", of)?;
    let client = caller.required("AZURE_CLIENT_ID", of)?;
    let assertion = caller.file(&path).await?;
    let entra = entra_token(caller, (&tenant, &client), &assertion, SCOPE).await?;
    let url = format!("{}://{registry}/oauth2/exchange", access.scheme());
    let url =
        reqwest::Url::parse(&url).map_err(|_| caller.denied("the registry's name does not form a URL"))?;
    let request = form(
        url,
        &[
            ("grant_type", "access_token"),
            ("service", registry),
            ("tenant", &tenant),
            ("access_token", &entra.access_token),
        ],
    );
    let answer: RefreshToken = caller.json(request, access).await?;
    Ok((Credential::Identity(answer.refresh_token), TOKEN_LIFE))
}

/// A token for the API servers of Azure Kubernetes Service.
pub(super) async fn cluster_token(
    caller: Caller<'_>,
    application: (&str, &str),
    assertion: &str,
) -> Result<(String, Duration), OciError> {
    let entra = entra_token(caller, application, assertion, AKS_SCOPE).await?;
    Ok((entra.access_token, seconds(entra.expires_in, ENTRA_TOKEN_LIFE)))
}

/// A token of Entra ID for an application of a tenant, by a federated token.
async fn entra_token(
    caller: Caller<'_>,
    (tenant, client): (&str, &str),
    assertion: &str,
    scope: &str,
) -> Result<AccessToken, OciError> {
    let authority = caller.variable("AZURE_AUTHORITY_HOST");
    let authority = authority.unwrap_or_else(|| "https://login.microsoftonline.com/".to_owned());
    if !tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return Err(caller.denied("AZURE_TENANT_ID is neither an id nor a domain"));
    }
    let url = caller.url(&format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')))?;
    let request = form(
        url,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ],
    );
    caller.json(request, &Access::anonymous()).await
}
