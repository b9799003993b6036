//! Translates an OCIRepository and a Kustomization of Flux into one release. The
//! fields are those of source.toolkit.fluxcd.io/v1 and
//! kustomize.toolkit.fluxcd.io/v1.

use serde_json::{Map, Value, json};

use super::Former;
use crate::api::keys::ADOPTED_FROM;
use crate::api::release::{GROUP, KIND, VERSION};
use crate::domain::inventory::{Entry, Inventory};
use crate::domain::objects::identity::{ObjectId, ReleaseId};

/// The group of Kustomizations, and the prefix of their owner labels.
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";

/// Fields of a Kustomization that are the same in a release.
const SAME: [&str; 10] = [
    "retryInterval",
    "timeout",
    "targetNamespace",
    "commonMetadata",
    "images",
    "patches",
    "serviceAccountName",
    "wait",
    "force",
    "deletionPolicy",
];
/// Fields of a Kustomization that a release does not have.
const WITHOUT_COUNTERPART: [&str; 11] = [
    "components",
    "decryption",
    "dependsOn",
    "healthChecks",
    "healthCheckExprs",
    "ignoreMissingComponents",
    "kubeConfig",
    "namePrefix",
    "nameSuffix",
    "patchesJson6902",
    "patchesStrategicMerge",
];
/// Fields of an OCIRepository that are the same in a release.
const SAME_OF_SOURCE: [&str; 4] = ["interval", "secretRef", "certSecretRef", "insecure"];
/// Fields of an OCIRepository that a release does not have. For `verify`, a silent loss
/// of signature checks is not acceptable.
const SOURCE_WITHOUT_COUNTERPART: [&str; 3] = ["ignore", "proxySecretRef", "verify"];

/// A Kustomization, with the parts that are used here.
#[derive(Clone, Debug)]
pub struct FluxKustomization {
    /// How its objects are marked.
    pub former: Former,
    /// Namespace and name of its OCIRepository.
    pub source: ReleaseId,
    /// The objects that it has applied.
    pub inventory: Inventory,
}

/// The result of the translation.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The release, ready to be created.
    pub release: Value,
    /// Fields that a release does not have: if there are any, nothing is adopted.
    pub without_counterpart: Vec<String>,
}

impl FluxKustomization {
    /// Reads a Kustomization.
    ///
    /// # Errors
    /// Says why it cannot be adopted.
    pub fn read(id: &ReleaseId, object: &Value) -> Result<Self, String> {
        let source = &object["spec"]["sourceRef"];
        let text = |key: &str| source[key].as_str().unwrap_or_default();
        if text("kind") != "OCIRepository" {
            return Err(format!(
                "its source is {}/{}; only an OCIRepository can become the source of a release",
                text("kind"),
                text("name")
            ));
        }
        let namespace = if text("namespace").is_empty() { &id.namespace } else { text("namespace") };
        let mut entries = Vec::new();
        for entry in
            object.pointer("/status/inventory/entries").and_then(Value::as_array).into_iter().flatten()
        {
            let known = entry["id"].as_str().unwrap_or_default();
            let object = ObjectId::from_inventory_id(known).ok_or_else(|| {
                format!(
                    "its status.inventory has {known:?}, which is not of the form namespace_name_group_Kind"
                )
            })?;
            let version = entry["v"].as_str().unwrap_or_default().to_owned();
            entries.push((object, Entry { version, ..Entry::default() }));
        }
        Ok(Self {
            former: Former {
                tool: "Flux".into(),
                label_prefix: KUSTOMIZE.into(),
                managers: vec!["kustomize-controller".into()],
                name: id.name.clone(),
                namespace: id.namespace.clone(),
            },
            source: ReleaseId { namespace: namespace.to_owned(), name: text("name").to_owned() },
            inventory: Inventory { entries: entries.into_iter().collect(), ..Inventory::default() },
        })
    }
}

/// The merge patch that makes Flux ignore the objects, now and when the
/// Kustomization is deleted. It records the previous spec, for a run after an
/// interrupted one.
pub fn rest(kustomization: &Value) -> Value {
    let mut patch = json!({"spec": {"suspend": true, "deletionPolicy": "Orphan"}});
    if saved(kustomization).is_none() {
        let spec = &kustomization["spec"];
        let before = json!({"suspend": spec["suspend"], "deletionPolicy": spec["deletionPolicy"]});
        patch["metadata"] = json!({"annotations": {ADOPTED_FROM: before.to_string()}});
    }
    patch
}

