//! The Secrets of the receivers of notifications that a release names, read with its own rights.

use std::collections::BTreeMap;

use crate::cluster::error::ApiError;
use crate::cluster::session::Identity;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::reconcile::env::Env;
use crate::reconcile::error::chain;

/// The data of such a Secret. `account` is the one that the release names.
///
/// # Errors
/// Why it cannot be read, for the people of the release.
pub async fn read_receiver_secret(
    env: &Env,
    id: &ReleaseId,
    account: Option<&str>,
    name: &str,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut release = Release::default();
    (release.id, release.service_account) = (id.clone(), account.map(str::to_owned));
    let unread = |error: ApiError| format!("Secret {name} cannot be read: {}", chain(&error));
    let session = env.home_session(&release).map_err(unread)?;
    // The API server impersonates an account that does not exist.
    if let Identity::ServiceAccount { namespace, name: account } = session.identity()
        && env.session.account(namespace, account).await.map_err(unread)?.is_none()
    {
        return Err(format!("Secret {name} cannot be read: ServiceAccount {account} does not exist"));
    }
    match session.secret(&id.namespace, name).await.map_err(unread)? {
        Some(secret) => Ok(secret.0.clone()),
        None => Err(format!("Secret {name} does not exist")),
    }
}
