//! The proxy of an access, between this process and a registry.

use reqwest::Url;

use crate::oci::error::OciError;
use crate::oci::reference::Zone;

/// A proxy and our credentials for it.
#[derive(Clone)]
pub struct Proxy {
    address: Url,
    username: String,
    password: String,
}

impl Proxy {
    /// Checks the address, `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// When it is not such a URL. The message quotes nothing of it: it may hold a
    /// password.
    pub fn new(address: &str, username: &str, password: &str) -> Result<Self, OciError> {
        let bad = || OciError::Secret("address is not a proxy URL (http://host:port)".into());
        let mut address = Url::parse(address.trim()).map_err(|_| bad())?;
        if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
            return Err(bad());
        }
        if address.host_str().and_then(Zone::of_host) == Some(Zone::Forbidden) {
            let why = "address is link-local, reserved or a cloud's metadata service, and cannot be a proxy";
            return Err(OciError::Secret(why.into()));
        }
        let (mut user, mut pass) = (username.to_owned(), password.to_owned());
        if user.is_empty() && pass.is_empty() {
            let decode = |text: &str| percent(text).ok_or_else(bad);
            (user, pass) = (decode(address.username())?, decode(address.password().unwrap_or_default())?);
        }
        address.set_username("").map_err(|()| bad())?;
        address.set_password(None).map_err(|()| bad())?;
        Ok(Self { address, username: user, password: pass })
    }

    /// Everything that distinguishes it.
    pub(in crate::oci) fn parts(&self) -> [&str; 3] {
        [self.address.as_str(), &self.username, &self.password]
    }

    pub(in crate::oci) fn rule(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let rule = reqwest::Proxy::all(self.address.clone())?;
        let named = !(self.username.is_empty() && self.password.is_empty());
        Ok(if named { rule.basic_auth(&self.username, &self.password) } else { rule })
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address.as_str()).finish_non_exhaustive()
    }
}

/// Undoes the percent encoding of a URL's user information.
fn percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_and_their_passwords_are_not_shown() {
        let check = |address: &str, expected: Option<[&str; 3]>| {
            let proxy = Proxy::new(address, "", "");
            if let Err(e) = &proxy {
                assert!(!e.to_string().contains("s3cret"), "{e}");
            }
            assert_eq!(proxy.ok().as_ref().map(Proxy::parts), expected, "{address}");
        };
        check("http://proxy:3128", Some(["http://proxy:3128/", "", ""]));
        check(" https://10.0.0.1:3128\n", Some(["https://10.0.0.1:3128/", "", ""]));
        check("http://us%65r:s3cret%21@proxy:3128", Some(["http://proxy:3128/", "user", "s3cret!"]));
        check("http://user:s3cret%2@proxy", None);
        check("http://169.254.169.254", None);
        check("http://metadata.google.internal:80", None);
        check("http://[fe80::1]:3128", None);
        check("http://127.0.0.1:3128", Some(["http://127.0.0.1:3128/", "", ""]));
        check("socks5://user:s3cret@proxy", None);
        check("proxy:3128", None);
        check("", None);
        let proxy = Proxy::new("http://a:b@proxy", "user", "s3cret").unwrap();
        assert_eq!(proxy.parts(), ["http://proxy/", "user", "s3cret"]);
        assert!(!format!("{proxy:?}").contains("s3cret"));
    }
}
