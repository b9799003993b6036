//! Which kinds an API server does not list as a stream.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal counts: the API server may be replaced by a newer one at any time.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The kinds, and when each was refused last.
#[derive(Debug, Default)]
pub(in crate::cluster) struct RefusedStreams(Mutex<HashMap<String, Instant>>);

impl RefusedStreams {
    /// Whether the kind of a collection was refused not long ago.
    pub fn has(&self, path: &str, now: Instant) -> bool {
        self.kinds().get(&kind(path)).is_some_and(|since| is_recent(*since, now))
    }

    /// The kind of a collection is refused.
    pub fn add(&self, path: &str, now: Instant) {
        let mut kinds = self.kinds();
        kinds.retain(|_, since| is_recent(*since, now));
        kinds.insert(kind(path), now);
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < REMEMBERED
}

/// The path of the same kind in all namespaces: one server answers for all of them.
fn kind(path: &str) -> String {
    let split = path.split_once("/namespaces/");
    let below = split.and_then(|(version, below)| Some((version, below.split_once('/')?.1)));
    below.map_or_else(|| path.to_owned(), |(version, plural)| format!("{version}/{plural}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_refused_in_all_namespaces_and_not_for_ever() {
        let (refused, begin) = (RefusedStreams::default(), Instant::now());
        refused.add("/api/v1/namespaces/a/configmaps", begin);
        refused.add("/apis/apps/v1/deployments", begin);
        let check = |path: &str, later: Duration, expected: bool| {
            assert_eq!(refused.has(path, begin + later), expected, "{path} {later:?}");
        };
        let (now, last) = (Duration::ZERO, REMEMBERED - Duration::from_secs(1));
        check("/api/v1/namespaces/a/configmaps", now, true);
        check("/api/v1/namespaces/other/configmaps", last, true);
        check("/api/v1/configmaps", last, true);
        check("/api/v1/configmaps", REMEMBERED, false);
        check("/apis/apps/v1/namespaces/a/deployments", last, true);
        for other in ["/api/v1/namespaces", "/api/v1/secrets", "/apis/apps/v1beta1/deployments"] {
            check(other, now, false);
        }
        refused.add("/api/v1/namespaces", begin + REMEMBERED);
        assert_eq!(refused.kinds().len(), 1, "what is over is forgotten");
    }
}
