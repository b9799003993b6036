//! The secret key of the hashes of plans. All replicas share it, and it outlives the process: in a
//! Secret of the operator's own namespace, created when a plan is first made.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::sync::OnceCell;

use crate::api::reason::Reason;
use crate::cluster::inventory::SECRET_BYTES;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::plan::changeset::PlanKey;
use crate::reconcile::error::{ReconcileError, chain, failure};

/// The secret key.
#[derive(Default)]
pub struct PlanKeys {
    /// The namespace and the name of the Secret; without them, there is no operator.
    home: Option<(String, String)>,
    secret: OnceCell<Vec<u8>>,
}

impl PlanKeys {
    /// In a Secret.
    pub fn new(namespace: String, name: String) -> Self {
        Self { home: Some((namespace, name)), secret: OnceCell::new() }
    }

    /// The key of a release.
    ///
    /// # Errors
    /// When the Secret cannot be read or created, or has another content.
    pub async fn of(
        &self,
        session: &Session,
        release: &ReleaseId,
        uid: &str,
    ) -> Result<PlanKey, ReconcileError> {
        let Some((namespace, name)) = &self.home else {
            return Ok(PlanKey::of_salt(&release.to_string()));
        };
        let secret = self.secret.get_or_try_init(|| async {
            let new = random()?;
            let secret = session.plan_secret(namespace, name, &new).await.map_err(|error| {
                let message = format!(
                    "cannot read or create the key of plans, Secret {namespace}/{name}: {}",
                    chain(&error)
                );
                ReconcileError::from(failure(error.reason(), message))
            })?;
            if secret.len() < SECRET_BYTES {
                let message = format!(
                    "Secret {namespace}/{name} has no key of {SECRET_BYTES} bytes for plans; delete it, and it is \
                     created again"
                );
                return Err(ReconcileError::from(failure(Reason::SecretInvalid, message)));
            }
            Ok(secret)
        });
        Ok(PlanKey::of_release(secret.await?, uid))
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// When the system has none.
pub fn random<const N: usize>() -> Result<[u8; N], ReconcileError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| failure(Reason::SecretInvalid, "the system gives no random bytes"))?;
    Ok(bytes)
}
