//! Azure Container Registry: the pod's federated token is exchanged for a token of Entra
//! ID, and that for a refresh token of the registry.

use std::time::Duration;

use serde::Deserialize;

use super::call::{Caller, form};
use crate::oci::credentials::{Access, Credential};
use crate::oci::error::OciError;

/// How long a refresh token of the registry is used; it is valid for three.
const TOKEN_LIFE: Duration = Duration::from_secs(3 * 3600);
/// The scope of the token of Entra ID: any registry, in any of the clouds.
const SCOPE: &str = "https://containerregistry.azure.net/.default";

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
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
    let authority = caller.variable("AZURE_AUTHORITY_HOST");
    let authority = authority.unwrap_or_else(|| "https://login.microsoftonline.com/".to_owned());
    if !tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return Err(caller.denied("AZURE_TENANT_ID is neither an id nor a domain"));
    }
    let url = caller.url(&format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')))?;
    let assertion = caller.file(&path).await?;
    let request = form(
        url,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &client),
            ("scope", SCOPE),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ],
    );
    let entra: AccessToken = caller.json(request, &Access::anonymous()).await?;
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
