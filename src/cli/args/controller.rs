//! The flags of the controller.

use std::path::PathBuf;

use clap::Args;

use super::RouteArgs;

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
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment here would be printed")]
    pub routes: RouteArgs,
    /// How logs are written to stderr; RUST_LOG sets their level.
    #[arg(long, env = "SUPERCARGO_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_parser = ["text", "json"])]
    pub log_format: String,
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
