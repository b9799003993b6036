//! The age identities of the Secret in the spec, to decrypt artifacts.

use super::access;
use crate::api::reason::Reason;
use crate::cluster::accounts::SecretData;
use crate::cluster::session::Session;
use crate::oci::Identities;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::error::{RunFailure, failure};
use crate::reconcile::scope::Scope;

/// The field of the spec.
const FIELD: &str = "decryption.secretRef";

/// The identities, if the spec names a Secret. Only a pull needs them: they are not kept.
///
/// # Errors
/// When the Secret is missing, cannot be read, or has a value that is not an identity.
pub async fn identities(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
) -> Result<Option<Identities>, Box<RunFailure>> {
    let release = scope.release;
    let Some(name) = &release.identity_secret else { return Ok(None) };
    let secret = access::read(scope, session, cache, name).await?;
    let secret = secret.ok_or_else(|| access::missing(release, name, FIELD))?;
    parse(&secret).map(Some).map_err(|problem| {
        let message = format!("Secret {name}, named by spec.{FIELD}, {problem}");
        failure(Reason::SecretInvalid, message)
    })
}

/// All values must be identities: an invalid one would be noticed only when it is needed.
fn parse(secret: &SecretData) -> Result<Identities, String> {
    let mut all: Option<Identities> = None;
    for (key, value) in &secret.0 {
        // The copy is wiped after parsing.
        let found =
            Identities::parse(value.clone()).map_err(|e| format!("has an invalid key {key:?}: {e}"))?;
        all = Some(match all {
            Some(all) => all.and(&found),
            None => found,
        });
    }
    all.ok_or_else(|| "is empty: add age identities (AGE-SECRET-KEY-1…)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_to_be_of_identities() {
        let key = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n";
        let check = |data: &[(&str, &str)], expected: &str| {
            let data = data.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
            let parsed = parse(&SecretData(data)).map(|_| String::new()).unwrap_or_else(|e| e);
            assert_eq!(parsed, expected);
        };
        check(&[("a.agekey", key)], "");
        check(&[("a.agekey", key), ("b.agekey", &format!("# old\n{key}{key}"))], "");
        check(&[], "is empty: add age identities (AGE-SECRET-KEY-1…)");
        let not = "line 1 is not an age private key (AGE-SECRET-KEY-1…)";
        check(&[("a", key), ("b", "hunter2")], &format!("has an invalid key \"b\": {not}"));
    }
}
