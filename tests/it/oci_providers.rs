//! Workload identity: the clouds' token exchanges, against local stand-ins of
//! their HTTP APIs, and what is kept from strangers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Method;
use serde_json::json;
use supercargo::api::reason::Reason;
use supercargo::api::release::RegistryProvider;
use supercargo::oci::{Access, AccessParts, Hosts, Proxy, Registry, RegistryOptions, Repository};

use crate::liar::{Liar, Seen, options, reply, resolve, soon};

const YAML: &str = "kind: ConfigMap\n";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const ACR: &str = "mine.azurecr.io";
const GAR: &str = "europe-docker.pkg.dev";

/// A pod in a cloud: its registry, the cloud's APIs, and the pod's files.
struct Pod {
    cloud: Liar,
    directory: tempfile::TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl Pod {
    async fn new() -> Self {
        let cloud = Liar::start().await;
        cloud.artifact("1.0", YAML);
        Self { cloud, directory: tempfile::tempdir().unwrap(), variables: BTreeMap::new() }
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.insert(name, value.into());
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path: PathBuf = Path::new(self.directory.path()).join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.cloud.host)
    }

    /// A client in the pod, for which the registries' names lead to the stand-in.
    fn registry(&self) -> Registry {
        let address = vec![self.cloud.host.parse().unwrap()];
        let names = [ECR, "public.ecr.aws", ACR, GAR, "ghcr.io"];
        let hosts: Hosts = Arc::new(names.map(|name| (name.to_owned(), address.clone())).into());
        let variables = self.variables.clone();
        let variables = Arc::new(move |name: &str| variables.get(name).cloned());
        Registry::new(RegistryOptions { hosts, variables, ..options() })
    }

    async fn told(&self, registry: &Registry, host: &str, access: &Access) -> Result<(), (Reason, String)> {
        let repository = Repository::parse(&format!("oci://{host}/team/app")).unwrap();
        let resolved = soon(resolve(registry, &repository, "1.0", access)).await;
        resolved.map(|_| ()).map_err(|e| (e.reason(), e.to_string()))
    }
}

fn access(provider: RegistryProvider) -> Access {
    Access::new(AccessParts { provider, insecure: true, ..AccessParts::default() })
}

/// A field of a form, decoded.
fn field(seen: &Seen, name: &str) -> Option<String> {
    let pair = seen.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(pair.replace("%3A", ":").replace("%2F", "/").replace("%3D", "=").replace("%2B", "+"))
}

const STS: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
    <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s3cret/key+x=</SecretAccessKey>\
    <SessionToken>session==</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/// ECR and its public twin; what they give opens the registry.
