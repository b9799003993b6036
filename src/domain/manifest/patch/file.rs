//! A file of kind Kustomization whose patches and changes apply to objects that
//! come from another source. It refers to no other file: patches are inline.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::allowance::Allowance;
use super::error::{InvalidPatch, PatchError};
use super::image::{Image, ImageChange};
use super::set::Set;
use super::spec::ParsedPatch;
use crate::api::patch::{self, PatchOptions, Target};
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::encoding::utf8;
use crate::domain::manifest::split::split;
use crate::domain::manifest::yaml;
use crate::domain::objects::object::Object;

/// The largest patch file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

const MAX_DECODED: u64 = 64 << 20;

/// What a patch file does to objects.
#[derive(Clone, Debug)]
pub struct PatchFile {
    name: String,
    strategic: Vec<ParsedPatch>,
    patches: Vec<ParsedPatch>,
    json: Vec<ParsedPatch>,
    images: Vec<ImageChange>,
    namespace: String,
    prefix: String,
    suffix: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// The supported fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    #[serde(deserialize_with = "or_null")]
    patches: Vec<FilePatch>,
    #[serde(deserialize_with = "or_null")]
    patches_json6902: Vec<FilePatch>,
    #[serde(deserialize_with = "or_null")]
    patches_strategic_merge: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    images: Vec<Image>,
    #[serde(deserialize_with = "or_null")]
    namespace: String,
    #[serde(deserialize_with = "or_null")]
    name_prefix: String,
    #[serde(deserialize_with = "or_null")]
    name_suffix: String,
    #[serde(deserialize_with = "or_null")]
    common_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_null")]
    common_annotations: BTreeMap<String, String>,
}

const SUPPORTED: [&str; 9] = [
    "patches",
    "patchesJson6902",
    "patchesStrategicMerge",
    "images",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "commonAnnotations",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilePatch {
    patch: String,
    path: Option<String>,
    target: Option<FileTarget>,
    options: Option<FileOptions>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileTarget {
    group: Option<String>,
    version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    label_selector: Option<String>,
    annotation_selector: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileOptions {
    allow_name_change: bool,
    allow_kind_change: bool,
}

/// In a kustomization, `null` is the same as an omitted field.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl From<FilePatch> for patch::Patch {
    fn from(patch: FilePatch) -> Self {
        let target = patch.target.map(|target| Target {
            group: target.group,
            version: target.version,
            kind: target.kind,
            name: target.name,
            namespace: target.namespace,
            label_selector: target.label_selector,
            annotation_selector: target.annotation_selector,
        });
        let options = patch.options.map(|options| PatchOptions {
            allow_name_change: options.allow_name_change,
            allow_kind_change: options.allow_kind_change,
        });
        Self { patch: patch.patch, target, options }
    }
}

impl PatchFile {
    /// Reads a patch file; `name` is used in messages.
    ///
    /// # Errors
    /// It is not a Kustomization, changes nothing, or has a field that is not
    /// supported here.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, InvalidPatch> {
        let field = |field: &str| format!("{name}: {field}");
        let value = document(name, &utf8(bytes))?;
        only_supported(name, &value)?;
        let Fields {
            patches,
            patches_json6902,
            patches_strategic_merge,
            images,
            namespace,
            name_prefix,
            name_suffix,
            common_labels,
            common_annotations,
        } = serde_json::from_value(value).map_err(|error| InvalidPatch::new(name, error.to_string()))?;
        let mut allowance = Allowance::default();
        let mut patches_of = |list: &str, patches: Vec<FilePatch>| {
            if let Some(index) = patches.iter().position(|patch| patch.path.is_some()) {
                let why = "patches in other files are not supported here; write the patch inline in the field \
                           patch";
                return Err(InvalidPatch::new(field(&format!("{list}[{index}].path")), why));
            }
            let patches: Vec<patch::Patch> = patches.into_iter().map(patch::Patch::from).collect();
            ParsedPatch::parse_all(&field(list), &patches, &mut allowance)
        };
        let json = patches_of("patchesJson6902", patches_json6902)?;
        for (index, patch) in json.iter().enumerate() {
            patch.demand_json(field(&format!("patchesJson6902[{index}]")))?;
        }
        let patches = patches_of("patches", patches)?;
        let images = ImageChange::parse_all(&field("images"), &images, &mut allowance)?;
        let strategic = patches_strategic_merge.iter().enumerate().map(|(index, text)| {
            ParsedPatch::strategic(field(&format!("patchesStrategicMerge[{index}]")), text, &mut allowance)
        });
        let file = Self {
            name: name.to_owned(),
            strategic: strategic.collect::<Result<_, _>>()?,
            patches,
            json: json.into_iter().map(ParsedPatch::without_following).collect(),
            images,
            namespace,
            prefix: name_prefix,
            suffix: name_suffix,
            labels: common_labels,
            annotations: common_annotations,
        };
        if file.changes_nothing() {
            return Err(InvalidPatch::new(name, format!("no patches found in {name}")));
        }
        Ok(file)
    }

    fn changes_nothing(&self) -> bool {
        let texts = [&self.namespace, &self.prefix, &self.suffix];
        [&self.strategic, &self.patches, &self.json].into_iter().all(Vec::is_empty)
            && self.images.is_empty()
            && self.labels.is_empty()
            && self.annotations.is_empty()
            && texts.into_iter().all(String::is_empty)
    }

    /// Changes the objects, in the order of kustomize: patches, namespace,
    /// names, labels, annotations, the patches of `patchesJson6902`, images.
    /// References follow names.
    ///
    /// # Errors
    /// The patch or field that does not apply, and the object. The objects are
    /// unchanged then.
    pub fn apply(&self, objects: &mut Vec<Object>) -> Result<(), PatchError> {
        let mut set = Set::new(objects.iter().cloned());
        let of =
            |field: &'static str| move |why: String| PatchError::new(format!("{}: {field}", self.name), why);
        for patch in self.strategic.iter().chain(&self.patches) {
            patch.apply(&mut set)?;
        }
        if !self.namespace.is_empty() {
            set.set_namespace(&self.namespace).map_err(of("namespace"))?;
        }
        set.rename(&self.prefix, &self.suffix);
        set.set_labels(&self.labels).map_err(of("commonLabels"))?;
        set.set_annotations(&self.annotations).map_err(of("commonAnnotations"))?;
        self.json.iter().try_for_each(|patch| patch.apply(&mut set))?;
        set.change_images(&self.images).map_err(|error| of("images")(error.problem))?;
        set.follow_names().map_err(|error| of("references")(error.problem))?;
        *objects = set.into_objects().into_iter().map(|(_, object)| object).collect();
        Ok(())
    }
}

/// The one document of the file.
fn document(name: &str, bytes: &[u8]) -> Result<Value, InvalidPatch> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(InvalidPatch::new(name, format!("the file is larger than {MAX_FILE_BYTES} bytes")));
    }
    let mut budget = Budget::new(MAX_DECODED);
    let mut documents = Vec::new();
    for chunk in split(bytes) {
        let not_text = || InvalidPatch::new(name, "the file is not UTF-8 text");
        let text = chunk.text().ok_or_else(not_text)?;
        let parsed = yaml::parse(&text, &mut budget).map_err(|problems| {
            let first = problems.first();
            let line = first.map_or(1, |problem| chunk.first_line + problem.line - 1);
            let message = first.map_or("", |problem| problem.message.as_str());
            InvalidPatch::new(name, format!("line {line}: {message}"))
        })?;
        documents.extend(parsed.into_iter().filter(|value| !value.is_null()));
    }
    match documents.len() {
        0 => Err(InvalidPatch::new(name, format!("no patches found in {name}"))),
        1 => Ok(documents.remove(0)),
        _ => Err(InvalidPatch::new(name, "the file holds more than one document")),
    }
}

