//! Encrypted artifacts, as Kustomizer writes them: every file one armored age
//! file (age-encryption.org/v1) for X25519 keys.
//!
//! Encryption hides the manifests from readers of the repository. It is no proof of
//! origin: anyone with the public key can encrypt.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::unpack::{self, EXTENSION, Form, Order, StoredLayer, Unpacked};
use crate::oci::error::OciError;
use crate::oci::limits::{ContentLimits, MAX_AGE_HEADER_BYTES, MAX_KEY_FILE_BYTES};

/// The value of the annotation `encrypted`.
pub(super) const SCHEME: &str = "age-encryption.org/v1";
/// The beginning of the last line of an age header.
const HEADER_END: &[u8] = b"\n---";

/// Public keys: who will be able to read an artifact.
#[derive(Clone)]
pub struct Recipients(Vec<age::x25519::Recipient>);

/// Private keys. Never printed, and wiped when dropped.
#[derive(Clone)]
pub struct Identities(Arc<Vec<age::x25519::Identity>>);

impl Recipients {
    /// Reads a file of `age1…` keys, one a line; lines that are empty or begin with `#`
    /// are skipped.
    ///
    /// # Errors
    /// Names the line that is not such a key; or the file has no key.
    pub fn parse(file: &[u8]) -> Result<Self, OciError> {
        let keys = lines(file, |line| line.parse().ok(), "an age public key (age1…)")?;
        Ok(Self(keys))
    }

    /// Encrypts for all of them. Each time gives different bytes.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, OciError> {
        let failed = |e: &dyn fmt::Display| OciError::Spec(format!("cannot encrypt the artifact: {e}"));
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
    /// Names the line that is not such a key, never its content; or the file has no key.
    pub fn parse(file: Vec<u8>) -> Result<Self, OciError> {
        let file = Zeroizing::new(file);
        let keys = lines(&file, |line| line.parse().ok(), "an age private key (AGE-SECRET-KEY-1…)")?;
        Ok(Self(Arc::new(keys)))
    }

