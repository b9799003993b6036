//! How to reach a cluster: kubectl's flags, with kubectl's meaning.

use std::path::PathBuf;

use clap::{Arg, Args, Command};

/// kubectl's flags. Global, so that they may stand before the verb too.
#[derive(Default, Args)]
#[command(next_help_heading = "Cluster options")]
pub struct ClusterArgs {
    /// The namespace; otherwise that of the kubeconfig's context.
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The kubeconfig file; otherwise those that $KUBECONFIG names, otherwise ~/.kube/config, otherwise the pod's own account.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The cluster of the kubeconfig.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The user of the kubeconfig.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The URL of the API server.
    #[arg(short = 's', long, global = true, hide_short_help = true, value_name = "URL")]
    pub server: Option<String>,
    /// A bearer token for the API server.
    #[arg(long, global = true, hide_short_help = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The user to impersonate.
    #[arg(long = "as", global = true, hide_short_help = true, value_name = "USER")]
    pub act_as: Option<String>,
    /// A group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, hide_short_help = true, value_name = "GROUP")]
    pub act_as_groups: Vec<String>,
    /// The uid to impersonate.
    #[arg(long = "as-uid", global = true, hide_short_help = true, value_name = "UID")]
    pub act_as_uid: Option<String>,
    /// A PEM file of certificates that the API server's is verified with.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// A PEM file with a client certificate.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// A PEM file with the client certificate's key.
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Does not verify the API server's certificate.
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// The name that the API server's certificate is verified for.
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}

impl ClusterArgs {
    /// The same flags, hidden: for a verb that talks to no cluster. Its help does not
    /// show how to reach one, and the flags are accepted all the same, as kubectl does.
    pub(in crate::cli) fn hidden() -> Vec<Arg> {
        let flags = Self::augment_args(Command::new(""));
        // clap hands a global flag down to where there is none of its name.
        flags.get_arguments().map(|flag| flag.clone().hide(true)).collect()
    }
}

impl std::fmt::Debug for ClusterArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterArgs").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