fn ecr(pod: &Pod, region: &'static str, service: &'static str, session: &'static str) {
    pod.cloud.lie(move |seen| {
        if seen.path == "/" {
            let target = seen.header("x-amz-target")?;
            let signed = seen.authorization.clone().unwrap_or_default();
            let scope =
                format!("/{region}/{service}/aws4_request, SignedHeaders=content-type;host;x-amz-date;");
            let right = signed.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/")
                && signed.contains(&scope)
                && seen.header("x-amz-security-token").as_deref() == Some(session)
                && seen.header("content-type").as_deref() == Some("application/x-amz-json-1.1")
                && seen.body == "{}";
            let data = json!({"authorizationToken": "QVdTOnRva2Vu", "expiresAt": 4102444800.0});
            return Some(match (right, target.as_str()) {
                (true, "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken") => {
                    reply(200, &[], json!({"authorizationData": [data]}).to_string())
                }
                (true, "SpencerFrontendService.GetAuthorizationToken") => {
                    reply(200, &[], json!({"authorizationData": data}).to_string())
                }
                _ => reply(403, &[], r#"{"__type":"AccessDeniedException","message":"no"}"#),
            });
        }
        let open = seen.authorization.as_deref() == Some("Basic QVdTOnRva2Vu");
        let challenge = [("www-authenticate", r#"Basic realm="https://ecr",service="ecr.amazonaws.com""#)];
        (!open && seen.path.starts_with("/v2/")).then(|| reply(401, &challenge, ""))
    });
}

#[tokio::test]
async fn aws_irsa_a_role_by_web_identity_opens_ecr_for_hours() {
    let mut pod = Pod::new().await;
    pod.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pull");
    pod.set("AWS_WEB_IDENTITY_TOKEN_FILE", pod.file("token", "web-identity\n"));
    pod.set("AWS_ENDPOINT_URL_STS", pod.url("/sts"));
    pod.set("AWS_ENDPOINT_URL_ECR", pod.url("/"));
    pod.cloud.lie(|seen| {
        (seen.path == "/sts").then(|| {
            let right = seen.method == Method::POST
                && field(seen, "Action").as_deref() == Some("AssumeRoleWithWebIdentity")
                && field(seen, "RoleArn").as_deref() == Some("arn:aws:iam::123456789012:role/pull")
                && field(seen, "WebIdentityToken").as_deref() == Some("web-identity");
            reply(if right { 200 } else { 400 }, &[], STS)
        })
    });
    ecr(&pod, "eu-west-1", "ecr", "session==");
    let registry = pod.registry();
    pod.told(&registry, ECR, &access(RegistryProvider::Aws)).await.unwrap();
    assert_eq!(pod.cloud.asked().len(), 4, "challenge, STS, ECR, answer");
    // Another release gets the same token without asking for it.
    let other = Access::new(AccessParts {
        provider: RegistryProvider::Aws,
        insecure: true,
        client_cert: None,
        keyring: {
            let mut keyring = supercargo::oci::Keyring::default();
            keyring.add_password("elsewhere.example", "user", "sesame");
            keyring
        },
        ..AccessParts::default()
    });
    pod.told(&registry, ECR, &other).await.unwrap();
    assert_eq!(pod.cloud.asked().len(), 2, "challenge, answer");
    // Without the provider there is nothing.
    let (reason, message) = pod.told(&registry, ECR, &access(RegistryProvider::Generic)).await.unwrap_err();
    assert_eq!(reason, Reason::AuthenticationFailed);
    assert!(message.contains("none are configured for it"), "{message}");
}

#[tokio::test]
async fn aws_pod_identity_opens_the_public_registry() {
    let mut pod = Pod::new().await;
    pod.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", pod.url("/v1/credentials"));
    pod.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod.file("token", "agent"));
    pod.set("AWS_ENDPOINT_URL", pod.url("/"));
    pod.cloud.lie(|seen| {
        (seen.path == "/v1/credentials").then(|| {
            let right = seen.authorization.as_deref() == Some("agent");
            let keys = json!({"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "x", "Token": "lent", "Expiration": "x"});
            reply(if right { 200 } else { 403 }, &[], keys.to_string())
        })
    });
    ecr(&pod, "us-east-1", "ecr-public", "lent");
    pod.told(&pod.registry(), "public.ecr.aws", &access(RegistryProvider::Aws)).await.unwrap();
}

#[tokio::test]
async fn azure_a_federated_token_is_traded_twice() {
    let mut pod = Pod::new().await;
    pod.set("AZURE_CLIENT_ID", "client");
    pod.set("AZURE_TENANT_ID", "11111111-2222-3333-4444-555555555555");
    pod.set("AZURE_FEDERATED_TOKEN_FILE", pod.file("token", "federated"));
    pod.set("AZURE_AUTHORITY_HOST", pod.url("/entra/"));
    pod.cloud.lie(|seen| match seen.path.as_str() {
        "/entra/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token" => {
            let right = field(seen, "client_assertion").as_deref() == Some("federated")
                && field(seen, "client_id").as_deref() == Some("client")
                && field(seen, "grant_type").as_deref() == Some("client_credentials")
                && field(seen, "scope").as_deref() == Some("https://containerregistry.azure.net/.default");
            let body = r#"{"access_token":"entra","expires_in":3599}"#;
            Some(if right { reply(200, &[], body) } else { reply(401, &[], r#"{"error":"invalid_client"}"#) })
        }
        "/oauth2/exchange" => {
            let right = field(seen, "access_token").as_deref() == Some("entra")
                && field(seen, "service").as_deref() == Some(ACR)
                && field(seen, "grant_type").as_deref() == Some("access_token");
            Some(reply(if right { 200 } else { 401 }, &[], r#"{"refresh_token":"refresh"}"#))
        }
        "/oauth2/token" => {
            let right = field(seen, "refresh_token").as_deref() == Some("refresh");
            Some(reply(if right { 200 } else { 401 }, &[], r#"{"access_token":"open","expires_in":4500}"#))
        }
        _ => {
            let open = seen.authorization.as_deref() == Some("Bearer open");
            let challenge = format!(r#"Bearer realm="http://{ACR}/oauth2/token",service="{ACR}""#);
            (!open).then(|| reply(401, &[("www-authenticate", &challenge)], ""))
        }
    });
    let registry = pod.registry();
    pod.told(&registry, ACR, &access(RegistryProvider::Azure)).await.unwrap();
    assert_eq!(pod.cloud.asked().len(), 5, "challenge, Entra, exchange, token, answer");
    pod.told(&registry, ACR, &access(RegistryProvider::Azure)).await.unwrap();
    assert_eq!(pod.cloud.asked().len(), 1);
}

/// Google's registry, which wants a bearer token for the token of the pod.
fn gar(pod: &Pod) {
    pod.cloud.lie(|seen| {
        if seen.path.starts_with("/v2/token") {
            // oauth2accesstoken:google
            let right = seen.authorization.as_deref() == Some("Basic b2F1dGgyYWNjZXNzdG9rZW46Z29vZ2xl");
            return Some(reply(if right { 200 } else { 403 }, &[], r#"{"token":"open"}"#));
        }
        let open = seen.authorization.as_deref() == Some("Bearer open");
        let challenge = format!(r#"Bearer realm="http://{GAR}/v2/token",service="{GAR}""#);
        (!open && seen.path.starts_with("/v2/")).then(|| reply(401, &[("www-authenticate", &challenge)], ""))
    });
}

#[tokio::test]
async fn gcp_a_token_of_the_metadata_server_opens_artifact_registry() {
    let mut pod = Pod::new().await;
    pod.set("GCE_METADATA_HOST", pod.cloud.host.clone());
    pod.cloud.lie(|seen| {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        (seen.path == path).then(|| match seen.header("metadata-flavor").as_deref() {
            Some("Google") => {
                reply(200, &[], r#"{"access_token":"google","expires_in":3599,"token_type":"Bearer"}"#)
            }
            _ => reply(403, &[], ""),
        })
    });
    gar(&pod);
    pod.told(&pod.registry(), GAR, &access(RegistryProvider::Gcp)).await.unwrap();
}

#[tokio::test]
async fn gcp_a_federated_token_becomes_a_service_accounts() {
    let mut pod = Pod::new().await;
    let token = pod.file("token", r#"{"id":"federated"}"#);
    let file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": pod.url("/sts/v1/token"),
        "service_account_impersonation_url": pod.url("/iam/pull:generateAccessToken"),
        "credential_source": {"file": token, "format": {"type": "json", "subject_token_field_name": "id"}},
    });
    pod.set("GOOGLE_APPLICATION_CREDENTIALS", pod.file("credentials", &file.to_string()));
    pod.cloud.lie(|seen| match seen.path.as_str() {
        "/sts/v1/token" => {
            let right = field(seen, "subject_token").as_deref() == Some("federated")
                && field(seen, "audience").is_some_and(|a| a.ends_with("/providers/k"));
            Some(reply(if right { 200 } else { 400 }, &[], r#"{"access_token":"sts","expires_in":3600}"#))
        }
        "/iam/pull:generateAccessToken" => {
            let right = seen.authorization.as_deref() == Some("Bearer sts");
            let body = r#"{"accessToken":"google","expireTime":"2100-01-01T00:00:00Z"}"#;
            Some(reply(if right { 200 } else { 403 }, &[], body))
        }
        _ => None,
    });
    gar(&pod);
    pod.told(&pod.registry(), GAR, &access(RegistryProvider::Gcp)).await.unwrap();
    // A key is no workload identity, and a file is no secret to quote.
    let mut pod = Pod::new().await;
    gar(&pod);
    for (content, says) in [
        (r#"{"type":"service_account","private_key":"s3cret"}"#, "not keys"),
        ("s3cret", "not a credential configuration"),
    ] {
        pod.set("GOOGLE_APPLICATION_CREDENTIALS", pod.file("credentials", content));
        let (reason, message) =
            pod.told(&pod.registry(), GAR, &access(RegistryProvider::Gcp)).await.unwrap_err();
        assert_eq!(reason, Reason::AuthenticationFailed);
        assert!(message.contains(says) && !message.contains("s3cret"), "{message}");
    }
}

#[tokio::test]
async fn the_pods_identity_goes_to_no_registry_of_others() {
    let mut pod = Pod::new().await;
    pod.set("GCE_METADATA_HOST", pod.cloud.host.clone());
    pod.set("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE");
    pod.set("AWS_SECRET_ACCESS_KEY", "s3cret");
    pod.set("AWS_ENDPOINT_URL", pod.url("/cloud"));
    pod.cloud.lie(|seen| {
        let challenge = [("www-authenticate", "Basic realm=x")];
        seen.path.starts_with("/v2/").then(|| reply(401, &challenge, ""))
    });
    let registry = pod.registry();
    for (provider, host) in [
        (RegistryProvider::Aws, "ghcr.io"),
        (RegistryProvider::Aws, GAR),
        (RegistryProvider::Azure, ECR),
        (RegistryProvider::Gcp, ACR),
        (RegistryProvider::Gcp, pod.cloud.host.as_str()),
    ] {
        let (reason, message) = pod.told(&registry, host, &access(provider)).await.unwrap_err();
        assert_eq!(reason, Reason::AuthenticationFailed);
        assert!(message.contains("has no credentials for"), "{message}");
    }
    assert!(pod.cloud.asked().iter().all(|asked| asked.starts_with("HEAD manifests/")));
    // Nor where whoever wrote the release could read it from the wire.
    let proxy = Proxy::new(&pod.url(""), "", "").unwrap();
    let release =
        AccessParts { provider: RegistryProvider::Aws, proxy: Some(proxy), ..AccessParts::default() };
    let plain = Access::new(AccessParts { insecure: true, ..release });
    let (_, message) = pod.told(&registry, ECR, &plain).await.unwrap_err();
    assert!(message.contains("are not sent over plain HTTP"), "{message}");
    assert!(pod.cloud.asked().iter().all(|asked| asked.starts_with("HEAD manifests/")));
}

#[tokio::test]
async fn what_is_missing_or_refused_is_told_without_the_secret() {
    let mut pod = Pod::new().await;
    let check = async |pod: &Pod, says: &str| {
        let (reason, message) =
            pod.told(&pod.registry(), ECR, &access(RegistryProvider::Aws)).await.unwrap_err();
        assert_eq!(reason, Reason::AuthenticationFailed, "{message}");
        assert!(message.contains(says) && !message.contains("s3cret"), "{message}");
    };
    pod.cloud.lie(|seen| {
        seen.path.starts_with("/v2/").then(|| reply(401, &[("www-authenticate", "Basic realm=x")], ""))
    });
    check(&pod, "neither AWS_WEB_IDENTITY_TOKEN_FILE (IRSA) nor").await;
    pod.set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token");
    check(&pod, "AWS_ROLE_ARN is not set").await;
    pod.set("AWS_ROLE_ARN", "arn");
    check(&pod, "cannot read /nonexistent/token").await;
    pod.set("AWS_WEB_IDENTITY_TOKEN_FILE", pod.file("long", &"s3cret".repeat(20_000)));
    check(&pod, "has more than 65536 bytes").await;
    pod.set("AWS_WEB_IDENTITY_TOKEN_FILE", pod.file("token", "s3cret"));
    pod.set("AWS_ENDPOINT_URL", "http://sts.example");
    check(&pod, "cannot receive the pod's identity").await;
    pod.set("AWS_ENDPOINT_URL", pod.url("/cloud"));
    let answer = |status: u16, body: &'static str| {
        move |seen: &Seen| (seen.path == "/cloud").then(|| reply(status, &[], body))
    };
    let refused = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>s3cret</Message></Error></ErrorResponse>";
    let cases: [(u16, &'static str, &str); 3] = [
        (400, refused, "answered 400 (InvalidIdentityToken)"),
        (200, "<html>s3cret</html>", "returned no credentials"),
        (302, "", "answered 302"),
    ];
    for (status, body, says) in cases {
        pod.cloud.repent();
        pod.cloud.lie(|seen| {
            seen.path.starts_with("/v2/").then(|| reply(401, &[("www-authenticate", "Basic realm=x")], ""))
        });
        pod.cloud.lie(answer(status, body));
        check(&pod, says).await;
    }
    pod.cloud.lie(|_| None);
    // An endless answer ends, and an identity is not sent after a redirect.
    pod.cloud.repent();
    pod.cloud.lie(|seen| match seen.path.as_str() {
        "/cloud" => Some(reply(200, &[], crate::liar::endless())),
        _ => Some(reply(401, &[("www-authenticate", "Basic realm=x")], "")),
    });
    check(&pod, "returned more than").await;
}
