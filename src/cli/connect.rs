//! From kubectl's flags to the cluster that they mean.

use std::sync::Arc;

use super::CliError;
use super::args::ClusterArgs;
use crate::cluster::connection::Connection;
use crate::cluster::session::Session;
use crate::observe::metrics::Metrics;

/// The cluster that the flags, the environment and the kubeconfig mean. Nothing
/// is sent yet. Its `default_namespace` is `-n`, else the context's.
///
/// # Errors
/// When none is configured, or its configuration cannot be used.
pub(super) async fn connect(arguments: &ClusterArgs) -> Result<Session, CliError> {
    let ClusterArgs { namespace, kubeconfig, context, cluster, user, server, token, .. } = arguments;
    let ClusterArgs { act_as, act_as_groups, act_as_uid, .. } = arguments;
    let ClusterArgs { certificate_authority, client_certificate, client_key, .. } = arguments;
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
    let metrics = metrics.map_err(|e| CliError::Input(format!("cannot count requests: {e}")))?;
    Ok(Session::connect(&connection, Arc::new(metrics)).await?)
}
