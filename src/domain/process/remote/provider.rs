//! A cluster that trusts tokens of ours, or tokens of a cloud that are given for ours, as a ConfigMap
//! names it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cloud::{ClusterProvider, is_google_provider};
use super::kubeconfig::{RemoteAccess, RemoteReach};
use crate::domain::process::configuration::{Wrong, read_single, wrong};
use crate::domain::release::object_name;

/// The longest list of audiences, in bytes, and how many there may be.
const MAX_AUDIENCES: (usize, usize) = (4 << 10, 8);

/// A cluster whose API server accepts tokens of a ServiceAccount of the operator's cluster, or what a
/// cloud gives for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustingCluster {
    /// The API server; without credentials.
    pub access: RemoteAccess,
    /// Whose tokens the API server accepts.
    pub provider: ClusterProvider,
    /// The audiences of the ServiceAccount's token. Absent: that of Google's pool of the operator's own
    /// cluster.
    pub audiences: Option<Vec<String>>,
    /// The ServiceAccount of the token, in the namespace of the release; that of the release when
    /// absent.
    pub service_account: Option<String>,
}

/// The keys of the ConfigMap.
const KEYS: [&str; 6] = ["provider", "cluster", "address", "ca.crt", "audiences", "serviceAccountName"];

impl TrustingCluster {
    /// Reads the data of a ConfigMap.
    ///
    /// # Errors
    /// The key, and what is wrong with it.
    pub fn read(data: &BTreeMap<String, Vec<u8>>, reach: RemoteReach) -> Result<Self, Wrong> {
        if let Some(key) = data.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(wrong(format!("data.{key}"), "is not known: remove it"));
        }
        // A ConfigMap holds text.
        let text = |key: &str| {
            let value = data.get(key).and_then(|value| std::str::from_utf8(value).ok());
            value.map(str::trim).filter(|value| !value.is_empty())
        };
        let address = text("address").ok_or_else(|| wrong("data.address", "is not set"))?;
        let mut access =
            RemoteAccess::at(address, reach).map_err(|problem| wrong("data.address", problem))?;
        access.authority = match text("ca.crt") {
            None => None,
            Some(pem) if pem.starts_with("-----BEGIN CERTIFICATE-----") => Some(pem.as_bytes().to_vec()),
            Some(_) => return Err(wrong("data.ca.crt", "must be a certificate in PEM")),
        };
        let bad = |(key, problem): (&str, &str)| wrong(format!("data.{key}"), problem);
        let provider = ClusterProvider::read(text("provider"), text("cluster"), &access.host).map_err(bad)?;
        if access.authority.is_none() && provider.has_own_authority(&access.host) {
            return Err(bad(("ca.crt", "is not set: it is not looked up in the cloud")));
        }
        let audiences = match text("audiences") {
            None => provider.audiences(&access.server),
            Some(list) => Some(audiences(list)?),
        };
        if let (ClusterProvider::Gcp, Some(named)) = (&provider, &audiences)
            && !matches!(named.as_slice(), [one] if is_google_provider(one))
        {
            return Err(bad((
                "audiences",
                "must be one provider of a workload identity pool: //iam.googleapis.com/projects/…/providers/…",
            )));
        }
        let service_account = text("serviceAccountName").map(object_name).transpose();
        let service_account = service_account.map_err(|problem| wrong("data.serviceAccountName", problem))?;
        Ok(Self { access, provider, audiences, service_account })
    }

    /// Identifies everything in it.
    pub fn fingerprint(&self) -> String {
        let Self { access, provider, audiences, service_account } = self;
        format!("{}|{provider:?}|{audiences:?}|{service_account:?}", access.fingerprint())
    }
}

