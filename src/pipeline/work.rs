//! A run that has something to do: render, plan, dry-run, write.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::acquire::{self, chain, failure};
use super::conclude::conclude;
use super::execute;
use super::preflight::Preflight;
use super::rendering::objects;
use super::run::{Ended, Revision, Run, artifact_status};
use super::trust::{Admission, Admitted};
use super::view::View;
use super::{drift, prune};
use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::discovery::Known;
use crate::cluster::inventory::{Hold, StoreError};
use crate::cluster::session::Session;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::object::Object;
use crate::domain::outcome::{Note, ObjectFailure, Outcome, Verdict};
use crate::domain::plan::{self, Action, Conflict, Plan, Purpose};
use crate::domain::release::{Origin, Release};
use crate::observe::labels::Phase;
use crate::oci::{Artifact, OciError, Selection, Size};

/// Does what there is to do.
///
/// # Errors
/// What ended it early.
pub async fn work(
    run: &mut Run<'_>,
    session: &Session,
    known: Arc<Known>,
    revision: &Revision,
    admission: &Admission,
) -> Result<Box<Outcome>, Ended> {
    let usual = work_within(run, session, Arc::clone(&known), revision, admission, Size::Usual).await;
    // Few are larger than most, and wait for one of few places.
    match &usual {
        Ok(outcome) | Err(Ended::Failed(outcome)) if outcome.reason() == Some(Reason::ArtifactTooLarge) => {
            work_within(run, session, known, revision, admission, Size::Large).await
        }
        _ => usual,
    }
}

/// The same, for an artifact that is taken to be of that size.
async fn work_within(
    run: &mut Run<'_>,
    session: &Session,
    known: Arc<Known>,
    revision: &Revision,
    admission: &Admission,
    size: Size,
) -> Result<Box<Outcome>, Ended> {
    let artifact = fetch(run, session, revision, size).await?;
    run.turn.take().await;
    if run.signals.is_stopping() {
        return Err(superseded());
    }
    let mut outcome = Outcome { artifact: Some(status_of(revision, &artifact)), ..Outcome::default() };
    let content = admission.admit(artifact)?;
    let acted = act(run, session, known, revision, &content, &mut outcome).await;
    run.turn.give_back();
    match acted {
        Ok(()) => {}
        Err(Ended::Again) => return Err(Ended::Again),
        Err(Ended::Failed(failed)) => {
            outcome.verdict = failed.verdict;
            outcome.headline = failed.headline;
            outcome.failures.extend(failed.failures);
            outcome.verified = failed.verified;
        }
    }
    if let Some(stored) = &run.memory.stored {
        outcome.entries = Some(stored.inventory.entries.len());
    }
    Ok(Box::new(outcome))
}

/// Something newer is wanted, or the process ends.
pub fn superseded() -> Ended {
    Ended::Failed(Box::new(Outcome { verdict: Verdict::Superseded, ..Outcome::default() }))
}

async fn fetch(
    run: &mut Run<'_>,
    session: &Session,
    revision: &Revision,
    size: Size,
) -> Result<Artifact, Ended> {
    let started = std::time::Instant::now();
    let repository = acquire::repository(run.release)?;
    let access = acquire::access(run.context, session, run.release, run.memory).await?;
    let selection = Selection {
        media_type: run.release.media_type.clone(),
        path: run.release.path.clone(),
        identities: run.identities(session).await?,
        tenant: run.release.id.namespace.clone(),
        size,
    };
    let fetching = run.context.registry.fetch(&repository, &revision.digest, &access, &selection);
    let fetched = tokio::select! {
        biased;
        fetched = tokio::time::timeout(run.release.timeout, fetching) => fetched,
        () = run.signals.superseded() => return Err(superseded()),
    };
    run.spent.add(Phase::Pull, started.elapsed());
    let fetched = match fetched {
        Ok(Ok(artifact)) => Ok(artifact),
        Ok(Err(error @ OciError::Encrypted { .. })) => {
            Err((error.reason(), format!("{error}: name a Secret with one by spec.decryption.secretRef")))
        }
        Ok(Err(error)) => Err((error.reason(), chain(&error))),
        Err(_) => {
            let seconds = run.release.timeout.as_secs();
            let message = format!("{} was not pulled within spec.timeout ({seconds}s)", run.release.url);
            Err((Reason::RegistryUnavailable, message))
        }
    };
    fetched.map_err(|(reason, message)| {
        let mut failed = failure(reason, message);
        failed.artifact = Some(artifact_status(revision));
        Ended::Failed(failed)
    })
}

