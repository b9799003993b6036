//! Encrypted artifacts, as Kustomizer writes them: every file one armored age
//! file (age-encryption.org/v1) for X25519 keys.
//!
//! Encryption hides the manifests from whoever can read the repository. It says
//! nothing about who made them: anybody can encrypt for a public key.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::unpack::{self, Order};
use crate::oci::error::OciError;
use crate::oci::limits::{ContentLimits, MAX_AGE_HEADER_BYTES, MAX_KEY_FILE_BYTES};

/// What the annotation `encrypted` says.
pub(super) const SCHEME: &str = "age-encryption.org/v1";
/// What the name of an encrypted file ends with.
pub(super) const EXTENSION: &str = ".age";
/// The last line of an age header begins so.
const HEADER_END: &[u8] = b"\n---";

/// Public keys: who will be able to read an artifact.
#[derive(Clone)]
pub struct Recipients(Vec<age::x25519::Recipient>);

/// Private keys. Shown to nobody, and wiped when dropped.
#[derive(Clone)]
pub struct Identities(Arc<Vec<age::x25519::Identity>>);

impl Recipients {
    /// Reads a file of `age1…` keys, one a line; lines that are empty or begin
    /// with `#` are passed over.
    ///
    /// # Errors
    /// Names the line that is no such key; or there is none.
    pub fn parse(file: &[u8]) -> Result<Self, OciError> {
        let keys = lines(file, |line| line.parse().ok(), "a public key of age (age1…)")?;
        Ok(Self(keys))
    }

    /// Encrypts for all of them. No two times give the same bytes.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, OciError> {
        let failed = |e: &dyn fmt::Display| OciError::Spec(format!("the artifact cannot be encrypted: {e}"));
        let keys = self.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys).map_err(|e| failed(&e))?;
        let write = || -> std::io::Result<Vec<u8>> {
            let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
            let mut writer = encryptor.wrap_output(armor)?;
            writer.write_all(plain)?;
            writer.finish()?.finish()
        };
        write().map_err(|e| failed(&e))
    }
}

impl Identities {
    /// Reads a file of `AGE-SECRET-KEY-1…` keys, one a line, as `age-keygen`
    /// writes it, and wipes it.
    ///
    /// # Errors
    /// Names the line that is no such key, never its content; or there is none.
    pub fn parse(file: Vec<u8>) -> Result<Self, OciError> {
        let file = Zeroizing::new(file);
        let keys = lines(&file, |line| line.parse().ok(), "a private key of age (AGE-SECRET-KEY-1…)")?;
        Ok(Self(Arc::new(keys)))
    }

    /// These and others.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        Self(Arc::new(self.0.iter().chain(others.0.iter()).cloned().collect()))
    }

    /// The files in clear, under their names without `.age`. Everything is
    /// decrypted where the artifact says that it is encrypted, else what is
    /// named so.
    pub(super) fn open(
        &self,
        files: Vec<(String, Bytes)>,
        all: bool,
        limits: &ContentLimits,
    ) -> Result<Vec<(String, Bytes)>, OciError> {
        let mut left = limits.unpacked;
        let mut opened = Vec::with_capacity(files.len());
        for (name, content) in files {
            let bare = name.strip_suffix(EXTENSION).map(str::to_owned);
            if bare.is_none() && !all {
                opened.push((name, content));
                continue;
            }
            let plain = self.decrypt(&name, &content, limits.file.min(left))?;
            left = left.saturating_sub(plain.len() as u64);
            opened.push((bare.unwrap_or(name), plain.into()));
        }
        Ok(opened)
    }

    fn decrypt(&self, name: &str, content: &[u8], limit: u64) -> Result<Vec<u8>, OciError> {
        let broken = || OciError::invalid(format!("file {name:?} is not an intact file of age"));
        let mut sealed = Vec::new();
        // Armor is longer than what it holds.
        ArmoredReader::new(content).read_to_end(&mut sealed).map_err(|_| broken())?;
        // Its reader looks for the end of a header again with every bit that it reads.
        let head = sealed.get(..MAX_AGE_HEADER_BYTES).unwrap_or(&sealed);
        if !head.windows(HEADER_END.len()).any(|window| window == HEADER_END) {
            return Err(broken());
        }
        let decryptor = Decryptor::new_buffered(sealed.as_slice()).map_err(|_| broken())?;
        if decryptor.is_scrypt() {
            let why = format!("file {name:?} is encrypted with a passphrase; encrypt it for a key (age1…)");
            return Err(OciError::invalid(why));
        }
        let keys = self.0.iter().map(|key| key as &dyn age::Identity);
        let reader = decryptor.decrypt(keys).map_err(|e| match e {
            DecryptError::NoMatchingKeys => {
                OciError::Secret(format!("file {name:?} is encrypted for other keys than those given"))
            }
            _ => broken(),
        })?;
        let mut plain = Vec::new();
        reader.take(limit.saturating_add(1)).read_to_end(&mut plain).map_err(|_| broken())?;
        if plain.len() as u64 > limit {
            return Err(OciError::too_large(format!("file {name:?} decrypts to more than {limit} bytes")));
        }
        Ok(plain)
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identities(***)")
    }
}

