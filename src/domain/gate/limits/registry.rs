//! A registry, or a proxy, that the administrator does not allow.

use super::super::decision::Decision;
use super::super::facts::{Facts, RegistryFacts};
use crate::api::reason::Reason;
use crate::domain::allowed::NotAllowed;

/// Refuses what is not allowed. Nothing is sent before that.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(RegistryFacts { allowed, host, path }) = facts.registry else { return Decision::Pass };
    let refuse = |field: &str, why: NotAllowed| {
        Decision::refuse(Reason::RegistryNotAllowed, format!("spec.{field}: {why}"))
    };
    if let Err(why) = allowed.repository(host, path) {
        return refuse("url", why);
    }
    match (&facts.release.proxy_secret, allowed.proxy()) {
        (Some(_), Err(why)) => refuse("proxySecretRef", why),
        _ => Decision::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allowed::Allowed;
    use crate::domain::gate::tests::{held, release};
    use crate::domain::prefix::Prefix;

    #[test]
    fn what_is_not_allowed_is_refused() {
        let check = |allowed: &[&str], proxy: Option<&str>, host: &str, expected: Option<&str>| {
            let allowed = allowed.iter().map(|prefix| Prefix::parse(prefix).unwrap());
            let allowed = Allowed::below(allowed.collect());
            let mut release = release();
            release.proxy_secret = proxy.map(str::to_owned);
            let registry = Some(RegistryFacts { allowed: &allowed, host, path: "team/app" });
            let found = held(decide(&Facts { registry, ..Facts::of(&release) }));
            assert_eq!(
                found.as_ref().map(|(reason, _)| *reason),
                expected.map(|_| Reason::RegistryNotAllowed)
            );
            let message = found.map(|(_, message)| message).unwrap_or_default();
            assert!(message.starts_with(expected.unwrap_or_default()), "{message}");
        };
        check(&[], Some("proxy"), "r.io", None);
        check(&["r.io/team"], None, "r.io", None);
        check(
            &["r.io/team"],
            None,
            "other.io",
            Some("spec.url: other.io/team/app is not in an allowed registry"),
        );
        check(&["r.io/team"], Some("proxy"), "r.io", Some("spec.proxySecretRef: a proxy is not allowed"));
    }
}
