//! Tokens of clouds for API servers, by the token of a ServiceAccount: against local stand-ins of the
//! clouds' HTTP APIs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use supercargo::domain::remote::cloud::{CloudLogin, EksCluster};
use supercargo::oci::{Assertion, Registry, RegistryOptions};

use crate::liar::{Liar, Seen, endless, options, reply, soon};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// A process whose environment leads to a stand-in.
struct Process {
    cloud: Liar,
    variables: BTreeMap<&'static str, String>,
}

impl Process {
    async fn new() -> Self {
        Self { cloud: Liar::start().await, variables: BTreeMap::new() }
    }

    fn set(&mut self, name: &'static str, path: &str) {
        self.variables.insert(name, format!("http://{}{path}", self.cloud.host));
    }

    async fn token(&self, login: &CloudLogin, audience: &str) -> Result<(String, Duration), String> {
        let variables = self.variables.clone();
        let variables = Arc::new(move |name: &str| variables.get(name).cloned());
        let registry = Registry::new(RegistryOptions { variables, ..options() });
        let assertion = Assertion { account: ("apps", "prod"), audience, token: "federated.s3cret" };
        soon(registry.cluster_token(login, &assertion)).await.map_err(|error| error.to_string())
    }
}

fn field(seen: &Seen, name: &str) -> Option<String> {
    let pairs = reqwest::Url::parse(&format!("form:x?{}", seen.body)).ok()?;
    pairs.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn aws() -> CloudLogin {
    let cluster = EksCluster { name: "prod".into(), region: "eu-west-1".into(), domain: "amazonaws.com" };
    CloudLogin::Aws { cluster, role: "arn:aws:iam::123456789012:role/deploy".into() }
}

fn azure() -> CloudLogin {
    CloudLogin::Azure { tenant: TENANT.into(), client: "client".into() }
}

const STS: &str = "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>\
    <SecretAccessKey>key/s3cret+x=</SecretAccessKey><SessionToken>session/token==</SessionToken></Credentials>\
    </AssumeRoleWithWebIdentityResponse>";

#[tokio::test]
async fn eks_a_role_signs_a_request_for_one_cluster() {
    let mut process = Process::new().await;
    process.set("AWS_ENDPOINT_URL_STS", "/sts");
    process.cloud.lie(|seen| {
        let right = seen.method == Method::POST
            && field(seen, "Action").as_deref() == Some("AssumeRoleWithWebIdentity")
            && field(seen, "RoleArn").as_deref() == Some("arn:aws:iam::123456789012:role/deploy")
            && field(seen, "RoleSessionName").as_deref() == Some("apps.prod")
            && field(seen, "WebIdentityToken").as_deref() == Some("federated.s3cret");
        (seen.path == "/sts").then(|| reply(if right { 200 } else { 400 }, &[], STS))
    });
    let (token, life) = process.token(&aws(), "sts.amazonaws.com").await.unwrap();
    assert_eq!(life, Duration::from_secs(14 * 60), "EKS accepts it for 15 minutes");
    let url = URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.").unwrap()).unwrap();
    let url = reqwest::Url::parse(std::str::from_utf8(&url).unwrap()).unwrap();
    // Not the stand-in: the API server calls AWS.
    assert_eq!((url.scheme(), url.host_str()), ("https", Some("sts.eu-west-1.amazonaws.com")));
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: Vec<&str> = query.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "Action",
        "Version",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    assert_eq!(names, expected);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).unwrap().1.as_str();
    assert_eq!(value("Action"), "GetCallerIdentity");
    assert_eq!(value("X-Amz-SignedHeaders"), "host;x-k8s-aws-id", "it is bound to the cluster");
    assert_eq!(value("X-Amz-Security-Token"), "session/token==");
    let credential = value("X-Amz-Credential");
    assert!(credential.starts_with("ASIAEXAMPLE/") && credential.ends_with("/eu-west-1/sts/aws4_request"));
}

