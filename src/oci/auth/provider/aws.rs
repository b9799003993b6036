//! Amazon ECR: the pod's role by IRSA (a web identity) or EKS Pod Identity, and
//! with it the registry's token of 12 hours. Amazon EKS: the role of a ServiceAccount, and with it a
//! token for a cluster.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;

use super::call::{Caller, element, form};
use super::sigv4::{self, Keys, Signed};
use crate::domain::remote::cloud::EksCluster;
use crate::oci::credentials::{Access, Credential, Ecr};
use crate::oci::error::OciError;
use crate::oci::reference::authority;
use crate::oci::transport::Request;

/// How long a token of ECR is valid, by its documentation.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);
/// How long a token for a cluster is used. EKS accepts it for 15 minutes.
const EKS_TOKEN_LIFE: Duration = Duration::from_secs(14 * 60);
/// What AWS's own tools write for it, in seconds: older API servers accept no more, and none goes by it.
const EKS_EXPIRES: u32 = 60;
/// The hash of an empty body.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "authorizationData")]
    data: OneOrMore,
}

/// ECR returns a list, the public ECR a single one.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Authorization),
    More(Vec<Authorization>),
}

#[derive(Deserialize)]
struct Authorization {
    #[serde(rename = "authorizationToken")]
    token: String,
    #[serde(rename = "expiresAt")]
    expires_at: Option<f64>,
}

/// `GetAuthorizationToken`.
pub(super) async fn credential(caller: Caller<'_>, ecr: &Ecr) -> Result<(Credential, Duration), OciError> {
    let keys = keys(caller, ecr).await?;
    let (variable, target) = match ecr.service {
        "ecr" => ("AWS_ENDPOINT_URL_ECR", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"),
        _ => ("AWS_ENDPOINT_URL_ECR_PUBLIC", "SpencerFrontendService.GetAuthorizationToken"),
    };
    let request = signed(caller, ecr, &keys, &endpoint(caller, variable, &ecr.host), target)?;
    let host = authority(&request.url);
    let answer: Answer = caller.json(request, &Access::anonymous()).await?;
    let first = match answer.data {
        OneOrMore::One(one) => Some(one),
        OneOrMore::More(more) => more.into_iter().next(),
    };
    let unusable = || caller.denied(&format!("{host} returned no token"));
    let Authorization { token, expires_at } = first.ok_or_else(unusable)?;
    let decoded = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) =
        decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(unusable)?;
    let now = jiff::Timestamp::now().as_second();
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond the range is cut to its end")]
    let life = expires_at.map(|at| u64::try_from((at as i64).saturating_sub(now)).unwrap_or_default());
    let credential = Credential::Password { username: username.to_owned(), password: password.to_owned() };
    Ok((credential, super::call::seconds(life, TOKEN_LIFE)))
}

fn signed(
    caller: Caller<'_>,
    ecr: &Ecr,
    keys: &Keys,
    endpoint: &str,
    target: &'static str,
) -> Result<Request, OciError> {
    const KIND: &str = "application/x-amz-json-1.1";
    let url = caller.url(endpoint)?;
    let (host, body) = (authority(&url), Bytes::from_static(b"{}"));
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![("content-type", KIND), ("host", host.as_str()), ("x-amz-date", time.as_str())];
    if let Some(session) = &keys.session {
        headers.push(("x-amz-security-token", session));
    }
    headers.push(("x-amz-target", target));
    let path = url.path().to_owned();
    let signed = Signed {
        method: "POST",
        path: &path,
        headers: &headers,
        body: &body,
        region: &ecr.region,
        service: ecr.service,
        time: &time,
    };
    let authorization = sigv4::authorization(keys, &signed);
    let mut request = Request::new(Method::POST, url);
    for (name, value) in &headers[2..] {
        request.headers.push((HeaderName::from_static(name), caller.header(value)?));
    }
    request.headers.push((AUTHORIZATION, caller.header(&authorization)?));
    request.body = Some((KIND.to_owned(), body));
    Ok(request)
}

/// The endpoint of a service: from the variables of the SDKs, else AWS's own.
fn endpoint(caller: Caller<'_>, variable: &str, host: &str) -> String {
    let named = caller.variable(variable).or_else(|| caller.variable("AWS_ENDPOINT_URL"));
    named.unwrap_or_else(|| format!("https://{host}/"))
}