fn saved(kustomization: &Value) -> Option<Value> {
    let annotations = kustomization.pointer("/metadata/annotations")?;
    serde_json::from_str(annotations.get(ADOPTED_FROM)?.as_str()?).ok()
}

/// The objects of Flux that stop working when a Kustomization is adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bystanders {
    /// The objects that wait for it by `dependsOn`.
    pub dependents: Vec<String>,
    /// The other objects that use its source.
    pub readers: Vec<String>,
}

/// Which of the given objects need a Kustomization or its source: other
/// Kustomizations, and HelmReleases with the source as their chart.
pub fn bystanders<'a>(
    me: &ReleaseId,
    source: &ReleaseId,
    objects: impl Iterator<Item = &'a Value>,
) -> Bystanders {
    let mut found = Bystanders::default();
    for object in objects {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let (kind, metadata) = (text(object, "kind"), &object["metadata"]);
        let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
        let named = |reference: &Value| {
            let given = text(reference, "namespace");
            let namespace = if given.is_empty() { namespace.clone() } else { given };
            ReleaseId { namespace, name: text(reference, "name") }
        };
        if kind == "Kustomization" && (&namespace, &name) == (&me.namespace, &me.name) {
            continue;
        }
        let shown = format!("{kind}/{namespace}/{name}");
        let spec = &object["spec"];
        let mut references = ["sourceRef", "chartRef"].iter().map(|field| &spec[*field]);
        if references.any(|r| text(r, "kind") == "OCIRepository" && named(r) == *source) {
            found.readers.push(shown.clone());
        }
        let depends = spec["dependsOn"].as_array().into_iter().flatten();
        // A HelmRelease can only depend on HelmReleases.
        if kind == "Kustomization" && depends.into_iter().any(|other| named(other) == *me) {
            found.dependents.push(shown);
        }
    }
    found
}

/// Whether a release matches the translation, ignoring what the API server adds.
pub fn is_translation(release: &Value, translation: &Value) -> bool {
    let said = translation["spec"].as_object().into_iter().flatten();
    said.into_iter().all(|(key, value)| release["spec"][key] == *value)
}

/// One release for a Kustomization and its OCIRepository.
pub fn translate(id: &ReleaseId, kustomization: &Value, repository: &Value) -> Translation {
    let mut theirs = kustomization["spec"].clone();
    for (field, before) in saved(kustomization).as_ref().and_then(Value::as_object).into_iter().flatten() {
        theirs[field] = before.clone();
    }
    let (theirs, source) = (&theirs, &repository["spec"]);
    let mut lost = Vec::new();
    let present = |value: &Value| {
        !(value.is_null() || *value == json!({}) || *value == json!([]) || *value == json!(false))
    };
    for field in WITHOUT_COUNTERPART.iter().filter(|f| present(&theirs[**f])) {
        lost.push(format!("Kustomization spec.{field}"));
    }
    for field in SOURCE_WITHOUT_COUNTERPART.iter().filter(|f| present(&source[**f])) {
        lost.push(format!("OCIRepository spec.{field}"));
    }
    let post_build = &theirs["postBuild"];
    if !matches!(post_build["substituteStrategy"].as_str(), None | Some("WithVariables")) {
        lost.push(format!(
            "Kustomization spec.postBuild.substituteStrategy {}",
            post_build["substituteStrategy"]
        ));
    }
    if !matches!(source["provider"].as_str(), None | Some("generic")) {
        lost.push(format!("OCIRepository spec.provider {}", source["provider"]));
    }
    if present(&source["serviceAccountName"]) && source["serviceAccountName"] != theirs["serviceAccountName"]
    {
        lost.push("OCIRepository spec.serviceAccountName, which differs from the Kustomization's".into());
    }
    if source.pointer("/layerSelector/operation").and_then(Value::as_str) == Some("copy") {
        lost.push("OCIRepository spec.layerSelector.operation copy".into());
    }
    let elsewhere = repository.pointer("/metadata/namespace").and_then(Value::as_str) != Some(&id.namespace);
    for field in ["secretRef", "certSecretRef"].iter().filter(|f| elsewhere && present(&source[**f])) {
        lost.push(format!("OCIRepository spec.{field}, which is in another namespace"));
    }

    let mut spec = Map::new();
    spec.insert("url".into(), source["url"].clone());
    if present(&source["ref"]) {
        spec.insert("ref".into(), source["ref"].clone());
    }
    if let Some(media_type) = source.pointer("/layerSelector/mediaType") {
        spec.insert("layerSelector".into(), json!({"mediaType": media_type}));
    }
    for (from, field) in SAME_OF_SOURCE.map(|f| (source, f)).into_iter().chain(SAME.map(|f| (theirs, f))) {
        if present(&from[field]) {
            spec.insert(field.into(), from[field].clone());
        }
    }
    if let Some(variables) = variables(post_build) {
        spec.insert("postBuild".into(), variables);
    }
    if let Some(path) = theirs["path"].as_str() {
        // In Flux a leading slash is the root of the artifact.
        spec.insert(
            "path".into(),
            format!("./{}", path.trim_start_matches("./").trim_start_matches('/')).into(),
        );
    }
    spec.insert("prune".into(), theirs["prune"].as_bool().unwrap_or_default().into());
    if [theirs, source].iter().any(|s| s["suspend"] == true) {
        spec.insert("suspend".into(), true.into());
    }
    let release = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": {"name": id.name, "namespace": id.namespace},
        "spec": spec,
    });
    Translation { release, without_counterpart: lost }
}

