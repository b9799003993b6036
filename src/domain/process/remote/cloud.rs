//! Clouds whose API servers accept tokens of the cloud: what a ConfigMap and a ServiceAccount must say
//! for one.

use std::collections::BTreeMap;

/// The longest value of an annotation that is used, in bytes.
const MAX_VALUE: usize = 2048;
/// The ServiceAccount's role, for IRSA.
const ROLE: &str = "eks.amazonaws.com/role-arn";
/// The ServiceAccount's tenant and application, for Microsoft Entra Workload ID.
const TENANT: &str = "azure.workload.identity/tenant-id";
const CLIENT: &str = "azure.workload.identity/client-id";
/// The service account of Google that the ServiceAccount impersonates.
const EMAIL: &str = "iam.gke.io/gcp-service-account";

/// Whose tokens an API server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterProvider {
    /// Those of the operator's own cluster.
    Generic,
    /// Those for a cluster of Amazon EKS.
    Aws(EksCluster),
    /// Those of Microsoft Entra ID, in Azure Kubernetes Service.
    Azure,
    /// Those of Google, in Google Kubernetes Engine.
    Gcp,
}

/// A cluster of Amazon EKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EksCluster {
    /// Its name, which a token is bound to.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The domain of AWS's services there.
    pub domain: &'static str,
}

/// What a token of a ServiceAccount is exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudLogin {
    /// A role, and with it a token for a cluster.
    Aws {
        /// The cluster.
        cluster: EksCluster,
        /// The ARN of the role.
        role: String,
    },
    /// An application of Microsoft Entra ID.
    Azure {
        /// The tenant's id.
        tenant: String,
        /// The application's id.
        client: String,
    },
    /// A federated identity of Google.
    Gcp {
        /// The service account that it impersonates; none when absent.
        email: Option<String>,
    },
}

impl ClusterProvider {
    /// Reads the keys `provider`, `cluster` and the host of `address` of a ConfigMap.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn read(
        name: Option<&str>,
        cluster: Option<&str>,
        host: &str,
    ) -> Result<Self, (&'static str, &'static str)> {
        match (name, cluster) {
            (Some("generic"), None) => Ok(Self::Generic),
            (Some("generic"), Some(_)) => {
                Err(("cluster", "is for the providers of clouds: remove it, and set address"))
            }
            (Some("aws"), Some(cluster)) => {
                EksCluster::read(cluster, host).map(Self::Aws).map_err(|problem| ("cluster", problem))
            }
            (Some("aws"), None) => Err(("cluster", "is not set: name the EKS cluster, or its ARN")),
            // It would only be needed to look up the address.
            (Some("azure"), _) => Ok(Self::Azure),
            (Some("gcp"), _) => Ok(Self::Gcp),
            _ => Err(("provider", "must be generic, aws, azure or gcp")),
        }
    }

    /// The audiences of the ServiceAccount's token where the ConfigMap names none. `None`: the one of
    /// the pool of this process's own cluster, which the cloud knows.
    pub fn audiences(&self, server: &str) -> Option<Vec<String>> {
        let one = match self {
            Self::Generic => server,
            Self::Aws(_) => "sts.amazonaws.com",
            Self::Azure => "api://AzureADTokenExchange",
            Self::Gcp => return None,
        };
        Some(vec![one.to_owned()])
    }

    /// Whether its API servers have certificates of an authority of their own.
    pub fn has_own_authority(&self, host: &str) -> bool {
        match self {
            Self::Generic => false,
            Self::Aws(_) | Self::Azure => true,
            // The endpoint that has a name has a public certificate.
            Self::Gcp => !host.ends_with(".gke.goog"),
        }
    }

    /// What the token of a ServiceAccount with these annotations is exchanged for; `None`: it is used
    /// as it is.
    ///
    /// # Errors
    /// The annotation, and what is wrong with it.
    pub fn login(&self, annotations: &BTreeMap<String, String>) -> Result<Option<CloudLogin>, String> {
        let value = |key: &'static str, fits: fn(&str) -> bool, form: &str| {
            let value = annotations.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
            match value {
                None => Ok(None),
                Some(value) if value.len() <= MAX_VALUE && fits(value) => Ok(Some(value.to_owned())),
                Some(_) => Err(format!("its annotation {key} must be {form}")),
            }
        };
        let required = |key: &'static str, found: Option<String>| {
            found.ok_or_else(|| format!("it has no annotation {key}"))
        };
        let id = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
        Ok(Some(match self {
            Self::Generic => return Ok(None),
            Self::Aws(cluster) => {
                let role = required(ROLE, value(ROLE, is_role, "the ARN of an IAM role")?)?;
                CloudLogin::Aws { cluster: cluster.clone(), role }
            }
            Self::Azure => CloudLogin::Azure {
                tenant: required(TENANT, value(TENANT, id, "the id of a tenant")?)?,
                client: required(CLIENT, value(CLIENT, id, "the id of an application")?)?,
            },
            Self::Gcp => {
                CloudLogin::Gcp { email: value(EMAIL, is_email, "the email of a service account of Google")? }
            }
        }))
    }
}