/// Keys in the SDKs' order: from variables, by web identity, by the container's agent.
/// The role of the node is not used: every pod shares it.
async fn keys(caller: Caller<'_>, ecr: &Ecr) -> Result<Keys, OciError> {
    let given = (caller.variable("AWS_ACCESS_KEY_ID"), caller.variable("AWS_SECRET_ACCESS_KEY"));
    if let (Some(id), Some(secret)) = given {
        return Ok(Keys { id, secret, session: caller.variable("AWS_SESSION_TOKEN") });
    }
    if let Some(path) = caller.variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
        return web_identity(caller, ecr, &path).await;
    }
    if let Some(url) = caller.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        return container(caller, &url).await;
    }
    Err(caller.denied(
        "this process has no AWS identity: neither AWS_WEB_IDENTITY_TOKEN_FILE (IRSA) nor \
         AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity) is set",
    ))
}

/// IRSA: the role of the pod.
async fn web_identity(caller: Caller<'_>, ecr: &Ecr, path: &str) -> Result<Keys, OciError> {
    let role = caller.required("AWS_ROLE_ARN", "IRSA")?;
    let token = caller.file(path).await?;
    let region = caller.variable("AWS_REGION").or_else(|| caller.variable("AWS_DEFAULT_REGION"));
    let region = region.unwrap_or_else(|| ecr.region.clone());
    let session = caller.variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "supercargo".to_owned());
    assume(caller, (&region, ecr.domain), (&role, &session), &token).await
}

/// `AssumeRoleWithWebIdentity` of STS: the keys of a role, for a token of a ServiceAccount.
async fn assume(
    caller: Caller<'_>,
    (region, domain): (&str, &str),
    (role, session): (&str, &str),
    token: &str,
) -> Result<Keys, OciError> {
    let host = format!("sts.{region}.{domain}");
    let url = caller.url(&endpoint(caller, "AWS_ENDPOINT_URL_STS", &host))?;
    let host = authority(&url);
    let request = form(
        url,
        &[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", session),
            ("WebIdentityToken", token),
        ],
    );
    let answer = caller.send(request, &Access::anonymous()).await?;
    let text = String::from_utf8_lossy(&answer);
    let found =
        (element(&text, "AccessKeyId"), element(&text, "SecretAccessKey"), element(&text, "SessionToken"));
    match found {
        (Some(id), Some(secret), session @ Some(_)) => Ok(Keys { id, secret, session }),
        _ => Err(caller.denied(&format!("{host} returned no credentials"))),
    }
}

/// A token for a cluster of EKS: a signed request, which its API server sends to STS to learn the
/// caller. It is bound to the name of the cluster by a signed header.
pub(super) async fn cluster_token(
    caller: Caller<'_>,
    cluster: &EksCluster,
    as_role: (&str, &str),
    assertion: &str,
) -> Result<(String, Duration), OciError> {
    let EksCluster { name, region, domain } = cluster;
    let keys = assume(caller, (region, domain), as_role, assertion).await?;
    // Not an endpoint of the environment: the API server accepts AWS's own only.
    let host = format!("sts.{region}.{domain}");
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let signed = Signed {
        method: "GET",
        path: "/",
        headers: &[("host", &host), ("x-k8s-aws-id", name)],
        body: b"",
        region,
        service: "sts",
        time: &time,
    };
    let parameters = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let query = sigv4::presigned(&keys, &signed, &parameters, EKS_EXPIRES, EMPTY);
    let url = format!("https://{host}/?{query}");
    Ok((format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)), EKS_TOKEN_LIFE))
}

#[derive(Deserialize)]
struct Lent {
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: String,
    #[serde(rename = "Token")]
    session: Option<String>,
}

/// EKS Pod Identity: the agent on the node gives temporary keys in return for the token.
async fn container(caller: Caller<'_>, url: &str) -> Result<Keys, OciError> {
    let mut request = Request::new(Method::GET, caller.url(url)?);
    request.headers.push((http::header::ACCEPT, HeaderValue::from_static("application/json")));
    let token = match caller.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => Some(caller.file(&path).await?),
        None => caller.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    if let Some(token) = token {
        request.headers.push((AUTHORIZATION, caller.header(&token)?));
    }
    let Lent { id, secret, session } = caller.json(request, &Access::anonymous()).await?;
    Ok(Keys { id, secret, session })
}
