//! The receivers that a release names itself, and what their Secrets have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::commit::{Forge, commit_in, is_repository};
use super::hosts::AllowedHosts;
use super::interest::Interest;
use super::news::News;
use super::receiver::{Hidden, NewsReceiver, ReceiverType};
use super::situation::{NewsKind, Severity};
use super::template::Template;
use crate::api::notify::{
    MAX_OWN_RECEIVERS, NotificationFilter, NotificationFormat, NotificationReceiver, NotificationSeverity,
};

/// Before the names of these receivers in a status, so that no name is that of the administrator's.
const PREFIX: &str = "spec/";
/// How long notifications are gathered.
const GROUP: Duration = Duration::from_secs(5);
/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// The largest certificates, in bytes.
const MAX_CA_BYTES: usize = 256 << 10;
/// The shortest key for signatures, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// A receiver that a release names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredReceiver {
    /// Its name in the status.
    pub name: String,
    /// What it takes.
    pub kind: ReceiverType,
    /// The name of its Secret.
    pub secret: String,
    /// What it wants.
    pub interest: Interest,
    /// The repositories whose commits get a status, of a receiver for commits.
    pub repositories: Vec<String>,
    /// The text for people, of a receiver for chats.
    pub template: Option<String>,
}

/// What a release may have been recorded for in a status.
pub fn is_own_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The receivers that a spec names.
pub fn declared(spec: &[NotificationReceiver]) -> Vec<DeclaredReceiver> {
    spec.iter().take(MAX_OWN_RECEIVERS).map(one).collect()
}

fn one(receiver: &NotificationReceiver) -> DeclaredReceiver {
    let filter = receiver.when.clone().unwrap_or_default();
    let kind = match receiver.kind {
        NotificationFormat::CloudEvents => ReceiverType::CloudEvents,
        NotificationFormat::Slack => ReceiverType::Slack,
        NotificationFormat::Mattermost => ReceiverType::Mattermost,
        NotificationFormat::Discord => ReceiverType::Discord,
        NotificationFormat::Teams => ReceiverType::Teams,
        NotificationFormat::Alertmanager => ReceiverType::Alertmanager,
        NotificationFormat::GitHub => ReceiverType::GitHub,
        NotificationFormat::GitLab => ReceiverType::GitLab,
        NotificationFormat::Gitea => ReceiverType::Gitea,
    };
    DeclaredReceiver {
        name: format!("{PREFIX}{}", receiver.name),
        kind,
        secret: receiver.secret_ref.name.clone(),
        interest: Interest { kinds: kinds(kind, &filter), namespaces: None, selector: None },
        // The API server checks them; a cluster may have an older CRD.
        repositories: receiver.repositories.iter().filter(|path| is_repository(path)).cloned().collect(),
        template: receiver.template.clone().filter(|_| kind.is_chat()),
    }
}

fn kinds(of: ReceiverType, filter: &NotificationFilter) -> BTreeSet<NewsKind> {
    let least = match filter.severity {
        None | Some(NotificationSeverity::Info) => Severity::Info,
        Some(NotificationSeverity::Warning) => Severity::Warning,
        Some(NotificationSeverity::Error) => Severity::Error,
    };
    let named =
        |kind: NewsKind| filter.outcomes.is_empty() || filter.outcomes.iter().any(|o| o == kind.as_str());
    let wanted = |kind: &NewsKind| kind.severity() >= least && named(*kind) && of.reports(*kind);
    NewsKind::ALL.into_iter().filter(wanted).collect()
}

impl DeclaredReceiver {
    /// Whether a notification may be for it: one without a commit in its repositories is not for a forge.
    pub fn takes(&self, news: &News) -> bool {
        self.interest.wants(news.kind)
            && (!self.kind.is_of_commits() || commit_in(&self.repositories, news).is_some())
    }

