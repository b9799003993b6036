//! `supercargo controller`: its flags, which the binary passes on. It does not run here.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::builder::BuildSwitch;
use crate::cli::args::{ClusterArgs, GlobalArgs, RouteArgs};
use crate::domain::capacity::MemoryBudget;
use crate::domain::notify::hosts::HostPattern;
use crate::domain::patch::selector::Selector;
use crate::domain::prefix::Prefix;
use crate::domain::release::object_name;
use crate::domain::replicas::LONGEST_LEASE_SECONDS;
use crate::domain::schedule::parse_duration;
use crate::ui::host_name;

/// Run the operator in a cluster.
///
/// Reads the OCIArtifactReleases of the pod's cluster, or of the cluster in $KUBECONFIG. Applies
/// their artifacts, and writes their status, inventories, events, and the Lease for leader election
/// among replicas. Logs go to stderr; metrics and probes are served on --metrics-addr.
///
/// Exit codes: 0 after SIGTERM or Ctrl-C; 1 when it cannot start or has lost its lease.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), args = GlobalArgs::hidden_timeout(), after_long_help = EXAMPLES)]
pub struct ControllerArgs {
    /// Maximum number of releases reconciled at once; releases that wait for health do not count.
    #[arg(long, env = "SUPERCARGO_CONCURRENCY", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "SUPERCARGO_METRICS_ADDR", default_value = "0.0.0.0:8080", value_name = "HOST:PORT")]
    pub metrics_addr: String,
    /// Additional address of /healthz and /readyz, used only for probes.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_HEALTH_ADDR", value_name = "HOST:PORT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub health_addr: Option<String>,
    /// Expose a few series per release in /metrics; false: only totals.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_RELEASE_METRICS", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, hide_possible_values = true, value_name = "true|false")]
    pub release_metrics: bool,
    /// Directory of the artifact cache.
    #[arg(long, env = "SUPERCARGO_CACHE_DIR", default_value = "/tmp/supercargo", value_name = "DIR")]
    pub cache_dir: PathBuf,
    /// Maximum size of the artifact cache: bytes, or with a suffix such as 512Mi or 2Gi.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_CACHE_MAX_SIZE", default_value = "1Gi", value_name = "SIZE", value_parser = size)]
    pub cache_max_size: u64,
    /// Memory limit of this process: all artifacts share about a third of it, one artifact can use a 16th (default: the limit of the system).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_MEMORY_LIMIT", value_name = "SIZE", value_parser = size)]
    pub memory_limit: Option<u64>,
    /// Namespace of the leader election Lease (default: that of the pod).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE", value_parser = object_name)]
    pub leader_election_namespace: Option<String>,
    /// Name of the leader election Lease; several controllers in one namespace need different names.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_LEADER_ELECTION_NAME", default_value = "supercargo-controller", value_name = "NAME", value_parser = object_name)]
    pub leader_election_name: String,
    /// Which replicas work on releases: off: only the leader; auto: each on its share.
    #[arg(long, env = "SUPERCARGO_SHARDS", default_value = "off", value_name = "off|auto", value_parser = ["off", "auto"], hide_possible_values = true)]
    pub shards: String,
    /// How long a replica that gives no sign of life keeps its work. With --shards=auto, a request that writes may take two thirds of it.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_LEASE_DURATION", default_value = "15s", value_name = "DURATION", value_parser = lease_duration)]
    pub lease_duration: Duration,
    /// ServiceAccount, in the release's namespace, for releases without serviceAccountName (default: the controller's own rights).
    #[arg(long, env = "SUPERCARGO_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = object_name)]
    pub default_service_account: Option<String>,
    /// Reconcile only releases in these namespaces.
    #[arg(long, env = "SUPERCARGO_WATCH_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = object_name)]
    pub watch_namespaces: Vec<String>,
    /// Reconcile only releases with these labels, such as shard=a or 'team in (web, shop)'. Others are not touched.
    #[arg(long, env = "SUPERCARGO_WATCH_LABEL_SELECTOR", value_name = "SELECTOR", value_parser = selector)]
    pub watch_label_selector: Option<Selector>,
    /// Allow only registries and repositories below these prefixes, such as ghcr.io/acme.
    #[arg(long, env = "SUPERCARGO_ALLOWED_REGISTRIES", value_name = "PREFIX,...", value_delimiter = ',', value_parser = Prefix::parse)]
    pub allowed_registries: Vec<Prefix>,
    /// Reconcile at most so many releases of a namespace, the oldest ones (default: any number).
    #[arg(
        long,
        hide_short_help = true,
        env = "SUPERCARGO_MAX_RELEASES_PER_NAMESPACE",
        value_name = "NUMBER"
    )]
    pub max_releases_per_namespace: Option<NonZeroUsize>,
    /// Refuse revisions with which the releases of a namespace would have more objects than that (default: any number).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_MAX_OBJECTS_PER_NAMESPACE", value_name = "NUMBER")]
    pub max_objects_per_namespace: Option<NonZeroUsize>,
    /// Most memory for the artifacts, patches, inputs and inventories of one namespace: a size, or a part of the memory limit such as 25% (default: half of each).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_MAX_MEMORY_PER_NAMESPACE", value_name = "SIZE|PERCENT", value_parser = budget)]
    pub max_memory_per_namespace: Option<MemoryBudget>,
    /// Allow releases to depend on releases and objects in other namespaces (spec.dependsOn).
    #[arg(long, env = "SUPERCARGO_ALLOW_CROSS_NAMESPACE_DEPENDENCIES", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_cross_namespace_dependencies: bool,
    /// Allow releases to have their objects in other clusters (spec.kubeConfig).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_REMOTE_CLUSTERS", default_value = "Enabled", value_name = "MODE", value_parser = ["Enabled", "Disabled"])]
    pub remote_clusters: String,
    /// Allow kubeconfigs of releases to name addresses of this machine (loopback), for tests.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_ALLOW_LOCAL_CLUSTERS", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_local_clusters: bool,
    /// File of kind TrustPolicy: the required signers, by repository. Reloaded when it changes. Releases can require more, not less.
    #[arg(long, env = "SUPERCARGO_TRUST_POLICY", value_name = "FILE")]
    pub trust_policy: Option<PathBuf>,
    /// Sigstore trusted_root.json for keyless signatures, unless the trust policy or the release sets one (default: the built-in public good root).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_TRUSTED_ROOT", value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Refuse releases whose artifact is verified by neither the trust policy nor spec.verify.
    #[arg(long, env = "SUPERCARGO_REQUIRE_VERIFICATION", value_parser = clap::builder::FalseyValueParser::new())]
    pub require_verification: bool,
    /// Interval for verifying unchanged artifacts again: 1s to 24h.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_VERIFICATION_INTERVAL", default_value = "1h", value_name = "DURATION", value_parser = verification_interval)]
    pub verification_interval: Duration,
    /// Whether artifacts with a kustomization are built: Enabled or Disabled.
    #[arg(long, env = "SUPERCARGO_KUSTOMIZE", default_value = "Enabled", value_name = "Enabled|Disabled")]
    pub kustomize: BuildSwitch,
    /// The kustomize that builds, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_KUSTOMIZE_BINARY", value_name = "FILE")]
    pub kustomize_binary: Option<PathBuf>,
    /// Whether Helm charts are rendered: Enabled or Disabled.
    #[arg(long, env = "SUPERCARGO_HELM", default_value = "Enabled", value_name = "Enabled|Disabled")]
    pub helm: BuildSwitch,
    /// The Helm that renders charts, a static executable (default: the one on PATH).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_HELM_BINARY", value_name = "FILE")]
    pub helm_binary: Option<PathBuf>,
    /// Directory for the files of builds.
    #[arg(
        long,
        hide_short_help = true,
        env = "SUPERCARGO_BUILD_DIR",
        default_value = "/tmp/supercargo-builds",
        value_name = "DIR"
    )]
    pub build_dir: PathBuf,
    /// Maximum number of builds at once; they share half of the memory limit.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_CONCURRENT_BUILDS", default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrent_builds: u16,
    /// Build also where the kernel or the container runtime cannot confine builds (Landlock, seccomp).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_ALLOW_UNCONFINED_BUILDS", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_unconfined_builds: bool,
    /// Address for webhooks, below /hook/: a push reconciles the affected releases without waiting for their interval.
    #[arg(long, env = "SUPERCARGO_WEBHOOK_ADDR", value_name = "HOST:PORT", requires = "webhook_config", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub webhook_addr: Option<String>,
    /// File of kind WebhookConfig: the accepted senders of webhooks. Reloaded when it changes.
    #[arg(long, env = "SUPERCARGO_WEBHOOK_CONFIG", value_name = "FILE", requires = "webhook_addr")]
    pub webhook_config: Option<PathBuf>,
    /// File of kind NotifyConfig: who is notified of failures, recoveries and rollouts. Reloaded when it changes.
    #[arg(long, env = "SUPERCARGO_NOTIFY_CONFIG", value_name = "FILE")]
    pub notify_config: Option<PathBuf>,
    /// Allow releases to name receivers of notifications (spec.notify) at these hosts, such as hooks.slack.com or *.example.com (default: none).
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_ALLOW_RELEASE_NOTIFICATIONS", value_name = "HOST,...", value_delimiter = ',', value_parser = HostPattern::parse)]
    pub allow_release_notifications: Vec<HostPattern>,
    /// Address of the page, as of `supercargo ui`, for everyone with a token of the cluster: each sees and changes what their own rights allow. Plain HTTP: let TLS end before it.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_UI_ADDR", value_name = "HOST:PORT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub ui_addr: Option<String>,
    /// Host names by which browsers reach the page, besides localhost. Requests for other hosts are refused.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_UI_HOSTS", value_name = "HOST,...", value_delimiter = ',', value_parser = host_name, requires = "ui_addr")]
    pub ui_hosts: Vec<String>,
    /// Serve the page without a sign-in, read-only: everyone who reaches the port reads the statuses of all releases.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_UI_ANONYMOUS", value_parser = clap::builder::FalseyValueParser::new())]
    pub ui_anonymous: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub routes: RouteArgs,
    /// Log format on stderr; RUST_LOG sets the level.
    #[arg(long, env = "SUPERCARGO_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: String,
    /// URL of a collector for traces, OTLP over HTTP (usually port 4318); needs a binary with the feature otlp, such as that of the image.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  # In a cluster: the CustomResourceDefinition first, then everything else
  kubectl apply --server-side -f config/crd
  kubectl apply --server-side -k config/default

  # On your machine, for two namespaces
  supercargo controller --watch-namespaces apps,infra --leader-election-namespace default";