/// Checks that all fields are supported, so that none is ignored silently.
fn only_supported(name: &str, value: &Value) -> Result<(), InvalidPatch> {
    let Some(fields) = value.as_object() else {
        return Err(InvalidPatch::new(name, "the document is not a mapping"));
    };
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let is_kustomization = matches!(text("kind"), "" | "Kustomization")
        && matches!(
            text("apiVersion"),
            "" | "kustomize.config.k8s.io/v1beta1" | "kustomize.config.k8s.io/v1"
        );
    if !is_kustomization {
        let why = "the document is not a Kustomization of kustomize.config.k8s.io/v1beta1";
        return Err(InvalidPatch::new(name, why));
    }
    for (field, value) in fields {
        let inert = matches!(field.as_str(), "apiVersion" | "kind" | "metadata");
        let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !inert && !nothing && !SUPPORTED.contains(&field.as_str()) {
            let why = format!("the field is not supported here; supported fields: {}", SUPPORTED.join(", "));
            return Err(InvalidPatch::new(format!("{name}: {field}"), why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_supported_is_named() {
        let check = |text: &str, expected: &str| {
            assert_eq!(PatchFile::parse("p.yaml", text.as_bytes()).unwrap_err().to_string(), expected);
        };
        check("", "p.yaml: no patches found in p.yaml");
        check("kind: Kustomization\npatches: []\n", "p.yaml: no patches found in p.yaml");
        check(
            "kind: Deployment\n",
            "p.yaml: the document is not a Kustomization of kustomize.config.k8s.io/v1beta1",
        );
        check("[]", "p.yaml: the document is not a mapping");
        check("a: b\n---\nc: d\n", "p.yaml: the file holds more than one document");
        check(
            "a: [\n",
            "p.yaml: line 2: not valid YAML: did not find expected node content while parsing a flow node",
        );
        check(
            "replicas: [{name: a, count: 1}]",
            "p.yaml: replicas: the field is not supported here; supported fields: patches, patchesJson6902, \
             patchesStrategicMerge, images, namespace, namePrefix, nameSuffix, commonLabels, commonAnnotations",
        );
        check(
            "patches: [{path: a.yaml}]",
            "p.yaml: patches[0].path: patches in other files are not supported here; write the patch inline in \
             the field patch",
        );
        check(
            "patches: [{patch: x, taget: {}}]",
            "p.yaml: unknown field `taget`, expected one of `patch`, `path`, `target`, `options`",
        );
        check("namespace: 5", "p.yaml: invalid type: integer `5`, expected a string");
        check(
            "patchesStrategicMerge: [a.yaml]",
            "p.yaml: patchesStrategicMerge[0]: the patch is neither a list of JSON patch operations nor a mapping with kind and metadata.name",
        );
        check("images: [{newTag: b}]", "p.yaml: images[0]: name is missing");
    }

    #[test]
    fn a_file_that_does_not_apply_changes_nothing() {
        let text =
            "namePrefix: x-\npatches: [{patch: '[{\"op\": \"remove\", \"path\": \"/data\"}]', target: {}}]";
        let file = PatchFile::parse("p.yaml", text.as_bytes()).unwrap();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let mut objects = vec![Object::new(object).unwrap()];
        let before = objects.clone();
        let error = file.apply(&mut objects).unwrap_err().to_string();
        assert_eq!(
            error,
            "p.yaml: patches[0]: ConfigMap/default/a: operation 0 (remove /data): the field does not exist"
        );
        assert_eq!(objects, before);
    }
}
