//! `supercargo adopt flux kustomization`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::narrate::{CUT_OFF, count, refused, report};
use crate::api::reason::Reason;
use crate::api::release::{KIND, OCIArtifactRelease};
use crate::cli::args::{ClusterArgs, OutputFormat, ProgramArgs};
use crate::cli::interrupt::or_interrupted;
use crate::cli::inventory::narrator::{why_not, with_failures};
use crate::cli::print::output;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::adopt::{
    Bystanders, FluxKustomization, Translation, bystanders, is_translation, rest, translate,
};
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::inventory::Provenance;
use crate::domain::outcome::{ObjectFailure, Outcome};
use crate::domain::release::Release;
use crate::reconcile::frontend::adopt::{Adoption, AdoptionFinding, Findings};
use crate::reconcile::frontend::command_line::Local;
use crate::reconcile::preview::Preview;

const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
const SOURCE: &str = "source.toolkit.fluxcd.io";
const HELM: &str = "helm.toolkit.fluxcd.io";
/// How long Flux can take to end its reconciliation, and how often that is
/// checked.
const FLUX_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);

/// Replace a Flux Kustomization and its OCIRepository with an OCIArtifactRelease.
#[derive(Debug, Args)]
#[command(long_about = LONG, after_long_help = EXAMPLES)]
pub struct AdoptFluxKustomization {
    /// Name of the Kustomization and of the release.
    name: String,
    /// Show the release and the objects to adopt; write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    programs: ProgramArgs,
}

// A string instead of a comment, because of the line break in its last paragraph.
const LONG: &str = "\
Replace a Flux Kustomization and its OCIRepository with an OCIArtifactRelease.

Creates the OCIArtifactRelease that replaces a Flux Kustomization and its OCIRepository, and adopts their objects: no object is \
deleted or restarted. Prints the release to stdout. Suspends the Kustomization; deleting it then keeps the objects.

Exit codes: 0 success; 1 when a part of the Kustomization has no counterpart, or an object cannot be adopted; 130 interrupted by Ctrl-C.
Rerun the command to continue.";

const EXAMPLES: &str = "\
Examples:
  # Show the release and the objects to adopt
  supercargo adopt flux kustomization app -n flux-system --dry-run

  # Adopt
  supercargo adopt flux kustomization app -n flux-system";

impl AdoptFluxKustomization {
    /// Adopts a Kustomization: prints the release that replaces it.
    pub(in crate::cli) async fn run(
        self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let Self { name, dry_run, programs } = self;
        let work = async {
            let session = connect(cluster).await?;
            let id = ReleaseId { namespace: session.default_namespace().to_owned(), name };
            let mut taking = Taking::prepare(&session, id, &programs).await?;
            match dry_run {
                true => taking.show(printer).await,
                false => taking.run(printer).await,
            }
        };
        or_interrupted(work, || CUT_OFF.to_owned()).await
    }
}

/// A Kustomization that is being adopted.
struct Taking<'a> {
    session: &'a Session,
    programs: &'a ProgramArgs,
    id: ReleaseId,
    object: Value,
    theirs: FluxKustomization,
    release: Value,
    /// Whether the release exists, from an interrupted run.
    exists: bool,
    /// Other users of the source; `None` when they cannot be listed.
    readers: Option<Vec<String>>,
}

impl<'a> Taking<'a> {
    /// Everything that can be known before the first write.
    async fn prepare(
        session: &'a Session,
        id: ReleaseId,
        programs: &'a ProgramArgs,
    ) -> Result<Self, CliError> {
        let object = get(session, KUSTOMIZE, "Kustomization", &id).await?;
        let theirs = read(&id, &object)?;
        let repository = get(session, SOURCE, "OCIRepository", &theirs.source).await?;
        let translation = translate(&id, &object, &repository);
        refuse_loss(&translation)?;
        let (Bystanders { dependents, readers }, all) = others(session, &id, &theirs.source).await?;
        refuse_dependents(&id, &dependents)?;
        let release = translation.release;
        let exists = match session.find_release(&id).await? {
            None => false,
            Some(there) if is_translation(&there, &release) => true,
            Some(_) => {
                return Err(CliError::Failed(format!(
                    "nothing was written: {KIND}/{}/{} already exists and differs from the Kustomization",
                    id.namespace, id.name
                )));
            }
        };
        if !exists {
            let created = session.create_release(&id, &release, true).await;
            created.map_err(|error| not_created(&id, &error))?;
        }
        let readers = all.then_some(readers);
        Ok(Self { session, programs, id, object, theirs, release, exists, readers })
    }

