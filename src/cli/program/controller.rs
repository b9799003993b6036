//! `supercargo controller`: its flags, which the binary hands on. It does not run here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::cli::args::{ClusterArgs, GlobalArgs, RouteArgs};
use crate::domain::patch::selector::Selector;
use crate::domain::prefix::Prefix;
use crate::domain::release::object_name;
use crate::domain::schedule::parse_duration;

/// Run the operator in a cluster.
///
/// Reads the OCIArtifactReleases of the cluster that the pod is in, or that $KUBECONFIG names;
/// writes what their artifacts say, their status, their inventories, events, and a Lease by which
/// several replicas agree on one that works. Logs go to stderr; metrics and probes are served on
/// --metrics-addr.
///
/// Exit codes: 0 after SIGTERM or Ctrl-C; 1 when it cannot start or has lost its lease.
#[derive(Debug, Args)]
#[command(args = ClusterArgs::hidden(), args = GlobalArgs::hidden_timeout(), after_long_help = EXAMPLES)]
pub struct ControllerArgs {
    /// How many releases work at once; any number may wait beside them.
    #[arg(long, env = "SUPERCARGO_CONCURRENCY", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "SUPERCARGO_METRICS_ADDR", default_value = "0.0.0.0:8080", value_name = "HOST:PORT")]
    pub metrics_addr: String,
    /// Where /healthz and /readyz are served too, on a port that nobody else needs.
    #[arg(long, env = "SUPERCARGO_HEALTH_ADDR", value_name = "HOST:PORT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub health_addr: Option<String>,
    /// Tell of each release in /metrics, a few series for each; otherwise only of all together.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_RELEASE_METRICS", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, hide_possible_values = true, value_name = "true|false")]
    pub release_metrics: bool,
    /// Where content of artifacts is kept between runs.
    #[arg(long, env = "SUPERCARGO_CACHE_DIR", default_value = "/tmp/supercargo", value_name = "DIR")]
    pub cache_dir: PathBuf,
    /// How much of it is kept: bytes, or with a suffix such as 512Mi or 2Gi.
    #[arg(long, env = "SUPERCARGO_CACHE_MAX_SIZE", default_value = "1Gi", value_name = "SIZE", value_parser = size)]
    pub cache_max_size: u64,
    /// How much memory this process may take: artifacts share a good third of it, and one may come to a 16th. What the system allows by default.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_MEMORY_LIMIT", value_name = "SIZE", value_parser = size)]
    pub memory_limit: Option<u64>,
    /// The namespace of the leader election's Lease; the pod's own by default.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE", value_parser = object_name)]
    pub leader_election_namespace: Option<String>,
    /// The name of that Lease: another for each controller of several in one namespace.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_LEADER_ELECTION_NAME", default_value = "supercargo-controller", value_name = "NAME", value_parser = object_name)]
    pub leader_election_name: String,
    /// The ServiceAccount, in the release's namespace, of releases that name none; without it they use the controller's own rights.
    #[arg(long, env = "SUPERCARGO_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = object_name)]
    pub default_service_account: Option<String>,
    /// Reconcile the releases of these namespaces only.
    #[arg(long, env = "SUPERCARGO_WATCH_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = object_name)]
    pub watch_namespaces: Vec<String>,
    /// Reconcile the releases with these labels only, such as shard=a or 'team in (web, shop)'. The others are not touched.
    #[arg(long, env = "SUPERCARGO_WATCH_LABEL_SELECTOR", value_name = "SELECTOR", value_parser = selector)]
    pub watch_label_selector: Option<Selector>,
    /// Refuse releases of other registries and repositories than those below these prefixes, such as ghcr.io/acme.
    #[arg(long, env = "SUPERCARGO_ALLOWED_REGISTRIES", value_name = "PREFIX,...", value_delimiter = ',', value_parser = Prefix::parse)]
    pub allowed_registries: Vec<Prefix>,
    /// Whose signatures artifacts need, by their repository: a file of kind TrustPolicy, read again when it changes. Releases may demand more, and never less.
    #[arg(long, env = "SUPERCARGO_TRUST_POLICY", value_name = "FILE")]
    pub trust_policy: Option<PathBuf>,
    /// By which root keyless signatures are judged where nothing else is said: a trusted_root.json, in place of the public good one that is built in.
    #[arg(long, env = "SUPERCARGO_TRUSTED_ROOT", value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Refuse releases whose artifacts neither the trust policy nor they themselves want verified.
    #[arg(long, env = "SUPERCARGO_REQUIRE_VERIFICATION", value_parser = clap::builder::FalseyValueParser::new())]
    pub require_verification: bool,
    /// How often artifacts are verified again that have not changed: 1s to 24h.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_VERIFICATION_INTERVAL", default_value = "1h", value_name = "DURATION", value_parser = verification_interval)]
    pub verification_interval: Duration,
    /// Where webhooks are received, below /hook/: a push makes the releases run that follow it, without waiting for their interval.
    #[arg(long, env = "SUPERCARGO_WEBHOOK_ADDR", value_name = "HOST:PORT", requires = "webhook_config", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub webhook_addr: Option<String>,
    /// From whom webhooks are received: a file of kind WebhookConfig, read again when it changes.
    #[arg(long, env = "SUPERCARGO_WEBHOOK_CONFIG", value_name = "FILE", requires = "webhook_addr")]
    pub webhook_config: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub routes: RouteArgs,
    /// How logs are written to stderr; RUST_LOG sets their level.
    #[arg(long, env = "SUPERCARGO_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Send traces to the collector at this URL, by OTLP over HTTP (port 4318 as a rule), in binaries built with the feature otlp: those of the image.
    #[arg(long, hide_short_help = true, env = "SUPERCARGO_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  # In a cluster: the definition first, then everything else
  kubectl apply --server-side -f config/crd
  kubectl apply --server-side -k config/default

  # On one's own machine, for two namespaces
  supercargo controller --watch-namespaces apps,infra --leader-election-namespace default";

fn verification_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|e| e.to_string())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&interval) { Ok(interval) } else { Err("it has to be 1s to 24h".into()) }
}

/// One that selects everything is a mistake: an empty variable, most likely.
fn selector(text: &str) -> Result<Selector, String> {
    if text.trim().is_empty() {
        return Err("it selects every release; leave the flag out for that".into());
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
        _ => return Err("not a size such as 512Mi or 2Gi".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 512Mi or 2Gi".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".into())
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
    fn sizes_are_read_as_quantities() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "Mi", "5M", "-1", "99999999999Ti"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