impl EksCluster {
    /// Reads a name or an ARN. The region is that of the ARN, or of the host of the API server.
    fn read(cluster: &str, host: &str) -> Result<Self, &'static str> {
        let (name, partition, region) = match cluster.split(':').collect::<Vec<_>>()[..] {
            [name] => (name, None, region_of(host)),
            ["arn", partition, "eks", region, _, resource] => {
                (resource.strip_prefix("cluster/").unwrap_or_default(), Some(partition), Some(region))
            }
            _ => return Err("must be the name or the ARN of an EKS cluster"),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            return Err("must be the name or the ARN of an EKS cluster");
        }
        let Some(region) = region.filter(|region| is_region(region)) else {
            return Err("must be the ARN of the EKS cluster: address does not name its region");
        };
        let in_china = partition.map_or_else(|| region.starts_with("cn-"), |partition| partition == "aws-cn");
        let domain = if in_china { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(Self { name: name.to_owned(), region: region.to_owned(), domain })
    }
}

/// The region in `ID.GROUP.REGION.eks.amazonaws.com[.cn]`.
fn region_of(host: &str) -> Option<&str> {
    let rest =
        [".eks.amazonaws.com", ".eks.amazonaws.com.cn"].iter().find_map(|end| host.strip_suffix(end))?;
    rest.rsplit('.').next()
}

