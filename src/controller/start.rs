//! The life of the process: endpoints, leadership, the engine, and the shutdown.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::error::ControllerError;
use super::file::File;
use super::leader::{LeaseCandidate, Loss};
use super::options::{BuildFlags, Options};
use super::receiver::{HookListener, Hooks, ListedReleases, WebhookFile};
use super::specs::Specs;
use super::trust_policy::{TrustPolicyFile, default_root};
use crate::builder::{Availability, BuildOptions, BuildProgram, BuildSwitch, Builder};
use crate::cluster::events::instance;
use crate::cluster::session::Session;
use crate::domain::capacity::{Capacity, limit_of_group, memory_of_machine};
use crate::observe::labels::{Answer, CacheResult, Method};
use crate::observe::metrics::Metrics;
use crate::observe::server::{Endpoints, Liveness, Port, Readiness, Server};
use crate::oci::{CacheEvent, Registry, RegistryOptions};
use crate::reconcile::env::TrustSettings;
use crate::reconcile::env::input_room::InputRoom;

/// Runs the controller until it is stopped.
///
/// # Errors
/// Why it cannot start or continue.
pub async fn run(options: Options) -> Result<(), ControllerError> {
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(ControllerError::Metrics)?);
    metrics.each_release(options.release_metrics);
    let trust = trust(&options, &metrics).await?;
    let capacity = capacity(options.memory_limit);
    let session = Session::infer(Arc::clone(&metrics), &capacity).await.map_err(ControllerError::Cluster)?;
    let readiness = Readiness::default();
    let server = Server::bind(Port::Metrics, &options.metrics_addr).await.map_err(ControllerError::Server)?;
    let probes = match &options.health_addr {
        Some(address) => Some(Server::bind(Port::Health, address).await.map_err(ControllerError::Server)?),
        None => None,
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %server.address(),
        concurrency = options.concurrency,
        "starting the supercargo controller"
    );
    let (stopping, stopped) = watch::channel(false);
    let endpoints = Endpoints {
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        liveness: Liveness::new(|| Ok(())),
    };
    if let Some(probes) = probes {
        tokio::spawn(probes.serve(endpoints.clone(), until(stopped.clone())));
    }
    let serving = tokio::spawn(server.serve(endpoints, until(stopped.clone())));
    let hurry = CancellationToken::new();
    let receiving = receive(&options, &session, &metrics, until(stopped.clone()), hurry.clone()).await?;
    tokio::spawn(listen(stopping.clone())?);

    let ended = lead(&options, capacity, trust, session, &metrics, &readiness, stopped).await;
    readiness.set(false);
    stopping.send_replace(true);
    if ended.is_err() {
        // The process should restart at once.
        hurry.cancel();
    }
    // The endpoints stop too; their result does not matter any more.
    let _ = serving.await;
    if let Some(receiving) = receiving {
        let _ = receiving.await;
    }
    ended
}

/// Receives webhooks, on every replica. An invalid configuration ends the process: otherwise nobody
/// would notice that pushes wait for the interval.
async fn receive(
    options: &Options,
    session: &Session,
    metrics: &Arc<Metrics>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    hurry: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ControllerError> {
    let Some(webhooks) = &options.webhooks else { return Ok(None) };
    let file =
        File::open(webhooks.config.clone(), WebhookFile).await.map_err(ControllerError::WebhookConfig)?;
    let receiver = HookListener::bind(&webhooks.address).await?;
    tracing::info!(address = %receiver.address(), "receiving webhooks");
    let scope = ListedReleases {
        namespaces: options.watch_namespaces.clone(),
        selector: options.watch_label_selector.clone(),
    };
    let hooks = Arc::new(Hooks::new(file.content(), session.clone(), scope, Arc::clone(metrics)));
    let metrics = Arc::clone(metrics);
    tokio::spawn(file.follow(move |result| metrics.webhooks_loaded(result)));
    Ok(Some(tokio::spawn(receiver.serve(hooks, shutdown, hurry))))
}

/// Sets the flag when the process is stopped.
fn listen(stopping: watch::Sender<bool>) -> Result<impl Future<Output = ()>, ControllerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ControllerError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ControllerError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down; waiting for runs to finish");
        stopping.send_replace(true);
    })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // It also ends when the sender is gone.
    let _ = stopped.wait_for(|s| *s).await;
}

