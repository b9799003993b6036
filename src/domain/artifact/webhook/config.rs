//! The receivers that the administrator configures: a file of kind
//! `WebhookConfig`.
//!
//! Parsing has two steps, because no files are read here: a [`Draft`] lists the
//! files that it names, and becomes receivers with their content.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::push::Host;
use super::receiver::{Receiver, Secret, Sender};
use crate::domain::process::configuration::{
    ReceiverFields, Wrong, read_document, receivers, refuse_unknown, wrong,
};

/// The largest configuration, in bytes.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;
/// The largest file with a secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 4096;
/// The shortest secret, in bytes: a random one cannot be guessed in years.
const MIN_SECRET_BYTES: usize = 16;
/// The most receivers.
const MAX_RECEIVERS: usize = 64;

/// A configuration whose files have not been read yet.
#[derive(Clone, Debug)]
pub struct Draft(Vec<Entry>);

#[derive(Clone, Debug, Deserialize)]
struct File {
    #[serde(default)]
    receivers: Vec<Entry>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    secret_file: Option<String>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    namespaces: Option<BTreeSet<String>>,
}

/// Without the secret.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Draft {
    /// Reads the YAML.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        const FILE: &[&str] = &["apiVersion", "kind", "metadata", "receivers"];
        const RECEIVER: &[&str] = &["name", "type", "secret", "secretFile", "registry", "namespaces"];
        let document = read_document(text, MAX_CONFIG_BYTES, "WebhookConfig")?;
        refuse_unknown("the file", &document, FILE)?;
        let fields = ReceiverFields {
            known: RECEIVER,
            hidden: &["secret"],
            files: &["secretFile"],
            most: MAX_RECEIVERS,
        };
        receivers(&document, fields)?;
        let file: File = serde_json::from_value(document).map_err(|e| wrong("the file", e.to_string()))?;
        Ok(Self(file.receivers))
    }

    /// The files that it names, relative to the directory that it is in.
    pub fn files(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|entry| entry.secret_file.as_deref()).collect()
    }

    /// Adds the content of the files, by the names of [`Draft::files`].
    ///
    /// # Errors
    /// The first invalid field.
    pub fn complete(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Receiver>, Wrong> {
        let read = |(n, entry): (usize, &Entry)| entry.receiver(&format!("receivers[{n}]"), files);
        self.0.iter().enumerate().map(read).collect()
    }
}

