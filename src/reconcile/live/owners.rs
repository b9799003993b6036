//! What other releases are called in the messages of a release.

use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::reconcile::env::Env;

/// What another release, or an inventory of a person, is called in the messages of this
/// release.
pub async fn name(env: &Env, session: &Session, me: &ReleaseId, owner: &ReleaseId, manual: bool) -> String {
    let kind = if manual { "inventory" } else { "release" };
    match may_know(env, session, me, owner, manual).await {
        true => format!("the {kind} {owner}"),
        false => format!("another {kind}"),
    }
}

/// Whether this release is told the name of another. Names tell what others run: of
/// another namespace only those are told that the release's account may read.
pub async fn may_know(env: &Env, session: &Session, me: &ReleaseId, owner: &ReleaseId, manual: bool) -> bool {
    owner.namespace == me.namespace
        || *session.identity() == *env.session.identity()
        || match manual {
            true => session.may_read_inventory(owner).await,
            false => session.may_read_release(owner).await,
        }
        // Who cannot find out is told less.
        .unwrap_or(false)
}
