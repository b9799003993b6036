//! The flags of the controller.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::RouteArgs;
use crate::domain::schedule::parse_duration;

/// `controller`.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// How many releases work at once; any number may wait beside them.
    #[arg(long, env = "SUPERCARGO_CONCURRENCY", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, env = "SUPERCARGO_METRICS_ADDR", default_value = "0.0.0.0:8080", value_name = "HOST:PORT")]
    pub metrics_addr: String,
    /// Where content of artifacts is kept between runs.
    #[arg(long, env = "SUPERCARGO_CACHE_DIR", default_value = "/tmp/supercargo", value_name = "DIR")]
    pub cache_dir: PathBuf,
    /// How much of it is kept: bytes, or with a suffix such as 512Mi or 2Gi.
    #[arg(long, env = "SUPERCARGO_CACHE_MAX_SIZE", default_value = "1Gi", value_name = "SIZE", value_parser = size)]
    pub cache_max_size: u64,
    /// The namespace of the leader election's Lease; the pod's own by default.
    #[arg(long, env = "SUPERCARGO_LEADER_ELECTION_NAMESPACE", value_name = "NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// The ServiceAccount, in the release's namespace, of releases that name none; without it they use the controller's own rights.
    #[arg(long, env = "SUPERCARGO_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub default_service_account: Option<String>,
    /// Reconcile the releases of these namespaces only.
    #[arg(long, env = "SUPERCARGO_WATCH_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub watch_namespaces: Vec<String>,
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
    #[arg(long, env = "SUPERCARGO_VERIFICATION_INTERVAL", default_value = "1h", value_name = "DURATION", value_parser = verification_interval)]
    pub verification_interval: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub routes: RouteArgs,
    /// How logs are written to stderr; RUST_LOG sets their level.
    #[arg(long, env = "SUPERCARGO_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Send traces to the collector at this URL, by OTLP over HTTP (port 4318 as a rule), in binaries built with the feature otlp: those of the image.
    #[arg(long, env = "SUPERCARGO_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

fn verification_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|e| e.to_string())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&interval) { Ok(interval) } else { Err("it has to be 1s to 24h".into()) }
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
    fn sizes_are_read_as_quantities() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "Mi", "5M", "-1", "99999999999Ti"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
