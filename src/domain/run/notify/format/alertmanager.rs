//! Alerts, as `POST /api/v2/alerts` of Alertmanager takes them. An alert is the labels: the same alert is
//! sent again while it stands, and ended with the same labels.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::domain::run::notify::news::News;

/// The path of the API, behind the URL of the Alertmanager.
pub const PATH: &str = "/api/v2/alerts";
/// How long an alert stands that is not sent again: if nobody does, the operator cannot say whether it is
/// still true.
const STANDS: SignedDuration = SignedDuration::from_mins(5);

/// An alert that stands, or has ended.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// What it says.
    pub news: &'a News,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
}

/// The alerts.
pub fn alerts(alerts: &[Alert<'_>], now: Timestamp) -> Value {
    alerts.iter().map(|alert| one(alert.news, alert.ended.unwrap_or(now + STANDS))).collect()
}

fn one(news: &News, ends: Timestamp) -> Value {
    let mut labels = json!({
        "alertname": "SupercargoRelease",
        "namespace": news.release.namespace,
        "release": news.release.name,
        "outcome": news.kind.as_str(),
        "severity": news.kind.severity().as_str(),
    });
    if let Some(cluster) = &news.cluster {
        labels["cluster"] = json!(cluster);
    }
    let began = news.since.unwrap_or(news.at);
    json!({
        "labels": labels,
        "annotations": {
            "summary": news.headline(),
            "description": format!("{}: {}", news.reason, news.message),
            "revision": news.revision.as_deref().unwrap_or_default(),
            "repository": news.repository,
        },
        "startsAt": began.min(ends).to_string(),
        "endsAt": ends.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    #[test]
    fn an_alert_ends_with_the_labels_that_it_began_with() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let check = |news: &News, ended: Option<&str>, starts: &str, ends: &str| {
            let ended = ended.map(|at| at.parse().unwrap());
            let made = alerts(&[Alert { news, ended }], now);
            assert_eq!((&made[0]["startsAt"], &made[0]["endsAt"]), (&json!(starts), &json!(ends)));
            made[0]["labels"].clone()
        };
        let first = check(&news(), None, "2025-12-31T00:00:00Z", "2026-01-01T01:05:00Z");
        let later = News { reason: "Other".into(), message: "m".into(), count: 2, digest: None, ..news() };
        let ended = Some("2026-01-01T00:30:00Z");
        assert_eq!(check(&later, ended, "2025-12-31T00:00:00Z", "2026-01-01T00:30:00Z"), first);
        // A clock that is behind.
        check(&later, Some("2025-12-30T00:00:00Z"), "2025-12-30T00:00:00Z", "2025-12-30T00:00:00Z");
        assert_eq!(first["cluster"], "prod");
        assert_eq!(first["severity"], "error");
        let nowhere = News { cluster: None, ..news() };
        assert_eq!(alerts(&[Alert { news: &nowhere, ended: None }], now)[0]["labels"].get("cluster"), None);
    }
}
