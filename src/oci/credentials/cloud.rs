//! Which registries belong to a cloud, by their names. How a cloud issues credentials is
//! not known here.

use crate::api::release::RegistryProvider;

/// A registry of a cloud.
pub(in crate::oci) enum CloudRegistry {
    /// Of Amazon ECR.
    Aws(Ecr),
    /// An Azure Container Registry.
    Azure,
    /// Of Google's Artifact Registry or Container Registry.
    Gcp,
}

impl CloudRegistry {
    /// The registry, if the provider has credentials for it.
    pub fn of(provider: RegistryProvider, registry: &str) -> Option<Self> {
        match provider {
            RegistryProvider::Generic => None,
            RegistryProvider::Aws => Ecr::of(registry).map(Self::Aws),
            RegistryProvider::Azure => is_azure(registry).then_some(Self::Azure),
            RegistryProvider::Gcp => is_google(registry).then_some(Self::Gcp),
        }
    }

    /// The scope of one credential.
    pub fn key(&self, registry: &str) -> String {
        match self {
            Self::Aws(ecr) => ecr.key().to_owned(),
            Self::Azure => registry.to_owned(),
            Self::Gcp => String::new(),
        }
    }

    /// Whether the provider has credentials for the registry.
    pub fn serves(provider: RegistryProvider, registry: &str) -> bool {
        Self::of(provider, registry).is_some()
    }
}

/// The registries of the provider, for messages.
pub(in crate::oci) fn registries_of(provider: RegistryProvider) -> &'static str {
    match provider {
        RegistryProvider::Generic => "",
        RegistryProvider::Aws => {
            "its registries are ACCOUNT.dkr.ecr.REGION.amazonaws.com[.cn] and public.ecr.aws"
        }
        RegistryProvider::Azure => "its registries are NAME.azurecr.io, .cn and .us",
        RegistryProvider::Gcp => "its registries are gcr.io, HOST.gcr.io and HOST.pkg.dev",
    }
}

/// A registry of ECR: where its API is, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::oci) struct Ecr {
    pub region: String,
    pub domain: &'static str,
    pub service: &'static str,
    pub host: String,
}

impl Ecr {
    /// Reads `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]`, or the public
    /// one; `None` for every other host.
    pub fn of(registry: &str) -> Option<Self> {
        if registry == "public.ecr.aws" {
            let host = "api.ecr-public.us-east-1.amazonaws.com".to_owned();
            let (region, domain) = ("us-east-1".to_owned(), "amazonaws.com");
            return Some(Self { region, domain, service: "ecr-public", host });
        }
        let (rest, domain) = [".amazonaws.com", ".amazonaws.com.cn"]
            .into_iter()
            .find_map(|domain| Some((registry.strip_suffix(domain)?, &domain[1..])))?;
        let [account, "dkr", kind @ ("ecr" | "ecr-fips"), region] = rest.split('.').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let account_ok = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !account_ok || region.is_empty() || !region.chars().all(plain) {
            return None;
        }
        let host = match kind {
            "ecr" => format!("api.ecr.{region}.{domain}"),
            _ => format!("{kind}.{region}.{domain}"),
        };
        Some(Self { region: region.to_owned(), domain, service: "ecr", host })
    }

    /// The scope of a token: every registry of the host's API that the role can read.
    pub fn key(&self) -> &str {
        &self.host
    }
}

/// The domains of Azure's registries, in each of its clouds.
const AZURE: [&str; 3] = [".azurecr.io", ".azurecr.cn", ".azurecr.us"];

/// Whether the registry is one of Azure's, and not a name below one.
fn is_azure(registry: &str) -> bool {
    let name = AZURE.iter().find_map(|cloud| registry.strip_suffix(cloud));
    // A regional endpoint is `NAME.REGION.data`, and does not accept such credentials.
    name.is_some_and(|name| !name.is_empty() && !name.contains(['.', ':']))
}

/// Whether the registry is one of Google's.
fn is_google(registry: &str) -> bool {
    let below = |domain: &str| registry.strip_suffix(domain).is_some_and(|name| !name.is_empty());
    registry == "gcr.io" || below(".gcr.io") || below(".pkg.dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_ecr_are_ecr() {
        let check = |registry: &str, expected: Option<&str>| {
            assert_eq!(Ecr::of(registry).map(|ecr| ecr.host).as_deref(), expected, "{registry}");
        };
        check("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Some("api.ecr.eu-west-1.amazonaws.com"));
        check(
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            Some("api.ecr.cn-north-1.amazonaws.com.cn"),
        );
        check("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", Some("ecr-fips.us-east-1.amazonaws.com"));
        check("public.ecr.aws", Some("api.ecr-public.us-east-1.amazonaws.com"));
        for other in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:8443",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
            "123456789012.dkr.ecr.amazonaws.com",
            "evil.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
            "123456789012.dkr.ecr.s3.eu-west-1.amazonaws.com",
            "dkr.ecr.eu-west-1.amazonaws.com",
            "evil.public.ecr.aws",
            "bucket.s3.eu-west-1.amazonaws.com",
            "ghcr.io",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn only_registries_of_azure_are_azures() {
        let check = |registry: &str, expected: bool| assert_eq!(is_azure(registry), expected, "{registry}");
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

    #[test]
    fn only_registries_of_google_are_googles() {
        let check = |registry: &str, expected: bool| assert_eq!(is_google(registry), expected, "{registry}");
        check("gcr.io", true);
        check("eu.gcr.io", true);
        check("europe-docker.pkg.dev", true);
        check("pkg.dev", false);
        check(".gcr.io", false);
        check("gcr.io:443", false);
        check("evilgcr.io", false);
        check("gcr.io.evil.com", false);
        check("evil-pkg.dev", false);
    }
}