fn status_of(revision: &Revision, artifact: &Artifact) -> crate::api::status::ArtifactStatus {
    crate::api::status::ArtifactStatus {
        created_at: artifact.created.clone(),
        source: artifact.source.clone(),
        source_revision: artifact.revision.clone(),
        ..artifact_status(revision)
    }
}

/// Brings the cluster to what the files say.
///
/// # Errors
/// What ended it early.
pub(super) async fn act(
    run: &mut Run<'_>,
    session: &Session,
    known: Arc<Known>,
    revision: &Revision,
    content: &Admitted,
    outcome: &mut Outcome,
) -> Result<(), Ended> {
    let started = std::time::Instant::now();
    let rendered = objects(run, session, known, content).await;
    run.spent.add(Phase::Render, started.elapsed());
    let (known, mut objects) = rendered?;
    guard_empty(run, revision, &objects)?;
    pin(run, session, revision, content, &mut objects).await?;
    let started = std::time::Instant::now();
    let decided = decide(run, session, &known, revision, objects).await;
    run.spent.add(Phase::Plan, started.elapsed());
    let (mut plan, view) = decided?;
    refuse_conflicts(run, &plan).await?;
    drift::hold_back(run, session, &mut plan, &known, outcome).await;

    let started = std::time::Instant::now();
    let mut preflight = Preflight::new(session, run.release, &plan);
    let passed = preflight.first_pass(&plan, &known).await;
    run.spent.add(Phase::Preflight, started.elapsed());
    passed.map_err(|failures| refused(&failures))?;

    write_ahead(run, &plan, &preflight, outcome).await?;
    let mut executed = execute::execute(run, session, known, &plan, preflight, revision).await;
    if executed.ended.is_none() {
        prune::prune(run, session, &plan, view, &mut executed).await;
    }
    conclude(run, session, &plan, revision, executed, outcome).await
}

/// Binds the container images to verified digests. One that is not signed ends
/// the run, and the condition `Verified` says so.
async fn pin(
    run: &mut Run<'_>,
    session: &Session,
    revision: &Revision,
    content: &Admitted,
    objects: &mut [Object],
) -> Result<(), Ended> {
    let started = std::time::Instant::now();
    let pinned = run.pin(session, revision, content.images(), objects).await;
    if content.images().is_some() {
        run.spent.add(Phase::Verify, started.elapsed());
    }
    match pinned {
        Err(Ended::Failed(failed)) if failed.reason().is_some() => {
            Err(Ended::Failed(run.refused(revision, failed)))
        }
        pinned => pinned,
    }
}

/// An artifact without objects removes everything only if a person has said so.
fn guard_empty(run: &Run<'_>, revision: &Revision, objects: &[Object]) -> Result<(), Ended> {
    let digest = revision.digest.as_str();
    if !objects.is_empty() || run.release.approve.as_deref() == Some(digest) {
        return Ok(());
    }
    let entries = run.memory.inventory.entries.len();
    let message = format!(
        "revision {} holds no object under path {:?}; to apply it all the same, and so remove {entries} objects: \
         kubectl -n {} annotate --overwrite oar {} {}={digest}",
        revision.name,
        run.release.path,
        run.release.id.namespace,
        run.release.id.name,
        crate::api::keys::APPROVE,
    );
    Err(failure(Reason::ArtifactEmpty, message).into())
}

pub(super) async fn decide<'a>(
    run: &mut Run<'a>,
    session: &Session,
    known: &Known,
    revision: &Revision,
    objects: Vec<Object>,
) -> Result<(Plan, View<'a>), Ended> {
    let ids: Vec<ObjectId> = objects.iter().map(Object::id).collect();
    let inventory = Arc::clone(&run.memory.inventory);
    let all = ids.iter().chain(inventory.entries.keys());
    let mut view = View::of(run.context, session, run.memory, known, all).await?;
    view.meet_strangers(&run.release.id, &ids).await?;
    let purpose = Purpose {
        release: &run.release.id,
        applied_key: &revision.key,
        correct: run.release.drift == DriftMode::Correct,
    };
    let plan = plan::build(purpose, objects, &inventory, &view);
    Ok((plan, view))
}

pub(super) async fn refuse_conflicts(run: &Run<'_>, plan: &Plan) -> Result<(), Ended> {
    if plan.conflicts.is_empty() {
        run.context.claims.want(&run.release.id, std::iter::empty());
        return Ok(());
    }
    Err(conflicts(run, &plan.conflicts).await)
}

