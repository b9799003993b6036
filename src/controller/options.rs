//! The options of the controller.

use std::path::PathBuf;
use std::time::Duration;

use crate::builder::BuildSwitch;
use crate::cluster::inventory::InventoryRooms;
use crate::domain::allowed::Allowed;
use crate::domain::capacity::Capacity;
use crate::domain::notify::hosts::HostPattern;
use crate::domain::patch::selector::Selector;
use crate::domain::quota::Quota;
use crate::domain::remote::kubeconfig::RemoteSettings;
use crate::domain::replicas::LeaseTimes;
use crate::oci::{Mirror, TokenHost};

/// The flags of `supercargo controller`.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many releases work at once; any number may wait.
    pub concurrency: usize,
    /// Where metrics and probes are served, `host:port`.
    pub metrics_addr: String,
    /// Where probes are served as well, `host:port`; nowhere else when absent.
    pub health_addr: Option<String>,
    /// Where content of artifacts is kept between runs.
    pub cache_dir: PathBuf,
    /// How many bytes of it are kept.
    pub cache_max_size: u64,
    /// How much of the memory of the process artifacts and inventories may take.
    pub capacity: Capacity,
    /// The part of it that is for inventories, which the page shares.
    pub inventories: InventoryRooms,
    /// The namespace of the lease; the pod's own when absent.
    pub leader_election_namespace: Option<String>,
    /// The name of the lease.
    pub leader_election_name: String,
    /// Which replicas work.
    pub shards: Shards,
    /// The times of leases.
    pub lease: LeaseTimes,
    /// The ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// The namespaces whose releases are reconciled; all when empty.
    pub watch_namespaces: Vec<String>,
    /// Which releases are reconciled, by their labels; all when absent.
    pub watch_label_selector: Option<Selector>,
    /// Whether releases may have objects in other clusters, and which addresses these may have.
    pub remote_clusters: RemoteSettings,
    /// The registries that releases may use.
    pub allowed_registries: Allowed,
    /// How many releases and objects a namespace may have.
    pub quota: Quota,
    /// Whether releases may depend on objects in other namespaces.
    pub cross_namespace_dependencies: bool,
    /// The file of the trust policy.
    pub trust_policy: Option<PathBuf>,
    /// Whether every artifact has to be verified.
    pub require_verification: bool,
    /// The interval after which artifacts are verified again.
    pub verification_interval: Duration,
    /// The mirrors, by prefix.
    pub mirrors: Vec<Mirror>,
    /// The file of the default trusted root, in place of the public good one.
    pub trusted_root: Option<PathBuf>,
    /// Token services on other domains than their registries.
    pub token_hosts: Vec<TokenHost>,
    /// How kustomizations are built and charts rendered.
    pub builds: BuildFlags,
    /// Whether there are metrics for each release.
    pub release_metrics: bool,
    /// Where webhooks are received.
    pub webhooks: Option<WebhookOptions>,
    /// The file of the receivers of notifications.
    pub notify_config: Option<PathBuf>,
    /// The hosts to which releases may send notifications.
    pub notification_hosts: Vec<HostPattern>,
}

/// Which replicas work on releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// The leader works on all releases.
    Off,
    /// Every replica works on its share.
    Auto,
}

/// How kustomizations are built and charts rendered.
#[derive(Clone, Debug)]
pub struct BuildFlags {
    /// Whether kustomizations are built.
    pub kustomize: BuildSwitch,
    /// Whether Helm charts are rendered.
    pub helm: BuildSwitch,
    /// The program for kustomizations; absent: the one on PATH.
    pub binary: Option<PathBuf>,
    /// The program for charts; absent: the one on PATH.
    pub helm_binary: Option<PathBuf>,
    /// The directory for the files of builds.
    pub directory: PathBuf,
    /// How many builds run at once.
    pub concurrent: usize,
    /// Whether builds run where they cannot be confined.
    pub allow_unconfined: bool,
}

/// Where webhooks are received, and from whom.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// `host:port`.
    pub address: String,
    /// The file of the receivers.
    pub config: PathBuf,
}
