//! VariableSet of the command line, and where their values come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::files;
use crate::api::post_build::{InputKind, PostBuild, SubstitutionMode, VariableType, VariableValue};
use crate::cli::CliError;
use crate::cli::args::{SubstituteArgs, SubstituteMode};
use crate::cluster::session::Session;
use crate::domain::manifest::decode::decode;
use crate::domain::manifest::substitute::Substitution;
use crate::domain::object::Object;
use crate::domain::release::inputs::{InputData, InputReference, RenderInputs};

/// VariableSet and their values.
pub(in crate::cli) struct CommandVariables {
    /// How they are replaced.
    pub substitution: Substitution,
    /// What files and objects have.
    pub inputs: RenderInputs,
}

/// The option in messages.
const FROM: &str = "--substitute-from";

impl CommandVariables {
    /// Those of the arguments; `None` without any. Objects of the cluster are read as the person, in the
    /// namespace of the session; without a session, they are refused.
    ///
    /// # Errors
    /// An argument is invalid, or a source cannot be read.
    pub(in crate::cli) async fn read(
        arguments: &SubstituteArgs,
        session: Option<&Session>,
    ) -> Result<Option<Self>, CliError> {
        if !arguments.is_given() {
            return Ok(None);
        }
        let mut spec = PostBuild {
            mode: match arguments.mode {
                SubstituteMode::Typed => SubstitutionMode::Typed,
                SubstituteMode::Flux => SubstitutionMode::Flux,
            },
            strict: arguments.strict.as_deref().map(|strict| strict == "true"),
            ..PostBuild::default()
        };
        for pair in &arguments.values {
            // The value may be a secret, and is not repeated.
            let Some((name, value)) = pair.split_once('=') else {
                return Err(CliError::Usage("--substitute: write NAME=VALUE".into()));
            };
            spec.substitute.insert(name.to_owned(), VariableValue(value.to_owned()));
        }
        for pair in &arguments.types {
            let of = pair.split_once('=').and_then(|(name, of)| {
                let of: VariableType = serde_json::from_value(Value::from(of)).ok()?;
                Some((name.to_owned(), of))
            });
            let (name, of) = of.ok_or_else(|| {
                let wanted = "NAME=String, NAME=Number or NAME=Boolean";
                CliError::Usage(format!("--substitute-type {pair}: write {wanted}"))
            })?;
            spec.types.insert(name, of);
        }
        let mut substitution = Substitution::parse(&spec)
            .map_err(|(field, problem)| CliError::Usage(format!("{}: {problem}", option_of(&field))))?;
        let mut inputs = RenderInputs::default();
        for source in &arguments.from {
            for (kind, data) in sources(source, session).await? {
                let name = format!("{source} ({})", substitution.from.len() + 1);
                let reference = InputReference { kind, name, optional: false, field: FROM.to_owned() };
                inputs.insert(kind, &reference.name, data);
                substitution.from.push(reference);
            }
        }
        Ok(Some(Self { substitution, inputs }))
    }
}

fn option_of(field: &str) -> &'static str {
    match field {
        "types" => "--substitute-type",
        _ => "--substitute",
    }
}

/// What a source has: one object of the cluster, or those of a file.
async fn sources(source: &str, session: Option<&Session>) -> Result<Vec<(InputKind, InputData)>, CliError> {
    let of_cluster = [("configmap/", InputKind::ConfigMap), ("secret/", InputKind::Secret)];
    let named = of_cluster.iter().find_map(|(prefix, kind)| Some((*kind, source.strip_prefix(prefix)?)));
    match named {
        Some((kind, name)) => Ok(vec![(kind, object(kind, name, session).await?)]),
        None => file(source),
    }
}

async fn object(kind: InputKind, name: &str, session: Option<&Session>) -> Result<InputData, CliError> {
    let Some(session) = session else {
        return Err(CliError::Usage(format!(
            "{FROM} {}/{name}: this command does not contact the cluster; name a file",
            kind.as_str().to_lowercase()
        )));
    };
    let namespace = session.default_namespace();
    let name = crate::domain::release::object_name(name).map_err(CliError::Usage)?;
    let data = match kind {
        InputKind::ConfigMap => session.config_map_data(namespace, &name).await?,
        InputKind::Secret => {
            session.secret(namespace, &name).await?.map(|secret| InputData(secret.0.clone()))
        }
    };
    let kind = kind.as_str();
    data.ok_or_else(|| {
        CliError::Failed(format!("{kind}/{namespace}/{name}, named by {FROM}, does not exist"))
    })
}

fn file(name: &str) -> Result<Vec<(InputKind, InputData)>, CliError> {
    let is_manifest = name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
    let mut found = Vec::new();
    if !is_manifest {
        let bytes = files::read_small(Path::new(name))?;
        return Ok(vec![(InputKind::ConfigMap, lines(name, &bytes)?)]);
    }
    for (name, bytes) in files::read(&[PathBuf::from(name)])? {
        let decoded = decode(&name, &bytes)
            .map_err(|errors| CliError::Several(errors.iter().map(ToString::to_string).collect()))?;
        for decoded in decoded {
            let data = data_of(&decoded.object).ok_or_else(|| {
                let (object, origin) = (decoded.object.id(), &decoded.origin);
                CliError::Input(format!(
                    "{origin}: {object} is neither a ConfigMap nor a Secret with valid data"
                ))
            })?;
            found.push(data);
        }
    }
    Ok(found)
}

/// Lines `NAME=VALUE`. Empty ones and those that begin with `#` are skipped.
fn lines(name: &str, bytes: &[u8]) -> Result<InputData, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CliError::Input(format!("{name}: not UTF-8 text")))?;
    let mut found = BTreeMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(CliError::Input(format!("{name}: line {} is not NAME=VALUE", n + 1)));
        };
        found.insert(key.trim().to_owned(), value.as_bytes().to_vec());
    }
    Ok(InputData(found))
}

fn data_of(object: &Object) -> Option<(InputKind, InputData)> {
    let texts = |field: &str| object.value().get(field).and_then(Value::as_object).into_iter().flatten();
    let plain = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.as_bytes().to_vec()));
    if object.is("", "ConfigMap") {
        let data: Option<BTreeMap<String, Vec<u8>>> = texts("data").map(plain).collect();
        return Some((InputKind::ConfigMap, InputData(data?)));
    }
    if !object.is("", "Secret") {
        return None;
    }
    let decoded =
        |(key, value): (&String, &Value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?));
    let data: Option<BTreeMap<String, Vec<u8>>> = texts("data").map(decoded).collect();
    let mut data = data?;
    data.extend(texts("stringData").map(plain).collect::<Option<Vec<_>>>()?);
    Some((InputKind::Secret, InputData(data)))
}
