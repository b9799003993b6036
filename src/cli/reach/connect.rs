//! From kubectl's flags to a connection.

use std::sync::Arc;

use crate::cli::CliError;
use crate::cli::args::ClusterArgs;
use crate::cluster::connection::Connection;
use crate::cluster::session::Session;
use crate::observe::metrics::Metrics;

/// The cluster of the flags, the environment and the kubeconfig. Nothing
/// is sent yet. Its `default_namespace` is `-n`, else the context's.
///
/// # Errors
/// When none is configured, or its configuration cannot be used.
pub(in crate::cli) async fn connect(arguments: &ClusterArgs) -> Result<Session, CliError> {
    let ClusterArgs { namespace, kubeconfig, context, cluster, user, server, token, .. } = arguments;
    let ClusterArgs { act_as, act_as_groups, act_as_uid, .. } = arguments;
    let ClusterArgs { certificate_authority, client_certificate, client_key, .. } = arguments;
    if let Some(namespace) = namespace {
        check_namespace(namespace)?;
    }
    let connection = Connection {
        kubeconfig: kubeconfig.clone(),
        context: context.clone(),
        cluster: cluster.clone(),
        user: user.clone(),
        namespace: namespace.clone(),
        server: server.clone(),
        token: token.clone(),
        act_as: act_as.clone(),
        act_as_groups: act_as_groups.clone(),
        act_as_uid: act_as_uid.clone(),
        certificate_authority: certificate_authority.clone(),
        client_certificate: client_certificate.clone(),
        client_key: client_key.clone(),
        insecure_skip_tls_verify: arguments.insecure_skip_tls_verify,
        tls_server_name: arguments.tls_server_name.clone(),
    };
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let metrics = metrics.map_err(|e| CliError::Input(format!("cannot set up request metrics: {e}")))?;
    Ok(Session::connect(&connection, Arc::new(metrics)).await?)
}

/// The longest name of a namespace, a DNS label.
const MAX_NAMESPACE: usize = 63;

/// Refuses an invalid name of a namespace, before it becomes part of a
/// path.
///
/// # Errors
/// Describes a valid name.
pub(in crate::cli) fn check_namespace(name: &str) -> Result<(), CliError> {
    match is_label(name, MAX_NAMESPACE) {
        true => Ok(()),
        false => Err(CliError::Usage(format!(
            "invalid namespace name {name:?}: it must be at most {MAX_NAMESPACE} lower case letters, digits or '-', and must \
             not begin or end with '-'"
        ))),
    }
}

/// Whether it is a DNS subdomain, labels with dots between them, of that length at
/// most.
pub(in crate::cli) fn is_subdomain(name: &str, longest: usize) -> bool {
    name.len() <= longest && name.split('.').all(|label| is_label(label, longest))
}

/// Whether it is a DNS label of that length at most.
fn is_label(name: &str, longest: usize) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= longest
        && name.chars().all(fine)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
