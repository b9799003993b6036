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
use crate::domain::manifest::substitute::{Substitution, is_name};
use crate::domain::message::and_more;
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
            let of = pair.split_once('=').and_then(|(name, of)| Some((name.to_owned(), type_of(of)?)));
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
            for (n, (kind, data)) in sources(source, session).await?.into_iter().enumerate() {
                let name = if n == 0 { source.clone() } else { format!("{source}, object {}", n + 1) };
                let reference = InputReference { kind, name, optional: false, field: FROM.to_owned() };
                inputs.insert(kind, &reference.name, data);
                substitution.from.push(reference);
            }
        }
        Ok(Some(Self { substitution, inputs }))
    }
}

fn type_of(name: &str) -> Option<VariableType> {
    let all = [VariableType::String, VariableType::Number, VariableType::Boolean];
    all.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(name))
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
    if name == "-" {
        return Err(CliError::Usage(format!("{FROM} -: standard input is not read; name a file")));
    }
    let is_manifest = name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
    let mut found = Vec::new();
    if !is_manifest {
        let bytes = files::read_small(Path::new(name))?;
        return Ok(vec![(InputKind::ConfigMap, lines(name, &bytes)?)]);
    }
    for (name, bytes) in files::read(&[PathBuf::from(name)])? {
        let decoded = decode(&name, &bytes).map_err(|errors| {
            CliError::Several(
                errors.first.iter().map(ToString::to_string).chain(and_more(errors.more_of_all())).collect(),
            )
        })?;
        for decoded in decoded {
            let data = data_of(&decoded.object);
            found.push(data.map_err(|problem| {
                CliError::Input(format!("{}: {}: {problem}", decoded.origin, decoded.object.id()))
            })?);
        }
    }
    Ok(found)
}

/// Lines `NAME=VALUE`, where all after the `=` is the value. Empty ones and those that begin with `#` are skipped.
fn lines(name: &str, bytes: &[u8]) -> Result<InputData, CliError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CliError::Input(format!("{name}: not UTF-8 text")))?;
    let mut found = BTreeMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        // The value may be a secret, and is not repeated.
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_name(key)) else {
            return Err(CliError::Input(format!(
                "{name}: line {} is not NAME=VALUE: a name has letters, digits and '_', no digit at first, and nothing \
                 before or after it",
                n + 1
            )));
        };
        found.insert(key.to_owned(), value.as_bytes().to_vec());
    }
    Ok(InputData(found))
}

/// The data of a ConfigMap or a Secret.
///
/// # Errors
/// What is wrong with it.
fn data_of(object: &Object) -> Result<(InputKind, InputData), String> {
    let plain = |text: &str| Some(text.as_bytes().to_vec());
    if object.is("", "ConfigMap") {
        return Ok((
            InputKind::ConfigMap,
            InputData(values(object, "data", "a text; put it in quotes", plain)?),
        ));
    }
    if !object.is("", "Secret") {
        return Err("it is neither a ConfigMap nor a Secret".to_owned());
    }
    let mut data = values(object, "data", "a text in base64", |text| STANDARD.decode(text).ok())?;
    data.extend(values(object, "stringData", "a text; put it in quotes", plain)?);
    Ok((InputKind::Secret, InputData(data)))
}

fn values(
    object: &Object,
    field: &str,
    wanted: &str,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let fields = object.value().get(field).and_then(Value::as_object).into_iter().flatten();
    let value = |(key, value): (&String, &Value)| {
        let read = value.as_str().and_then(&read);
        read.map(|value| (key.clone(), value)).ok_or_else(|| format!("{field}.{key} is not {wanted}"))
    };
    fields.map(value).collect()
}