/// Tells which objects others have, and waits for them from now on.
async fn conflicts(run: &Run<'_>, conflicts: &[Conflict]) -> Ended {
    run.context.claims.want(&run.release.id, conflicts.iter().map(|c| &c.id));
    let owners: BTreeSet<&ReleaseId> = conflicts.iter().map(|c| &c.owner).collect();
    let mut by_hand = BTreeSet::new();
    for owner in owners {
        // Of an inventory that cannot be read it is not known; releases are what
        // there is more of.
        let stored = run.context.session.read_inventory(owner).await;
        if stored.is_ok_and(|s| s.exists() && !s.operators) {
            by_hand.insert(owner);
        }
    }
    let failures: Vec<ObjectFailure> = conflicts
        .iter()
        .map(|c| {
            let owner = if by_hand.contains(&c.owner) { "inventory" } else { "release" };
            let message = format!("the {owner} {} has it: take it out of one of the two", c.owner);
            ObjectFailure { id: c.id.clone(), reason: Reason::OwnershipConflict, message }
        })
        .collect();
    together(Reason::OwnershipConflict, "nothing was written, others have", failures)
}

/// One outcome for many failed objects: a message with the first few, the rest
/// in the list.
pub fn together(reason: Reason, what: &str, failures: Vec<ObjectFailure>) -> Ended {
    let headline = format!("{what} {} object{}", failures.len(), if failures.len() == 1 { "" } else { "s" });
    let mut message = headline.clone();
    for failure in failures.iter().take(3) {
        message.push_str(&format!("; {}: {}", failure.id, failure.message));
    }
    if failures.len() > 3 {
        message.push_str("; see status.failures for more");
    }
    let mut failed = failure(reason, message);
    failed.failures = failures;
    failed.headline = Some(headline);
    Ended::Failed(failed)
}

/// The failures of a dry run: no rights and no API server say so themselves.
pub(super) fn refused(failures: &[ObjectFailure]) -> Ended {
    let all = |reason: Reason| failures.iter().all(|f| f.reason == reason);
    let reason = match () {
        () if all(Reason::AccessDenied) => Reason::AccessDenied,
        () if failures.iter().any(|f| f.reason == Reason::ApiServerUnavailable) => {
            Reason::ApiServerUnavailable
        }
        () => Reason::PreflightFailed,
    };
    together(reason, "nothing was written, the dry run refused", failures.to_vec())
}

/// Puts into the inventory what is about to be created.
async fn write_ahead(
    run: &mut Run<'_>,
    plan: &Plan,
    preflight: &Preflight<'_>,
    outcome: &mut Outcome,
) -> Result<(), Ended> {
    let taken = run.context.claims.reserve(&run.release.id, plan.writes().map(|s| &s.id));
    if !taken.is_empty() {
        // Another release has come first since the plan was made.
        return Err(conflicts(run, &taken).await);
    }
    let hold = run.hold();
    let Some(mut stored) = run.memory.stored.take() else { return Err(Ended::Again) };
    if stored.exists() && !stored.operators && hold == Hold::Finalizer {
        outcome.notes.push(Note {
            reason: Reason::InventoryAdopted,
            message: format!(
                "took over the inventory of the same name that the command line wrote, with {} objects",
                stored.inventory.entries.len()
            ),
        });
    }
    let recreated = |id: &ObjectId| preflight.ready.get(id).is_some_and(|r| r.recreate);
    let expected = plan.steps.iter().map(|s| {
        // What is tried again later may turn out to be recreated then.
        let may_be = preflight.deferred.contains(&s.id) && (run.release.force || s.force);
        let anew = s.action == Action::Write && (s.anew || recreated(&s.id) || may_be);
        (&s.id, s.version.as_str(), anew)
    });
    let corrected = run.release.drift == DriftMode::Correct;
    let writes = plan.writes().next().is_some();
    let ahead = stored.inventory.with_expected(expected);
    let ahead = ahead.or_else(|| stored.inventory.unsettled(writes, corrected));
    if let Some(ahead) = ahead {
        let written = run.context.session.write_inventory(&run.release.id, &mut stored, ahead, hold).await;
        written.map_err(|error| homeless(run.release, error))?;
    }
    run.memory.remember(run.context, &run.release.id, stored);
    Ok(())
}

/// A person whose namespace does not exist is told how to make it.
fn homeless(release: &Release, error: StoreError) -> Ended {
    match release.origin == Origin::CommandLine && error.lacks_namespace() {
        true => {
            let message = format!("{} (--create-namespace makes it)", chain(&error));
            failure(error.reason(), message).into()
        }
        false => error.into(),
    }
}
