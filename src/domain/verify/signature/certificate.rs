//! The subject of a Fulcio certificate. Does not check who issued it.
//!
//! The extensions are those of Fulcio's `docs/oid-info.md`.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The most names that are matched. Fulcio writes one.
const MAX_NAMES: usize = 16;

/// The issuer, as plain bytes.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// The issuer, as a DER UTF8String.
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// An `otherName` that is a user name.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// The subject of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The issuer.
    pub issuer: String,
    /// The names: mail addresses, URIs, DNS names, user names. At least one.
    pub subjects: Vec<String>,
}

/// Reads the names of a certificate, DER.
///
/// # Errors
/// A fragment that says what is missing or contradictory.
pub fn names(der: &[u8]) -> Result<Names, String> {
    let certificate = Certificate::from_der(der).map_err(|_| "is not a certificate".to_owned())?;
    let issuer = issuer(&certificate)?;
    let alternative = certificate.tbs_certificate.get::<SubjectAltName>();
    let alternative = alternative.map_err(|_| "has damaged subject alternative names".to_owned())?;
    let subjects: Vec<String> =
        alternative.iter().flat_map(|(_, names)| &names.0).take(MAX_NAMES).filter_map(subject).collect();
    if subjects.is_empty() {
        return Err("has no supported subject alternative name".to_owned());
    }
    Ok(Names { issuer, subjects })
}

fn subject(name: &GeneralName) -> Option<String> {
    let name = match name {
        GeneralName::Rfc822Name(name)
        | GeneralName::DnsName(name)
        | GeneralName::UniformResourceIdentifier(name) => name.to_string(),
        GeneralName::OtherName(name) if name.type_id == USER_NAME => {
            Utf8StringRef::try_from(&name.value).ok()?.to_string()
        }
        // An IP address does not name a signer.
        _ => return None,
    };
    (!name.is_empty()).then_some(name)
}

/// The issuer is in one of two extensions, or the same in both.
fn issuer(certificate: &Certificate) -> Result<String, String> {
    let extension = |wanted: ObjectIdentifier| {
        let all = certificate.tbs_certificate.extensions.iter().flatten();
        let mut found = all.filter(|extension| extension.extn_id == wanted);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err("has a duplicate issuer".to_owned()),
            (found, _) => Ok(found.map(|extension| extension.extn_value.as_bytes())),
        }
    };
    let damaged = || "has a damaged issuer".to_owned();
    let (older, newer) = (extension(ISSUER)?, extension(ISSUER_V2)?);
    let older = older.map(|bytes| std::str::from_utf8(bytes).map_err(|_| damaged())).transpose()?;
    let newer = newer.map(|bytes| Utf8StringRef::from_der(bytes).map_err(|_| damaged())).transpose()?;
    let newer = newer.as_ref().map(AsRef::<str>::as_ref);
    if let (Some(older), Some(newer)) = (older, newer)
        && older != newer
    {
        return Err("has two different issuers".to_owned());
    }
    let issuer = newer.or(older).filter(|issuer| !issuer.is_empty());
    issuer.map(str::to_owned).ok_or_else(|| "has no issuer".to_owned())
}
