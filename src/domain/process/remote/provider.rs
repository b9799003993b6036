//! A cluster that trusts tokens of ours, as a ConfigMap names it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kubeconfig::{RemoteAccess, RemoteReach};
use crate::domain::process::configuration::{Wrong, read_single, wrong};
use crate::domain::release::object_name;

/// The longest list of audiences, in bytes, and how many there may be.
const MAX_AUDIENCES: (usize, usize) = (4 << 10, 8);

/// A cluster whose API server accepts tokens of a ServiceAccount of the operator's cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustingCluster {
    /// The API server; without credentials.
    pub access: RemoteAccess,
    /// The audiences of the token; the API server's URL when the ConfigMap names none.
    pub audiences: Vec<String>,
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
        match text("provider") {
            Some("generic") => {}
            Some("aws" | "azure" | "gcp") => {
                return Err(wrong(
                    "data.provider",
                    "aws, azure and gcp are not supported yet: use generic, or a kubeconfig in a Secret",
                ));
            }
            _ => return Err(wrong("data.provider", "must be generic")),
        }
        if text("cluster").is_some() {
            return Err(wrong("data.cluster", "is for the providers of clouds: remove it, and set address"));
        }
        let address = text("address").ok_or_else(|| wrong("data.address", "is not set"))?;
        let mut access =
            RemoteAccess::at(address, reach).map_err(|problem| wrong("data.address", problem))?;
        access.authority = match text("ca.crt") {
            None => None,
            Some(pem) if pem.starts_with("-----BEGIN CERTIFICATE-----") => Some(pem.as_bytes().to_vec()),
            Some(_) => return Err(wrong("data.ca.crt", "must be a certificate in PEM")),
        };
        let audiences = match text("audiences") {
            None => vec![access.server.clone()],
            Some(list) => audiences(list)?,
        };
        let service_account = text("serviceAccountName").map(object_name).transpose();
        let service_account = service_account.map_err(|problem| wrong("data.serviceAccountName", problem))?;
        Ok(Self { access, audiences, service_account })
    }

    /// Identifies everything in it.
    pub fn fingerprint(&self) -> String {
        format!("{}|{:?}|{:?}", self.access.fingerprint(), self.audiences, self.service_account)
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
            let read = read.map(|c| (c.audiences.clone(), c.service_account.clone()));
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
        check(&[address], Err("data.provider: must be generic"));
        let cloud = "data.provider: aws, azure and gcp are not supported yet: use generic, or a kubeconfig in a Secret";
        for name in ["aws", "azure", "gcp"] {
            check(&[("provider", name), address], Err(cloud));
        }
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