    /// Does what the operator would do with the release, up to the
    /// first write, with the same account.
    async fn rehearse(&self, findings: &Findings, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let bad = |why: String| {
            CliError::Failed(format!("nothing was written: the release would be invalid: {why}"))
        };
        let mut resource: OCIArtifactRelease =
            serde_json::from_value(self.release.clone()).map_err(|e| bad(e.to_string()))?;
        resource.metadata.namespace = Some(self.id.namespace.clone());
        let release = Release::parse(&resource).map_err(|e| bad(e.to_string()))?;
        printer.say(format!("checking the release with the artifact of {}...", release.url));
        let mut local = Local::new(self.session.clone())?.building(self.programs.builder());
        let preview = local.preview_release(&release).await;
        let preview = preview.map_err(|failed| not_applied(&failed))?;
        for note in &preview.notes {
            printer.say(format!("warning: {note}"));
        }
        if !preview.failures.is_empty() {
            let headline =
                format!("nothing was written: the release cannot apply {} object(s)", preview.failures.len());
            return Err(CliError::Several(with_failures(&headline, true, &preview.failures)));
        }
        let lost = lost(&preview, findings);
        if release.prune && !lost.is_empty() {
            let headline = format!(
                "nothing was written: {} object(s) of the Kustomization are not in the artifact, the release would \
                 delete them; let Flux reconcile first",
                lost.len()
            );
            return Err(CliError::Several(with_failures(&headline, true, &lost)));
        }
        Ok(())
    }

    fn adoption<'b>(&'b self, provenance: &'b Provenance) -> Adoption<'b> {
        Adoption {
            session: self.session,
            former: &self.theirs.former,
            me: &self.id,
            inventory: &self.theirs.inventory,
            provenance,
        }
    }

    async fn show(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let id = &self.id;
        printer.say(format!("adopting {} manifest(s)...", self.theirs.inventory.entries.len()));
        let findings = self.adoption(&Provenance::default()).look().await.map_err(refused)?;
        self.rehearse(&findings, printer).await?;
        report(&findings, true, printer);
        printer.say(format!(
            "Kustomization/{}/{} would be suspended; {KIND}/{0}/{1} would be created, with {2} object(s):",
            id.namespace,
            id.name,
            count(&findings)
        ));
        output::data(printer, &OutputFormat::Yaml, &self.release)
    }

    async fn run(&mut self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let provenance = Provenance::default();
        // Refuse while Flux still reconciles.
        let findings = self.adoption(&provenance).look().await.map_err(refused)?;
        self.rehearse(&findings, printer).await?;
        // Before the first object changes hands: two owners would fight over it.
        self.rest().await?;
        let id = &self.id;
        printer.say(format!(
            "Kustomization/{}/{} suspended; deleting it keeps its objects",
            id.namespace, id.name
        ));
        printer.say(format!("adopting {} manifest(s)...", self.theirs.inventory.entries.len()));
        let findings = self.adoption(&provenance).run().await.map_err(refused)?;
        report(&findings, false, printer);
        if !self.exists {
            let created = self.session.create_release(id, &self.release, false).await;
            created.map_err(|error| not_created(id, &error))?;
        }
        let how = if self.exists { "unchanged" } else { "created" };
        printer.say(format!("{KIND}/{}/{} {how}", id.namespace, id.name));
        printer.say(format!(
            "when it is Ready, delete what it replaces: kubectl -n {} delete kustomizations.{KUSTOMIZE} {}",
            id.namespace, id.name
        ));
        printer.say(self.source_hint());
        output::data(printer, &OutputFormat::Yaml, &self.release)
    }

    /// Whether the source can be deleted.
    fn source_hint(&self) -> String {
        let ReleaseId { namespace, name } = &self.theirs.source;
        match self.readers.as_deref() {
            Some([]) => {
                format!(
                    "then delete its source: kubectl -n {namespace} delete ocirepositories.{SOURCE} {name}"
                )
            }
            Some(readers) => {
                format!("keep OCIRepository/{namespace}/{name}: it is used by {}", readers.join(", "))
            }
            None => format!(
                "OCIRepository/{namespace}/{name} may be used by Kustomizations in other namespaces, which you cannot \
                 list; look for them before you delete it"
            ),
        }
    }

