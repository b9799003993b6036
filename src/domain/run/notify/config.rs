//! The receivers that the administrator configures: a file of kind `NotifyConfig`.
//!
//! Parsing has two steps, because no files are read here: a [`NotifyDraft`] lists the files that it names,
//! and becomes receivers with their content.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::commit::{Forge, is_repository};
use super::hosts::Reachable;
use super::interest::Interest;
use super::receiver::{Hidden, NewsReceiver, ReceiverType};
use super::situation::{NewsKind, Severity};
use super::template::Template;
use crate::domain::manifest::patch::selector::Selector;
use crate::domain::process::configuration::{
    ReceiverFields, Wrong, read_document, receivers, refuse_unknown, wrong,
};
use crate::domain::process::zone::Zone;
use crate::domain::run::schedule::parse_duration;

/// The largest configuration, in bytes.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;
/// The largest file that it names, in bytes: certificates.
pub const MAX_NAMED_BYTES: usize = 1 << 20;
/// The longest URL, token or key, in bytes.
const MAX_SECRET_BYTES: usize = 4096;
/// The shortest key for signatures, in bytes: a random one cannot be guessed in years.
const MIN_KEY_BYTES: usize = 16;
/// The most receivers: each has an entry in the status of each release.
const MAX_RECEIVERS: usize = 16;
/// The longest name of a cluster: the limit of a label.
const MAX_CLUSTER_BYTES: usize = 63;
/// How long notifications are gathered.
const GROUP: Duration = Duration::from_secs(5);
/// The longest time to gather them.
const MAX_GROUP: Duration = Duration::from_secs(300);
/// The most requests a minute.
const MAX_PER_MINUTE: u32 = 6000;

/// The receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyConfig {
    /// The name of the cluster, for people and receivers that hear from several.
    pub cluster: Option<String>,
    /// The receivers.
    pub receivers: Vec<NewsReceiver>,
}

/// A configuration whose files have not been read yet.
#[derive(Clone, Debug)]
pub struct NotifyDraft(File);

#[derive(Clone, Debug, Deserialize)]
struct File {
    #[serde(default)]
    cluster: Option<String>,
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
    url: Option<String>,
    #[serde(default)]
    url_file: Option<String>,
    #[serde(default)]
    token_file: Option<String>,
    #[serde(default)]
    key_file: Option<String>,
    #[serde(default)]
    ca_file: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    when: When,
    #[serde(default)]
    namespaces: Option<BTreeSet<String>>,
    #[serde(default)]
    selector: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    per_minute: Option<u32>,
    #[serde(default)]
    batch: bool,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct When {
    #[serde(default)]
    outcomes: Option<BTreeSet<String>>,
    #[serde(default)]
    severity: Option<String>,
}

/// Without the URL.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

type Files = BTreeMap<String, Vec<u8>>;

impl NotifyDraft {
    /// Reads the YAML.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        const FILE: &[&str] = &["apiVersion", "kind", "metadata", "cluster", "receivers"];
        const RECEIVER: &[&str] = &[
            "name",
            "type",
            "url",
            "urlFile",
            "tokenFile",
            "keyFile",
            "caFile",
            "insecure",
            "when",
            "namespaces",
            "selector",
            "group",
            "perMinute",
            "batch",
            "template",
            "repositories",
        ];
        let document = read_document(text, MAX_CONFIG_BYTES, "NotifyConfig")?;
        refuse_unknown("the file", &document, FILE)?;
        let fields = ReceiverFields {
            known: RECEIVER,
            hidden: &["url"],
            files: &["urlFile", "tokenFile", "keyFile", "caFile"],
            most: MAX_RECEIVERS,
        };
        for (n, receiver) in receivers(&document, fields)?.iter().enumerate() {
            if let Some(when) = receiver.get("when") {
                refuse_unknown(&format!("receivers[{n}].when"), when, &["outcomes", "severity"])?;
            }
        }
        let file = serde_json::from_value(document).map_err(|e| wrong("the file", e.to_string()))?;
        Ok(Self(file))
    }

    /// The files that it names, relative to the directory that it is in.
    pub fn files(&self) -> BTreeSet<&str> {
        self.0
            .receivers
            .iter()
            .flat_map(|e| [&e.url_file, &e.token_file, &e.key_file, &e.ca_file])
            .filter_map(|file| file.as_deref())
            .collect()
    }

