//! How the verbs find a release, and their message when it does not exist.

use serde_json::Value;

use super::fields::id;
use crate::cli::CliError;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::message::List;

/// How many names a message lists.
const MAX_NAMES: usize = 5;

/// The release of that name in the namespace of the command.
pub(super) fn release_named(session: &Session, name: &str) -> ReleaseId {
    ReleaseId { namespace: session.default_namespace().to_owned(), name: name.to_owned() }
}

/// A release that must exist.
pub(super) async fn find(session: &Session, release: &ReleaseId) -> Result<Value, CliError> {
    match session.find_release(release).await? {
        Some(value) => Ok(value),
        None => Err(CliError::Failed(absent(session, release).await)),
    }
}

/// The message that a release does not exist, with similar ones.
pub(super) async fn absent(session: &Session, release: &ReleaseId) -> String {
    let text = format!("release {} not found in namespace {}", release.name, release.namespace);
    // Without the right to list releases there is no hint.
    let others = match session.list_releases(None, None).await {
        Err(ApiError::Status(_)) => session.list_releases(Some(&release.namespace), None).await,
        others => others,
    };
    let others: Vec<ReleaseId> = others.unwrap_or_default().iter().map(id).collect();
    format!("{text}{}", hint(release, &others))
}

fn hint(release: &ReleaseId, others: &[ReleaseId]) -> String {
    let elsewhere: Vec<&str> =
        others.iter().filter(|o| o.name == release.name).map(|o| o.namespace.as_str()).collect();
    if !elsewhere.is_empty() {
        return format!("; a release of that name exists in {}", list(&elsewhere));
    }
    let here: Vec<&str> =
        others.iter().filter(|o| o.namespace == release.namespace).map(|o| o.name.as_str()).collect();
    match here.is_empty() {
        true => String::new(),
        false => format!("; releases there: {}", list(&here)),
    }
}

fn list(names: &[&str]) -> String {
    List::Names.few(names, MAX_NAMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(namespace: &str, name: &str) -> ReleaseId {
        ReleaseId { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_name_that_is_not_there_leads_to_one_that_is() {
        let check = |others: &[(&str, &str)], expected: &str| {
            let others: Vec<_> = others.iter().map(|(namespace, name)| release(namespace, name)).collect();
            assert_eq!(hint(&release("apps", "web"), &others), expected);
        };
        check(&[], "");
        check(&[("other", "db")], "");
        check(&[("apps", "db"), ("apps", "wep")], "; releases there: db, wep");
        check(&[("apps", "db"), ("a", "web"), ("b", "web")], "; a release of that name exists in a, b");
    }
}
