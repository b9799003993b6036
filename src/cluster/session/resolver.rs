//! Names to addresses. For a cluster that a release names, addresses that releases may not use
//! are left out: a name may resolve to another address than when it was checked.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use hyper_util::client::legacy::connect::dns::Name;

use crate::domain::remote::kubeconfig::RemoteReach;
use crate::domain::zone::Zone;

/// A name resolves only to addresses that are not allowed.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to {0}, which releases may not use")]
struct Forbidden(&'static str);

/// The system's resolver, with a filter for its answers.
#[derive(Clone, Copy, Debug)]
pub struct Resolver {
    /// What is allowed; everything when absent.
    pub reach: Option<RemoteReach>,
}

impl Resolver {
    /// The allowed ones among the found addresses.
    fn admitted(self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
        let Some(reach) = self.reach else { return Ok(found) };
        let mut refused = None;
        let mut admitted = found;
        admitted.retain(|address| match reach.check(Zone::of(address.ip())) {
            Ok(()) => true,
            Err(kind) => {
                refused = Some(kind);
                false
            }
        });
        match refused {
            Some(kind) if admitted.is_empty() => Err(Forbidden(kind)),
            _ => Ok(admitted),
        }
    }
}

impl tower::Service<Name> for Resolver {
    type Response = IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let this = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            this.admitted(found).map(Vec::into_iter).map_err(std::io::Error::other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_lead_to_where_an_address_may_not() {
        let check = |reach: Option<RemoteReach>, found: &[&str], expected: Result<&[&str], &str>| {
            let parse = |texts: &[&str]| -> Vec<SocketAddr> {
                texts.iter().map(|text| format!("{text}:0").parse().unwrap()).collect()
            };
            let admitted = Resolver { reach }.admitted(parse(found)).map_err(|error| error.to_string());
            let refusal = |kind: &str| format!("the name resolves to {kind}, which releases may not use");
            assert_eq!(admitted, expected.map(parse).map_err(refusal), "{found:?}");
        };
        let (remote, local) = (Some(RemoteReach { local: false }), Some(RemoteReach { local: true }));
        let metadata = "a link-local, metadata or reserved address";
        check(None, &["127.0.0.1", "169.254.169.254"], Ok(&["127.0.0.1", "169.254.169.254"]));
        check(remote, &["192.0.2.1", "10.0.0.1"], Ok(&["192.0.2.1", "10.0.0.1"]));
        check(remote, &["127.0.0.1", "10.0.0.1"], Ok(&["10.0.0.1"]));
        check(remote, &["127.0.0.1"], Err("an address of this machine"));
        check(remote, &["[::1]"], Err("an address of this machine"));
        check(local, &["127.0.0.1"], Ok(&["127.0.0.1"]));
        check(local, &["169.254.169.254"], Err(metadata));
        check(remote, &["[::ffff:169.254.169.254]"], Err(metadata));
    }
}
