//! The variables that a spec declares.

use std::sync::Arc;

use crate::api::release::OCIArtifactReleaseSpec;
use crate::domain::manifest::chart::ChartOptions;
use crate::domain::manifest::substitute::Substitution;
use crate::domain::release::invalid::{InvalidSpec, invalid, object_name};

/// The variables of a spec, and the same as the spec says it.
pub(in crate::domain::release) type DeclaredSubstitution = (Option<Arc<Substitution>>, Arc<str>);

/// The options of a chart, and the same as the spec says it.
pub(in crate::domain::release) type DeclaredChart = (Option<Arc<ChartOptions>>, Arc<str>);

/// Reads `helm`.
///
/// # Errors
/// The field that is invalid.
pub(in crate::domain::release) fn declared_chart(
    spec: &OCIArtifactReleaseSpec,
) -> Result<DeclaredChart, InvalidSpec> {
    let Some(helm) = &spec.helm else { return Ok((None, Arc::default())) };
    let parsed =
        ChartOptions::parse(helm).map_err(|(below, problem)| invalid(&format!("helm.{below}"), problem))?;
    for reference in &parsed.from {
        let field = format!("{}.name", reference.field.trim_start_matches("spec."));
        object_name(&reference.name).map_err(|problem| invalid(&field, problem))?;
    }
    // Plain structures always serialize successfully.
    let text = serde_json::to_string(helm).unwrap_or_default();
    Ok((Some(parsed.into()), text.into()))
}

/// Reads `postBuild`.
///
/// # Errors
/// The field that is invalid.
pub(in crate::domain::release) fn declared(
    spec: &OCIArtifactReleaseSpec,
) -> Result<DeclaredSubstitution, InvalidSpec> {
    let Some(post_build) = &spec.post_build else { return Ok((None, Arc::default())) };
    let parsed = Substitution::parse(post_build)
        .map_err(|(below, problem)| invalid(&format!("postBuild.{below}"), problem))?;
    for reference in &parsed.from {
        let field = format!("{}.name", reference.field.trim_start_matches("spec."));
        object_name(&reference.name).map_err(|problem| invalid(&field, problem))?;
    }
    // Plain structures always serialize successfully.
    let text = serde_json::to_string(post_build).unwrap_or_default();
    Ok((Some(parsed.into()), text.into()))
}
