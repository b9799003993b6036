//! The binary: everything is in the library.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use supercargo::cli::{CliCommand, ControllerArgs};
use supercargo::cluster::inventory::InventoryRooms;
use supercargo::cluster::session::Session;
use supercargo::domain::allowed::Allowed;
use supercargo::domain::quota::Quota;
use supercargo::domain::remote::kubeconfig::{RemoteReach, RemoteSettings};
use supercargo::domain::replicas::LeaseTimes;
use supercargo::observe::logging::{self, LogFormat};
use supercargo::observe::metrics::Metrics;
use supercargo::observe::traces::Traces;
use supercargo::reconcile::frontend::workshop::Workshop;
use supercargo::ui::{Page, PageOptions};
use supercargo::{cli, controller};

// glibc's allocator keeps the memory of a burst of releases; this one returns it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The stack of a worker, in bytes: twice the usual size, because the future of a run is deep, and in a
/// build without optimization large. Only what is used of it takes memory.
const STACK: usize = 4 << 20;

fn main() -> ExitCode {
    no_core_dumps();
    if let Some(code) = supercargo::builder::sandbox::launch() {
        return code;
    }
    let arguments = cli::arguments();
    match arguments.command {
        CliCommand::Controller(arguments) => match operate(*arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{}", supercargo::reconcile::error::chain(error.as_ref()));
                ExitCode::FAILURE
            }
        },
        _ => cli::main(arguments),
    }
}

/// Memory contains keys and passwords, and a core dump contains the memory.
fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // Lowering a limit is always allowed; a failure does no harm.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

fn operate(arguments: ControllerArgs) -> Result<(), Box<dyn std::error::Error>> {
    let format: LogFormat = arguments.log_format.parse()?;
    // Before the runtime starts: the exporter cannot start inside one.
    let traces = arguments.otlp_endpoint.as_deref().map(Traces::start).transpose();
    logging::init(format, traces.as_ref().ok().and_then(Option::as_ref))?;
    let traces = traces?;
    // Panics are caught; their message goes to the log, in the log's format.
    std::panic::set_hook(Box::new(|crash| tracing::error!("caught a panic: {crash}")));
    let (address, hosts, anonymous) = (arguments.ui_addr, arguments.ui_hosts, arguments.ui_anonymous);
    let capacity = controller::capacity(arguments.memory_limit, arguments.max_memory_per_namespace)?;
    let inventories = InventoryRooms::new(&capacity);
    let options = controller::Options {
        concurrency: arguments.concurrency.into(),
        metrics_addr: arguments.metrics_addr,
        health_addr: arguments.health_addr,
        cache_dir: arguments.cache_dir,
        cache_max_size: arguments.cache_max_size,
        capacity,
        inventories,
        leader_election_namespace: arguments.leader_election_namespace,
        leader_election_name: arguments.leader_election_name,
        shards: match arguments.shards.as_str() {
            "auto" => controller::Shards::Auto,
            _ => controller::Shards::Off,
        },
        lease: LeaseTimes::of(arguments.lease_duration),
        default_service_account: arguments.default_service_account,
        watch_namespaces: arguments.watch_namespaces,
        watch_label_selector: arguments.watch_label_selector,
        remote_clusters: RemoteSettings {
            enabled: arguments.remote_clusters == "Enabled",
            reach: RemoteReach { local: arguments.allow_local_clusters },
        },
        allowed_registries: Allowed::below(arguments.allowed_registries),
        quota: Quota {
            releases: arguments.max_releases_per_namespace.map(NonZeroUsize::get),
            objects: arguments.max_objects_per_namespace.map(NonZeroUsize::get),
        },
        cross_namespace_dependencies: arguments.allow_cross_namespace_dependencies,
        trust_policy: arguments.trust_policy,
        trusted_root: arguments.trusted_root,
        require_verification: arguments.require_verification,
        verification_interval: arguments.verification_interval,
        mirrors: arguments.routes.registry_mirror,
        token_hosts: arguments.routes.allowed_token_hosts,
        builds: controller::BuildFlags {
            kustomize: arguments.kustomize,
            binary: arguments.kustomize_binary,
            helm: arguments.helm,
            helm_binary: arguments.helm_binary,
            directory: arguments.build_dir,
            concurrent: arguments.concurrent_builds.into(),
            allow_unconfined: arguments.allow_unconfined_builds,
        },
        release_metrics: arguments.release_metrics,
        webhooks: arguments
            .webhook_addr
            .zip(arguments.webhook_config)
            .map(|(address, config)| controller::WebhookOptions { address, config }),
        notify_config: arguments.notify_config,
        notification_hosts: arguments.allow_release_notifications,
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().thread_stack_size(STACK).build()?;
    let ended: Result<(), Box<dyn std::error::Error>> = runtime.block_on(async {
        let parts = controller::prepare(&options).await?;
        let page = match address {
            Some(address) => {
                let page = page(&options, &parts, address, (hosts, anonymous));
                Some(serve_page(page, options.inventories.clone()).await?)
            }
            None => None,
        };
        let ended = controller::run(options, parts).await;
        // The page stays until the runs have ended: every replica has one.
        if let Some(page) = page {
            page.abort();
        }
        Ok(ended?)
    });
    if let Some(traces) = traces {
        traces.end();
    }
    ended
}

/// How the page is served: for the releases of this operator, with its rules.
fn page(
    options: &controller::Options,
    parts: &controller::SharedParts,
    address: String,
    (hosts, anonymous): (Vec<String>, bool),
) -> PageOptions {
    let routes = (options.mirrors.clone(), options.token_hosts.clone());
    let (builder, trust) = (parts.builder.clone(), parts.trust.clone());
    PageOptions {
        address,
        hosts,
        anonymous,
        namespaces: options.watch_namespaces.clone(),
        selector: options.watch_label_selector.as_ref().map(ToString::to_string),
        key: (
            options.leader_election_namespace.clone(),
            format!("{}-plan-key", options.leader_election_name),
        ),
        workshop: Workshop::new(
            &options.capacity,
            routes,
            builder,
            trust,
            options.allowed_registries.clone(),
        ),
    }
}

/// Serves the page in the cluster, until the task is aborted. It has its own connections to the API server, so that
/// many readers do not delay a run, and shares the memory for inventories.
async fn serve_page(
    options: PageOptions,
    inventories: InventoryRooms,
) -> Result<tokio::task::JoinHandle<()>, Box<dyn std::error::Error>> {
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))?);
    let session = Session::infer(metrics, inventories).await?;
    let page = Page::bind_in_cluster(options, session).await?;
    Ok(tokio::spawn(page.serve(std::future::pending())))
}
