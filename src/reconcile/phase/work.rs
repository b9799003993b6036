//! A run that has something to do: render, plan, dry-run, write.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::discovery::Known;
use crate::cluster::inventory::{Hold, StoreError};
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::object::Object;
use crate::domain::outcome::{Note, ObjectFailure, Outcome, Verdict};
use crate::domain::plan::{self, Action, Correction, Plan, Purpose};
use crate::domain::release::{Origin, Release};
use crate::observe::labels::Phase;
use crate::oci::{Artifact, OciError, Queue, Selection, Size};
use crate::reconcile::driver::{Ended, Revision, Run, artifact_status};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::admit::evidence::{Admission, Admitted};
use crate::reconcile::phase::apply;
use crate::reconcile::phase::plan::drift;
use crate::reconcile::phase::plan::ownership;
use crate::reconcile::phase::preflight::Preflight;
use crate::reconcile::phase::prune;
use crate::reconcile::phase::render::objects;
use crate::reconcile::phase::settle::conclude;
use crate::reconcile::scope::registry_wait::Waited;
use crate::reconcile::source::access::{self, chain, failure};

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

pub async fn fetch(
    run: &mut Run<'_>,
    session: &Session,
    revision: &Revision,
    size: Size,
) -> Result<Artifact, Ended> {
    let started = std::time::Instant::now();
    let repository = access::repository(run.release)?;
    let access = access::access(run.context, session, run.release, run.memory).await?;
    let selection = Selection {
        media_type: run.release.media_type.clone(),
        path: run.release.path.clone(),
        identities: run.identities(session).await?,
        tenant: run.release.id.namespace.clone(),
        size,
        queue: Queue::default(),
    };
    let registry = run.context.registry.clone();
    let fetching = registry.fetch(&repository, &revision.digest, &access, &selection);
    // What is applied is put back meanwhile, if it is another revision.
    let other = run.memory.inventory.whole() != Some(revision.key.as_str());
    let can_wait = other && run.applied_beside().is_some();
    let fetched = run.wait_beside(fetching, can_wait, &selection.queue).await;
    run.spent.add(Phase::Pull, started.elapsed());
    let fetched = match fetched {
        Waited::Urgent => return Err(superseded()),
        Waited::Done(Ok(artifact)) => Ok(artifact),
        Waited::Done(Err(error @ OciError::Encrypted { .. })) => {
            Err((error.reason(), format!("{error}: name a Secret with one by spec.decryption.secretRef")))
        }
        Waited::Done(Err(error)) => Err((error.reason(), chain(&error))),
        Waited::Late => {
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
pub async fn act(
    run: &mut Run<'_>,
    session: &Session,
    known: Arc<Known>,
    revision: &Revision,
    content: &Admitted,
    outcome: &mut Outcome,
) -> Result<(), Ended> {
    let settled = run.memory.inventory.applied.as_deref() == Some(revision.key.as_str());
    outcome.rollout = run.memory.rollout.begin(&revision.key, &revision.name, settled);
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
    ownership::refuse(run, session, &known, (&plan, &view)).await?;
    drift::hold_back(run, session, &mut plan, &known, outcome).await;

    let started = std::time::Instant::now();
    let mut preflight = Preflight::new(session, run.release, &plan);
    let passed = preflight.first_pass(&plan, &known).await;
    run.spent.add(Phase::Preflight, started.elapsed());
    run.memory.awaited = std::mem::take(&mut preflight.running);
    passed.map_err(|failures| refused(&failures))?;

    let puts_back =
        run.release.drift == DriftMode::Correct && plan.only_puts_back(&revision.key, &run.memory.inventory);
    write_ahead(run, session, (&plan, puts_back), &preflight, outcome).await?;
    let mut executed = apply::execute(run, session, known, &plan, preflight, revision).await;
    executed.was_complete = settled;
    if executed.ended.is_none() {
        prune::prune(run, session, &plan, view, &mut executed).await;
    }
    executed.puts_back = puts_back;
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

pub async fn decide<'a>(
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
    let is_settled = inventory.applied.as_deref() == Some(revision.key.as_str());
    let correction = match run.release.drift {
        DriftMode::Correct => Correction::All,
        DriftMode::Report | DriftMode::Off if is_settled && !run.is_asked() => Correction::Nothing,
        DriftMode::Report | DriftMode::Off => Correction::Missing,
    };
    let purpose = Purpose {
        release: &run.release.id,
        applied_key: &revision.key,
        correction,
        ignore: &run.release.ignore,
    };
    let plan = plan::build(purpose, objects, &inventory, &view);
    Ok((plan, view))
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
pub fn refused(failures: &[ObjectFailure]) -> Ended {
    let all = |reason: Reason| failures.iter().all(|f| f.reason == reason);
    let reason = match () {
        () if all(Reason::AccessDenied) => Reason::AccessDenied,
        () if all(Reason::JobRunning) => Reason::JobRunning,
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
    session: &Session,
    (plan, puts_back): (&Plan, bool),
    preflight: &Preflight<'_>,
    outcome: &mut Outcome,
) -> Result<(), Ended> {
    // What waits for others of the plan may never be accepted: it is nobody's yet.
    let taken = run.context.claims.reserve(&run.release.id, preflight.ready.keys());
    if !taken.is_empty() {
        // Another release has come first since the plan was made.
        return Err(ownership::taken(run, session, &taken).await);
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
        let asked = s.force.unwrap_or(run.release.force || s.id.is("batch", "Job"));
        let may_be = asked && preflight.deferred.contains(&s.id);
        // The dry run may have shown what no watch does.
        let same = || {
            let ready = preflight.ready.get(&s.id).filter(|ready| !ready.recreate);
            let live = ready.and_then(|ready| ready.live.as_ref()).map(|(uid, _)| uid);
            live.is_some() && live == stored.inventory.entries.get(&s.id).and_then(|e| e.uid.as_ref())
        };
        let anew = s.action == Action::Write && (s.anew && !same() || recreated(&s.id) || may_be);
        (&s.id, s.version.as_str(), anew)
    });
    let corrected = run.release.drift == DriftMode::Correct;
    let writes = plan.writes().next().is_some();
    let ahead = stored.inventory.with_expected(expected, puts_back);
    let ahead = ahead.or_else(|| stored.inventory.unsettled(writes, corrected));
    if let Some(ahead) = ahead {
        let written = run.context.session.write_inventory(&run.release.id, &mut stored, ahead, hold).await;
        if let Err(error) = written {
            // It is about to write nothing any more.
            run.context.wake(run.context.claims.publish(&run.release.id, &run.memory.inventory));
            return Err(homeless(run.release, error));
        }
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
