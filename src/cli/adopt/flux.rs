//! `supercargo adopt flux`.

use serde_json::{Value, json};

use super::narrate::{count, refused, tell};
use crate::api::release::KIND;
use crate::cli::args::{AdoptFlux, AdoptFluxKustomization, ClusterArgs, Format};
use crate::cli::{CliError, Printer, connect, output};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::adopt::{FluxKustomization, Translation, translate};
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::inventory::Provenance;
use crate::pipeline::adopt::Adoption;

const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
const SOURCE: &str = "source.toolkit.fluxcd.io";

/// Takes over a Kustomization: prints the release that replaces it.
pub(in crate::cli) async fn kustomization(
    arguments: AdoptFlux,
    cluster: &ClusterArgs,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    let AdoptFlux::Kustomization(AdoptFluxKustomization { name, dry_run }) = arguments;
    let session = connect::connect(cluster).await?;
    let id = ReleaseId { namespace: session.default_namespace().to_owned(), name };
    let object = get(&session, KUSTOMIZE, "Kustomization", &id).await?;
    let theirs = FluxKustomization::read(&id, &object).map_err(|why| {
        CliError::Failed(format!("Kustomization/{}/{} stays: {why}", id.namespace, id.name))
    })?;
    let repository = get(&session, SOURCE, "OCIRepository", &theirs.source).await?;
    let translation = translate(&id, &object, &repository);
    refuse_loss(&translation)?;
    // It may exist of a run that was cut off after it.
    let exists = session.release_is_suspended(&id).await?.is_some();
    if !exists {
        let created = session.create_release(&id, &translation.release, true).await;
        created.map_err(|error| not_created(&id, &error))?;
    }
    let provenance = Provenance::default();
    let adoption = Adoption {
        session: &session,
        former: &theirs.former,
        me: &id,
        inventory: &theirs.inventory,
        provenance: &provenance,
    };
    printer.say(&format!("adopting {} manifest(s)...", theirs.inventory.entries.len()));
    if dry_run {
        let findings = adoption.look().await.map_err(refused)?;
        tell(&findings, true, printer);
        printer.say(&format!(
            "Kustomization/{}/{} would be suspended; {KIND}/{0}/{1} would be created, with {2} object(s):",
            id.namespace,
            id.name,
            count(&findings)
        ));
        return output::data(printer, Format::Yaml, &translation.release);
    }
    // Before the first object changes hands: two owners would fight over it.
    rest(&session, &id).await?;
    printer.say(&format!(
        "Kustomization/{}/{} suspended, its deletion will leave its objects",
        id.namespace, id.name
    ));
    let findings = adoption.run().await.map_err(refused)?;
    tell(&findings, false, printer);
    if !exists {
        let created = session.create_release(&id, &translation.release, false).await;
        created.map_err(|error| not_created(&id, &error))?;
    }
    printer.say(&format!(
        "{KIND}/{}/{} {}",
        id.namespace,
        id.name,
        if exists { "unchanged" } else { "created" }
    ));
    printer.say(&format!(
        "when it is Ready, remove what it replaces: kubectl -n {} delete kustomizations.{KUSTOMIZE} {}; kubectl -n {} \
         delete ocirepositories.{SOURCE} {}",
        id.namespace, id.name, theirs.source.namespace, theirs.source.name
    ));
    output::data(printer, Format::Yaml, &translation.release)
}

fn refuse_loss(translation: &Translation) -> Result<(), CliError> {
    match translation.without_counterpart.as_slice() {
        [] => Ok(()),
        lost => Err(CliError::Failed(format!(
            "nothing was written, an {KIND} cannot say what these do: {}; take them out first, or put what they do into \
             the artifact",
            lost.join(", ")
        ))),
    }
}

fn not_created(id: &ReleaseId, error: &ApiError) -> CliError {
    let hint = match error.is_not_found() {
        true => " (is its CustomResourceDefinition installed? supercargo crd | kubectl apply -f -)",
        false => "",
    };
    CliError::Failed(format!("{KIND}/{}/{} cannot be created: {error}{hint}", id.namespace, id.name))
}

async fn get(session: &Session, group: &str, kind: &str, id: &ReleaseId) -> Result<Value, CliError> {
    let known = session.known_of(std::iter::once(GroupKind::new(group, kind))).await?;
    let resource = known.preferred(&GroupKind::new(group, kind)).ok_or_else(|| {
        CliError::Failed(format!("the cluster has no {kind} of {group}: Flux is not installed in it"))
    })?;
    match session.get(&resource, &object(group, kind, id)).await {
        Ok(answer) => Ok(answer.json()?),
        Err(error) if error.is_not_found() => {
            Err(CliError::Failed(format!("there is no {kind} {} in the namespace {}", id.name, id.namespace)))
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

/// Suspends the Kustomization, and has its deletion leave its objects.
async fn rest(session: &Session, id: &ReleaseId) -> Result<(), CliError> {
    let kind = GroupKind::new(KUSTOMIZE, "Kustomization");
    let known = session.known().await?;
    let resource = known.preferred(&kind);
    let resource =
        resource.ok_or_else(|| CliError::Failed("the cluster has no Kustomization any more".into()))?;
    let patch = json!({"spec": {"suspend": true, "deletionPolicy": "Orphan"}});
    session.merge_patch(&resource, &object(KUSTOMIZE, "Kustomization", id), &patch, false).await?;
    Ok(())
}
