//! One request to a receiver.

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::alertmanager::{self, Alert};
use super::{chat, cloud_events, commit_status, teams};
use crate::domain::run::notify::news::News;
use crate::domain::run::notify::receiver::{Hidden, NewsReceiver, ReceiverType};

const JSON: &str = "application/json";

/// A POST request. Its headers and its body may have secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct NewsRequest {
    /// Where to.
    pub url: Hidden,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// The request that tells a receiver of these.
pub fn request(receiver: &NewsReceiver, news: &[&News], now: Timestamp) -> NewsRequest {
    let (content_type, body) = match (receiver.kind, news) {
        (ReceiverType::CloudEvents, [one]) if !receiver.batch => {
            ("application/cloudevents+json; charset=utf-8", cloud_events::event(one).to_string())
        }
        (ReceiverType::CloudEvents, news) => {
            ("application/cloudevents-batch+json; charset=utf-8", cloud_events::batch(news).to_string())
        }
        (
            ReceiverType::Slack | ReceiverType::Mattermost | ReceiverType::Discord | ReceiverType::Teams,
            news,
        ) => {
            return chat_request(receiver, news, now);
        }
        (ReceiverType::Alertmanager, news) => {
            let standing: Vec<Alert<'_>> = news.iter().map(|news| Alert { news, ended: None }).collect();
            return alert_request(receiver, &standing, now);
        }
        (ReceiverType::GitHub | ReceiverType::GitLab | ReceiverType::Gitea, news) => {
            return commit_request(receiver, news, now);
        }
    };
    signed(receiver, receiver.url.clone(), content_type, body, now)
}

/// One message.
fn chat_request(receiver: &NewsReceiver, news: &[&News], now: Timestamp) -> NewsRequest {
    let template = receiver.template.as_ref();
    let body = match receiver.kind {
        ReceiverType::Mattermost => chat::mattermost(news, template),
        ReceiverType::Discord => chat::discord(news, template),
        ReceiverType::Teams => teams::card(news, template),
        _ => chat::slack(news, template),
    };
    let url = match receiver.kind {
        // There it would want the format of Slack.
        ReceiverType::Discord => {
            let url = receiver.url.reveal();
            Hidden::new(url.strip_suffix("/slack").unwrap_or(url))
        }
        _ => receiver.url.clone(),
    };
    signed(receiver, url, JSON, body.to_string(), now)
}

/// The request that tells an Alertmanager which alerts stand and which have ended.
pub fn alert_request(receiver: &NewsReceiver, alerts: &[Alert<'_>], now: Timestamp) -> NewsRequest {
    let url = Hidden::new(format!("{}{}", receiver.url.reveal().trim_end_matches('/'), alertmanager::PATH));
    signed(receiver, url, JSON, alertmanager::alerts(alerts, now).to_string(), now)
}

/// One status of one commit.
fn commit_request(receiver: &NewsReceiver, news: &[&News], now: Timestamp) -> NewsRequest {
    let forge = receiver.forge.as_ref();
    let found = news.iter().find_map(|news| forge?.commit(news).map(|commit| (news, commit)));
    let (path, body) = match found {
        Some((news, commit)) => {
            let body = commit_status::status(receiver.kind, news).to_string();
            (commit_status::path(receiver.kind, &commit), body)
        }
        // Those without a commit are not for this receiver, and do not come here.
        None => (String::new(), String::new()),
    };
    let url = Hidden::new(format!("{}{path}", receiver.url.reveal().trim_end_matches('/')));
    signed(receiver, url, JSON, body, now)
}

fn signed(
    receiver: &NewsReceiver,
    url: Hidden,
    content_type: &'static str,
    body: String,
    now: Timestamp,
) -> NewsRequest {
    let mut headers = vec![("content-type", content_type.to_owned())];
    if let Some(token) = &receiver.token {
        headers.push(match receiver.kind {
            ReceiverType::GitLab => ("private-token", token.reveal().to_owned()),
            ReceiverType::Gitea => ("authorization", format!("token {}", token.reveal())),
            _ => ("authorization", format!("Bearer {}", token.reveal())),
        });
    }
    if receiver.kind == ReceiverType::GitHub {
        headers.push(("accept", "application/vnd.github+json".to_owned()));
        headers.push(("x-github-api-version", "2022-11-28".to_owned()));
    }
    if let Some(key) = &receiver.key {
        let time = now.as_second().to_string();
        headers.push(("supercargo-signature", signature(key.reveal().as_bytes(), &time, &body)));
        headers.push(("supercargo-timestamp", time));
    }
    NewsRequest { url, headers, body }
}

/// As a sender of the type `generic` signs a webhook.
fn signature(key: &[u8], time: &str, body: &str) -> String {
    let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [time, ".", body] {
        signed.update(part.as_bytes());
    }
    format!("sha256={}", hex::encode(signed.sign()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::domain::run::notify::hosts::Reachable;
    use crate::domain::run::notify::interest::Interest;
    use crate::domain::run::notify::news::tests::news;

    fn receiver(kind: ReceiverType, batch: bool) -> NewsReceiver {
        NewsReceiver {
            name: "r".into(),
            kind,
            url: Hidden::new("https://hooks.example/secret"),
            reach: Reachable::named_by_administrator(),
            token: Some(Hidden::new("t0ken")),
            key: Some(Hidden::new("0123456789abcdef")),
            ca: None,
            interest: Interest { kinds: BTreeSet::new(), namespaces: None, selector: None },
            group: Duration::ZERO,
            per_minute: 1,
            batch,
            template: None,
            forge: None,
        }
    }

    #[test]
    fn a_request_names_its_format_and_proves_who_sends_it() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let check = |kind: ReceiverType, batch: bool, content_type: &str| {
            let made = request(&receiver(kind, batch), &[&news()], now);
            let header = |name: &str| made.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
            assert_eq!(header("content-type"), Some(content_type));
            assert_eq!(header("authorization"), Some("Bearer t0ken"));
            assert_eq!(header("supercargo-timestamp"), Some("1800000000"));
            let expected = signature(b"0123456789abcdef", "1800000000", &made.body);
            assert_eq!(header("supercargo-signature"), Some(expected.as_str()));
            assert_eq!(made.body.starts_with('['), batch);
        };
        check(ReceiverType::CloudEvents, false, "application/cloudevents+json; charset=utf-8");
        check(ReceiverType::CloudEvents, true, "application/cloudevents-batch+json; charset=utf-8");
        check(ReceiverType::Slack, false, JSON);
        let url = |kind: ReceiverType| {
            let receiver =
                NewsReceiver { url: Hidden::new("https://d.example/x/slack"), ..receiver(kind, false) };
            request(&receiver, &[&news()], now).url.reveal().to_owned()
        };
        assert_eq!(url(ReceiverType::Discord), "https://d.example/x");
        assert_eq!(url(ReceiverType::Slack), "https://d.example/x/slack");
        // printf '1.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature(b"key", "1", "{}"),
            "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
        );
    }
}