/// Unpacks a layer and decrypts what is encrypted in it. The checksum of an
/// encrypted artifact is that of all of it in clear.
pub(in crate::oci) fn unpack(
    layer: &[u8],
    mut order: Order,
    keys: &Identities,
    encrypted: bool,
) -> Result<Vec<(String, Bytes)>, OciError> {
    if !encrypted {
        return keys.open(unpack::unpack(layer, &order)?, false, &order.limits);
    }
    let (path, checksum) = (std::mem::take(&mut order.path), order.checksum.take());
    let mut files = keys.open(unpack::unpack(layer, &order)?, true, &order.limits)?;
    let mut sum = Sha256::new();
    files.iter().for_each(|(_, content)| sum.update(content));
    unpack::check_sum(checksum.as_deref(), sum.finalize().as_slice())?;
    files.retain(|(name, _)| unpack::is_below(name, &path));
    Ok(files)
}

/// A key from each line that is no comment.
fn lines<T>(file: &[u8], key: impl Fn(&str) -> Option<T>, what: &str) -> Result<Vec<T>, OciError> {
    if file.len() > MAX_KEY_FILE_BYTES {
        return Err(OciError::Secret(format!("it is larger than {MAX_KEY_FILE_BYTES} bytes")));
    }
    let text = std::str::from_utf8(file).map_err(|_| OciError::Secret("it is not text".into()))?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let why = || OciError::Secret(format!("line {} is not {what}", at + 1));
        keys.push(key(line).ok_or_else(why)?);
    }
    if keys.is_empty() {
        return Err(OciError::Secret(format!("it holds no line with {what}")));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    fn key() -> (String, String) {
        let identity = age::x25519::Identity::generate();
        (identity.to_public().to_string(), identity.to_string().expose_secret().to_owned())
    }

    fn identities(file: &str) -> Identities {
        Identities::parse(file.as_bytes().to_vec()).unwrap()
    }

    fn open(identities: &Identities, content: &[u8], limits: &ContentLimits) -> Result<String, String> {
        let files = vec![("all.yaml.age".to_owned(), Bytes::copy_from_slice(content))];
        let opened = identities.open(files, true, limits).map_err(|e| e.to_string())?;
        assert_eq!(opened[0].0, "all.yaml");
        Ok(String::from_utf8(opened[0].1.to_vec()).unwrap())
    }

    #[test]
    fn any_of_the_keys_opens_it() {
        let ((one_public, one), (two_public, two), (_, other)) = (key(), key(), key());
        let file = format!("# people\n\n{one_public}\r\n  {two_public}\n");
        let recipients = Recipients::parse(file.as_bytes()).unwrap();
        let sealed = recipients.encrypt(b"kind: Secret\n").unwrap();
        assert!(sealed.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
        assert_ne!(sealed, recipients.encrypt(b"kind: Secret\n").unwrap());
        let limits = ContentLimits::default();
        for file in [one, format!("# created\n{other}\n{two}\n")] {
            assert_eq!(open(&identities(&file), &sealed, &limits), Ok("kind: Secret\n".into()));
        }
        let error = open(&identities(&other), &sealed, &limits).unwrap_err();
        assert_eq!(error, "file \"all.yaml.age\" is encrypted for other keys than those given");
    }

    #[test]
    fn what_is_no_key_file_says_which_line_and_not_what() {
        let (public, private) = key();
        let check = |file: String, expected: &str| {
            let read = Identities::parse(file.into_bytes()).map(drop);
            assert_eq!(read.unwrap_err().to_string(), expected);
        };
        let not = "is not a private key of age (AGE-SECRET-KEY-1…)";
        check(format!("{private}\nhunter2\n"), &format!("line 2 {not}"));
        check(public, &format!("line 1 {not}"));
        check("# nothing\n\n".into(), "it holds no line with a private key of age (AGE-SECRET-KEY-1…)");
        check("#".repeat(MAX_KEY_FILE_BYTES + 1), "it is larger than 1048576 bytes");
        let error = Recipients::parse(format!("{private}\n").as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 1 is not a public key of age (age1…)");
        assert!(!format!("{:?}", identities(&private)).contains("SECRET"));
    }

    #[test]
    fn hostile_files_are_refused() {
        let (public, private) = key();
        let (keys, limits) = (identities(&private), ContentLimits::default());
        let sealed = Recipients::parse(public.as_bytes()).unwrap().encrypt(&[b'a'; 100_000]).unwrap();
        let small = ContentLimits { file: 99_999, ..limits };
        assert!(open(&keys, &sealed, &small).unwrap_err().contains("decrypts to more than 99999 bytes"));
        let intact = "is not an intact file of age";
        let mut torn = sealed.clone();
        torn.truncate(sealed.len() / 2);
        let mut bent = sealed.clone();
        bent[sealed.len() / 2] ^= 1;
        let stanzas = format!("age-encryption.org/v1\n{}", "-> X25519 a\nb\n".repeat(100_000));
        for content in [b"".as_slice(), b"kind: Secret\n", &torn, &bent, stanzas.as_bytes()] {
            let error = open(&keys, content, &limits).unwrap_err();
            assert!(error.contains(intact), "{error}");
        }
        let passphrase = Encryptor::with_user_passphrase("x".to_owned().into());
        let mut sealed = Vec::new();
        passphrase.wrap_output(&mut sealed).unwrap().finish().unwrap();
        assert!(open(&keys, &sealed, &limits).unwrap_err().contains("with a passphrase"));
    }
}