    /// Suspends the Kustomization, makes its deletion keep its objects, and waits
    /// until Flux has ended its reconciliation: only then its inventory is complete.
    async fn rest(&mut self) -> Result<(), CliError> {
        let kind = GroupKind::new(KUSTOMIZE, "Kustomization");
        let discovery = self.session.discovery().await?;
        let resource = discovery.preferred(&kind);
        let resource = resource
            .ok_or_else(|| CliError::Failed("the cluster no longer serves the kind Kustomization".into()))?;
        let id = object(KUSTOMIZE, "Kustomization", &self.id);
        self.session.merge_patch(&resource, &id, &rest(&self.object), false).await?;
        let give_up = tokio::time::Instant::now() + FLUX_TIMEOUT;
        loop {
            self.object = get(self.session, KUSTOMIZE, "Kustomization", &self.id).await?;
            self.theirs = read(&self.id, &self.object)?;
            if !is_reconciling(&self.object) {
                return Ok(());
            }
            if tokio::time::Instant::now() > give_up {
                return Err(CliError::Failed(format!(
                    "Kustomization/{}/{} is suspended, but Flux is still reconciling it; rerun the command to \
                     continue",
                    self.id.namespace, self.id.name
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn read(id: &ReleaseId, object: &Value) -> Result<FluxKustomization, CliError> {
    FluxKustomization::read(id, object).map_err(|why| {
        CliError::Failed(format!("Kustomization/{}/{} cannot be adopted: {why}", id.namespace, id.name))
    })
}

/// Whether a reconciliation is in progress (kstatus: Reconciling is True).
fn is_reconciling(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Reconciling" && c["status"] == "True")
}

fn refuse_loss(translation: &Translation) -> Result<(), CliError> {
    match translation.without_counterpart.as_slice() {
        [] => Ok(()),
        lost => Err(CliError::Failed(format!(
            "nothing was written: an {KIND} has no counterpart for: {}; remove them first, or move their effect into \
             the artifact",
            lost.join(", ")
        ))),
    }
}

/// A suspended Kustomization is not ready for its dependents.
fn refuse_dependents(id: &ReleaseId, dependents: &[String]) -> Result<(), CliError> {
    match dependents {
        [] => Ok(()),
        names => Err(CliError::Failed(format!(
            "nothing was written: Flux would stop reconciling the dependents of Kustomization/{}/{}: {}; remove it from \
             their spec.dependsOn first",
            id.namespace,
            id.name,
            names.join(", ")
        ))),
    }
}

/// Other users of the Kustomization or its source, and whether they are known in
/// all namespaces.
async fn others(
    session: &Session,
    id: &ReleaseId,
    source: &ReleaseId,
) -> Result<(Bystanders, bool), CliError> {
    let (mut objects, mut all) = (Vec::new(), true);
    let kinds = [(KUSTOMIZE, "Kustomization"), (HELM, "HelmRelease")];
    let discovery =
        session.discovery_of(kinds.iter().map(|(group, kind)| GroupKind::new(group, kind))).await?;
    for (group, kind) in kinds {
        let Some(resource) = discovery.preferred(&GroupKind::new(group, kind)) else { continue };
        let listed = match session.list_objects(&resource, None, None).await {
            Err(error) if error.is_forbidden() => {
                all = false;
                let mut namespaces = vec![&id.namespace, &source.namespace];
                namespaces.dedup();
                let mut listed = Vec::new();
                for namespace in namespaces {
                    match session.list_objects(&resource, Some(namespace), None).await {
                        Ok(more) => listed.extend(more),
                        Err(error) if error.is_forbidden() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                listed
            }
            listed => listed?,
        };
        // The items of a list have no kind.
        objects.extend(listed.into_iter().map(|mut object| {
            object["kind"] = kind.into();
            object
        }));
    }
    Ok((bystanders(id, source, objects.iter()), all))
}

/// The objects that the release would delete: they are applied, and not in the
/// artifact.
fn lost(preview: &Preview, findings: &Findings) -> Vec<ObjectFailure> {
    let held: BTreeSet<&ObjectId> = preview.objects.iter().map(|planned| &planned.id).collect();
    let lost = findings.iter().filter(|(id, found)| {
        matches!(found, AdoptionFinding::Theirs(_) | AdoptionFinding::Ours) && !held.contains(id)
    });
    let lost = lost.map(|(id, _)| ObjectFailure {
        id: id.clone(),
        reason: Reason::PruneFailed,
        message: "not in the artifact".to_owned(),
    });
    lost.collect()
}

/// Why the release could not be applied.
fn not_applied(failed: &Outcome) -> CliError {
    CliError::Several(why_not(failed, "nothing was written: the release cannot be applied: "))
}

fn not_created(id: &ReleaseId, error: &ApiError) -> CliError {
    let hint = match error.is_not_found() || error.is_no_path() {
        true => " (is its CustomResourceDefinition installed? supercargo crd | kubectl apply -f -)",
        false => "",
    };
    CliError::Failed(format!("cannot create {KIND}/{}/{}: {error}{hint}", id.namespace, id.name))
}

async fn get(session: &Session, group: &str, kind: &str, id: &ReleaseId) -> Result<Value, CliError> {
    let discovery = session.discovery_of(std::iter::once(GroupKind::new(group, kind))).await?;
    let resource = discovery.preferred(&GroupKind::new(group, kind)).ok_or_else(|| {
        CliError::Failed(format!("the cluster does not serve {kind} of {group}: Flux is not installed"))
    })?;
    match session.get(&resource, &object(group, kind, id)).await {
        Ok(answer) => Ok(answer.json()?),
        Err(error) if error.is_not_found() => {
            Err(CliError::Failed(format!("{kind} {} not found in namespace {}", id.name, id.namespace)))
        }
        Err(error) => Err(error.into()),
    }
}

fn object(group: &str, kind: &str, id: &ReleaseId) -> ObjectId {
    ObjectId {
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        group: group.to_owned(),
        kind: kind.to_owned(),
    }
}
