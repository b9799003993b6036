//! The status of a commit, as the APIs of GitHub, GitLab and Gitea (and Forgejo) take it.

use serde_json::{Value, json};

use crate::domain::run::notify::commit::Commit;
use crate::domain::run::notify::news::{News, cut};
use crate::domain::run::notify::receiver::ReceiverType;
use crate::domain::run::notify::situation::NewsKind;

/// The longest description, in bytes: that of GitHub.
const MAX_DESCRIPTION_BYTES: usize = 140;

/// The path behind the URL of the API.
pub fn path(kind: ReceiverType, commit: &Commit) -> String {
    let Commit { repository, hash } = commit;
    match kind {
        ReceiverType::GitLab => {
            format!("/api/v4/projects/{}/statuses/{hash}", repository.replace('/', "%2F"))
        }
        ReceiverType::Gitea => format!("/api/v1/repos/{repository}/statuses/{hash}"),
        _ => format!("/repos/{repository}/statuses/{hash}"),
    }
}

/// The body.
pub fn status(kind: ReceiverType, news: &News) -> Value {
    let is_gitlab = kind == ReceiverType::GitLab;
    let state = match news.kind {
        NewsKind::Succeeded | NewsKind::Recovered | NewsKind::Drifted => "success",
        NewsKind::ApprovalRequired => "pending",
        NewsKind::Failed | NewsKind::Unhealthy | NewsKind::RolledBack if is_gitlab => "failed",
        NewsKind::Failed | NewsKind::Unhealthy | NewsKind::RolledBack => "failure",
    };
    let description = match news.kind.is_good() {
        true => news.headline(),
        false => format!("{}: {}", news.reason, news.message.replace('\n', " ")),
    };
    let place: Vec<&str> = news.cluster.iter().map(String::as_str).collect();
    let context =
        [&["supercargo"], place.as_slice(), &[&news.release.namespace, &news.release.name]].concat();
    json!({
        "state": state,
        "description": cut(&description, MAX_DESCRIPTION_BYTES),
        (if is_gitlab { "name" } else { "context" }): context.join("/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::notify::news::tests::news;

    #[test]
    fn each_forge_gets_a_status_in_its_words() {
        let commit = Commit { repository: "acme/web".into(), hash: "0123".into() };
        let check = |kind: ReceiverType, news_kind: NewsKind, at: &str, expected: Value| {
            let news = News { kind: news_kind, ..news() };
            assert_eq!(path(kind, &commit), at);
            assert_eq!(status(kind, &news), expected);
        };
        let (github, gitlab, gitea) = (
            "/repos/acme/web/statuses/0123",
            "/api/v4/projects/acme%2Fweb/statuses/0123",
            "/api/v1/repos/acme/web/statuses/0123",
        );
        let said = "ApplyFailed: Deployment/apps/web: refused";
        let failed =
            |state: &str| json!({"state": state, "description": said, "context": "supercargo/prod/apps/web"});
        check(ReceiverType::GitHub, NewsKind::Failed, github, failed("failure"));
        check(ReceiverType::Gitea, NewsKind::RolledBack, gitea, failed("failure"));
        check(ReceiverType::GitHub, NewsKind::ApprovalRequired, github, failed("pending"));
        let in_gitlab = json!({"state": "failed", "description": said, "name": "supercargo/prod/apps/web"});
        check(ReceiverType::GitLab, NewsKind::Unhealthy, gitlab, in_gitlab);
        let good = json!({"state": "success", "description": "web in apps is applied", "name": "supercargo/prod/apps/web"});
        check(ReceiverType::GitLab, NewsKind::Succeeded, gitlab, good);
    }

    #[test]
    fn a_long_message_is_one_short_line() {
        let news = News { message: "a\nb".repeat(100), ..news() };
        let made = status(ReceiverType::GitHub, &news)["description"].as_str().unwrap().to_owned();
        assert!(made.len() <= MAX_DESCRIPTION_BYTES && !made.contains('\n'), "{made}");
    }
}
