//! Requests to registries and to the API server, and lookups in the cache.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::super::labels::{Answer, BuildResult, CacheResult, Method, Verb};
use super::super::span::What;
use super::super::traces;
use super::catalog::{
    API_REQUESTS, API_SECONDS, BUILDS, CACHE_BYTES, CACHE_REQUESTS, REGISTRY_REQUESTS, REGISTRY_SECONDS,
};
use super::make::{Children, Maker};

/// The number of registry hosts with their own label; releases choose the hosts, and further hosts
/// share the label `other`. So do hosts that have never answered: invented names must not use up
/// the labels.
const MAX_HOSTS: usize = 50;
/// Bytes of a host label: a DNS name and a port.
const MAX_HOST_LENGTH: usize = 260;

/// The metrics of requests.
pub(super) struct Requests {
    registry: IntCounterVec,
    registry_seconds: HistogramVec,
    hosts: Mutex<BTreeSet<String>>,
    api: IntCounterVec,
    api_seconds: Children<Verb, Histogram>,
    cache: Children<CacheResult, IntCounter>,
    cache_bytes: IntGauge,
    builds: Children<BuildResult, IntCounter>,
}

impl Requests {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        Ok(Self {
            registry: make.counters(&REGISTRY_REQUESTS)?,
            registry_seconds: make.histograms(&REGISTRY_SECONDS)?,
            hosts: Mutex::default(),
            api: make.counters(&API_REQUESTS)?,
            api_seconds: make.closed_histograms(&API_SECONDS)?,
            cache: make.closed_counters(&CACHE_REQUESTS)?,
            cache_bytes: make.gauge(&CACHE_BYTES)?,
            builds: make.closed_counters(&BUILDS)?,
        })
    }

    fn has_label(&self, host: &str, answer: Answer) -> bool {
        if host.len() > MAX_HOST_LENGTH {
            return false;
        }
        // A panic cannot leave the set in an invalid state.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = matches!(answer, Answer::Status(_));
        hosts.contains(host) || (answered && hosts.len() < MAX_HOSTS && hosts.insert(host.to_owned()))
    }

    pub fn registry_request(&self, host: &str, method: Method, answer: Answer, took: Duration) {
        traces::ended(What::Registry { host, method: method.as_str(), status: answer.status() }, took);
        let host = if self.has_label(host, answer) { host } else { "other" };
        self.registry.with_label_values(&[host, method.as_str(), answer.as_str()]).inc();
        self.registry_seconds.with_label_values(&[host]).observe(took.as_secs_f64());
    }

    pub fn api_request(&self, verb: Verb, answer: Answer, took: Duration) {
        self.api.with_label_values(&[verb.as_str(), answer.as_str()]).inc();
        self.api_seconds.with(verb, |h| h.observe(took.as_secs_f64()));
    }

    pub fn cache_request(&self, result: CacheResult) {
        self.cache.with(result, IntCounter::inc);
    }

    pub fn build(&self, result: BuildResult) {
        self.builds.with(result, IntCounter::inc);
    }

    pub fn cache_size(&self, bytes: u64) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::Metrics;
    use super::*;

    #[test]
    fn hosts_share_a_label_after_the_first_fifty() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let ask = |host: &str| {
            metrics.registry_request(host, Method::Get, Answer::Status(200), Duration::ZERO);
        };
        ask(&"x".repeat(MAX_HOST_LENGTH + 1));
        for n in 0..MAX_HOSTS + 20 {
            ask(&format!("registry-{n}.example"));
        }
        ask("registry-0.example");
        let text = metrics.expose().unwrap();
        for name in
            ["supercargo_registry_requests_total{", "supercargo_registry_request_duration_seconds_sum{"]
        {
            assert_eq!(text.lines().filter(|l| l.starts_with(name)).count(), MAX_HOSTS + 1);
        }
        assert!(text.contains("host=\"registry-0.example\",method=\"GET\"} 2"), "{text}");
        assert!(text.contains("host=\"other\",method=\"GET\"} 21"), "{text}");
    }

    #[test]
    fn hosts_that_nobody_has_heard_of_take_no_place() {
        let metrics = Metrics::new("1.2.3").unwrap();
        let ask = |host: &str, answer: Answer| {
            metrics.registry_request(host, Method::Get, answer, Duration::ZERO);
        };
        ask("registry.example", Answer::Nothing);
        for n in 0..MAX_HOSTS {
            ask(&format!("made-up-{n}.example"), Answer::Nothing);
        }
        ask("registry.example", Answer::Status(503));
        ask("registry.example", Answer::Nothing);
        let text = metrics.expose().unwrap();
        assert!(!text.contains("made-up"), "{text}");
        for (labels, count) in [
            ("code=\"none\",host=\"other\"", MAX_HOSTS + 1),
            ("code=\"503\",host=\"registry.example\"", 1),
            ("code=\"none\",host=\"registry.example\"", 1),
        ] {
            let line = format!("supercargo_registry_requests_total{{{labels},method=\"GET\"}} {count}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}
