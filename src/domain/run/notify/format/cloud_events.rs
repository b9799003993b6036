//! CloudEvents 1.0 in their JSON format, structured or as a batch.

use serde_json::{Value, json};

use crate::domain::run::notify::news::News;

/// One event. Its id is the same when it is sent again.
pub fn event(news: &News) -> Value {
    let cluster = news.cluster.as_deref().unwrap_or("supercargo");
    json!({
        "specversion": "1.0",
        "id": news.id,
        "source": format!("/clusters/{cluster}/namespaces/{}/ociartifactreleases/{}", news.release.namespace, news.release.name),
        "type": format!("dev.supercargo.release.{}", news.kind.as_str().to_lowercase()),
        "subject": format!("{}/{}", news.release.namespace, news.release.name),
        "time": news.at.to_string(),
        "datacontenttype": "application/json",
        "data": {
            "namespace": news.release.namespace,
            "name": news.release.name,
            "uid": news.uid,
            "cluster": news.cluster,
            "outcome": news.kind.as_str(),
            "severity": news.kind.severity().as_str(),
            "reason": news.reason,
            "message": news.message,
            "repository": news.repository,
            "revision": news.revision,
            "digest": news.digest,
            "source": news.source,
            "sourceRevision": news.source_revision,
            "count": news.count,
        },
    })
}

/// Several events.
pub fn batch(news: &[&News]) -> Value {
    news.iter().map(|one| event(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    #[test]
    fn an_event_has_what_the_specification_requires() {
        let event = event(&news());
        let of = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(of("specversion"), "1.0");
        assert_eq!(of("id"), "0123456789abcdef0123456789abcdef");
        assert_eq!(of("source"), "/clusters/prod/namespaces/apps/ociartifactreleases/web");
        assert_eq!(of("type"), "dev.supercargo.release.failed");
        assert_eq!(of("subject"), "apps/web");
        assert_eq!(of("time"), "2026-01-01T00:00:00Z");
        assert_eq!(event["data"]["message"], "Deployment/apps/web: refused");
        assert_eq!(event["data"]["sourceRevision"], "main@sha1:0123");
        assert_eq!(batch(&[&news(), &news()]).as_array().map(Vec::len), Some(2));
    }
}
