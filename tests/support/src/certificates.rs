//! A certificate authority for one test bed or one registry.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A name that is in no DNS but that of [`crate::Names`]; the servers' certificates
/// have it.
pub const NAME: &str = "registry.supercargo.test";

/// A CA that lives as long as its value; its private key is never written.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its private key, both PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

impl Identity {
    /// Writes `NAME.crt` and `NAME.key` into `dir` and returns their paths.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).expect("write a certificate");
        std::fs::write(&key, &self.key).expect("write a key");
        (certificate, key)
    }

    pub(crate) fn to_der(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate");
        (certificate, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key"))
    }
}

impl Authority {
    /// A new CA with that common name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("generate a key");
        let certificate = params.self_signed(&key).expect("sign a CA").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// The CA's certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server on loopback: 127.0.0.1, localhost and [`NAME`].
    pub fn server(&self) -> Identity {
        let mut params =
            CertificateParams::new(["127.0.0.1", "localhost", NAME].map(str::to_owned)).expect("names");
        params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client. Kubernetes reads `name` as the user and
    /// `group` as its group.
    pub fn client(&self, name: &str, group: Option<&str>) -> Identity {
        self.sign(params(name, group), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Identity {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("generate a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

fn params(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}