impl Entry {
    fn receiver(&self, field: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Receiver, Wrong> {
        let Some(sender) = Sender::named(&self.kind) else {
            let known = Sender::ALL.map(|(_, name)| name).join(", ");
            let problem = format!("{:?} is not one of {known}", self.kind);
            return Err(wrong(format!("{field}.type"), problem));
        };
        let registry = self.registry.as_deref().map(|text| {
            let problem = format!("{text:?} is not a registry host such as ghcr.io or registry.example:5000");
            Host::parse(text).ok_or_else(|| wrong(format!("{field}.registry"), problem))
        });
        if self.namespaces.as_ref().is_some_and(BTreeSet::is_empty) {
            let problem = "empty, so no release could run: omit it to allow all namespaces";
            return Err(wrong(format!("{field}.namespaces"), problem));
        }
        Ok(Receiver {
            name: self.name.clone(),
            sender,
            secret: self.secret(field, files)?,
            registry: registry.transpose()?,
            namespaces: self.namespaces.clone(),
        })
    }

    fn secret(&self, field: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<Secret, Wrong> {
        let (field, bytes) = match (&self.secret, &self.secret_file) {
            (Some(secret), None) => (format!("{field}.secret"), secret.as_bytes()),
            (None, Some(file)) => {
                let field = format!("{field}.secretFile");
                let content =
                    files.get(file).ok_or_else(|| wrong(&field, format!("file {file:?} not found")))?;
                // Editors end a file with a newline.
                (field, content.trim_ascii_end())
            }
            _ => return Err(wrong(field, "needs exactly one of secret and secretFile")),
        };
        if bytes.len() < MIN_SECRET_BYTES {
            let problem = format!(
                "the secret is shorter than {MIN_SECRET_BYTES} bytes: create one with openssl rand -hex 32"
            );
            return Err(wrong(field, problem));
        }
        // It may be sent in a header.
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(wrong(field, "the secret has characters other than visible ASCII"));
        }
        Ok(Secret::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: supercargo.dev/v1alpha1\nkind: WebhookConfig\n";

    fn read(body: &str) -> Result<Vec<Receiver>, String> {
        let files = BTreeMap::from([
            ("long".to_owned(), b"0123456789abcdef\n".to_vec()),
            ("short".to_owned(), b"0123456789abcde\n\n".to_vec()),
        ]);
        let draft = Draft::parse(&format!("{HEAD}{body}")).map_err(|e| e.to_string())?;
        draft.complete(&files).map_err(|e| e.to_string())
    }

    #[test]
    fn receivers_are_read() {
        let receivers = read(
            "receivers:
- {name: registry, type: distribution, secretFile: long, registry: 'Registry.example:5000', namespaces: [apps]}
- {name: hub, type: dockerhub, secret: 0123456789abcdefg}
",
        )
        .unwrap();
        let [registry, hub] = receivers.as_slice() else { panic!("{receivers:?}") };
        assert_eq!(registry.secret, Secret::new(b"0123456789abcdef"));
        assert_eq!(registry.registry, Host::parse("registry.example:5000"));
        assert!(registry.reaches("apps") && !registry.reaches("other"));
        assert_eq!((hub.sender, hub.path().len()), (Sender::DockerHub, "/hook/".len() + 64));
        assert!(hub.reaches("other"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let check = |body: &str, expected: &str| {
            let error = read(body).unwrap_err();
            assert!(error.starts_with(expected), "{body}: {error:?} does not begin with {expected:?}");
            assert!(!error.contains("01234567"), "{error}");
        };
        let one = |fields: &str| format!("receivers: [{{{fields}}}]");
        let good = "secret: 0123456789abcdef";
        check("", "receivers: needs at least one receiver");
        check("receivers: []", "receivers: needs at least one receiver");
        check("receivers: 3", "receivers: needs at least one receiver");
        check("receiver: []", "the file: unknown field \"receiver\"");
        check(
            &one(&format!("name: a, type: generic, {good}, extra: 1")),
            "receivers[0]: unknown field \"extra\"",
        );
        check(&one("name: a, type: generic, secret: 0123456789012345"), "receivers[0].secret: not a string");
        check(&one(&format!("name: a, {good}")), "the file: missing field `type`");
        check(
            &one(&format!("name: a, type: gitlab, {good}")),
            "receivers[0].type: \"gitlab\" is not one of distribution,",
        );
        check(
            &one(&format!("name: A, type: generic, {good}")),
            "receivers[0].name: \"A\" is not a valid name",
        );
        check(
            &one(&format!("name: -a, type: generic, {good}")),
            "receivers[0].name: \"-a\" is not a valid name",
        );
        check(&one(&format!("name: {}, type: generic, {good}", "a".repeat(64))), "receivers[0].name: ");
        check(&one("name: a, type: generic"), "receivers[0]: needs exactly one of secret and secretFile");
        check(
            &one("name: a, type: generic, secretFile: 'https://01234567'"),
            "receivers[0].secretFile: is not the name of a file",
        );
        check(&one("name: a, type: generic, secretFile: [a]"), "receivers[0].secretFile: not a string");
        check(
            &one(&format!("name: a, type: generic, {good}, secretFile: long")),
            "receivers[0]: needs exactly one of secret",
        );
        check(
            &one("name: a, type: generic, secret: short"),
            "receivers[0].secret: the secret is shorter than 16",
        );
        check(
            &one("name: a, type: generic, secretFile: short"),
            "receivers[0].secretFile: the secret is shorter",
        );
        check(
            &one("name: a, type: generic, secretFile: none"),
            "receivers[0].secretFile: file \"none\" not found",
        );
        check(
            &one("name: a, type: generic, secret: '0123456789 abcdef'"),
            "receivers[0].secret: the secret has characters",
        );
        check(
            &one(&format!("name: a, type: generic, {good}, registry: 'a/b'")),
            "receivers[0].registry: \"a/b\" is not",
        );
        check(
            &one(&format!("name: a, type: generic, {good}, namespaces: []")),
            "receivers[0].namespaces: empty",
        );
        let twice =
            format!("receivers: [{{name: a, type: generic, {good}}}, {{name: a, type: quay, {good}}}]");
        check(&twice, "receivers[1].name: duplicate receiver name \"a\"");
        let many: Vec<String> = (0..65).map(|n| format!("{{name: a{n}, type: generic, {good}}}")).collect();
        check(&format!("receivers: [{}]", many.join(",")), "receivers: has more than 64 receivers");
        assert!(
            Draft::parse(&"#".repeat(MAX_CONFIG_BYTES + 1)).unwrap_err().to_string().contains("larger than")
        );
        assert!(
            Draft::parse("apiVersion: v1\nkind: Secret")
                .unwrap_err()
                .to_string()
                .contains("not a WebhookConfig")
        );
        assert!(!format!("{:?}", Draft::parse(&format!("{HEAD}{twice}"))).contains("01234567"));
    }
}
