//! Access of a release to its registry: the Secrets it names, read with its own rights.

use std::sync::Arc;

use super::allowed::check_registry;
use crate::api::reason::Reason;
use crate::cluster::accounts::SecretData;
use crate::cluster::by_name::Keeps;
use crate::cluster::error::ApiError;
use crate::cluster::session::{Identity, Session};
use crate::domain::release::Release;
use crate::oci::{Access, AccessParts, Keyring, Proxy};
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::error::{RunFailure, chain, failure};
use crate::reconcile::scope::Scope;

/// Access to the registry. The value of the last run is reused when nothing has changed.
///
/// # Errors
/// When a Secret is missing, cannot be read, or is invalid.
pub async fn access(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
) -> Result<Arc<Access>, Box<RunFailure>> {
    let Scope { env, release, .. } = *scope;
    let session = &at_home(scope, session)?;
    // Every request to the registry needs this value, so it is checked here.
    check_registry(&env.allowed, release)?;
    let (insecure, provider) = (release.insecure, release.provider);
    let mut parts = AccessParts { insecure, provider, ..AccessParts::default() };
    // Also when the spec names a Secret: it is read as the account, and the API server impersonates
    // an account that does not exist.
    let of_account = account_secrets(scope, session, cache).await?;
    let named: Vec<(String, bool)> = match &release.pull_secret {
        Some(name) => vec![(name.clone(), true)],
        None => of_account.into_iter().map(|n| (n, false)).collect(),
    };
    let (cert, proxy) = (release.cert_secret.clone(), release.proxy_secret.clone());
    let others = [cert.as_ref(), proxy.as_ref()];
    let is_named = |name: &String| named.iter().any(|(n, _)| n == name) || others.contains(&Some(name));
    cache.secrets.retain(|name, _| is_named(name) || release.trusts_with(name));
    for (name, required) in &named {
        match read(scope, session, cache, name).await? {
            Some(secret) => add_keys(&mut parts.keyring, name, &secret)?,
            None if *required => return Err(missing(release, name, "secretRef")),
            None => {}
        }
    }
    if let Some(name) = &cert {
        let secret = read(scope, session, cache, name).await?;
        add_tls(&mut parts, name, &secret.ok_or_else(|| missing(release, name, "certSecretRef"))?)?;
    }
    if let Some(name) = &proxy {
        let secret = read(scope, session, cache, name).await?;
        parts.proxy = Some(proxy_of(name, &secret.ok_or_else(|| missing(release, name, "proxySecretRef"))?)?);
    }
    let access = Access::new(parts);
    if let Some(before) = cache.access.as_ref().filter(|b| b.fingerprint() == access.fingerprint()) {
        return Ok(Arc::clone(before));
    }
    let access = Arc::new(access);
    cache.access = Some(Arc::clone(&access));
    Ok(access)
}

/// What the spec names is in the operator's own cluster, wherever the objects are.
fn at_home(scope: &Scope<'_>, session: &Session) -> Result<Session, Box<RunFailure>> {
    let home = scope.env.at_home(session).map_err(|error| failure(error.reason(), chain(&error)))?;
    Ok(home.on_behalf_of(&scope.release.id.namespace))
}

/// The image pull Secrets of the release's ServiceAccount.
async fn account_secrets(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
) -> Result<Vec<String>, Box<RunFailure>> {
    let Identity::ServiceAccount { namespace, name } = session.identity() else { return Ok(Vec::new()) };
    let account = match cache.watch_account(scope.env, &scope.release.id, namespace, name).current().await {
        Ok(account) => Ok(account),
        Err(_) => scope.env.session.account(namespace, name).await,
    };
    match account {
        Ok(Some(account)) => Ok(account.pull_secrets),
        Ok(None) => Err(no_account(scope.release, session.identity())),
        Err(error) => Err(account_unread(session.identity(), &error)),
    }
}

/// Checks that the account of the release exists, as far as its watch shows.
///
/// # Errors
/// When it does not, or cannot be read.
pub async fn existing_account(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
) -> Result<(), Box<RunFailure>> {
    account_secrets(scope, session, cache).await.map(drop)
}

/// Fetches the account by name: the API server impersonates an account that does not exist, so this
/// is checked before every run that writes.
///
/// # Errors
/// When it does not exist, or cannot be read.
pub async fn check_account(scope: &Scope<'_>, session: &Session) -> Result<(), Box<RunFailure>> {
    let Identity::ServiceAccount { namespace, name } = session.identity() else { return Ok(()) };
    match session.as_process().account(namespace, name).await {
        Ok(Some(_)) => Ok(()),
        // The rights that the other cluster gives that name decide.
        Err(error) if session.server().is_some() && error.is_forbidden() => Ok(()),
        Ok(None) => Err(no_account(scope.release, session.identity())),
        Err(error) => Err(account_unread(session.identity(), &error)),
    }
}