fn verification_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|e| e.to_string())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&interval) { Ok(interval) } else { Err("must be between 1s and 24h".into()) }
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|e| e.to_string())?;
    let allowed = Duration::from_secs(5)..=Duration::from_secs(LONGEST_LEASE_SECONDS);
    let is_whole = duration.subsec_nanos() == 0;
    if is_whole && allowed.contains(&duration) {
        Ok(duration)
    } else {
        Err("must be between 5s and 120s, in whole seconds".into())
    }
}

/// A selector that selects everything is a mistake: an empty variable, most likely.
fn selector(text: &str) -> Result<Selector, String> {
    if text.trim().is_empty() {
        return Err("selects every release; omit the flag for that".into());
    }
    Selector::parse(text)
}

/// A number of bytes, as Kubernetes writes quantities.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1_u64 << 40,
        _ => return Err("must be a size such as 512Mi or 2Gi".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "must be a size such as 512Mi or 2Gi".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

/// A number of bytes, or a part of the memory in percent.
fn budget(text: &str) -> Result<MemoryBudget, String> {
    let wrong = || "must be a size such as 128Mi, or 1% to 100%".to_owned();
    match text.strip_suffix('%') {
        None => size(text).map(MemoryBudget::Bytes).map_err(|_| wrong()),
        Some(number) => {
            let percent = number.parse::<u8>().ok().filter(|percent| (1..=100).contains(percent));
            percent.map(MemoryBudget::Percent).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_checked_before_the_start() {
        assert_eq!(selector("shard=a").map(|s| s.to_string()), Ok("shard in (a)".to_owned()));
        for wrong in ["", " ", "shard=", "shard==a b", "shard in a", "a&b", "a=b%26limit=1"] {
            assert_eq!(selector(wrong).is_err(), wrong != "shard=", "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_a_size_or_a_part() {
        assert_eq!(budget("128Mi"), Ok(MemoryBudget::Bytes(128 << 20)));
        assert_eq!(budget("1%"), Ok(MemoryBudget::Percent(1)));
        assert_eq!(budget("100%"), Ok(MemoryBudget::Percent(100)));
        for wrong in ["", "%", "0%", "101%", "300%", "2.5%", "-1%", "5M", "a quarter"] {
            assert!(budget(wrong).is_err_and(|error| error.contains("such as 128Mi")), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_as_quantities() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "Mi", "5M", "-1", "99999999999Ti"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
