//! The life of the process: endpoints, leadership, the engine, and the shutdown.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::ControllerError;
use super::files::{File, NotifyFile, TrustPolicyFile, default_root};
use super::lead::{Work, until};
use super::options::Options;
use super::parts::{SharedParts, builder};
use super::receiver::{HookListener, Hooks, ListedReleases, WebhookFile};
use crate::cluster::session::Session;
use crate::domain::capacity::{Capacity, MemoryBudget, limit_of_group, memory_of_machine};
use crate::domain::notify::hosts::AllowedHosts;
use crate::notify::{Notifier, OwnLines};
use crate::observe::metrics::Metrics;
use crate::observe::server::{Endpoints, Liveness, Port, Readiness, Server};
use crate::reconcile::env::TrustSettings;

/// Makes what the runs and the page share.
///
/// # Errors
/// Why the controller cannot start.
pub async fn prepare(options: &Options) -> Result<SharedParts, ControllerError> {
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(ControllerError::Metrics)?);
    metrics.each_release(options.release_metrics);
    let trust = trust(options, &metrics).await?;
    Ok(SharedParts { metrics, builder: builder(&options.builds, options.capacity), trust })
}

/// Runs the controller until it is stopped.
///
/// # Errors
/// Why it cannot start or continue.
pub async fn run(options: Options, parts: SharedParts) -> Result<(), ControllerError> {
    // First: the first process of a container gets no signal that it has not asked for, and would be
    // killed only after the grace period of its pod.
    let (stopping, stopped) = watch::channel(false);
    tokio::spawn(listen(stopping.clone())?);
    let SharedParts { metrics, builder, trust } = parts;
    let session = tokio::select! {
        session = Session::infer(Arc::clone(&metrics), options.inventories.clone()) => session,
        // A program that gets credentials may take long.
        () = until(stopped.clone()) => return Ok(()),
    };
    let session = session.map_err(ControllerError::Cluster)?;
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

    let news = notifier(&options, &metrics).await?;
    let work = Work {
        options: &options,
        capacity: options.capacity,
        session,
        metrics: &metrics,
        builder,
        news,
        readiness: &readiness,
    };
    let ended = work.lead(trust, stopped).await;
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

/// The receivers of notifications. An invalid configuration ends the process: otherwise nobody would
/// notice that nobody is notified.
async fn notifier(options: &Options, metrics: &Arc<Metrics>) -> Result<Notifier, ControllerError> {
    // The API server inside of the cluster: nothing that a release names leads there.
    let own = std::env::var("KUBERNETES_SERVICE_HOST").ok().and_then(|host| host.parse().ok());
    let hosts = AllowedHosts::new(options.notification_hosts.clone(), own.into_iter().collect());
    let notifier = Notifier::new(OwnLines::new(hosts, Some(Arc::clone(metrics))));
    let Some(path) = &options.notify_config else { return Ok(notifier) };
    let file = File::open(path.clone(), NotifyFile).await.map_err(ControllerError::NotifyConfig)?;
    notifier.follow(file.content(), Arc::clone(metrics));
    let metrics = Arc::clone(metrics);
    tokio::spawn(file.follow(move |result| metrics.notify_loaded(result)));
    Ok(notifier)
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

/// How much of the process's memory artifacts and inventories may take: of `limit` bytes, or of what the system
/// allows. One namespace gets no more than `budget`.
///
/// # Errors
/// When the budget is too small to work with.
pub fn capacity(limit: Option<u64>, budget: Option<MemoryBudget>) -> Result<Capacity, ControllerError> {
    let capacity = limit.map_or_else(found, Capacity::of);
    match budget {
        Some(budget) => capacity.within(budget).map_err(ControllerError::Budget),
        None => Ok(capacity),
    }
}

/// What the system allows.
fn found() -> Capacity {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    // A container sees its own group at the root, in either version.
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = groups.into_iter().filter_map(|path| limit_of_group(&read(path)?)).min();
    Capacity::found(limit, read("/proc/meminfo").as_deref().and_then(memory_of_machine))
}
