//! The names of other releases in the messages of a release.

use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::reconcile::env::Env;

/// The name of another release, or of an inventory of the command line, in the messages of this
/// release.
pub async fn name(env: &Env, session: &Session, me: &ReleaseId, owner: &ReleaseId, manual: bool) -> String {
    let kind = if manual { "inventory" } else { "release" };
    match may_know(env, session, me, owner, manual).await {
        true => format!("the {kind} {owner}"),
        false => format!("another {kind}"),
    }
}

/// Whether the messages of this release may contain the name of another. Names show what others
/// run: from another namespace only those that the release's account may read are named.
pub async fn may_know(env: &Env, session: &Session, me: &ReleaseId, owner: &ReleaseId, manual: bool) -> bool {
    // Releases and inventories are in the operator's own cluster.
    let Ok(home) = env.at_home(session) else { return false };
    owner.namespace == me.namespace
        || *home.identity() == *env.session.identity()
        || match manual {
            true => home.may_read_inventory(owner).await,
            false => home.may_read_release(owner).await,
        }
        // On an error the name is not shown.
        .unwrap_or(false)
}
