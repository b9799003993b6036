//! How to reach a cluster: kubectl's flags, with kubectl's meaning.

use std::path::PathBuf;

use clap::{Arg, Args, Command};

/// kubectl's flags. Global, so that they can be placed before the verb too.
#[derive(Default, Args)]
#[command(next_help_heading = "Cluster options")]
pub struct ClusterArgs {
    /// Namespace (default: that of the kubeconfig context).
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Path of the kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then the pod's ServiceAccount).
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Name of the kubeconfig cluster.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Name of the kubeconfig user.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub user: Option<String>,
    /// URL of the API server.
    #[arg(short = 's', long, global = true, hide_short_help = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token for the API server.
    #[arg(long, global = true, hide_short_help = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", global = true, hide_short_help = true, value_name = "USER")]
    pub act_as: Option<String>,
    /// Group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, hide_short_help = true, value_name = "GROUP")]
    pub act_as_groups: Vec<String>,
    /// UID to impersonate.
    #[arg(long = "as-uid", global = true, hide_short_help = true, value_name = "UID")]
    pub act_as_uid: Option<String>,
    /// PEM file with the CA certificates of the API server.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// PEM file with a client certificate.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with the key of the client certificate.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Skip verification of the API server's certificate.
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// Server name to verify the API server's certificate for.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}

impl ClusterArgs {
    /// The same flags, hidden: for a verb that uses no cluster. Its help does not
    /// show them, but they are accepted, as in kubectl.
    pub(in crate::cli) fn hidden() -> Vec<Arg> {
        let flags = Self::augment_args(Command::new(""));
        // clap passes a global flag down to commands that have no flag of its name.
        flags.get_arguments().map(|flag| flag.clone().hide(true)).collect()
    }
}

impl std::fmt::Debug for ClusterArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterArgs").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
