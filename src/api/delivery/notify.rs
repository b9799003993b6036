//! Receivers of notifications that a release names.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::object_reference::LocalObjectReference;

/// The most receivers that a release names.
pub const MAX_OWN_RECEIVERS: usize = 4;

/// A receiver of notifications about the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.type in ['github', 'gitlab', 'gitea']) == has(self.repositories)").message("repositories is required for the types github, gitlab and gitea, and has no effect on others"))]
#[x_kube(validation = Rule::new("!has(self.template) || self.type in ['slack', 'mattermost', 'discord', 'teams']").message("template has an effect on the types slack, mattermost, discord and teams only"))]
pub struct NotificationReceiver {
    /// Name, unique in the release: lower case letters, digits and '-'.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("name must be lower case letters, digits and '-', and must begin and end with a letter or digit"))]
    pub name: String,
    /// Kind of receiver, which decides the format of the requests.
    #[serde(rename = "type")]
    pub kind: NotificationFormat,
    /// Secret with the `url` of the receiver, and if needed `token` (sent as Authorization: Bearer), `ca.crt`, and for cloudevents `key` (of the signatures); github, gitlab and gitea need `token`. It is read with the rights of the release before each request.
    pub secret_ref: LocalObjectReference,
    /// For github, gitlab and gitea: repositories, or groups of them, whose commits get a status, such as acme/web or acme. The annotations of the artifact choose among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 16),
        inner(
            length(min = 1, max = 255),
            regex(pattern = r"^[a-zA-Z0-9_-][a-zA-Z0-9._-]*(/[a-zA-Z0-9_-][a-zA-Z0-9._-]*)*$")
        )
    )]
    pub repositories: Vec<String>,
    /// For slack, mattermost, discord and teams: text for one release, such as "{severity}: {name} {outcome} ({reason})".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub template: Option<String>,
    /// Notifications that are sent. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<NotificationFilter>,
}

/// Kind of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationFormat {
    /// CloudEvents 1.0.
    CloudEvents,
    /// An incoming webhook of Slack.
    Slack,
    /// An incoming webhook of Mattermost.
    Mattermost,
    /// A webhook of Discord.
    Discord,
    /// A workflow of Microsoft Teams.
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

/// Notifications that a receiver gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationFilter {
    /// Least severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<NotificationSeverity>,
    /// Outcomes: Succeeded, Recovered, ApprovalRequired, Drifted, Unhealthy, Failed, RolledBack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), inner(length(max = 32)))]
    #[x_kube(validation = Rule::new("self.all(o, o in ['Succeeded', 'Recovered', 'ApprovalRequired', 'Drifted', 'Unhealthy', 'Failed', 'RolledBack'])").message("outcomes must be among Succeeded, Recovered, ApprovalRequired, Drifted, Unhealthy, Failed and RolledBack"))]
    pub outcomes: Vec<String>,
}

/// How much a notification matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationSeverity {
    /// Nothing has to be done.
    Info,
    /// A person should look at it.
    Warning,
    /// Something is broken.
    Error,
}