fn account_unread(identity: &Identity, error: &ApiError) -> Box<RunFailure> {
    failure(error.reason(), format!("{identity} cannot be read: {}", chain(error)))
}

/// The error for a missing account.
pub fn no_account(release: &Release, identity: &Identity) -> Box<RunFailure> {
    failure(
        Reason::ServiceAccountNotFound,
        format!(
            "{identity} does not exist, {} is not reconciled: create the account, or change spec.serviceAccountName",
            release.id
        ),
    )
}

/// The error for a missing Secret of the spec.
pub fn missing(release: &Release, name: &str, field: &str) -> Box<RunFailure> {
    let namespace = &release.id.namespace;
    failure(
        Reason::SecretNotFound,
        format!("Secret/{namespace}/{name}, named by spec.{field}, does not exist"),
    )
}

/// A Secret of the spec; watched from now on if that is allowed.
///
/// # Errors
/// When it cannot be read, or the API server does not answer.
pub async fn read(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
    name: &str,
) -> Result<Option<SecretData>, Box<RunFailure>> {
    let Scope { env, release, .. } = *scope;
    let session = &at_home(scope, session)?;
    let namespace = &release.id.namespace;
    let watched = cache.secrets.entry(name.to_owned()).or_insert_with(|| {
        session.watch_secret(namespace, name, env.notifier(&release.id), &Keeps::default())
    });
    let secret = session.watched_secret(watched, (namespace, name)).await;
    secret.map_err(|error| unread(&format!("Secret/{namespace}/{name}"), session, &error))
}

/// The error for an object that cannot be read, and the cure if a right is missing.
pub fn unread(what: &str, session: &Session, error: &ApiError) -> Box<RunFailure> {
    let hint = match error.is_forbidden() {
        true => format!("; allow {} to get it", session.identity()),
        false => String::new(),
    };
    failure(error.reason(), format!("{what} cannot be read: {}{hint}", chain(error)))
}

fn add_keys(keyring: &mut Keyring, name: &str, secret: &SecretData) -> Result<(), Box<RunFailure>> {
    let unusable = |e| failure(Reason::SecretInvalid, format!("Secret {name}: {e}"));
    // OpenShift creates Secrets of the older type for its ServiceAccounts.
    if let (None, Some(older)) = (secret.0.get(".dockerconfigjson"), secret.0.get(".dockercfg")) {
        return keyring.add_dockercfg(older).map_err(unusable);
    }
    let Some(config) = secret.0.get(".dockerconfigjson") else {
        let message = format!(
            "Secret {name} has no .dockerconfigjson: create it with `kubectl create secret docker-registry`"
        );
        return Err(failure(Reason::SecretInvalid, message));
    };
    keyring.add(config).map_err(unusable)
}

/// The proxy in a Secret, with the same keys as in Flux.
fn proxy_of(name: &str, secret: &SecretData) -> Result<Proxy, Box<RunFailure>> {
    let bad = |why: String| {
        let message = format!("Secret {name}, named by spec.proxySecretRef, {why}");
        failure(Reason::SecretInvalid, message)
    };
    let text = |key: &str| match secret.0.get(key).map(|value| std::str::from_utf8(value)) {
        None => Ok(""),
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => Err(bad(format!("has a {key} that is not UTF-8 text"))),
    };
    let address = text("address")?;
    if address.is_empty() {
        return Err(bad("has no address: set one such as http://proxy.example:3128".into()));
    }
    Proxy::new(address, text("username")?, text("password")?).map_err(|e| bad(format!("cannot be used: {e}")))
}

fn add_tls(parts: &mut AccessParts, name: &str, secret: &SecretData) -> Result<(), Box<RunFailure>> {
    let key = |key: &str| secret.0.get(key).filter(|v| !v.is_empty()).cloned();
    parts.ca = key("ca.crt");
    parts.client_cert = match (key("tls.crt"), key("tls.key")) {
        (Some(cert), Some(private)) => Some((cert, private)),
        (None, None) if parts.ca.is_some() => None,
        (None, None) => {
            let message = format!(
                "Secret {name}, named by spec.certSecretRef, has neither ca.crt nor tls.crt and tls.key"
            );
            return Err(failure(Reason::SecretInvalid, message));
        }
        _ => {
            let message =
                format!("Secret {name}, named by spec.certSecretRef, has only one of tls.crt and tls.key");
            return Err(failure(Reason::SecretInvalid, message));
        }
    };
    Ok(())
}