    /// Adds the content of the files, by the names of [`NotifyDraft::files`].
    ///
    /// # Errors
    /// The first invalid field.
    pub fn complete(&self, files: &Files) -> Result<NotifyConfig, Wrong> {
        if let Some(cluster) = &self.0.cluster
            && !is_cluster(cluster)
        {
            let problem = format!(
                "{cluster:?} is not a valid name: use at most {MAX_CLUSTER_BYTES} letters, digits, '-', '.' and '_'"
            );
            return Err(wrong("cluster", problem));
        }
        let read = |(n, entry): (usize, &Entry)| entry.receiver(&format!("receivers[{n}]"), files);
        let receivers = self.0.receivers.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(NotifyConfig { cluster: self.0.cluster.clone(), receivers })
    }
}

impl Entry {
    fn receiver(&self, field: &str, files: &Files) -> Result<NewsReceiver, Wrong> {
        let Some(kind) = ReceiverType::named(&self.kind) else {
            let known: Vec<&str> = ReceiverType::ALL.iter().map(|known| known.as_str()).collect();
            let problem = format!("{:?} is not one of {}", self.kind, known.join(", "));
            return Err(wrong(format!("{field}.type"), problem));
        };
        let key = secret(&format!("{field}.keyFile"), self.key_file.as_deref(), files)?;
        if key.as_ref().is_some_and(|key| key.len() < MIN_KEY_BYTES) {
            let problem = format!(
                "the key is shorter than {MIN_KEY_BYTES} bytes: create one with openssl rand -hex 32"
            );
            return Err(wrong(format!("{field}.keyFile"), problem));
        }
        for (name, given, fits) in [
            ("keyFile", self.key_file.is_some(), kind == ReceiverType::CloudEvents),
            ("batch", self.batch, kind == ReceiverType::CloudEvents),
            ("template", self.template.is_some(), kind.is_chat()),
            ("repositories", self.repositories.is_some(), kind.is_of_commits()),
        ] {
            if given && !fits {
                let problem = format!("has no effect on a receiver of type {}: omit it", kind.as_str());
                return Err(wrong(format!("{field}.{name}"), problem));
            }
        }
        let ca = self.ca_file.as_deref().map(|file| {
            let text =
                String::from_utf8_lossy(content(&format!("{field}.caFile"), file, files)?).into_owned();
            let problem = "contains no PEM certificate";
            let found = text.contains("-----BEGIN CERTIFICATE-----");
            found.then_some(text).ok_or_else(|| wrong(format!("{field}.caFile"), problem))
        });
        let template = self
            .template
            .as_deref()
            .map(|text| Template::parse(text).map_err(|problem| wrong(format!("{field}.template"), problem)));
        let per_minute = self.per_minute.unwrap_or(kind.per_minute());
        if !(1..=MAX_PER_MINUTE).contains(&per_minute) {
            return Err(wrong(format!("{field}.perMinute"), format!("not between 1 and {MAX_PER_MINUTE}")));
        }
        let url = self.url(kind, field, files)?;
        let forge = kind.is_of_commits().then(|| self.forge(field, &url)).transpose()?;
        Ok(NewsReceiver {
            name: self.name.clone(),
            kind,
            url,
            reach: Reachable::named_by_administrator(),
            token: secret(&format!("{field}.tokenFile"), self.token_file.as_deref(), files)?.map(Hidden::new),
            key: key.map(Hidden::new),
            ca: ca.transpose()?,
            interest: self.interest(kind, field)?,
            group: self.group(field)?,
            per_minute,
            batch: self.batch,
            template: template.transpose()?,
            forge,
        })
    }

    fn url(&self, kind: ReceiverType, field: &str, files: &Files) -> Result<Hidden, Wrong> {
        let (field, url) = match (&self.url, &self.url_file) {
            (Some(url), None) => (format!("{field}.url"), Some(url.clone())),
            (None, Some(file)) => {
                let field = format!("{field}.urlFile");
                let url = secret(&field, Some(file), files)?;
                (field, url)
            }
            _ => return Err(wrong(field, "needs exactly one of url and urlFile")),
        };
        let url = url.unwrap_or_default();
        let parsed: Option<http::Uri> = url.parse().ok().filter(|_| url.len() <= MAX_SECRET_BYTES);
        let host = parsed.as_ref().and_then(http::Uri::host).filter(|host| !host.is_empty());
        let Some((parsed, host)) = parsed.as_ref().zip(host) else {
            return Err(wrong(field, "not a URL such as https://hooks.example/path"));
        };
        let authority = parsed.authority().map_or("", http::uri::Authority::as_str);
        if authority.contains('@') {
            return Err(wrong(field, "has a user name or a password: use tokenFile"));
        }
        if kind.has_paths() && url.contains(['?', '#']) {
            return Err(wrong(field, "has a query or a fragment: the operator adds a path to the URL"));
        }
        if Zone::of_host(host) == Some(Zone::Forbidden) {
            let problem = format!("names {}, where nothing is sent", Zone::Forbidden.describe());
            return Err(wrong(field, problem));
        }
        match parsed.scheme_str() {
            Some("https") => {}
            Some("http") if self.insecure => {}
            Some("http") => {
                let problem = "sends notifications and what opens the receiver in the clear: use https, or set insecure: true";
                return Err(wrong(field, problem));
            }
            _ => return Err(wrong(field, "not a URL such as https://hooks.example/path")),
        }
        Ok(Hidden::new(url))
    }

