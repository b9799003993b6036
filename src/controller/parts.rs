//! The parts of the engine that work for all releases: the registries, and the programs that build.

use std::sync::Arc;

use super::options::{BuildFlags, Options};
use crate::builder::{Availability, BuildOptions, BuildProgram, BuildSwitch, Builder};
use crate::domain::capacity::Capacity;
use crate::observe::labels::{Answer, CacheResult, Method};
use crate::observe::metrics::Metrics;
use crate::oci::{CacheEvent, Registry, RegistryOptions};
use crate::reconcile::env::TrustSettings;

/// What runs, and the page, share from the start.
#[derive(Clone)]
pub struct SharedParts {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The builds.
    pub builder: Builder,
    /// The administrator's requirements for artifacts.
    pub trust: TrustSettings,
}

/// The builds.
pub fn builder(flags: &BuildFlags, capacity: Capacity) -> Builder {
    let asked = flags.concurrent;
    let (concurrent, memory) = BuildOptions::shares(capacity.builds, asked);
    if concurrent < asked && (flags.kustomize, flags.helm) != (BuildSwitch::Disabled, BuildSwitch::Disabled) {
        tracing::warn!(
            asked,
            concurrent,
            mebibytes = capacity.builds >> 20,
            "runs fewer builds at once than --concurrent-builds: half of the memory limit is too little for more"
        );
    }
    Builder::new(BuildOptions {
        kustomize: flags.kustomize,
        helm: flags.helm,
        binary: flags.binary.clone(),
        helm_binary: flags.helm_binary.clone(),
        allow_unconfined: flags.allow_unconfined,
        directory: Some(flags.directory.clone()),
        concurrent,
        of_one: capacity.builds_of_one(concurrent),
        memory,
        cache: capacity.outputs,
        ..BuildOptions::default()
    })
}

/// Logs whether kustomizations can be built and charts rendered. Releases with one say it too, but only
/// then.
pub async fn report_builds(builder: Builder) {
    for program in [BuildProgram::Kustomize, BuildProgram::Helm] {
        let (does, what) = match program {
            BuildProgram::Kustomize => ("builds kustomizations", "kustomizations"),
            BuildProgram::Helm => ("renders Helm charts", "Helm charts"),
        };
        match builder.availability(program).await {
            Availability::Ready { version, confined: true, .. } => {
                tracing::info!(version, "{does}, confined by Landlock and seccomp");
            }
            Availability::Ready { version, confined: false, .. } => {
                tracing::warn!(version, "{does} without a complete sandbox (--allow-unconfined-builds)");
            }
            Availability::Disabled => tracing::info!("refuses {what} (--{}=Disabled)", program.name()),
            Availability::NoProgram(why) => tracing::warn!(why, "cannot handle {what}"),
            Availability::Unconfined(why) => {
                tracing::warn!(why, "refuses {what}: builds cannot be confined here");
            }
        }
    }
}

/// The registries.
pub fn registry(options: &Options, capacity: Capacity, metrics: &Arc<Metrics>) -> Registry {
    tracing::info!(bytes = capacity.most, "memory limit per artifact");
    let counts = Arc::clone(metrics);
    let kept = Arc::clone(metrics);
    Registry::new(RegistryOptions {
        cache_dir: Some(options.cache_dir.clone()),
        cache_max_size: options.cache_max_size,
        capacity,
        mirrors: options.mirrors.clone(),
        token_hosts: options.token_hosts.clone(),
        observer: Some(Arc::new(move |record: &crate::oci::RequestRecord| {
            let answer = match record.outcome {
                crate::oci::RequestOutcome::Status(code) => Answer::Status(code),
                _ => Answer::Nothing,
            };
            let method = Method::named(record.method);
            counts.registry_request(&record.host, method, answer, record.elapsed);
        })),
        cache_observer: Some(Arc::new(move |event: CacheEvent| match event {
            CacheEvent::Hit => kept.cache_request(CacheResult::Hit),
            CacheEvent::Miss => kept.cache_request(CacheResult::Miss),
            CacheEvent::Corrupt => kept.cache_request(CacheResult::Corrupt),
            CacheEvent::Size(bytes) => kept.cache_size(bytes),
        })),
        ..RegistryOptions::default()
    })
}