/// A YAML list of texts, or one text.
fn audiences(list: &str) -> Result<Vec<String>, Wrong> {
    let bad = || wrong("data.audiences", "must be a YAML list of at most 8 texts");
    let (bytes, most) = MAX_AUDIENCES;
    let read = match read_single(list, bytes).map_err(|_| bad())? {
        Value::String(one) => vec![one],
        Value::Array(all) => {
            let texts = all.into_iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>().ok_or_else(bad)?
        }
        _ => return Err(bad()),
    };
    let fine = (1..=most).contains(&read.len()) && read.iter().all(|one| !one.trim().is_empty());
    if fine { Ok(read) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_map_names_a_cluster_or_says_what_is_wrong() {
        let check = |data: &[(&str, &str)], expected: Result<(&[&str], Option<&str>), &str>| {
            let map =
                data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
            let read = TrustingCluster::read(&map, RemoteReach { local: false });
            let read = read.map_err(|wrong| wrong.to_string());
            let read = read.map(|c| (c.audiences.clone().unwrap_or_default(), c.service_account.clone()));
            let expected = expected
                .map(|(all, account)| {
                    (all.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), account.map(str::to_owned))
                })
                .map_err(str::to_owned);
            assert_eq!(read, expected, "{data:?}");
        };
        let (provider, address) = (("provider", "generic"), ("address", "https://api.example/"));
        check(&[provider, address], Ok((&["https://api.example"], None)));
        check(
            &[provider, address, ("audiences", "- a\n- b"), ("serviceAccountName", "deployer")],
            Ok((&["a", "b"], Some("deployer"))),
        );
        check(&[provider, address, ("audiences", "one")], Ok((&["one"], None)));
        check(&[provider], Err("data.address: is not set"));
        check(&[address], Err("data.provider: must be generic, aws, azure or gcp"));
        let (authority, cluster) = (("ca.crt", "-----BEGIN CERTIFICATE-----"), ("cluster", "prod"));
        let eks = ("address", "https://A.gr7.eu-west-1.eks.amazonaws.com");
        check(&[("provider", "aws"), eks, authority, cluster], Ok((&["sts.amazonaws.com"], None)));
        check(&[("provider", "azure"), address, authority], Ok((&["api://AzureADTokenExchange"], None)));
        check(&[("provider", "gcp"), address, authority], Ok((&[], None)));
        check(&[("provider", "gcp"), ("address", "https://gke-1.eu.gke.goog")], Ok((&[], None)));
        let own = "data.ca.crt: is not set: it is not looked up in the cloud";
        check(&[("provider", "aws"), eks, cluster], Err(own));
        check(&[("provider", "azure"), address], Err(own));
        check(&[("provider", "gcp"), address], Err(own));
        check(&[("provider", "azure"), authority, cluster], Err("data.address: is not set"));
        check(
            &[("provider", "aws"), eks, authority],
            Err("data.cluster: is not set: name the EKS cluster, or its ARN"),
        );
        let pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k";
        check(&[("provider", "gcp"), address, authority, ("audiences", pool)], Ok((&[pool], None)));
        check(
            &[("provider", "gcp"), address, authority, ("audiences", "a")],
            Err("data.audiences: must be one provider of a workload identity pool: \
                 //iam.googleapis.com/projects/…/providers/…"),
        );
        check(&[provider, address, ("token", "x")], Err("data.token: is not known: remove it"));
        check(
            &[provider, address, ("cluster", "x")],
            Err("data.cluster: is for the providers of clouds: remove it, and set address"),
        );
        check(&[provider, address, ("ca.crt", "/etc/ca")], Err("data.ca.crt: must be a certificate in PEM"));
        let list = "data.audiences: must be a YAML list of at most 8 texts";
        for wrong in ["- 1", "{a: b}", "[]", "['']", "- a\n- b\n- c\n- d\n- e\n- f\n- g\n- h\n- i"] {
            check(&[provider, address, ("audiences", wrong)], Err(list));
        }
        check(
            &[provider, ("address", "https://127.0.0.1")],
            Err("data.address: names an address of this machine, which releases may not use"),
        );
        let name = "data.serviceAccountName: \"../x\" is not a valid name: use lower case letters, digits, '-' and '.'";
        check(&[provider, address, ("serviceAccountName", "../x")], Err(name));
    }
}
