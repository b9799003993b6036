//! Whether a registry on this machine speaks TLS or plain HTTP: a registry for tests
//! often has no TLS.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;

use crate::oci::reference::Repository;

/// How long a local answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The first byte of an alert and of a handshake (RFC 8446 §5.1).
const TLS_RECORDS: [u8; 2] = [21, 22];

/// Whether the registry answers a TLS greeting with TLS. Its certificate is not verified
/// here, but by the later connection.
///
/// Blocks, for a few seconds at most at each of its addresses. No answer counts as no TLS.
pub fn speaks_tls(repository: &Repository) -> bool {
    first_byte(repository.api_host()).is_some_and(|byte| TLS_RECORDS.contains(&byte))
}

fn first_byte(host: &str) -> Option<u8> {
    let named = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from("localhost").ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut greeting = Vec::new();
    connection.write_tls(&mut greeting).ok()?;
    named.to_socket_addrs().ok()?.find_map(|address| {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(&greeting).ok()?;
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        Some(byte[0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_first_byte_of_the_answer_tells() {
        let check = |answer: &'static [u8], expected: bool| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("oci://{}/app", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut greeting = [0; 5];
                stream.read_exact(&mut greeting).unwrap();
                stream.write_all(answer).unwrap();
                greeting[0]
            });
            assert_eq!(speaks_tls(&Repository::parse(&url).unwrap()), expected);
            assert_eq!(server.join().unwrap(), 22);
        };
        check(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
        check(&[21, 3, 3, 0, 2, 2, 40], true);
        check(&[22, 3, 3], true);
        check(b"", false);
    }
}