    fn forge(&self, field: &str, url: &Hidden) -> Result<Forge, Wrong> {
        if self.token_file.is_none() {
            return Err(wrong(field, "needs tokenFile: a status of a commit needs a token"));
        }
        let repositories = self.repositories.clone().unwrap_or_default();
        if repositories.is_empty() {
            let problem = "needs repositories, such as acme/web or acme: a publisher could name any other";
            return Err(wrong(field, problem));
        }
        if let Some(bad) = repositories.iter().find(|path| !is_repository(path)) {
            let problem = format!("{bad:?} is not a path such as acme/web or acme");
            return Err(wrong(format!("{field}.repositories"), problem));
        }
        let uri: Option<http::Uri> = url.reveal().parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        Ok(Forge::with_api_at(host, repositories))
    }

    fn interest(&self, kind: ReceiverType, field: &str) -> Result<Interest, Wrong> {
        let least = match &self.when.severity {
            None => Severity::Info,
            Some(word) => {
                let found = Severity::ALL.into_iter().find(|known| known.as_str() == word);
                let known = Severity::ALL.map(Severity::as_str).join(", ");
                let problem = format!("{word:?} is not one of {known}");
                found.ok_or_else(|| wrong(format!("{field}.when.severity"), problem))?
            }
        };
        let mut kinds: BTreeSet<NewsKind> = NewsKind::ALL.into();
        if let Some(outcomes) = &self.when.outcomes {
            let known = NewsKind::ALL.map(NewsKind::as_str).join(", ");
            let read = |word: &String| {
                let problem = format!("{word:?} is not one of {known}");
                NewsKind::named(word).ok_or_else(|| wrong(format!("{field}.when.outcomes"), problem))
            };
            kinds = outcomes.iter().map(read).collect::<Result<_, _>>()?;
        }
        kinds.retain(|news| news.severity() >= least && kind.reports(*news));
        if kinds.is_empty() {
            return Err(wrong(format!("{field}.when"), "selects no outcome, so nothing would be sent"));
        }
        if self.namespaces.as_ref().is_some_and(BTreeSet::is_empty) {
            let problem = "empty, so nothing would be sent: omit it for all namespaces";
            return Err(wrong(format!("{field}.namespaces"), problem));
        }
        let selector = self
            .selector
            .as_deref()
            .map(|text| Selector::parse(text).map_err(|problem| wrong(format!("{field}.selector"), problem)));
        Ok(Interest { kinds, namespaces: self.namespaces.clone(), selector: selector.transpose()? })
    }

    fn group(&self, field: &str) -> Result<Duration, Wrong> {
        let Some(text) = &self.group else { return Ok(GROUP) };
        let problem = || format!("{text:?} is not a duration from 0s to 5m");
        let found = parse_duration(text).ok().filter(|group| *group <= MAX_GROUP);
        found.ok_or_else(|| wrong(format!("{field}.group"), problem()))
    }
}

fn content<'f>(field: &str, file: &str, files: &'f Files) -> Result<&'f [u8], Wrong> {
    let found = files.get(file).map(Vec::as_slice);
    found.ok_or_else(|| wrong(field, format!("file {file:?} not found")))
}

