//! Helm charts at the command line.

use bytes::Bytes;

use super::reading::ArtifactReading;
use crate::builder::limits::MAX_OUTPUT;
use crate::builder::{Builder, Chart};
use crate::cli::CliError;
use crate::cli::input::files;
use crate::domain::manifest::canonical::to_yaml;
use crate::domain::manifest::chart::{
    ChartInputs, arrange, arrange_definitions, look_at_chart, release_name_of,
};
use crate::domain::manifest::decode::decode;
use crate::domain::message::and_more;

/// The name of the output, in messages about it.
pub(super) const RENDERED: &str = "helm-template.yaml";
/// The namespace where no cluster is at hand, as for `helm template`.
const NAMESPACE: &str = "default";

/// Renders the files of a chart, and gives its hooks their places. `digest` identifies the artifact.
///
/// # Errors
/// Why it cannot be rendered.
pub(super) async fn render(
    files: Vec<(String, Bytes)>,
    digest: &str,
    reading: &ArtifactReading<'_>,
    builder: &Builder,
) -> Result<Bytes, CliError> {
    let ArtifactReading { keys, session } = *reading;
    let named = match &keys.helm_release_name {
        Some(name) => name.clone(),
        None => {
            let listed = files.iter().map(|(name, content)| (name.as_str(), &content[..]));
            let refused = |why| CliError::Input(format!("the Helm chart cannot be rendered: {why}"));
            look_at_chart(listed).map_err(refused)?.name
        }
    };
    release_name_of(&named).map_err(|problem| {
        let name = format!("{named:?} cannot be the name of a Helm release");
        CliError::Input(format!("{name}: {problem}; set --helm-release-name"))
    })?;
    let values = keys.helm_values.iter().map(|file| files::read_small(file));
    let values: Vec<Vec<u8>> = values.collect::<Result<_, _>>()?;
    let capabilities = match session {
        Some(session) => Some(session.capabilities().await?.into()),
        None => None,
    };
    let chart = Chart {
        files,
        namespace: session.map_or(NAMESPACE, |session| session.default_namespace()).to_owned(),
        inputs: ChartInputs { release_name: named, values, ..ChartInputs::default() },
        capabilities,
        recorded: false,
    };
    let built = builder.build("", chart, MAX_OUTPUT).await;
    let built = built.map_err(|error| CliError::Input(error.to_string()))?;
    let several = |all: Vec<String>| CliError::Several(all.into_iter().collect());
    let decoded = decode(RENDERED, &built.manifests);
    let decoded = decoded.map_err(|errors| {
        several(errors.first.iter().map(ToString::to_string).chain(and_more(errors.more_of_all())).collect())
    })?;
    let decoded = arrange_definitions(decoded, &built.manifests);
    let objects = arrange(decoded, false, digest).map_err(several)?;
    let objects: Vec<_> = objects.into_iter().map(|decoded| decoded.object).collect();
    let yaml = to_yaml(&objects).map_err(|error| CliError::Input(error.to_string()))?;
    Ok(yaml.into())
}
