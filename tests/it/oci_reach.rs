//! Where a registry may send us: not nearer to this process than it is itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::oci::{
    Access, AccessParts, Hosts, Keyring, Labels, Package, Proxy, Registry, RegistryOptions, Repository, Tag,
    pack,
};

use crate::liar::{Liar, access, options, pull, reply, resolve, soon};

const YAML: &str = "kind: ConfigMap\n";

/// A hosts file.
fn hosts(entries: &[(&str, &str)]) -> Hosts {
    let entry = |(name, address): &(&str, &str)| ((*name).to_owned(), vec![address.parse().unwrap()]);
    Arc::new(entries.iter().map(entry).collect::<BTreeMap<_, _>>())
}

/// An access through a proxy, over plain HTTP.
fn through(proxy: &Liar) -> Access {
    let mut keyring = Keyring::default();
    keyring.add_password("registry.example", "user", "sesame");
    let proxy = Proxy::new(&format!("http://{}", proxy.host), "walker", "s3cret").unwrap();
    Access::new(AccessParts { keyring, insecure: true, proxy: Some(proxy), ..AccessParts::default() })
}

#[tokio::test]
async fn a_redirect_to_an_address_nearer_than_the_registry_is_refused() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let hosts = hosts(&[("cdn.example", "169.254.169.254:80"), ("good.example", &liar.host)]);
    let registry = Registry::new(RegistryOptions { hosts, ..options() });
    let check = async |target: &str, says: Option<&str>| {
        liar.repent();
        let location = target.to_owned();
        liar.lie(move |seen| match seen.path.contains("blobs/") && seen.method == Method::GET {
            true => Some(reply(307, &[("location", &location)], "")),
            false => (seen.path == "/cdn").then(|| reply(200, &[], YAML)),
        });
        let pulled = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await;
        match (pulled, says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => {
                assert_eq!(error.reason(), Reason::RegistryUnavailable, "{target:?}: {error}");
                assert!(error.to_string().contains(says), "{error}");
            }
            (Ok(_), Some(says)) => panic!("followed, and not: {says}"),
            (Err(error), None) => panic!("{error}"),
        }
    };
    let link_local = "a link-local, metadata or reserved address";
    for target in [
        "http://169.254.169.254/latest/meta-data",
        "http://0xa9fea9fe/latest",
        "http://2852039166/latest",
        "http://[::ffff:169.254.169.254]/latest",
        "http://[fe80::1]/",
        "http://0.0.0.0:1/",
        "http://0/",
        "http://[::]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.internal./computeMetadata/v1/",
    ] {
        check(target, Some(link_local)).await;
    }
    // A name is worth what its addresses are.
    check("http://cdn.example/x", Some("the name resolves to a link-local")).await;
    // This registry is on this machine, and may send us about on it.
    check("http://good.example/cdn", None).await;
    check(&format!("http://{}/cdn", liar.host), None).await;
}