    /// The receiver, with what its Secret has. `is_proxied`: whether a proxy resolves the name of a URL.
    ///
    /// # Errors
    /// What is wrong with the Secret, without a value of it.
    pub fn opened(
        &self,
        data: &BTreeMap<String, Vec<u8>>,
        hosts: &AllowedHosts,
        is_proxied: impl Fn(&Url) -> bool,
    ) -> Result<NewsReceiver, String> {
        let wrong = |key: &str, problem: &str| format!("{key} in Secret {} {problem}", self.secret);
        let value = |key: &str| value(data, key).map_err(|problem| wrong(key, problem));
        let text = value("url")?.ok_or_else(|| wrong("url", "is missing"))?;
        let url =
            Url::parse(&text).map_err(|_| wrong("url", "is not a URL such as https://hooks.example/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url", "has a user name or a password: use the key token"));
        }
        if self.kind.has_paths() && url.query().or(url.fragment()).is_some() {
            return Err(wrong("url", "has a query or a fragment: the operator adds a path to the URL"));
        }
        let reach = hosts.reach(&url, is_proxied(&url)).map_err(|problem| wrong("url", &problem))?;
        let key = value("key")?.filter(|_| self.kind == ReceiverType::CloudEvents);
        if key.as_ref().is_some_and(|key| key.len() < MIN_KEY_BYTES) {
            return Err(wrong("key", "is shorter than 16 bytes: create one with openssl rand -hex 32"));
        }
        let token = value("token")?;
        if token.is_none() && self.kind.is_of_commits() {
            return Err(wrong("token", "is missing: a status of a commit needs a token"));
        }
        let template = self.template.as_deref().map(Template::parse).transpose();
        let forge = || Forge::with_api_at(url.host_str().unwrap_or_default(), self.repositories.clone());
        let ca = data.get("ca.crt").map(|bytes| {
            let text = std::str::from_utf8(bytes)
                .ok()
                .filter(|text| text.len() <= MAX_CA_BYTES && text.contains("-----BEGIN CERTIFICATE-----"));
            text.map(str::to_owned).ok_or_else(|| wrong("ca.crt", "has no PEM certificate"))
        });
        Ok(NewsReceiver {
            name: self.name.clone(),
            kind: self.kind,
            url: Hidden::new(url.as_str()),
            reach,
            token: token.map(Hidden::new),
            key: key.map(Hidden::new),
            ca: ca.transpose()?,
            interest: self.interest.clone(),
            group: GROUP,
            per_minute: self.kind.per_minute().min(60),
            batch: false,
            template: template.map_err(|problem| format!("template {problem}"))?,
            forge: self.kind.is_of_commits().then(forge),
        })
    }
}

