//! The HTTP clients, one for each way to connect: TLS settings, proxy, and what
//! names may resolve to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Url};

use super::failure::root_cause;
use super::reach::Reach;
use super::request::Request;
use super::resolver::{self, Hosts, Resolver};
use crate::egress::EgressProxy;
use crate::oci::credentials::{Access, Fingerprint};
use crate::oci::error::OciError;
use crate::oci::limits::MAX_CLIENTS;
use crate::oci::reference::Zone;

/// What opens the connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    /// This process, to an allowed address.
    Direct,
    /// The environment's proxy.
    Environment,
    /// The proxy of the access.
    Own,
}

type Key = (Fingerprint, Way, Option<Zone>, bool);

pub(super) struct Clients {
    user_agent: String,
    connect_timeout: Duration,
    hosts: Hosts,
    known: Mutex<HashMap<Key, Client>>,
}

impl Clients {
    pub fn new(user_agent: String, connect_timeout: Duration, hosts: Hosts) -> Self {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self { user_agent, connect_timeout, hosts, known: Mutex::default() }
    }

    /// The reach of a request of this access. A host that the release has not named must
    /// not be nearer to this process than the release's registry; where that is unknown,
    /// the Internet is assumed.
    pub async fn reach(&self, access: &Access) -> Reach {
        let Some(home) = access.home() else { return Reach::Own };
        let url = Url::parse(&format!("https://{home}/")).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let zone = match (Zone::of_host(host), &access.parts().proxy) {
            (None, None) => resolver::farthest(&self.hosts, host).await,
            (named, _) => named,
        };
        Reach::Own.redirected(zone.unwrap_or(Zone::Public), false)
    }

    /// The client for this request.
    pub fn of(&self, access: &Access, request: &Request) -> Result<Client, OciError> {
        let way = way(access, &request.url);
        // Then the proxy's name is resolved. A release's proxy may be near, but must not
        // lead to a cloud's metadata.
        let reach = match way {
            Way::Direct => request.reach,
            Way::Environment => Reach::Own,
            Way::Own => Reach::Named(Zone::Loopback),
        };
        let zone = match reach {
            Reach::Own => None,
            Reach::Named(zone) => Some(zone),
        };
        let key = (access.transport(), way, zone, request.identified);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(&key) {
            return Ok(client.clone());
        }
        if known.len() >= MAX_CLIENTS {
            known.clear();
        }
        let client = self.build(access, way, reach, request.identified)?;
        known.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, access: &Access, way: Way, reach: Reach, identified: bool) -> Result<Client, OciError> {
        let parts = access.parts();
        let mut builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(Arc::new(Resolver { hosts: Arc::clone(&self.hosts), reach }))
            .pool_max_idle_per_host(4);
        match (way, &parts.proxy) {
            (Way::Direct, _) => builder = builder.no_proxy(),
            (Way::Own, Some(proxy)) => {
                let bad = |e| OciError::Secret(format!("cannot use the proxy: {}", root_cause(&e)));
                builder = builder.proxy(proxy.rule().map_err(bad)?);
            }
            _ => {}
        }
        if let Some(pem) = &parts.ca {
            let certs = Certificate::from_pem_bundle(pem).ok().filter(|certs| !certs.is_empty());
            let bad = || OciError::Secret("ca.crt contains no PEM certificate".into());
            builder = builder.tls_certs_merge(certs.ok_or_else(bad)?);
        }
        if let Some((cert, key)) = &parts.client_cert {
            let pem = [cert.as_slice(), b"\n", key].concat();
            let bad =
                |_| OciError::Secret("tls.crt and tls.key are not a PEM certificate and its key".into());
            let identity = Identity::from_pem(&pem).map_err(bad)?;
            if identified {
                builder = builder.identity(identity);
            }
        }
        if parts.insecure && parts.ca.is_none() {
            // No certificate is verified; this works without system certificates too.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|e| OciError::Secret(format!("invalid TLS settings: {}", root_cause(&e))))
    }
}

/// Whether a proxy connects to the host, and resolves its name.
pub(super) fn is_proxied(access: &Access, url: &Url) -> bool {
    way(access, url) != Way::Direct
}

fn way(access: &Access, url: &Url) -> Way {
    match access.parts().proxy {
        Some(_) => Way::Own,
        None if EgressProxy::of_process().concerns(url) => Way::Environment,
        None => Way::Direct,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::oci::credentials::{AccessParts, Proxy};
    use crate::oci::reference::Repository;

    fn clients() -> Clients {
        Clients::new("test".into(), Duration::from_secs(1), Hosts::default())
    }

    #[test]
    fn promise_7_clients_are_not_kept_for_ever() {
        let clients = clients();
        let request = Request::new(Method::GET, Url::parse("http://registry.example/").unwrap());
        for n in 0..MAX_CLIENTS * 2 {
            let proxy = Proxy::new(&format!("http://proxy:{}", n + 1), "", "").ok();
            let access = Access::new(AccessParts { insecure: true, proxy, ..AccessParts::default() });
            clients.of(&access, &request).unwrap();
            assert!(clients.known.lock().unwrap().len() <= MAX_CLIENTS);
        }
    }

    #[tokio::test]
    async fn an_image_leads_no_nearer_than_the_release_itself() {
        let hosts = [
            ("private.example", &["10.0.0.5:0"][..]),
            ("public.example", &["192.0.2.1:0"]),
            ("both.example", &["10.0.0.5:0", "192.0.2.1:0"]),
            ("metadata.example", &["169.254.169.254:0"]),
        ];
        let address = |text: &&str| text.parse().unwrap();
        let hosts = hosts.map(|(name, found)| (name.to_owned(), found.iter().map(address).collect()));
        let clients = Clients::new("test".into(), Duration::from_secs(1), Arc::new(hosts.into()));
        let image = Repository::parse("oci://images.example/app").unwrap();
        let check = async |home: &str, expected: Zone| {
            let home = Repository::parse(&format!("oci://{home}/app")).unwrap();
            let access = Access::anonymous().towards(None, &image, &home);
            assert_eq!(clients.reach(&access).await, Reach::Named(expected), "{home}");
            assert_eq!(clients.reach(&Access::anonymous().towards(None, &home, &home)).await, Reach::Own);
        };
        check("private.example:5000", Zone::Private).await;
        check("public.example", Zone::Public).await;
        check("both.example", Zone::Public).await;
        check("metadata.example", Zone::Public).await;
        check("10.1.2.3", Zone::Private).await;
        check("127.0.0.1:5000", Zone::Loopback).await;
        check("localhost:5000", Zone::Loopback).await;
        check("[::1]:5000", Zone::Loopback).await;
        check("169.254.169.254", Zone::Public).await;
    }

    #[test]
    fn what_a_server_has_named_is_reached_by_another_client() {
        let clients = clients();
        let access = Access::new(AccessParts { insecure: true, ..AccessParts::default() });
        let mut request = Request::new(Method::GET, Url::parse("http://127.0.0.1:1/").unwrap());
        clients.of(&access, &request).unwrap();
        request.reach = Reach::Named(Zone::Public);
        clients.of(&access, &request).unwrap();
        request.identified = false;
        clients.of(&access, &request).unwrap();
        assert_eq!(clients.known.lock().unwrap().len(), 3);
    }
}