#[tokio::test]
async fn aks_a_federated_token_becomes_one_of_entra() {
    let mut process = Process::new().await;
    process.set("AZURE_AUTHORITY_HOST", "/entra/");
    process.cloud.lie(|seen| {
        let right = seen.path == format!("/entra/{TENANT}/oauth2/v2.0/token")
            && field(seen, "client_assertion").as_deref() == Some("federated.s3cret")
            && field(seen, "client_id").as_deref() == Some("client")
            && field(seen, "scope").as_deref() == Some("6dae42f8-4368-4678-94ff-3960e28e3630/.default");
        let body = r#"{"access_token":"entra","expires_in":3599}"#;
        Some(if right { reply(200, &[], body) } else { reply(401, &[], r#"{"error":"invalid_client"}"#) })
    });
    let given = process.token(&azure(), "api://AzureADTokenExchange").await;
    assert_eq!(given, Ok(("entra".to_owned(), Duration::from_secs(3599))));
    let other = CloudLogin::Azure { tenant: TENANT.into(), client: "another".into() };
    let refused = process.token(&other, "").await.unwrap_err();
    let host = &process.cloud.host;
    assert_eq!(refused, format!("the account's identity was refused: {host} answered 401 (invalid_client)"));
}

#[tokio::test]
async fn gke_a_federated_token_becomes_a_service_accounts() {
    let pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k";
    let mut process = Process::new().await;
    process.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "/sts/");
    process.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "/iam");
    process.cloud.lie(move |seen| match seen.path.as_str() {
        "/sts/v1/token" => {
            let right = field(seen, "subject_token").as_deref() == Some("federated.s3cret")
                && field(seen, "subject_token_type").as_deref()
                    == Some("urn:ietf:params:oauth:token-type:jwt")
                && field(seen, "audience").as_deref() == Some(pool);
            let scope = field(seen, "scope").unwrap_or_default();
            let token = if scope.ends_with("/userinfo.email") { "itself" } else { "sts" };
            let body = json!({"access_token": token, "expires_in": 3600}).to_string();
            Some(reply(if right { 200 } else { 400 }, &[], body))
        }
        "/iam/v1/projects/-/serviceAccounts/deploy@p.iam.gserviceaccount.com:generateAccessToken" => {
            let right = seen.authorization.as_deref() == Some("Bearer sts")
                && seen.body.contains("/auth/cloud-platform")
                && seen.body.contains("/auth/userinfo.email");
            let body = r#"{"accessToken":"google","expireTime":"2100-01-01T00:00:00Z"}"#;
            Some(reply(if right { 200 } else { 403 }, &[], body))
        }
        _ => None,
    });
    let email = Some("deploy@p.iam.gserviceaccount.com".to_owned());
    let (token, life) = process.token(&CloudLogin::Gcp { email }, pool).await.unwrap();
    assert_eq!(
        (token.as_str(), life),
        ("google", Duration::from_secs(12 * 3600)),
        "no token is kept for ever"
    );
    let (token, life) = process.token(&CloudLogin::Gcp { email: None }, pool).await.unwrap();
    assert_eq!((token.as_str(), life), ("itself", Duration::from_secs(3600)));
}

#[tokio::test]
async fn gke_the_pool_of_the_own_cluster_comes_from_the_metadata_server() {
    let mut process = Process::new().await;
    process.variables.insert("GCE_METADATA_HOST", process.cloud.host.clone());
    process.cloud.lie(|seen| {
        let flavor = seen.header("metadata-flavor");
        let value = match seen.path.strip_prefix("/computeMetadata/v1/")? {
            "project/project-id" => "shop-1",
            "instance/attributes/cluster-location" => "europe-west1",
            "instance/attributes/cluster-name" => "home",
            _ => return None,
        };
        Some(reply(if flavor.as_deref() == Some("Google") { 200 } else { 403 }, &[], value))
    });
    let variables = process.variables.clone();
    let variables = Arc::new(move |name: &str| variables.get(name).cloned());
    let registry = Registry::new(RegistryOptions { variables, ..options() });
    let pool = soon(registry.own_pool()).await.unwrap();
    assert_eq!(pool.of_token, "shop-1.svc.id.goog");
    assert_eq!(
        pool.of_exchange,
        "identitynamespace:shop-1.svc.id.goog:https://container.googleapis.com/v1/projects/shop-1/locations/\
         europe-west1/clusters/home"
    );
}

/// Threats: an answer without an end, one that is no token, a redirect, an endpoint in plain HTTP.
#[tokio::test]
async fn what_a_cloud_refuses_is_told_without_the_token() {
    let mut process = Process::new().await;
    process.set("AWS_ENDPOINT_URL_STS", "/sts");
    process.set("AZURE_AUTHORITY_HOST", "/entra");
    let check = async |process: &Process, login: &CloudLogin, says: &str| {
        let refused = process.token(login, "x").await.unwrap_err();
        assert!(refused.contains(says) && !refused.contains("s3cret"), "{refused}");
    };
    let code = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>s3cret</Message></Error></ErrorResponse>";
    for (status, body, says) in [
        (400, code, "answered 400 (InvalidIdentityToken)"),
        (503, code, "is unavailable: it answered 503 (InvalidIdentityToken)"),
        (200, "<html>s3cret</html>", "returned no"),
        (302, "", "answered 302"),
    ] {
        process.cloud.repent();
        process.cloud.lie(move |_| Some(reply(status, &[("location", "http://10.0.0.1/")], body)));
        check(&process, &aws(), says).await;
    }
    check(&process, &azure(), "answered 302").await;
    process.cloud.repent();
    process.cloud.lie(|_| Some(reply(200, &[], endless())));
    check(&process, &aws(), "returned more than").await;
    check(&process, &azure(), "returned more than").await;
    process.variables.insert("AWS_ENDPOINT_URL_STS", "http://sts.example".to_owned());
    check(&process, &aws(), "\"http://sts.example\" cannot receive the account's identity").await;
}