/// The content of a file that has one line of visible characters.
fn secret(field: &str, file: Option<&str>, files: &Files) -> Result<Option<String>, Wrong> {
    let Some(file) = file else { return Ok(None) };
    // Editors end a file with a newline.
    let bytes = content(field, file, files)?.trim_ascii();
    if bytes.is_empty() || bytes.len() > MAX_SECRET_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        let problem =
            format!("file {file:?} is not one line of at most {MAX_SECRET_BYTES} visible ASCII characters");
        return Err(wrong(field, problem));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// A name that people give a cluster.
fn is_cluster(name: &str) -> bool {
    let ends = [name.bytes().next(), name.bytes().last()];
    name.len() <= MAX_CLUSTER_BYTES
        && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: supercargo.dev/v1alpha1\nkind: NotifyConfig\n";

    fn read(body: &str) -> Result<NotifyConfig, String> {
        let files = Files::from([
            ("url".to_owned(), b"https://hooks.example/T0/s3cret\n".to_vec()),
            ("key".to_owned(), b"0123456789abcdef\n".to_vec()),
            ("short".to_owned(), b"0123456789abcde\n\n".to_vec()),
            ("two".to_owned(), b"s3cret\ns3cret".to_vec()),
            ("empty".to_owned(), b"\n".to_vec()),
            ("ca".to_owned(), b"-----BEGIN CERTIFICATE-----".to_vec()),
        ]);
        let draft = NotifyDraft::parse(&format!("{HEAD}{body}")).map_err(|e| e.to_string())?;
        draft.complete(&files).map_err(|e| e.to_string())
    }

    #[test]
    fn receivers_are_read() {
        let config = read(
            "cluster: prod-1
receivers:
- {name: team, type: slack, urlFile: url, when: {severity: warning}, namespaces: [apps], selector: team=a, template: '{name}'}
- {name: events, type: cloudevents, url: 'http://10.0.0.1:8080/in', insecure: true, keyFile: key, tokenFile: key, caFile: ca, batch: true, group: 0s, perMinute: 9, when: {outcomes: [Failed, Succeeded]}}
",
        )
        .unwrap();
        assert_eq!(config.cluster.as_deref(), Some("prod-1"));
        let [team, events] = config.receivers.as_slice() else { panic!("{config:?}") };
        assert_eq!(team.url.reveal(), "https://hooks.example/T0/s3cret");
        assert_eq!((team.group, team.per_minute), (GROUP, 60));
        assert!(team.interest.wants(NewsKind::Drifted) && !team.interest.wants(NewsKind::Succeeded));
        assert_eq!((events.group, events.per_minute, events.batch), (Duration::ZERO, 9, true));
        assert!(events.interest.wants(NewsKind::Failed) && !events.interest.wants(NewsKind::Drifted));
        assert!(events.key.is_some() && events.token.is_some() && events.ca.is_some());
        assert!(!format!("{config:?}").contains("s3cret"));
        let host = |kind: &str, url: &str| {
            let fields = "tokenFile: key, repositories: [acme]";
            let config =
                read(&format!("receivers: [{{name: a, type: {kind}, url: '{url}', {fields}}}]")).unwrap();
            config.receivers[0].forge.as_ref().unwrap().host.clone()
        };
        assert_eq!(host("github", "https://api.github.com"), "github.com");
        assert_eq!(host("github", "https://API.github.com."), "github.com");
        assert_eq!(host("github", "https://ghe.example/api/v3"), "ghe.example");
        assert_eq!(host("gitlab", "https://gitlab.example:8443"), "gitlab.example");
    }

    #[test]
    fn what_makes_no_sense_is_named_without_secrets() {
        let check = |body: &str, expected: &str| {
            let error = read(body).unwrap_err();
            assert!(error.starts_with(expected), "{body}: {error:?} does not begin with {expected:?}");
            assert!(!error.contains("s3cret"), "{error}");
        };
        let one = |fields: &str| format!("receivers: [{{{fields}}}]");
        let slack = |fields: &str| one(&format!("name: a, type: slack, urlFile: url, {fields}"));
        check("", "receivers: needs at least one receiver");
        check("receiver: []", "the file: unknown field \"receiver\"");
        check(&slack("extra: 1"), "receivers[0]: unknown field \"extra\"");
        check(&slack("when: {reason: x}"), "receivers[0].when: unknown field \"reason\"");
        check(
            &slack("when: {severity: bad}"),
            "receivers[0].when.severity: \"bad\" is not one of info, warning, error",
        );
        check(
            &slack("when: {outcomes: [failed]}"),
            "receivers[0].when.outcomes: \"failed\" is not one of Succeeded,",
        );
        check(
            &slack("when: {outcomes: [Succeeded], severity: error}"),
            "receivers[0].when: selects no outcome",
        );
        let alerts = one("name: a, type: alertmanager, urlFile: url, when: {outcomes: [Succeeded]}");
        check(&alerts, "receivers[0].when: selects no outcome");
        let commits =
            |fields: &str| one(&format!("name: a, type: github, url: 'https://api.github.com', {fields}"));
        check(&commits("repositories: [acme]"), "receivers[0]: needs tokenFile");
        let alerts = one("name: a, type: alertmanager, url: 'https://a.example/?s3cret'");
        check(&alerts, "receivers[0].url: has a query or a fragment");
        check(&alerts.replace('?', "#"), "receivers[0].url: has a query or a fragment");
        check(&commits("tokenFile: key"), "receivers[0]: needs repositories, such as acme/web or acme");
        check(&commits("tokenFile: key, repositories: []"), "receivers[0]: needs repositories");
        check(
            &commits("tokenFile: key, repositories: ['*']"),
            "receivers[0].repositories: \"*\" is not a path",
        );
        check(&slack("repositories: [acme]"), "receivers[0].repositories: has no effect");
        check(&slack("namespaces: []"), "receivers[0].namespaces: empty");
        check(&slack("selector: '='"), "receivers[0].selector: ");
        check(&slack("group: 6m"), "receivers[0].group: \"6m\" is not a duration from 0s to 5m");
        check(&slack("perMinute: 0"), "receivers[0].perMinute: not between 1 and 6000");
        check(&slack("template: '{x}'"), "receivers[0].template: {x} is not one of");
        check(&slack("batch: true"), "receivers[0].batch: has no effect on a receiver of type slack");
        check(&slack("keyFile: key"), "receivers[0].keyFile: has no effect");
        check(&slack("caFile: key"), "receivers[0].caFile: contains no PEM certificate");
        check(&slack("tokenFile: two"), "receivers[0].tokenFile: file \"two\" is not one line");
        check(&slack("tokenFile: empty"), "receivers[0].tokenFile: file \"empty\" is not one line");
        for file in ["tokenFile", "caFile"] {
            let expected = format!("receivers[0].{file}: is not the name of a file");
            check(&slack(&format!("{file}: 'https://hooks.example/s3cret'")), &expected);
        }
        check(
            &one("name: a, type: slack, urlFile: 'https://hooks.example/s3cret'"),
            "receivers[0].urlFile: is not the name of a file",
        );
        check(&one("name: a, type: slack, urlFile: [s3cret]"), "receivers[0].urlFile: not a string");
        check(&slack("tokenFile: none"), "receivers[0].tokenFile: file \"none\" not found");
        check(
            &one("name: a, type: irc, urlFile: url"),
            "receivers[0].type: \"irc\" is not one of cloudevents,",
        );
        check(&one("name: A, type: slack, urlFile: url"), "receivers[0].name: \"A\" is not a valid name");
        check(&one("name: a, type: slack"), "receivers[0]: needs exactly one of url and urlFile");
        check(
            &one("name: a, type: slack, urlFile: url, url: b"),
            "receivers[0]: needs exactly one of url and urlFile",
        );
        let url = |url: &str| one(&format!("name: a, type: slack, url: '{url}'"));
        check(&url("s3cret"), "receivers[0].url: not a URL");
        check(&url("ftp://s3cret/"), "receivers[0].url: not a URL");
        check(&url("https:///s3cret"), "receivers[0].url: not a URL");
        check(&url("https://u:s3cret@hooks.example/"), "receivers[0].url: has a user name or a password");
        check(&url("http://hooks.example/s3cret"), "receivers[0].url: sends notifications and what opens");
        check(&url("https://169.254.169.254/s3cret"), "receivers[0].url: names a link-local, metadata");
        check(
            &url("https://[::ffff:169.254.169.254]/s3cret"),
            "receivers[0].url: names a link-local, metadata",
        );
        for host in ["2852039166", "0xa9.254.0251.254", "169.254.169.254.", "METADATA.google.internal."] {
            let expected = "receivers[0].url: names a link-local, metadata";
            check(&url(&format!("https://{host}/s3cret")), expected);
        }
        check(&url("https://[fd00:ec2::254]/s3cret"), "receivers[0].url: names a link-local, metadata");
        check(&url("https://[fe80::1%25eth0]/s3cret"), "receivers[0].url: ");
        check(&one("name: a, type: slack, url: 3"), "receivers[0].url: not a string");
        let key = one("name: a, type: cloudevents, urlFile: url, keyFile: short");
        check(&key, "receivers[0].keyFile: the key is shorter than 16 bytes");
        check(&format!("cluster: 'a b'\n{}", slack("")), "cluster: \"a b\" is not a valid name");
        let twice = "{name: a, type: slack, urlFile: url}";
        check(&format!("receivers: [{twice}, {twice}]"), "receivers[1].name: duplicate receiver name \"a\"");
        let many: Vec<String> =
            (0..17).map(|n| format!("{{name: a{n}, type: slack, urlFile: url}}")).collect();
        check(&format!("receivers: [{}]", many.join(",")), "receivers: has more than 16 receivers");
    }
}
