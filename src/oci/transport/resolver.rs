//! Names to addresses, for one reach: where a server redirects us to a name, its
//! addresses count as if the server had named them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::reach::Reach;
use crate::oci::reference::Zone;

/// Addresses for names, as in a hosts file; a port that is not 0 counts too.
pub type Hosts = Arc<BTreeMap<String, Vec<SocketAddr>>>;

/// A name resolves only to blocked addresses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name resolves to {0}, which is blocked")]
pub(super) struct BlockedAddress(pub &'static str);

/// The system's resolver, with a filter for its answers.
pub(super) struct Resolver {
    pub hosts: Hosts,
    pub reach: Reach,
}

impl Resolver {
    /// The allowed addresses among the found ones.
    fn admitted(reach: Reach, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, BlockedAddress> {
        let Reach::Named(zone) = reach else { return Ok(found) };
        let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| zone.admits(Zone::of(a.ip())));
        match bad.first() {
            Some(bad) if good.is_empty() => Err(BlockedAddress(Zone::of(bad.ip()).describe())),
            _ => Ok(good),
        }
    }
}

/// The zone of a name from the release: of its addresses the farthest from this process.
/// `None` when it does not resolve.
pub(super) async fn farthest(hosts: &Hosts, name: &str) -> Option<Zone> {
    let found = match hosts.get(name) {
        Some(found) => found.clone(),
        None => tokio::net::lookup_host((name, 0)).await.ok()?.collect(),
    };
    found.into_iter().map(|address| Zone::of(address.ip())).min()
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, known) = (self.reach, self.hosts.get(name.as_str()).cloned());
        Box::pin(async move {
            let found = match known {
                Some(found) => found,
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            Ok(Box::new(Self::admitted(reach, found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_worth_what_their_addresses_are() {
        let check = |zone: Option<Zone>, found: &[&str], expected: Result<&[&str], &'static str>| {
            let reach = zone.map_or(Reach::Own, Reach::Named);
            let parse = |texts: &[&str]| texts.iter().map(|t| format!("{t}:0").parse().unwrap()).collect();
            let expected: Result<Vec<SocketAddr>, BlockedAddress> =
                expected.map(parse).map_err(BlockedAddress);
            assert_eq!(Resolver::admitted(reach, parse(found)), expected, "{zone:?} {found:?}");
        };
        check(None, &["127.0.0.1", "169.254.169.254"], Ok(&["127.0.0.1", "169.254.169.254"]));
        check(Some(Zone::Public), &["192.0.2.1"], Ok(&["192.0.2.1"]));
        check(Some(Zone::Public), &["10.0.0.1", "192.0.2.1"], Ok(&["192.0.2.1"]));
        check(Some(Zone::Public), &["10.0.0.1"], Err("a private address"));
        check(Some(Zone::Public), &["127.0.0.1", "[::1]"], Err("an address of this machine"));
        check(Some(Zone::Private), &["10.0.0.1"], Ok(&["10.0.0.1"]));
        check(Some(Zone::Private), &["127.0.0.1"], Err("an address of this machine"));
        check(Some(Zone::Loopback), &["169.254.169.254"], Err("a link-local, metadata or reserved address"));
    }

    #[tokio::test]
    async fn the_systems_answers_are_filtered_too() {
        let resolver = |zone| Resolver { hosts: Hosts::default(), reach: Reach::Named(zone) };
        let name = || "localhost".parse().unwrap();
        assert!(resolver(Zone::Loopback).resolve(name()).await.is_ok());
        let error = resolver(Zone::Private).resolve(name()).await.err().unwrap();
        assert!(error.downcast_ref::<BlockedAddress>().is_some(), "{error}");
    }
}
