//! A server with TLS that offers one version of HTTP.

use std::sync::Arc;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use supercargo_testbed::certificates::Identity;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub fn acceptor(identity: &Identity, protocol: &'static str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Serves until it is dropped; who does not speak TLS or the protocol is hung up
/// on.
pub async fn serve(listener: TcpListener, acceptor: TlsAcceptor, protocol: &'static str, app: Router) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, app) = (acceptor.clone(), app.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(app));
            // How a connection ends is the client's business.
            match protocol {
                "h2" => drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await),
                _ => drop(http1::Builder::new().serve_connection(io, service).await),
            }
        });
    }
}