/// The variables of a Kustomization. Flux fails only since 2.9 where a variable is not declared; what it
/// has applied before is the same without that.
fn variables(post_build: &Value) -> Option<Value> {
    let given = |field: &str| post_build.get(field).filter(|value| !value.is_null()).cloned();
    let fields = ["substitute", "substituteFrom"].into_iter().filter_map(|f| Some((f.to_owned(), given(f)?)));
    let mut fields: Map<String, Value> = fields.collect();
    if fields.is_empty() {
        return None;
    }
    fields.insert("mode".into(), "Flux".into());
    fields.insert("strict".into(), false.into());
    Some(fields.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ReleaseId {
        ReleaseId { namespace: "apps".into(), name: "web".into() }
    }

    fn translated(kustomization: Value, repository: Value) -> Translation {
        translate(
            &id(),
            &json!({"spec": kustomization}),
            &json!({"metadata": {"namespace": "apps"}, "spec": repository}),
        )
    }

    #[test]
    fn both_become_one_release() {
        let patch = json!([{"patch": "x", "target": {"kind": "Deployment"}}]);
        let found = translated(
            json!({"interval": "10m", "retryInterval": "1m", "prune": true, "wait": true, "path": "/deploy", "force": false,
                   "patches": patch, "targetNamespace": "apps", "sourceRef": {"kind": "OCIRepository", "name": "web"}}),
            json!({"interval": "5m", "url": "oci://host/web", "ref": {"semver": "1.x"}, "provider": "generic",
                   "layerSelector": {"mediaType": "a/b", "operation": "extract"}, "secretRef": {"name": "pull"}}),
        );
        assert_eq!(found.without_counterpart, [""; 0]);
        assert_eq!(
            found.release["spec"],
            json!({"interval": "5m", "retryInterval": "1m", "prune": true, "wait": true, "path": "./deploy",
                   "patches": patch, "targetNamespace": "apps", "url": "oci://host/web", "ref": {"semver": "1.x"},
                   "layerSelector": {"mediaType": "a/b"}, "secretRef": {"name": "pull"}})
        );
        assert_eq!(found.release["metadata"], json!({"name": "web", "namespace": "apps"}));
        let post_build = json!({"substitute": {"a": "b"}, "substituteFrom": [{"kind": "Secret", "name": "s"}],
                                "substituteStrategy": "WithVariables"});
        let found = translated(json!({"postBuild": post_build}), json!({"url": "oci://host/web"}));
        assert_eq!(found.without_counterpart, [""; 0]);
        assert_eq!(
            found.release["spec"]["postBuild"],
            json!({"substitute": {"a": "b"}, "substituteFrom": [{"kind": "Secret", "name": "s"}], "mode": "Flux",
                   "strict": false})
        );
    }

    #[test]
    fn what_a_release_cannot_say_is_named() {
        let check = |kustomization: Value, repository: Value, expected: &str| {
            assert_eq!(translated(kustomization, repository).without_counterpart, [expected]);
        };
        let none = || json!({});
        check(
            json!({"postBuild": {"substituteStrategy": "Always"}}),
            none(),
            "Kustomization spec.postBuild.substituteStrategy \"Always\"",
        );
        check(json!({"dependsOn": [{"name": "x"}]}), none(), "Kustomization spec.dependsOn");
        check(none(), json!({"verify": {"provider": "cosign"}}), "OCIRepository spec.verify");
        check(none(), json!({"provider": "aws"}), "OCIRepository spec.provider \"aws\"");
        check(
            none(),
            json!({"layerSelector": {"mediaType": "a", "operation": "copy"}}),
            "OCIRepository spec.layerSelector.operation copy",
        );
        check(
            json!({"serviceAccountName": "a"}),
            json!({"serviceAccountName": "b"}),
            "OCIRepository spec.serviceAccountName, which differs from the Kustomization's",
        );
        let other = json!({"metadata": {"namespace": "flux-system"}, "spec": {"secretRef": {"name": "x"}}});
        let found = translate(&id(), &json!({"spec": {}}), &other).without_counterpart;
        assert_eq!(found, ["OCIRepository spec.secretRef, which is in another namespace"]);
    }

    #[test]
    fn what_the_spec_said_before_outlives_a_run_that_was_cut_off() {
        let before = json!({"metadata": {}, "spec": {"prune": true, "deletionPolicy": "Delete"}});
        let patch = rest(&before);
        assert_eq!(patch["spec"], json!({"suspend": true, "deletionPolicy": "Orphan"}));
        let mut after = before.clone();
        after["spec"]["suspend"] = true.into();
        after["spec"]["deletionPolicy"] = "Orphan".into();
        after["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
        let repository = json!({"metadata": {"namespace": "apps"}, "spec": {"url": "oci://host/web"}});
        let release = |object: &Value| translate(&id(), object, &repository).release;
        assert_eq!(release(&after), release(&before));
        assert_eq!(rest(&after).get("metadata"), None, "what was saved first is kept");
        let mut created = release(&before);
        created["spec"]["interval"] = "5m".into();
        assert!(is_translation(&created, &release(&before)));
        created["spec"]["prune"] = false.into();
        assert!(!is_translation(&created, &release(&before)));
    }

    #[test]
    fn who_needs_it_or_its_source_is_found() {
        let object = |kind: &str, namespace: &str, name: &str, spec: Value| json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec});
        let source = |namespace: &str, name: &str| json!({"kind": "OCIRepository", "namespace": namespace, "name": name});
        let objects = [
            object(
                "Kustomization",
                "apps",
                "web",
                json!({"sourceRef": source("", "web"), "dependsOn": [{"name": "db"}]}),
            ),
            object("Kustomization", "apps", "two", json!({"sourceRef": source("", "web")})),
            object(
                "Kustomization",
                "infra",
                "three",
                json!({"sourceRef": source("apps", "web"), "dependsOn": [{"name": "web"}]}),
            ),
            object(
                "Kustomization",
                "infra",
                "four",
                json!({"sourceRef": source("", "web"), "dependsOn": [{"name": "web", "namespace": "apps"}]}),
            ),
            object(
                "Kustomization",
                "apps",
                "five",
                json!({"sourceRef": {"kind": "GitRepository", "name": "web"}, "dependsOn": [{"name": "web"}]}),
            ),
            object(
                "HelmRelease",
                "apps",
                "web",
                json!({"chartRef": source("", "web"), "dependsOn": [{"name": "web"}]}),
            ),
            object("HelmRelease", "apps", "six", json!({"chart": {"spec": {}}})),
        ];
        let found = bystanders(&id(), &id(), objects.iter());
        assert_eq!(
            found.readers,
            ["Kustomization/apps/two", "Kustomization/infra/three", "HelmRelease/apps/web"]
        );
        assert_eq!(found.dependents, ["Kustomization/infra/four", "Kustomization/apps/five"]);
    }

    #[test]
    fn what_it_applied_is_read() {
        let object = json!({
            "spec": {"sourceRef": {"kind": "OCIRepository", "name": "web", "namespace": "flux-system"}},
            "status": {"inventory": {"entries": [{"id": "apps_web_apps_Deployment", "v": "v1"}]}},
        });
        let read = FluxKustomization::read(&id(), &object).unwrap();
        assert_eq!(read.source, ReleaseId { namespace: "flux-system".into(), name: "web".into() });
        assert_eq!(read.inventory.entries.len(), 1);
        let git = json!({"spec": {"sourceRef": {"kind": "GitRepository", "name": "web"}}});
        assert!(FluxKustomization::read(&id(), &git).unwrap_err().contains("GitRepository/web"));
    }
}
