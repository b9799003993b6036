//! The inputs of the rendering: the ConfigMaps and Secrets that the spec names, read with the rights of
//! the release in its own namespace.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::access::{existing_account, unread};
use crate::api::post_build::InputKind;
use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::manifest::substitute::Redaction;
use crate::domain::release::inputs::{InputData, InputReference, MAX_INPUT_BYTES, RenderInputs};
use crate::fair::Share;
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::inputs::InputCache;
use crate::reconcile::env::input_room::{InputRoom, weight_of};
use crate::reconcile::error::{ReconcileError, RunFailure, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::WorkerSlot;

/// All inputs of the release; `None` when it has none. They are watched from now on, if that is
/// allowed: a change runs the release again. Those that it has already, such as files of the command
/// line, are not read.
///
/// # Errors
/// One is missing or cannot be read, or they are too large.
pub async fn read_inputs(
    scope: &Scope<'_>,
    caches: &mut Caches,
) -> Result<Option<Arc<RenderInputs>>, ReconcileError> {
    let release = scope.release;
    let references = release.input_references();
    let is_named =
        |kind: InputKind, name: &String| references.iter().any(|r| r.kind == kind && r.name == *name);
    caches.inputs.secrets.retain(|name, _| is_named(InputKind::Secret, name));
    caches.inputs.config_maps.retain(|name, _| is_named(InputKind::ConfigMap, name));
    if references.is_empty() {
        caches.inputs.end_watches();
        caches.inputs.set(None, Redaction::default());
        return Ok(None);
    }
    // They are in the operator's own cluster, wherever the objects are.
    let session = scope.env.home_session(release)?;
    caches.inputs.read_as(session.identity());
    let (room, namespace) = (&scope.env.inputs, &release.id.namespace);
    let mut weight = caches.inputs.weight();
    let (share, mut inputs) = loop {
        let share = enter(room, (namespace, weight), scope.signals, scope.slot).await?;
        match read_all(scope, &session, caches, &references, weight).await? {
            Ok(inputs) => break (share, inputs),
            // They are larger than was assumed: what was read is given back first.
            Err(bytes) => {
                caches.inputs.forget_contents();
                weight = weight_of(bytes);
            }
        }
    };
    // Another spec may say of other parts that they are secret.
    let is_same_spec = caches.inputs.generation == release.generation;
    let last = caches.inputs.last.as_ref().filter(|last| is_same_spec && last.has_same(&inputs));
    if let Some(last) = last {
        return Ok(Some(Arc::clone(last)));
    }
    caches.inputs.generation = release.generation;
    inputs.fingerprint = fingerprint(scope, &inputs).await?;
    let inputs = Arc::new(inputs);
    caches.inputs.set(Some(Arc::clone(&inputs)), release.redaction_of(&inputs));
    caches.inputs.hold(room, namespace, share);
    Ok(Some(inputs))
}

/// Waits until they may take so much memory: not longer than the run is wanted, and not in the way of
/// other runs.
async fn enter(
    room: &InputRoom,
    (namespace, weight): (&str, u64),
    signals: &Signals,
    slot: &WorkerSlot,
) -> Result<Share, ReconcileError> {
    tokio::select! {
        biased;
        share = slot.wait_for_memory(room.enter(namespace, weight)) => Ok(share.map_err(|_| too_large(room))?),
        () = signals.superseded() => Err(ReconcileError::SUPERSEDED),
    }
}

/// The failure of inputs that are larger than any release, or any of the namespace, may have.
fn too_large(room: &InputRoom) -> Box<RunFailure> {
    let message = match room.bounded_most() {
        Some(most) => format!(
            "the ConfigMaps and Secrets that the spec names as inputs have more than {} KiB together, because the \
             operator runs with --max-memory-per-namespace",
            most >> 10
        ),
        None => format!(
            "the ConfigMaps and Secrets that the spec names as inputs have more than {} MiB together",
            MAX_INPUT_BYTES >> 20
        ),
    };
    failure(Reason::SubstitutionFailed, message)
}

/// Reads them; how large they are, in bytes, when they need more memory than that.
async fn read_all(
    scope: &Scope<'_>,
    session: &Session,
    caches: &mut Caches,
    references: &[&InputReference],
    memory: u64,
) -> Result<Result<RenderInputs, usize>, ReconcileError> {
    let release = scope.release;
    let (mut inputs, mut bytes, mut fits) = (RenderInputs::default(), 0, true);
    let mut seen = BTreeSet::new();
    let mut is_checked = false;
    for reference in references {
        let InputReference { kind, name, optional, field } = reference;
        let data = match release.inputs.get(*kind, name) {
            Some(given) => Some(given.clone()),
            None => {
                if !std::mem::replace(&mut is_checked, true) {
                    existing_account(scope, session, &mut caches.registry).await?;
                }
                read(scope, session, &mut caches.inputs, reference).await?
            }
        };
        match data {
            Some(data) => {
                // One may be named by several fields.
                bytes += if seen.insert((*kind, name)) { data.bytes() } else { 0 };
                if fits {
                    inputs.insert(*kind, name, data);
                }
            }
            None if *optional => {}
            None => {
                let (kind, namespace) = (kind.as_str(), &release.id.namespace);
                let message = format!("{kind}/{namespace}/{name}, named by {field}, does not exist");
                return Err(failure(not_found(reference.kind), message).into());
            }
        }
        if bytes > scope.env.inputs.bounded_most().unwrap_or(MAX_INPUT_BYTES) {
            // Nor do the watches keep them, which still see when they are smaller.
            caches.inputs.forget_contents();
            return Err(too_large(&scope.env.inputs).into());
        }
        // What a watch has, and what is rendered from.
        if fits && 2 * bytes as u64 > memory {
            // The others are only measured.
            (fits, inputs) = (false, RenderInputs::default());
        }
    }
    Ok(if fits { Ok(inputs) } else { Err(bytes) })
}

/// With a bare hash, a reader of the inventory could check guesses of a short secret.
async fn fingerprint(scope: &Scope<'_>, inputs: &RenderInputs) -> Result<String, ReconcileError> {
    if !inputs.has_secret() {
        return Ok(inputs.open_hash());
    }
    let (env, release) = (scope.env, scope.release);
    let key = env.plan_keys.of(&env.session, &release.id, &release.uid).await?;
    Ok(key.fingerprint(&inputs.parts()))
}

fn not_found(kind: InputKind) -> Reason {
    match kind {
        InputKind::ConfigMap => Reason::ConfigMapNotFound,
        InputKind::Secret => Reason::SecretNotFound,
    }
}

/// One input; `None` when it does not exist.
async fn read(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut InputCache,
    reference: &InputReference,
) -> Result<Option<InputData>, Box<RunFailure>> {
    let (env, id, name) = (scope.env, &scope.release.id, reference.name.as_str());
    let (place, keeps) = ((id.namespace.as_str(), name), &cache.keeps);
    let found: Result<Option<InputData>, ApiError> = match reference.kind {
        InputKind::ConfigMap => {
            let watch = || session.watch_config_map(&id.namespace, name, env.notifier(id), keeps);
            let watched = cache.config_maps.entry(name.to_owned()).or_insert_with(watch);
            session.watched_config_map(watched, place).await
        }
        InputKind::Secret => {
            let watch = || session.watch_secret(&id.namespace, name, env.notifier(id), keeps);
            let watched = cache.secrets.entry(name.to_owned()).or_insert_with(watch);
            let secret = session.watched_secret(watched, place).await;
            secret.map(|secret| secret.map(|secret| InputData(secret.0.clone())))
        }
    };
    let kind = reference.kind.as_str();
    found.map_err(|error| unread(&format!("{kind}/{}/{name}", id.namespace), session, &error))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::observe::metrics::Metrics;
    use crate::reconcile::env::input_room::USUAL;
    use crate::reconcile::scope::slot::WorkerPool;

    #[tokio::test]
    async fn a_release_that_waits_for_memory_is_stopped_at_once() {
        let (room, signals) = (InputRoom::new(8 * USUAL), Signals::default());
        let pool = WorkerPool::new(1, &Arc::new(Metrics::new("1.2.3").unwrap()));
        let slot = WorkerSlot::new(&pool);
        let enter = || enter(&room, ("a", 2 * USUAL), &signals, &slot).now_or_never();
        let held = enter().unwrap().unwrap();
        assert!(enter().is_none());
        signals.stop();
        assert!(matches!(enter(), Some(Err(ReconcileError::Superseded(_)))));
        drop(held);
        // What is free is not waited for.
        assert!(enter().unwrap().is_ok());
    }

    #[test]
    fn inputs_that_are_too_large_say_which_limit_that_is() {
        let check = |most: u64, expected: &str| {
            let message = &too_large(&InputRoom::bounded(64 << 20, most)).message;
            let start = "the ConfigMaps and Secrets that the spec names as inputs have more than ";
            assert_eq!(message.strip_prefix(start), Some(expected));
        };
        check(32 << 20, "1 MiB together");
        check(4 << 20, "256 KiB together, because the operator runs with --max-memory-per-namespace");
    }
}
