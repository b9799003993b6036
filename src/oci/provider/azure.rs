//! Azure Container Registry: the pod's federated token for a token of Entra ID,
//! that for a refresh token of the registry.

use std::time::Duration;

use serde::Deserialize;

use super::call::{Caller, form};
use crate::oci::access::Access;
use crate::oci::auth::Credential;
use crate::oci::error::OciError;

/// How long a refresh token of the registry is used; it is good for three.
const TOKEN_LIFE: Duration = Duration::from_secs(3 * 3600);
/// What the token of Entra ID is for: any registry, of any of the clouds.
const SCOPE: &str = "https://containerregistry.azure.net/.default";
const CLOUDS: [&str; 3] = [".azurecr.io", ".azurecr.cn", ".azurecr.us"];

/// Whether the registry is one of Azure's, and not a name below one.
pub(super) fn is_host(registry: &str) -> bool {
    let name = CLOUDS.iter().find_map(|cloud| registry.strip_suffix(cloud));
    // A regional endpoint is `NAME.REGION.data`, and takes no such credentials.
    name.is_some_and(|name| !name.is_empty() && !name.contains(['.', ':']))
}

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
}

#[derive(Deserialize)]
struct RefreshToken {
    refresh_token: String,
}

/// The two exchanges. The registry is reached as the release reaches it.
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
    let url = reqwest::Url::parse(&url).map_err(|_| caller.denied("the registry's name makes no URL"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_azure_are_azures() {
        let check = |registry: &str, expected: bool| assert_eq!(is_host(registry), expected, "{registry}");
        check("mine.azurecr.io", true);
        check("mine.azurecr.cn", true);
        check("mine.azurecr.us", true);
        check("azurecr.io", false);
        check(".azurecr.io", false);
        check("mine.azurecr.io:8443", false);
        check("mine.westeurope.data.azurecr.io", false);
        check("mine.azurecr.io.evil.com", false);
        check("evilazurecr.io", false);
        check("mine.azurecr.de", false);
    }
}