#[tokio::test]
async fn from_the_internet_nothing_leads_into_private_networks() {
    let (proxy, inside) = (Liar::start().await, Liar::start().await);
    proxy.artifact("1.0", YAML);
    let registry = Registry::new(options());
    let repository = Repository::parse("oci://registry.example/team/app").unwrap();
    let access = through(&proxy);
    for target in [
        format!("http://{}/cdn", inside.host),
        format!("http://localhost:{}/cdn", inside.host.rsplit(':').next().unwrap()),
        "http://10.0.0.1/".into(),
        "http://172.16.0.1/".into(),
        "http://192.168.0.1/".into(),
        "http://100.64.0.1/".into(),
        "http://[fc00::1]/".into(),
        "http://[::ffff:10.0.0.1]/".into(),
        "http://[64:ff9b::a00:1]/".into(),
        "http://x.localhost/".into(),
    ] {
        proxy.repent();
        proxy.asked();
        proxy.lie(move |seen| seen.path.contains("blobs/").then(|| reply(302, &[("location", &target)], "")));
        let error = soon(pull(&registry, &repository, "1.0", &access)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        assert!(error.to_string().contains("it redirects to"), "{error}");
        assert!(proxy.asked().iter().all(|asked| !asked.contains("cdn")));
    }
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn a_token_service_nearer_than_the_registry_is_not_asked() {
    let (proxy, inside) = (Liar::start().await, Liar::start().await);
    let registry = Registry::new(options());
    let repository = Repository::parse("oci://registry.example/team/app").unwrap();
    let access = through(&proxy);
    for realm in [
        format!("http://{}/token", inside.host),
        format!("https://{}/token", inside.host),
        "https://10.0.0.1/token".into(),
        "https://metadata.google.internal/token".into(),
        "https://localhost/token".into(),
    ] {
        proxy.repent();
        proxy.asked();
        let challenge = format!(r#"Bearer realm="{realm}""#);
        proxy.lie(move |_| Some(reply(401, &[("www-authenticate", &challenge)], "")));
        let error = soon(resolve(&registry, &repository, "1.0", &access)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AuthenticationFailed, "{realm}: {error}");
        assert_eq!(proxy.asked().len(), 1);
    }
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn a_token_service_elsewhere_has_to_be_allowed_and_over_https() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let access = access(Some((&liar.host, "user", "sesame")));
    let check = async |realm: &str, allowed: &str, asked: bool| {
        liar.repent();
        let challenge = format!(r#"Bearer realm="{realm}/token""#);
        liar.lie(move |_| Some(reply(401, &[("www-authenticate", &challenge)], "")));
        let token_hosts = vec![format!("{}={allowed}", liar.host).parse().unwrap()];
        let hosts = hosts(&[("auth.other.example", "127.0.0.1:1"), ("evil.example", "127.0.0.1:1")]);
        let registry = Registry::new(RegistryOptions { token_hosts, hosts, ..options() });
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap_err();
        let expected = match asked {
            // Nobody is at home there.
            true => "registry auth.other.example is unavailable: cannot connect",
            false => "it is neither on the registry's host",
        };
        assert!(error.to_string().contains(expected), "{realm} {allowed}: {error}");
    };
    check("https://auth.other.example", "auth.other.example", true).await;
    check("http://auth.other.example", "auth.other.example", false).await;
    check("https://auth.other.example:8443", "auth.other.example", false).await;
    check("https://evil.example", "auth.other.example", false).await;
    check("https://auth.other.example.evil.example", "auth.other.example", false).await;
}

#[tokio::test]
async fn an_upload_is_not_sent_to_an_address_nearer_than_the_registry() {
    let (proxy, inside) = (Liar::start().await, Liar::start().await);
    let registry = Registry::new(options());
    let repository = Repository::parse("oci://registry.example/team/app").unwrap();
    let package: Package = pack(YAML.as_bytes(), &Labels::default()).unwrap();
    let target = format!("https://{}/upload", inside.host);
    proxy.lie(move |seen| (seen.method == Method::POST).then(|| reply(202, &[("location", &target)], "")));
    let tag = Tag::parse("1.0").unwrap();
    let error = soon(registry.push(&repository, &tag, &package, &through(&proxy))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    assert!(inside.seen().is_empty());
}

#[tokio::test]
async fn no_registry_that_a_release_names_is_a_clouds_metadata() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let hosts = hosts(&[("metadata.example", "169.254.169.254:80"), ("good.example", &liar.host)]);
    let registry = Registry::new(RegistryOptions { hosts, ..options() });
    for host in [
        "169.254.169.254",
        "metadata.google.internal",
        "METADATA.google.internal",
        "[fe80::1]",
        "[::ffff:169.254.169.254]:80",
        "0.0.0.0:80",
        "100.100.100.200",
        "metadata.example",
    ] {
        let repository = Repository::parse(&format!("oci://{host}/latest/meta-data")).unwrap();
        let error = soon(resolve(&registry, &repository, "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        assert!(error.to_string().contains("a link-local, metadata or reserved address"), "{host}: {error}");
    }
    // A name is no reason in itself, nor is an address of this machine.
    for host in ["good.example", liar.host.as_str()] {
        let repository = Repository::parse(&format!("oci://{host}/team/app")).unwrap();
        soon(resolve(&registry, &repository, "1.0", &access(None))).await.unwrap();
    }
}

#[tokio::test]
async fn a_proxy_is_no_way_to_a_clouds_metadata() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let hosts = hosts(&[("proxy.example", "169.254.169.254:80"), ("good.example", &liar.host)]);
    let registry = Registry::new(RegistryOptions { hosts, ..options() });
    let through = |proxy: &str| {
        let proxy = Proxy::new(&format!("http://{proxy}"), "", "").unwrap();
        Access::new(AccessParts { insecure: true, proxy: Some(proxy), ..AccessParts::default() })
    };
    let repository = Repository::parse("oci://registry.example/team/app").unwrap();
    let error = soon(resolve(&registry, &repository, "1.0", &through("proxy.example"))).await.unwrap_err();
    assert!(error.to_string().contains("a link-local, metadata or reserved address"), "{error}");
    // A proxy of another address is gone through.
    soon(resolve(&registry, &repository, "1.0", &through("good.example"))).await.unwrap();
    assert_eq!(liar.seen().last().unwrap().host, "registry.example");
}

#[tokio::test]
async fn a_proxy_of_its_own_is_gone_through_also_to_this_machine() {
    let (proxy, registry_here) = (Liar::start().await, Liar::start().await);
    proxy.artifact("1.0", YAML);
    let registry = Registry::new(options());
    let access = through(&proxy);
    for host in ["registry.example", registry_here.host.as_str()] {
        let repository = Repository::parse(&format!("oci://{host}/team/app")).unwrap();
        soon(resolve(&registry, &repository, "1.0", &access)).await.unwrap();
        let seen = proxy.seen();
        let last = seen.last().unwrap();
        assert_eq!(last.host, host);
        assert_eq!(last.header("proxy-authorization").as_deref(), Some("Basic d2Fsa2VyOnMzY3JldA=="));
    }
    assert!(registry_here.seen().is_empty());
    // Another access goes its own way.
    let direct = crate::liar::access(None);
    soon(resolve(&registry, &registry_here.repository(), "1.0", &direct)).await.unwrap_err();
    assert_eq!(registry_here.seen().len(), 1);
}