/// The administrator's requirements. An invalid policy ends the process: without it, less would be
/// required than intended.
async fn trust(options: &Options, metrics: &Arc<Metrics>) -> Result<TrustSettings, ControllerError> {
    let root = default_root(options.trusted_root.as_deref()).await.map_err(ControllerError::TrustedRoot)?;
    metrics.trusted_root(root.newest_part().map(|at| at.as_second()));
    // Without a file there are no updates: nothing is required.
    let (_, policy) = watch::channel(Arc::default());
    let mut trust = TrustSettings {
        policy,
        root,
        required: options.require_verification,
        interval: options.verification_interval,
    };
    if let Some(path) = &options.trust_policy {
        let kind = TrustPolicyFile { root: Arc::clone(&trust.root) };
        let file = File::open(path.clone(), kind).await.map_err(ControllerError::TrustPolicy)?;
        trust.policy = file.content();
        let metrics = Arc::clone(metrics);
        tokio::spawn(file.follow(move |result| metrics.policy_loaded(result)));
    }
    Ok(trust)
}

async fn lead(
    options: &Options,
    capacity: Capacity,
    trust: TrustSettings,
    session: Session,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
    stopped: watch::Receiver<bool>,
) -> Result<(), ControllerError> {
    let namespace = options.leader_election_namespace.clone();
    let namespace = namespace.unwrap_or_else(|| session.default_namespace().to_owned());
    let lease = (namespace, options.leader_election_name.clone());
    let mut candidate = LeaseCandidate::new(session.clone(), lease, identity());
    metrics.leader(false);
    tokio::select! {
        // A standby is ready: it serves its endpoints.
        () = candidate.acquire(|| readiness.set(true)) => {}
        () = until(stopped.clone()) => return Ok(()),
    }
    metrics.leader(true);
    tracing::info!(lease = candidate.name(), "leads");
    let read = (Specs::new(capacity.specs), InputRoom::new(capacity.inputs));
    let registry = registry(options, capacity, metrics);
    let builder = builder(&options.builds, capacity);
    tokio::spawn(report_builds(builder.clone()));
    let engine = Engine::start(session, registry, builder, trust, read, Arc::clone(metrics), options);
    let (lost, losing) = watch::channel(false);
    let name = candidate.name();
    let ready = readiness.clone();
    let mut asked = stopped.clone();
    let mut left = losing.clone();
    let stop = async move {
        tokio::select! {
            _ = asked.wait_for(|s| *s) => {}
            _ = left.wait_for(|s| *s) => {}
        }
    };
    let mut running = std::pin::pin!(engine.run(stop, move || ready.set(true)));
    let mut loss = None;
    loop {
        tokio::select! {
            () = &mut running => break,
            // The lease is kept until the last run has ended.
            how = candidate.hold(), if loss.is_none() => {
                loss = Some(how);
                lost.send_replace(true);
            }
        }
    }
    metrics.leader(false);
    match loss {
        None => {
            candidate.release().await;
            Ok(())
        }
        Some(Loss::Taken) => Err(ControllerError::LostLease(name)),
        Some(Loss::NotRenewed) => Err(ControllerError::LeaseNotRenewed(name)),
    }
}

/// Our identity among the replicas: the pod's name survives a restart of its container; a host name
/// could be shared.
fn identity() -> String {
    match std::env::var("POD_NAME") {
        Ok(pod) if !pod.is_empty() => pod,
        _ => format!("{}_{:08x}", instance(), fastrand::u32(..)),
    }
}

/// How much of the process's memory artifacts may take.
fn capacity(limit: Option<u64>) -> Capacity {
    if let Some(limit) = limit {
        return Capacity::of(limit);
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    // A container sees its own group at the root, in either version.
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = groups.into_iter().filter_map(|path| limit_of_group(&read(path)?)).min();
    Capacity::found(limit, read("/proc/meminfo").as_deref().and_then(memory_of_machine))
}

fn builder(flags: &BuildFlags, capacity: Capacity) -> Builder {
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
        memory,
        cache: capacity.outputs,
        ..BuildOptions::default()
    })
}

/// Logs whether kustomizations can be built and charts rendered. Releases with one say it too, but only
/// then.
async fn report_builds(builder: Builder) {
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

fn registry(options: &Options, capacity: Capacity, metrics: &Arc<Metrics>) -> Registry {
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
