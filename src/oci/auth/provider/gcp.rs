//! Google's Artifact Registry and Container Registry: a token of the metadata
//! server (GKE Workload Identity), or of Workload Identity Federation. Google Kubernetes Engine: a token
//! for that of a ServiceAccount, by the same federation.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::call::{Caller, form, plain, seconds};
use crate::oci::credentials::{Access, Credential};
use crate::oci::error::OciError;
use crate::oci::reference::authority;
use crate::oci::transport::Request;

/// How long a token is used when its lifetime is not given.
const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

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
    let request = metadata_request(caller, "instance/service-accounts/default/token")?;
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
    let exchange = Exchange {
        token_url: &file.token_url,
        audience: &file.audience,
        subject: (&file.subject_token_type, &subject),
        impersonation_url: file.service_account_impersonation_url.as_deref(),
        scopes: &[SCOPE],
    };
    exchange.token(caller).await
}

/// An exchange of a token for one of Google (RFC 8693), and of that for one of a service account of
/// Google.
struct Exchange<'a> {
    token_url: &'a str,
    audience: &'a str,
    /// The type of the token, and the token.
    subject: (&'a str, &'a str),
    impersonation_url: Option<&'a str>,
    /// What the last token is for.
    scopes: &'a [&'a str],
}

impl Exchange<'_> {
    async fn token(self, caller: Caller<'_>) -> Result<(String, Duration), OciError> {
        let scope = match self.impersonation_url {
            Some(_) => SCOPE.to_owned(),
            None => self.scopes.join(" "),
        };
        let request = form(
            caller.url(self.token_url)?,
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("audience", self.audience),
                ("scope", &scope),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ("subject_token_type", self.subject.0),
                ("subject_token", self.subject.1),
            ],
        );
        let Token { access_token, expires_in } = caller.json(request, &Access::anonymous()).await?;
        let Some(url) = self.impersonation_url else {
            return Ok((access_token, seconds(expires_in, TOKEN_LIFE)));
        };
        let mut request = Request::new(Method::POST, caller.url(url)?);
        request.headers.push((AUTHORIZATION, caller.header(&format!("Bearer {access_token}"))?));
        let body = Bytes::from(serde_json::json!({"scope": self.scopes}).to_string());
        request.body = Some(("application/json".to_owned(), body));
        let Impersonated { access_token, expire_time } = caller.json(request, &Access::anonymous()).await?;
        let left =
            expire_time.and_then(|at| Duration::try_from(at.duration_since(jiff::Timestamp::now())).ok());
        Ok((access_token, left.unwrap_or(TOKEN_LIFE)))
    }
}

/// The audience of a ServiceAccount's token, and that of its exchange, in the pool of the cluster that
/// this process runs in.
pub(super) async fn own_pool(caller: Caller<'_>) -> Result<(String, String), OciError> {
    let project = metadata(caller, "project/project-id").await?;
    let location = metadata(caller, "instance/attributes/cluster-location").await?;
    let cluster = metadata(caller, "instance/attributes/cluster-name").await?;
    let pool = format!("{project}.svc.id.goog");
    let provider = format!(
        "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"
    );
    let exchange = format!("identitynamespace:{pool}:{provider}");
    Ok((pool, exchange))
}

/// A token for the API servers of Google Kubernetes Engine.
pub(super) async fn cluster_token(
    caller: Caller<'_>,
    audience: &str,
    email: Option<&str>,
    assertion: &str,
) -> Result<(String, Duration), OciError> {
    let endpoint = |variable: &str, own: &str| {
        let named = caller.variable(variable).unwrap_or_else(|| own.to_owned());
        named.trim_end_matches('/').to_owned()
    };
    let sts = endpoint("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "https://sts.googleapis.com");
    let iam =
        endpoint("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials.googleapis.com");
    let impersonation_url =
        email.map(|email| format!("{iam}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"));
    let exchange = Exchange {
        token_url: &format!("{sts}/v1/token"),
        audience,
        subject: ("urn:ietf:params:oauth:token-type:jwt", assertion),
        impersonation_url: impersonation_url.as_deref(),
        // By the second, the API server knows the email of the user.
        scopes: &[SCOPE, "https://www.googleapis.com/auth/userinfo.email"],
    };
    exchange.token(caller).await
}

/// A text of the metadata server.
async fn metadata(caller: Caller<'_>, path: &str) -> Result<String, OciError> {
    let request = metadata_request(caller, path)?;
    let host = authority(&request.url);
    let body = caller.send(request, &Access::anonymous()).await?;
    let text = std::str::from_utf8(&body).map(str::trim).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    match !text.is_empty() && text.len() <= 100 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(caller.denied(&format!("{host} does not name {path}"))),
    }
}

fn metadata_request(caller: Caller<'_>, path: &str) -> Result<Request, OciError> {
    let host = caller.variable("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
    let mut request =
        Request::new(Method::GET, caller.url(&format!("http://{host}/computeMetadata/v1/{path}"))?);
    request.headers.push(plain("metadata-flavor", "Google"));
    Ok(request)
}
