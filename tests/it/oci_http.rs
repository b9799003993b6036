//! Both versions of HTTP, over TLS.

use axum::http::Version;
use supercargo::oci::{Access, AccessParts, Digest, Keyring, Registry, Selection};
use supercargo_testbed::certificates::Authority;

use crate::liar::{Liar, broken, manifest, options, pull, reply, soon};

const YAML: &str = "kind: ConfigMap\n";

fn trusting(authority: &Authority, liar: &Liar) -> Access {
    let mut keyring = Keyring::default();
    keyring.add_password(&liar.host, "user", "sesame");
    let ca = Some(authority.certificate().as_bytes().to_vec());
    Access::new(AccessParts { keyring, ca, ..AccessParts::default() })
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    for (protocol, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let authority = Authority::new("registry");
        let liar = Liar::secure(&authority.server(), protocol).await;
        liar.artifact("1.0", YAML);
        liar.lie(|seen| match seen.authorization.as_deref() {
            Some("Basic dXNlcjpzZXNhbWU=") => None,
            _ => Some(reply(401, &[("www-authenticate", "Basic realm=x")], "")),
        });
        let registry = Registry::new(options());
        soon(pull(&registry, &liar.repository(), "1.0", &trusting(&authority, &liar))).await.unwrap();
        assert!(liar.seen().iter().all(|seen| seen.version == version), "{protocol}");
        // Nobody else's certificate opens the connection.
        let stranger = Authority::new("stranger");
        let error =
            soon(pull(&registry, &liar.repository(), "1.0", &trusting(&stranger, &liar))).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_stream_of_http_2_that_breaks_is_gone_on_with() {
    let authority = Authority::new("registry");
    let liar = Liar::secure(&authority.server(), "h2").await;
    let layer = b"# a line of YAML that says nothing\n".repeat(60_000);
    let digest = liar.manifest("1.0", &manifest(&liar.blob(&layer), layer.len()));
    let bytes = layer.clone();
    liar.lie(move |seen| {
        let range = seen.header("range");
        if !seen.path.contains("blobs/") {
            return None;
        }
        let Some(range) = range else { return Some(reply(200, &[], broken(&bytes[..bytes.len() / 2]))) };
        let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        let told = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        Some(reply(206, &[("content-range", &told)], bytes[from..].to_vec()))
    });
    let registry = Registry::new(options());
    let access = trusting(&authority, &liar);
    let fetched = soon(registry.fetch(&liar.repository(), &digest, &access, &Selection::default())).await;
    assert_eq!(Digest::of(&fetched.unwrap().files[0].1), Digest::of(&layer));
}