fn is_region(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&text.len()) && text.chars().all(plain)
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH`.
fn is_role(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic();
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", partition, "iam", "", account, role] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && role.strip_prefix("role/").is_some_and(|name| !name.is_empty() && name.chars().all(plain))
        }
        _ => false,
    }
}

/// It becomes a part of a path.
fn is_email(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let parts = text.split_once('@');
    parts.is_some_and(|(name, domain)| {
        !name.is_empty() && name.chars().all(plain) && domain.contains('.') && domain.chars().all(plain)
    })
}

/// Whether it names a provider of a workload identity pool of Google.
pub fn is_google_provider(audience: &str) -> bool {
    let rest = audience.strip_prefix("//iam.googleapis.com/projects/");
    rest.is_some_and(|rest| rest.contains("/workloadIdentityPools/") && rest.contains("/providers/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_eks_is_named_with_its_region() {
        let check = |cluster: &str, host: &str, expected: Result<(&str, &str, &str), &str>| {
            let read = EksCluster::read(cluster, host);
            let read = read.as_ref().map(|c| (c.name.as_str(), c.region.as_str(), c.domain)).map_err(|e| *e);
            assert_eq!(read, expected, "{cluster} {host}");
        };
        let host = "0123ABCD.gr7.eu-west-1.eks.amazonaws.com";
        let arn = "arn:aws:eks:us-east-2:123456789012:cluster/prod";
        check("prod", host, Ok(("prod", "eu-west-1", "amazonaws.com")));
        check(arn, "api.internal", Ok(("prod", "us-east-2", "amazonaws.com")));
        check(arn, host, Ok(("prod", "us-east-2", "amazonaws.com")));
        check(
            "prod",
            "0123ABCD.yl4.cn-north-1.eks.amazonaws.com.cn",
            Ok(("prod", "cn-north-1", "amazonaws.com.cn")),
        );
        check("arn:aws-cn:eks:cn-north-1:1:cluster/p", "x", Ok(("p", "cn-north-1", "amazonaws.com.cn")));
        let region = Err("must be the ARN of the EKS cluster: address does not name its region");
        check("prod", "api.internal", region);
        check("prod", "0123.eu-west-1.eks.amazonaws.com.evil.com", region);
        check("arn:aws:eks:evil.com/:1:cluster/p", host, region);
        let form = Err("must be the name or the ARN of an EKS cluster");
        for wrong in ["", "a b", "a/b", "arn:aws:eks:r:1:nodegroup/p", "arn:aws:s3:::p", "a:b"] {
            check(wrong, host, form);
        }
    }

    #[test]
    fn an_account_names_its_identity_in_the_cloud() {
        let eks =
            || ClusterProvider::read(Some("aws"), Some("p"), "a.b.eu-west-1.eks.amazonaws.com").unwrap();
        let check =
            |provider: &ClusterProvider, annotations: &[(&str, &str)], expected: Result<&str, &str>| {
                let map = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
                let login = provider.login(&map).map(|login| match login {
                    None => "as it is".to_owned(),
                    Some(CloudLogin::Aws { cluster, role }) => format!("{role} in {}", cluster.region),
                    Some(CloudLogin::Azure { tenant, client }) => format!("{tenant}/{client}"),
                    Some(CloudLogin::Gcp { email }) => email.unwrap_or_else(|| "itself".to_owned()),
                });
                assert_eq!(login, expected.map(str::to_owned).map_err(str::to_owned), "{annotations:?}");
            };
        check(&ClusterProvider::Generic, &[], Ok("as it is"));
        let role = "arn:aws:iam::123456789012:role/deploy/prod";
        check(&eks(), &[(ROLE, role)], Ok("arn:aws:iam::123456789012:role/deploy/prod in eu-west-1"));
        check(&eks(), &[], Err("it has no annotation eks.amazonaws.com/role-arn"));
        let form = Err("its annotation eks.amazonaws.com/role-arn must be the ARN of an IAM role");
        for wrong in ["prod", "arn:aws:iam::1:role/p", "arn:aws:iam::123456789012:user/p", &"a".repeat(3000)]
        {
            check(&eks(), &[(ROLE, wrong)], form);
        }
        check(&ClusterProvider::Azure, &[(TENANT, "t-1"), (CLIENT, "c-1")], Ok("t-1/c-1"));
        check(
            &ClusterProvider::Azure,
            &[(TENANT, "t-1")],
            Err("it has no annotation azure.workload.identity/client-id"),
        );
        check(
            &ClusterProvider::Azure,
            &[(TENANT, "t/../x"), (CLIENT, "c")],
            Err("its annotation azure.workload.identity/tenant-id must be the id of a tenant"),
        );
        check(&ClusterProvider::Gcp, &[], Ok("itself"));
        check(
            &ClusterProvider::Gcp,
            &[(EMAIL, "a@p.iam.gserviceaccount.com")],
            Ok("a@p.iam.gserviceaccount.com"),
        );
        check(
            &ClusterProvider::Gcp,
            &[(EMAIL, "a@p.com/x:y")],
            Err(
                "its annotation iam.gke.io/gcp-service-account must be the email of a service account of Google",
            ),
        );
    }
}