    /// These keys and others.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        Self(Arc::new(self.0.iter().chain(others.0.iter()).cloned().collect()))
    }

    /// The files in clear, under their names without `.age`. All files are decrypted
    /// where the artifact is marked as encrypted, else those with the extension.
    pub(super) fn open(
        &self,
        files: Vec<(String, Bytes)>,
        all: bool,
        limits: &ContentLimits,
    ) -> Result<Vec<(String, Bytes)>, OciError> {
        let mut left = limits.unpacked;
        let mut opened = Vec::with_capacity(files.len());
        let plain: HashSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let twice = files.iter().find_map(|(name, _)| plain.get(name.strip_suffix(EXTENSION)?));
        if let Some(name) = twice {
            return Err(OciError::invalid(format!(
                "file {name:?} is there twice: in clear, and as {:?}",
                format!("{name}{EXTENSION}")
            )));
        }
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
        let broken = || OciError::invalid(format!("file {name:?} is not a valid age file"));
        let mut sealed = Vec::new();
        // Armor is longer than what it holds.
        ArmoredReader::new(content).read_to_end(&mut sealed).map_err(|_| broken())?;
        // Its reader searches the whole header again after each read.
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
                OciError::Secret(format!("none of the given keys decrypts file {name:?}"))
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

/// Unpacks layers and decrypts what is encrypted in them. The checksum of an
/// encrypted artifact is that of its first layer in clear.
pub(in crate::oci) fn unpack(
    layers: &[StoredLayer],
    mut order: Order,
    keys: &Identities,
    encrypted: bool,
) -> Result<Unpacked, OciError> {
    if !encrypted {
        let Unpacked { files, form } = unpack::unpack(layers, &order)?;
        return Ok(Unpacked { files: keys.open(files, false, &order.limits)?, form });
    }
    let (path, checksum) = (std::mem::take(&mut order.path), order.checksum.take());
    let (mut files, first) = unpack::unpack_everything(layers, &order)?;
    let form = Form::at(&path, files.iter().map(|(name, _)| name.as_str()));
    let mut summed = first;
    let (mut tops, mut has_path) = (Vec::new(), path.is_empty());
    for (name, _) in &files {
        let bare = name.strip_suffix(EXTENSION).unwrap_or(name);
        unpack::add_top(&mut tops, bare);
        has_path = has_path || unpack::is_below(bare, &path);
    }
    if form == Form::Manifests {
        let is_kept = |(name, _): &(String, Bytes)| unpack::is_manifest_name(name);
        summed = files.iter().take(first).filter(|file| is_kept(file)).count();
        files.retain(is_kept);
    }
    let mut files = keys.open(files, true, &order.limits)?;
    let mut sum = Sha256::new();
    files.iter().take(summed).for_each(|(_, content)| sum.update(content));
    unpack::check_sum(checksum.as_deref(), sum.finalize().as_slice())?;
    // As for plain artifacts: nothing that is only wrong offers to delete everything.
    if !has_path {
        return Err(unpack::path_missing(&path, &tops));
    }
    if form == Form::Manifests {
        files.retain(|(name, _)| {
            unpack::is_below(name, &path) && unpack::is_manifest_name(name) && !unpack::is_lock(name, &path)
        });
        if files.is_empty() && path.is_empty() && !tops.is_empty() {
            return Err(unpack::no_manifests(&tops));
        }
    }
    Ok(Unpacked { files, form })
}

/// A key from each line that is not a comment.
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
        return Err(OciError::Secret(format!("it contains no line with {what}")));
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
    fn a_file_in_clear_and_encrypted_is_there_twice() {
        let (public, private) = key();
        let sealed = Recipients::parse(public.as_bytes()).unwrap().encrypt(b"kind: Secret\n").unwrap();
        let files = |names: [&str; 2]| {
            names.map(|name| {
                let content = if name.ends_with(EXTENSION) { sealed.clone() } else { b"a: 1\n".to_vec() };
                (name.to_owned(), Bytes::from(content))
            })
        };
        let open = |names: [&str; 2]| {
            let opened = identities(&private).open(files(names).to_vec(), false, &ContentLimits::default());
            opened.map(|files| files.len()).map_err(|error| error.to_string())
        };
        let twice = "file \"a.yaml\" is there twice: in clear, and as \"a.yaml.age\"";
        for names in [["a.yaml", "a.yaml.age"], ["a.yaml.age", "a.yaml"]] {
            assert!(open(names).is_err_and(|error| error.ends_with(twice)), "{names:?}");
        }
        assert_eq!(open(["a.yaml", "b.yaml.age"]), Ok(2));
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
        assert_eq!(error, "none of the given keys decrypts file \"all.yaml.age\"");
    }

    #[test]
    fn an_encrypted_kustomization_takes_all_files() {
        let (public, private) = key();
        let recipients = Recipients::parse(public.as_bytes()).unwrap();
        let check = |sealed: bool, names: &[&str], path: &str, expected: &[&str]| {
            let mut tar = tar::Builder::new(Vec::new());
            for name in names {
                let content = match sealed || name.ends_with(EXTENSION) {
                    true => recipients.encrypt(b"kind: A\n").unwrap(),
                    false => b"kind: A\n".to_vec(),
                };
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_slice()).unwrap();
            }
            let order = Order {
                path: path.to_owned(),
                checksum: None,
                limits: ContentLimits::default(),
                is_merged: false,
            };
            let Unpacked { files, form } = unpack(
                &[StoredLayer::alone(tar.into_inner().unwrap().into())],
                order,
                &identities(&private),
                sealed,
            )
            .unwrap();
            let found: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, expected, "{names:?}");
            let directory = path.to_owned();
            let kustomization = Form::Kustomization { directory };
            assert_eq!(form == kustomization, names.iter().any(|n| n.contains("kustomization")), "{names:?}");
        };
        let all = ["b/a.yaml.age", "b/app.conf.age", "p/kustomization.yaml.age"];
        check(true, &all, "p", &["b/a.yaml", "b/app.conf", "p/kustomization.yaml"]);
        check(true, &["b/a.yaml.age", "p/c.yaml.age", "README"], "p", &["p/c.yaml"]);
        let some = ["b/app.conf", "p/secret.yaml.age", "p/kustomization.yaml"];
        check(false, &some, "p", &["b/app.conf", "p/secret.yaml", "p/kustomization.yaml"]);
    }

    #[test]
    fn a_wrong_path_is_an_error_also_where_it_is_encrypted() {
        let (public, private) = key();
        let recipients = Recipients::parse(public.as_bytes()).unwrap();
        let check = |names: &[&str], path: &str, expected: Result<&[&str], &str>| {
            let mut tar = tar::Builder::new(Vec::new());
            for name in names {
                let content = recipients.encrypt(b"kind: A\n").unwrap();
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_slice()).unwrap();
            }
            let layer = StoredLayer::alone(tar.into_inner().unwrap().into());
            let limits = ContentLimits::default();
            let order = Order { path: path.to_owned(), checksum: None, limits, is_merged: false };
            let found = unpack(&[layer], order, &identities(&private), true);
            let found = found.map(|it| it.files.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
            match expected {
                Ok(names) => assert_eq!(found.unwrap(), names),
                Err(says) => assert!(found.unwrap_err().to_string().contains(says)),
            }
        };
        let all = ["p/a.yaml.age", "q/b.yaml.age", "README.age", ".imgpkg/images.yml.age"];
        check(&all, "", Ok(&["p/a.yaml", "q/b.yaml"]));
        check(&all, "p", Ok(&["p/a.yaml"]));
        check(&all, "p/a.yaml", Ok(&["p/a.yaml"]));
        check(&all, "x", Err("path ./x is not in the artifact; it contains: p, q, README, .imgpkg"));
        check(
            &["README.age"],
            "",
            Err("no YAML or JSON file (is it a container image?); it contains README"),
        );
    }

    #[test]
    fn what_is_no_key_file_says_which_line_and_not_what() {
        let (public, private) = key();
        let check = |file: String, expected: &str| {
            let read = Identities::parse(file.into_bytes()).map(drop);
            assert_eq!(read.unwrap_err().to_string(), expected);
        };
        let not = "is not an age private key (AGE-SECRET-KEY-1…)";
        check(format!("{private}\nhunter2\n"), &format!("line 2 {not}"));
        check(public, &format!("line 1 {not}"));
        check("# nothing\n\n".into(), "it contains no line with an age private key (AGE-SECRET-KEY-1…)");
        check("#".repeat(MAX_KEY_FILE_BYTES + 1), "it is larger than 1048576 bytes");
        let error = Recipients::parse(format!("{private}\n").as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 1 is not an age public key (age1…)");
        assert!(!format!("{:?}", identities(&private)).contains("SECRET"));
    }

    #[test]
    fn hostile_files_are_refused() {
        let (public, private) = key();
        let (keys, limits) = (identities(&private), ContentLimits::default());
        let sealed = Recipients::parse(public.as_bytes()).unwrap().encrypt(&[b'a'; 100_000]).unwrap();
        let small = ContentLimits { file: 99_999, ..limits };
        assert!(open(&keys, &sealed, &small).unwrap_err().contains("decrypts to more than 99999 bytes"));
        let intact = "is not a valid age file";
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
