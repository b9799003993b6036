//! Where notifications go. What opens a receiver, its URL included, is never shown.

use std::fmt;
use std::time::Duration;

use super::commit::Forge;
use super::hosts::Reachable;
use super::interest::Interest;
use super::news::News;
use super::situation::NewsKind;
use super::template::Template;

/// What a receiver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiverType {
    /// CloudEvents 1.0, as JSON.
    CloudEvents,
    /// The incoming webhooks of Slack, and what takes the same.
    Slack,
    /// The incoming webhooks of Mattermost.
    Mattermost,
    /// The webhooks of Discord.
    Discord,
    /// The workflows of Microsoft Teams.
    Teams,
    /// The API of Alertmanager, version 2.
    Alertmanager,
    /// The status of commits at GitHub.
    GitHub,
    /// The status of commits at GitLab.
    GitLab,
    /// The status of commits at Gitea and Forgejo.
    Gitea,
}

impl ReceiverType {
    /// Every type.
    pub const ALL: &[Self] = &[
        Self::CloudEvents,
        Self::Slack,
        Self::Mattermost,
        Self::Discord,
        Self::Teams,
        Self::Alertmanager,
        Self::GitHub,
        Self::GitLab,
        Self::Gitea,
    ];

    /// The word of the configuration and of the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Slack => "slack",
            Self::Mattermost => "mattermost",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::Alertmanager => "alertmanager",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }

    /// Whether it is about commits.
    pub fn is_of_commits(self) -> bool {
        matches!(self, Self::GitHub | Self::GitLab | Self::Gitea)
    }

    /// Whether it is a chat, which gets texts for people.
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Slack | Self::Mattermost | Self::Discord | Self::Teams)
    }

    /// Whether it can do something with an outcome: an alert ends by itself when all is well, and drift says nothing
    /// of a commit.
    pub fn reports(self, kind: NewsKind) -> bool {
        match self {
            Self::Alertmanager => !kind.is_good(),
            _ => !(self.is_of_commits() && kind == NewsKind::Drifted),
        }
    }

    /// Whether the operator adds the path of an API to its URL.
    pub fn has_paths(self) -> bool {
        self.is_of_commits() || self == Self::Alertmanager
    }

    /// How many notifications fit into one request.
    pub fn most(self, batch: bool) -> usize {
        match self {
            Self::CloudEvents if batch => 100,
            Self::CloudEvents | Self::GitHub | Self::GitLab | Self::Gitea => 1,
            // It names the first ones.
            Self::Slack | Self::Mattermost | Self::Discord | Self::Teams => usize::MAX,
            Self::Alertmanager => 250,
        }
    }

    /// How many requests a minute it gets, if the configuration does not say.
    pub fn per_minute(self) -> u32 {
        match self {
            Self::CloudEvents | Self::Alertmanager => 600,
            // Those of the public forges allow more; other clients use the same account.
            Self::GitHub | Self::GitLab | Self::Gitea => 60,
            // What Slack takes is one a second.
            Self::Slack | Self::Mattermost => 60,
            // Those of Discord take 30 a minute. A workflow ends after a number of runs a day.
            Self::Discord | Self::Teams => 20,
        }
    }
}

impl NewsReceiver {
    /// Whether it takes such a notification, as it is configured now.
    pub fn takes(&self, news: &News) -> bool {
        let has_commit = self.forge.as_ref().is_none_or(|forge| forge.commit(news).is_some());
        let concerns = self.interest.concerns(&news.release.namespace, &news.labels);
        has_commit && concerns && self.interest.wants(news.kind)
    }
}

/// Something that opens a receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Hides it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What it is, for a request.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// A receiver of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewsReceiver {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub kind: ReceiverType,
    /// Where it is.
    pub url: Hidden,
    /// Which addresses its host may have.
    pub reach: Reachable,
    /// A bearer token for it.
    pub token: Option<Hidden>,
    /// The key of the signatures of bodies.
    pub key: Option<Hidden>,
    /// Certificates that it may have in addition to those of the system, in PEM.
    pub ca: Option<String>,
    /// What it wants.
    pub interest: Interest,
    /// How long notifications are gathered.
    pub group: Duration,
    /// How many requests a minute it gets.
    pub per_minute: u32,
    /// Whether several notifications come in one request, if it can take them.
    pub batch: bool,
    /// The text for people.
    pub template: Option<Template>,
    /// Where the commits are, of a receiver for commits.
    pub forge: Option<Forge>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_receiver_is_not_shown() {
        assert_eq!(format!("{:?}", Hidden::new("https://hooks.example/T0/B0/secret")), "Hidden(…)");
    }

    #[test]
    fn every_type_has_one_name() {
        for kind in ReceiverType::ALL {
            assert_eq!(ReceiverType::named(kind.as_str()), Some(*kind));
        }
    }
}
