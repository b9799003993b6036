//! Which cluster a spec names.

use crate::api::kube_config::KubeConfig;
use crate::domain::release::object_name;

/// The source of the connection to another cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterSource {
    /// A Secret with a kubeconfig.
    Secret {
        /// Its name.
        name: String,
        /// The key; `value` or `value.yaml` when absent.
        key: Option<String>,
    },
    /// A ConfigMap that names a cluster which accepts our tokens.
    ConfigMap {
        /// Its name.
        name: String,
    },
}

impl ClusterSource {
    /// Reads the field.
    ///
    /// # Errors
    /// The field below `kubeConfig`, and what is wrong with it.
    pub fn parse(config: &KubeConfig) -> Result<Self, (String, String)> {
        let bad = |field: &str| {
            let field = format!("kubeConfig.{field}.name");
            move |problem: String| (field, problem)
        };
        match (&config.secret_ref, &config.config_map_ref) {
            (Some(secret), None) => Ok(Self::Secret {
                name: object_name(&secret.name).map_err(bad("secretRef"))?,
                key: secret.key.clone().filter(|key| !key.is_empty()),
            }),
            (None, Some(map)) => {
                Ok(Self::ConfigMap { name: object_name(&map.name).map_err(bad("configMapRef"))? })
            }
            _ => Err(("kubeConfig".into(), "needs exactly one of secretRef and configMapRef".into())),
        }
    }

    /// The object, for messages: its kind, and the field that names it.
    pub fn named(&self) -> (&'static str, &str, &'static str) {
        match self {
            Self::Secret { name, .. } => ("Secret", name, "kubeConfig.secretRef"),
            Self::ConfigMap { name } => ("ConfigMap", name, "kubeConfig.configMapRef"),
        }
    }
}