/// One line of visible characters.
fn value(data: &BTreeMap<String, Vec<u8>>, key: &str) -> Result<Option<String>, &'static str> {
    let Some(bytes) = data.get(key).map(|bytes| bytes.trim_ascii()) else { return Ok(None) };
    if bytes.is_empty() || bytes.len() > MAX_VALUE_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err("is not one line of at most 4096 visible ASCII characters");
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::notify::hosts::HostPattern;
    use crate::domain::run::notify::news::tests::news;

    fn receiver(when: serde_json::Value) -> DeclaredReceiver {
        let spec =
            json!({"name": "team", "type": "cloudevents", "secretRef": {"name": "hook"}, "when": when});
        one(&serde_json::from_value(spec).unwrap())
    }

    fn open(data: &[(&str, &str)]) -> Result<NewsReceiver, String> {
        open_as(&receiver(json!({})), data)
    }

    fn open_as(receiver: &DeclaredReceiver, data: &[(&str, &str)]) -> Result<NewsReceiver, String> {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let hosts = AllowedHosts::new(vec![HostPattern::parse("hooks.example").unwrap()], Vec::new());
        receiver.opened(&data, &hosts, |_| false)
    }

    fn of_type(kind: &str, fields: serde_json::Value) -> DeclaredReceiver {
        let mut spec = json!({"name": "team", "type": kind, "secretRef": {"name": "hook"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        one(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_receiver_wants_what_its_filter_says() {
        let check = |when: serde_json::Value, expected: &[NewsKind]| {
            let found = receiver(when.clone());
            assert_eq!(found.interest.kinds, expected.iter().copied().collect(), "{when}");
            assert_eq!((found.name.as_str(), found.secret.as_str()), ("spec/team", "hook"));
        };
        check(json!({}), &NewsKind::ALL);
        check(json!({"severity": "error"}), &[NewsKind::Failed, NewsKind::Unhealthy, NewsKind::RolledBack]);
        check(json!({"severity": "warning", "outcomes": ["Succeeded", "Drifted"]}), &[NewsKind::Drifted]);
        let of = |kind: &str| of_type(kind, json!({})).interest.kinds;
        for kind in NewsKind::ALL {
            assert_eq!(of("alertmanager").contains(&kind), !kind.is_good(), "{kind:?}");
            assert_eq!(of("github").contains(&kind), kind != NewsKind::Drifted, "{kind:?}");
        }
    }

    #[test]
    fn a_forge_gets_what_is_of_a_commit_in_the_repositories_that_the_release_names() {
        let check = |kind: &str, repository: &str, outcome: NewsKind, expected: bool| {
            let source = Some(format!("https://hooks.example/{repository}"));
            let source_revision = Some("0123456789abcdef0123456789abcdef01234567".to_owned());
            let news = News { source, source_revision, kind: outcome, ..news() };
            let fields = if kind == "slack" { json!({}) } else { json!({"repositories": ["acme"]}) };
            assert_eq!(of_type(kind, fields).takes(&news), expected, "{kind} {repository} {outcome:?}");
        };
        for forge in ["github", "gitlab", "gitea"] {
            check(forge, "acme/web", NewsKind::Failed, true);
            check(forge, "acme/web", NewsKind::Drifted, false);
            check(forge, "other/web", NewsKind::Failed, false);
        }
        check("slack", "other/web", NewsKind::Failed, true);
        // The pattern of the CRD refuses it.
        assert!(of_type("github", json!({"repositories": ["../acme"]})).repositories.is_empty());
    }

    #[test]
    fn a_chat_has_the_text_of_its_release() {
        let url = ("url", "https://hooks.example/x");
        let open = |template: &str| open_as(&of_type("slack", json!({"template": template})), &[url]);
        let template = open("{name}: {outcome}").unwrap().template.unwrap();
        assert_eq!(template, Template::parse("{name}: {outcome}").unwrap());
        assert!(open("{secret}").unwrap_err().starts_with("template {secret} is not one of namespace, "));
        assert!(
            open_as(&of_type("cloudevents", json!({"template": "x"})), &[url]).unwrap().template.is_none()
        );
    }

    #[test]
    fn a_forge_is_at_the_host_of_its_url_and_needs_a_token() {
        let forge = of_type("gitea", json!({"repositories": ["acme"]}));
        let url = ("url", "https://hooks.example/api");
        let opened = open_as(&forge, &[url, ("token", "t")]).unwrap();
        assert_eq!(
            opened.forge,
            Some(Forge { host: "hooks.example".into(), repositories: vec!["acme".into()] })
        );
        let check = |kind: &str, data: &[(&str, &str)], expected: &str| {
            let fields = if kind == "gitea" { json!({"repositories": ["acme"]}) } else { json!({}) };
            let error = open_as(&of_type(kind, fields), data).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check("gitea", &[url], "token in Secret hook is missing: a status of a commit needs a token");
        for url in ["https://hooks.example/?x=y", "https://hooks.example/#x"] {
            check("gitea", &[("url", url), ("token", "t")], "url in Secret hook has a query or a fragment");
            check("alertmanager", &[("url", url)], "url in Secret hook has a query or a fragment");
        }
        assert!(open_as(&of_type("alertmanager", json!({})), &[url]).unwrap().forge.is_none());
    }

    #[test]
    fn a_secret_opens_a_receiver() {
        let url = ("url", "https://hooks.example/s3cret\n");
        let opened = open(&[url, ("token", "t"), ("key", "0123456789abcdef")]).unwrap();
        assert_eq!(opened.url.reveal(), "https://hooks.example/s3cret");
        assert!(opened.token.is_some() && opened.key.is_some());
        assert!(!format!("{opened:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_its_values() {
        let url = ("url", "https://hooks.example/s3cret");
        let check = |data: &[(&str, &str)], expected: &str| {
            let error = open(data).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("s3cret"), "{error}");
        };
        check(&[], "url in Secret hook is missing");
        check(&[("url", "s3cret")], "url in Secret hook is not a URL");
        check(&[("url", "a\ns3cret")], "url in Secret hook is not one line");
        check(&[("url", "https://u:s3cret@hooks.example")], "url in Secret hook has a user name");
        check(
            &[("url", "http://hooks.example/s3cret")],
            "url in Secret hook names a host that is not allowed",
        );
        check(&[("url", "https://s3cret.example/")], "url in Secret hook names a host that is not allowed");
        check(&[url, ("key", "s3cret")], "key in Secret hook is shorter than 16 bytes");
        check(&[url, ("token", "")], "token in Secret hook is not one line");
        check(&[url, ("ca.crt", "s3cret")], "ca.crt in Secret hook has no PEM certificate");
    }
}
