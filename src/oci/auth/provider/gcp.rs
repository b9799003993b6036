//! Google's Artifact Registry and Container Registry: a token of the metadata
//! server (GKE Workload Identity), or of Workload Identity Federation.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::call::{Caller, form, plain, seconds};
use crate::oci::credentials::{Access, Credential};
use crate::oci::error::OciError;
use crate::oci::transport::Request;

/// How long a token is used when its lifetime is not given.
const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_PATH: &str = "computeMetadata/v1/instance/service-accounts/default/token";

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<u64>,
}

/// The file that `GOOGLE_APPLICATION_CREDENTIALS` names.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    audience: String,
    #[serde(default)]
    subject_token_type: String,
    #[serde(default)]
    token_url: String,
    #[serde(default)]
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    credential_source: Source,
}

#[derive(Default, Deserialize)]
struct Source {
    file: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subject_token_field_name: String,
}

#[derive(Deserialize)]
struct Impersonated {
    #[serde(rename = "accessToken")]
    access_token: String,
    #[serde(rename = "expireTime")]
    expire_time: Option<jiff::Timestamp>,
}

/// A token, as the password of the user that Google has for tokens.
pub(super) async fn credential(caller: Caller<'_>) -> Result<(Credential, Duration), OciError> {
    let (token, life) = match caller.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => federated(caller, &path).await?,
        None => of_metadata(caller).await?,
    };
    let username = "oauth2accesstoken".to_owned();
    Ok((Credential::Password { username, password: token }, life))
}

async fn of_metadata(caller: Caller<'_>) -> Result<(String, Duration), OciError> {
    let host = caller.variable("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
    let mut request = Request::new(Method::GET, caller.url(&format!("http://{host}/{TOKEN_PATH}"))?);
    request.headers.push(plain("metadata-flavor", "Google"));
    let Token { access_token, expires_in } = caller.json(request, &Access::anonymous()).await?;
    Ok((access_token, seconds(expires_in, TOKEN_LIFE)))
}

/// Exchanges a token of the pod for one of Google (RFC 8693), and that for one of a
/// service account where the file names one.
async fn federated(caller: Caller<'_>, path: &str) -> Result<(String, Duration), OciError> {
    let text = caller.file(path).await?;
    let unusable = |why: &str| caller.denied(&format!("cannot use {path}: {why}"));
    let file: File =
        serde_json::from_str(&text).map_err(|_| unusable("it is not a credential configuration"))?;
    if file.kind != "external_account" {
        return Err(unusable("only credentials of the type external_account are supported, not keys"));
    }
    let source = file.credential_source.file.as_deref();
    let source = source.ok_or_else(|| unusable("its credential_source is not a file"))?;
    let mut subject = caller.file(source).await?;
    let format = &file.credential_source.format;
    if format.kind == "json" {
        let value: Option<serde_json::Value> = serde_json::from_str(&subject).ok();
        let token = value.as_ref().and_then(|v| v.get(&format.subject_token_field_name)?.as_str());
        subject = token.ok_or_else(|| unusable("its credential_source contains no token"))?.to_owned();
    }
    let request = form(
        caller.url(&file.token_url)?,
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &file.audience),
            ("scope", SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", &file.subject_token_type),
            ("subject_token", &subject),
        ],
    );
    let Token { access_token, expires_in } = caller.json(request, &Access::anonymous()).await?;
    let Some(url) = file.service_account_impersonation_url else {
        return Ok((access_token, seconds(expires_in, TOKEN_LIFE)));
    };
    let mut request = Request::new(Method::POST, caller.url(&url)?);
    request.headers.push((AUTHORIZATION, caller.header(&format!("Bearer {access_token}"))?));
    let body = Bytes::from(serde_json::json!({"scope": [SCOPE]}).to_string());
    request.body = Some(("application/json".to_owned(), body));
    let Impersonated { access_token, expire_time } = caller.json(request, &Access::anonymous()).await?;
    let left = expire_time.and_then(|at| Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok());
    Ok((access_token, left.unwrap_or(TOKEN_LIFE)))
}
