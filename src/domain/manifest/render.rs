//! Turns the files of an artifact into the objects that will be applied: which files
//! are read, which namespace an object gets, which fields are removed. Whether the
//! cluster accepts the objects is not decided here.

mod namespace;
pub(in crate::domain) mod strip;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use self::namespace::{Namespacing, scope_of};
use super::budget::{Budget, SCALAR_BYTES};
use super::chart::{arrange, arrange_definitions, hide_values};
use super::decode::{Decoded, MAX_REPORTED, ManifestFault, decode_within};
use super::patch::PatchError;
use super::patch::image::ImageChange;
use super::patch::set::{MAX_ADDED_BYTES, Set};
use super::patch::spec::ParsedPatch;
use super::substitute::{Redaction, Substitution, SubstitutionError, substitute};
use crate::api::reason::Reason;
use crate::domain::message::List;
use crate::domain::objects::identity::{GroupKind, ObjectId};
use crate::domain::objects::object::Object;
use crate::domain::release::inputs::RenderInputs;

/// How a release changes the objects of its artifact.
#[derive(Clone, Debug, Default)]
pub struct RenderOptions {
    /// `spec.patches`, in their order.
    pub patches: Arc<[ParsedPatch]>,
    /// `spec.images`.
    pub images: Arc<[ImageChange]>,
    /// `spec.postBuild`: variables that are replaced in the objects.
    pub substitution: Option<Arc<Substitution>>,
    /// What the spec names as inputs of the rendering.
    pub inputs: Arc<RenderInputs>,
    /// Where the files are the output of a chart: what becomes of its hooks.
    pub chart: Option<ChartRendering>,
    /// `spec.targetNamespace`: set on every namespaced object.
    pub target_namespace: Option<String>,
    /// Set on namespaced objects without a namespace: the namespace of the release.
    pub default_namespace: String,
    /// `spec.commonMetadata.labels`: set on every object, not on what it
    /// contains.
    pub labels: BTreeMap<String, String>,
    /// `spec.commonMetadata.annotations`, likewise.
    pub annotations: BTreeMap<String, String>,
}

/// What is done with the output of a chart.
#[derive(Clone, Debug, Default)]
pub struct ChartRendering {
    /// Whether hooks are left out.
    pub skips_hooks: bool,
    /// Identifies the revision and its options: a hook runs once for it.
    pub run: String,
    /// The values that come from Secrets: the fields that have them are not shown.
    pub secrets: Redaction,
}

/// What is known about the kinds of a cluster.
pub trait Scopes {
    /// Whether objects of the kind live in a namespace; `None` when the kind is
    /// not known.
    fn namespaced(&self, kind: &GroupKind) -> Option<bool>;
}

/// What is wrong with the files, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first [`MAX_REPORTED`].
    pub first: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl From<Vec<String>> for Problems {
    fn from(mut first: Vec<String>) -> Self {
        let more = first.len().saturating_sub(MAX_REPORTED);
        first.truncate(MAX_REPORTED);
        Self { first, more }
    }
}

impl Problems {
    /// Adds one, which is written only if it is shown.
    fn push(&mut self, write: impl FnOnce() -> String) {
        match self.first.len() < MAX_REPORTED {
            true => self.first.push(write()),
            false => self.more += 1,
        }
    }

    fn one(problem: String) -> Self {
        Self { first: vec![problem], more: 0 }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&List::Clauses.with_more(&self.first, self.more))
    }
}

/// Why the files cannot be read as objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Documents that are not manifests, duplicate objects, files that are not
    /// supported yet.
    #[error("{0}")]
    Invalid(Problems),
    /// The documents are larger than the limit.
    #[error("{0}")]
    TooLarge(Problems),
    /// The files of a kustomization among manifests.
    #[error(
        "kustomize files are not built where other manifests are read: {places}; select the directory of the \
         kustomization (spec.path: {directory}), or leave them out"
    )]
    Kustomization {
        /// The files or documents.
        places: Problems,
        /// The directory of the first.
        directory: String,
    },
    /// A patch of the spec does not apply.
    #[error("spec.{0}")]
    Patch(PatchError),
    /// A variable cannot be replaced.
    #[error("cannot replace variables: {0}")]
    Substitution(SubstitutionError),
}

impl RenderError {
    /// The reason for conditions, events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Invalid(_) => Reason::ManifestInvalid,
            Self::TooLarge(_) => Reason::ArtifactTooLarge,
            Self::Kustomization { .. } => Reason::KustomizationRefused,
            Self::Patch(error) => error.reason(),
            Self::Substitution(_) => Reason::SubstitutionFailed,
        }
    }
}

/// Renders the files below the path of a release, given as relative path and
/// content in any order. Only `.yaml`, `.yml` and `.json` files are read, in the
/// order of their paths. Without files or documents the result is empty: the caller
/// decides what that means.
///
/// # Errors
/// All problems of one sort that one pass over the files finds.
pub fn render(
    files: &[(String, impl AsRef<[u8]>)],
    options: &RenderOptions,
    scopes: &dyn Scopes,
) -> Result<Vec<Object>, RenderError> {
    render_within(files, options, scopes, &mut Budget::default())
}

/// Like [`render`], with a limit for the memory of the objects.
///
/// # Errors
/// As [`render`].
pub fn render_within(
    files: &[(String, impl AsRef<[u8]>)],
    options: &RenderOptions,
    scopes: &dyn Scopes,
    budget: &mut Budget,
) -> Result<Vec<Object>, RenderError> {
    let mut files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (&**path, bytes.as_ref())).collect();
    files.sort_unstable_by_key(|(path, _)| *path);
    refuse_kustomizations(files.iter().map(|(path, _)| *path))?;
    let decoded = decode_all(&files, budget)?;
    let decoded = match (&options.chart, &files[..]) {
        (Some(_), [(_, output)]) => arrange_definitions(decoded, output),
        _ => decoded,
    };
    let decoded = patched(decoded, options, budget)?;
    let decoded = substituted(decoded, options, &files, budget)?;
    let mut decoded = arranged(decoded, options)?;
    let target = options.target_namespace.as_deref();
    let namespacing = Namespacing::new(&decoded, target, &options.default_namespace);
    let namespaced: Vec<bool> = {
        let defined = scope_of(&decoded);
        let known = |kind: &GroupKind| scopes.namespaced(kind).or_else(|| defined.get(kind).copied());
        // An unknown kind counts as namespaced, as in kustomize. It does not
        // matter: the dry run does not find the kind either.
        decoded.iter().map(|d| known(&d.object.group_kind()).unwrap_or(true)).collect()
    };
    let pairs = options.labels.iter().chain(&options.annotations);
    let common: u64 = pairs.map(|(key, value)| 2 * SCALAR_BYTES + (key.len() + value.len()) as u64).sum();
    for (Decoded { object, .. }, namespaced) in decoded.iter_mut().zip(namespaced) {
        if !budget.spend(common) {
            return Err(RenderError::TooLarge(Problems::one(budget.exceeded())));
        }
        strip::server_fields(object);
        strip::secret_strings(object);
        namespacing.apply(object, namespaced);
        options.labels.iter().for_each(|(key, value)| object.set_label(key, value));
        options.annotations.iter().for_each(|(key, value)| object.set_annotation(key, value));
    }
    refuse_duplicates(&decoded)?;
    Ok(decoded.into_iter().map(|d| d.object).collect())
}

/// Refuses the files of an artifact when one is the input of a kustomize build: the
/// files next to it are not what the build would produce.
///
/// # Errors
/// The files, and what to do.
pub fn refuse_kustomizations<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<(), RenderError> {
    let named = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
    };
    let (mut first, mut places) = (None, Problems::default());
    for path in paths.into_iter().filter(named) {
        first = first.or(Some(path));
        places.push(|| path.to_owned());
    }
    first.map_or(Ok(()), |first| Err(kustomization(first, places)))
}

fn kustomization(first: &str, places: Problems) -> RenderError {
    let directory = first.rsplit_once('/').map_or(".", |(directory, _)| directory).to_owned();
    RenderError::Kustomization { places, directory }
}

fn decode_all(files: &[(&str, &[u8])], budget: &mut Budget) -> Result<Vec<Decoded>, RenderError> {
    let mut decoded = Vec::new();
    let [mut invalid, mut too_large, mut kustomizations] =
        [const { Problems { first: Vec::new(), more: 0 } }; 3];
    let mut directory = None;
    for (path, bytes) in files {
        match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml" | "json") => match decode_within(path, bytes, budget) {
                Ok(found) => decoded.extend(found),
                Err(found) => {
                    for error in &found.first {
                        let problems = match error.fault {
                            ManifestFault::Invalid => &mut invalid,
                            ManifestFault::TooLarge => &mut too_large,
                            ManifestFault::Kustomization => {
                                directory.get_or_insert(*path);
                                &mut kustomizations
                            }
                        };
                        problems.push(|| error.to_string());
                    }
                    invalid.more += found.more(ManifestFault::Invalid);
                    too_large.more += found.more(ManifestFault::TooLarge);
                    kustomizations.more += found.more(ManifestFault::Kustomization);
                }
            },
            Some("age") => invalid.push(|| {
                format!(
                    "{path}: the file is encrypted, which is not supported yet; \
                     push it decrypted or leave it out of spec.path"
                )
            }),
            _ => {}
        }
    }
    match directory {
        Some(first) => Err(kustomization(first, kustomizations)),
        None if !too_large.first.is_empty() => Err(RenderError::TooLarge(too_large)),
        None if !invalid.first.is_empty() => Err(RenderError::Invalid(invalid)),
        None => Ok(decoded),
    }
}

/// Patches and image changes are applied before all other changes of the release, as
/// in a kustomization: a patch names objects as the artifact does.
fn patched(
    decoded: Vec<Decoded>,
    options: &RenderOptions,
    budget: &mut Budget,
) -> Result<Vec<Decoded>, RenderError> {
    if options.patches.is_empty() && options.images.is_empty() {
        return Ok(decoded);
    }
    refuse_duplicates(&decoded)?;
    let (objects, origins): (Vec<_>, Vec<_>) = decoded.into_iter().map(|d| (d.object, d.origin)).unzip();
    let may_add = budget.left().min(MAX_ADDED_BYTES);
    let mut set = Set::within(objects, may_add);
    // Most of what patches write replaces something. So the objects are measured before
    // the limit counts as exceeded.
    let (before, mut grown) = (set.bytes(), 0);
    let mut patches = options.patches.iter();
    let applied = patches
        .try_for_each(|patch| {
            if set.added() > (may_add - grown) / 2 {
                grown = set.bytes().saturating_sub(before).min(may_add);
                set.allow(may_add - grown);
            }
            patch.apply(&mut set)
        })
        .and_then(|()| set.change_images(&options.images))
        .and_then(|()| set.follow_names());
    let exhausted = set.added() >= may_add - grown && may_add < MAX_ADDED_BYTES;
    if !budget.spend(grown + set.added()) || exhausted {
        return Err(RenderError::TooLarge(Problems::one(budget.exceeded())));
    }
    applied.map_err(RenderError::Patch)?;
    let place = |(index, object): (usize, Object)| {
        origins.get(index).map(|origin| Decoded { object, origin: origin.clone() })
    };
    Ok(set.into_objects().into_iter().filter_map(place).collect())
}

/// Variables are replaced after the patches, as in Flux: a patch may contain them. Flux sets namespaces
/// and common metadata before, which makes no difference: both overwrite what was there.
fn substituted(
    decoded: Vec<Decoded>,
    options: &RenderOptions,
    files: &[(&str, &[u8])],
    budget: &mut Budget,
) -> Result<Vec<Decoded>, RenderError> {
    let Some(substitution) = &options.substitution else { return Ok(decoded) };
    substitute(decoded, substitution, &options.inputs, files, budget).map_err(|error| match error {
        SubstitutionError::TooLarge => RenderError::TooLarge(Problems::one(budget.exceeded())),
        error @ SubstitutionError::Invalid { .. } => RenderError::Substitution(error),
    })
}

/// Hooks get their places after the patches, which may decide about them.
fn arranged(decoded: Vec<Decoded>, options: &RenderOptions) -> Result<Vec<Decoded>, RenderError> {
    let Some(chart) = &options.chart else { return Ok(decoded) };
    let arranged = arrange(decoded, chart.skips_hooks, &chart.run);
    let mut arranged = arranged.map_err(|problems| RenderError::Invalid(problems.into()))?;
    for Decoded { object, .. } in &mut arranged {
        hide_values(object, &chart.secrets);
    }
    Ok(arranged)
}

fn refuse_duplicates(decoded: &[Decoded]) -> Result<(), RenderError> {
    let mut seen: HashMap<ObjectId, &Decoded> = HashMap::with_capacity(decoded.len());
    let mut problems = Problems::default();
    for current in decoded {
        match seen.entry(current.object.id()) {
            Entry::Vacant(entry) => {
                entry.insert(current);
            }
            Entry::Occupied(first) => {
                let (place, other) = (&current.origin, &first.get().origin);
                problems.push(|| format!("{place}: duplicate object {}, also in {other}", first.key()));
            }
        }
    }
    if problems.first.is_empty() { Ok(()) } else { Err(RenderError::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::patch::allowance::Allowance;
    use crate::domain::message::and_more;

    struct Cluster;

    impl Scopes for Cluster {
        fn namespaced(&self, kind: &GroupKind) -> Option<bool> {
            match &*kind.kind {
                "Namespace"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "CustomResourceDefinition"
                | "APIService"
                | "ValidatingWebhookConfiguration" => Some(false),
                "ConfigMap" | "ServiceAccount" | "Service" | "RoleBinding" | "Deployment" => Some(true),
                _ => None,
            }
        }
    }

    fn options(target: Option<&str>) -> RenderOptions {
        RenderOptions {
            target_namespace: target.map(str::to_owned),
            default_namespace: "release".into(),
            ..RenderOptions::default()
        }
    }

    fn rendered(files: &[(&str, &str)], options: &RenderOptions) -> Result<Vec<Object>, RenderError> {
        let files: Vec<_> = files.iter().map(|(p, b)| ((*p).to_owned(), b.as_bytes().to_vec())).collect();
        render(&files, options, &Cluster)
    }

    fn ids(files: &[(&str, &str)], target: Option<&str>) -> String {
        let objects = rendered(files, &options(target)).unwrap();
        objects.iter().map(|o| o.id().to_string()).collect::<Vec<_>>().join(" ")
    }

    fn refused(files: &[(&str, &str)], reason: Reason, message: &str) {
        let error = rendered(files, &options(None)).unwrap_err();
        assert_eq!((error.reason(), error.to_string()), (reason, message.to_owned()));
    }

    const A: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}";
    const B: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: other}}";

    #[test]
    fn files_count_by_their_extension_in_order() {
        let files = [("b/z.json", B), ("README.md", "{{"), ("b.yml", A), ("b/yaml", "{{"), ("b-a.txt", "x")];
        assert_eq!(ids(&files, None), "ConfigMap/release/a ConfigMap/other/b");
        assert_eq!(ids(&[], None), "");
        assert_eq!(ids(&[("a.yaml", "# nothing\n")], None), "");
    }

    #[test]
    fn promise_7_broken_documents_are_counted_and_not_kept() {
        let name = format!("{}.yaml", "a".repeat(1019));
        let check = |document: &str, count: usize, says: &str| {
            let error = rendered(&[(&name, &document.repeat(count))], &options(None)).unwrap_err();
            let RenderError::Invalid(problems) = &error else { panic!("{error:?}") };
            assert_eq!((problems.first.len(), problems.more), (MAX_REPORTED, count - MAX_REPORTED));
            let more = and_more(problems.more).unwrap();
            assert!(error.to_string().ends_with(&format!("{says}; {more}")), "{says}");
            assert!(problems.first.iter().all(|problem| problem.capacity() < 4096));
        };
        check("a\n---\n", 200_000, "line 39: the document is not a mapping");
        let errors = super::super::decode::decode(&name, "a\n---\n".repeat(1000).as_bytes()).unwrap_err();
        assert_eq!((errors.first.len(), errors.more_of_all()), (MAX_REPORTED, 980));
        let object = format!("{A}\n---\n");
        let error = rendered(&[(&name, &object.repeat(10_000))], &options(None)).unwrap_err();
        let RenderError::Invalid(problems) = error else { panic!("{error:?}") };
        assert_eq!((problems.first.len(), problems.more), (MAX_REPORTED, 9999 - MAX_REPORTED));
        // The other sorts are found behind them.
        let kustomization = "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n";
        let file = "a\n---\n".repeat(100) + kustomization;
        let error = rendered(&[("x/a.yaml", &file)], &options(None)).unwrap_err().to_string();
        let says =
            "read: x/a.yaml: document 101, line 201: the document is a kustomize Kustomization; select";
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn what_the_spec_adds_to_all_objects_counts_too() {
        let documents: String = (0..100)
            .map(|n| format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: n{n}}}}}\n"))
            .collect();
        let files = [("a.yaml".to_owned(), documents)];
        let large = "x".repeat(1000);
        let patch = ParsedPatch::parse_all(
            "patches",
            &[crate::api::patch::Patch {
                patch: format!(r#"[{{"op": "add", "path": "/data", "value": {{"k": "{large}"}}}}]"#),
                target: Some(crate::api::patch::Target {
                    kind: Some("ConfigMap".into()),
                    ..Default::default()
                }),
                options: None,
            }],
            &mut Allowance::default(),
        )
        .unwrap();
        let annotated = RenderOptions {
            annotations: BTreeMap::from([("example.com/a".to_owned(), large.clone())]),
            ..options(None)
        };
        let patched = RenderOptions { patches: patch.into(), ..options(None) };
        let spent = |options: &RenderOptions| {
            let mut budget = Budget::default();
            render_within(&files, options, &Cluster, &mut budget).unwrap();
            budget.spent()
        };
        let plain = spent(&options(None));
        for options in [annotated, patched] {
            let added = spent(&options) - plain;
            assert!((100_000..300_000).contains(&added), "{added}");
            let mut budget = Budget::new(plain + 50_000);
            let error = render_within(&files, &options, &Cluster, &mut budget).unwrap_err();
            assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
        }
    }

    #[test]
    fn kustomizations_among_manifests_are_refused_with_their_directory() {
        let found = |places: &str, directory: &str| {
            format!(
                "kustomize files are not built where other manifests are read: {places}; select the directory of the \
                 kustomization (spec.path: {directory}), or leave them out"
            )
        };
        let check = |files: &[(&str, &str)], places: &str, directory: &str| {
            refused(files, Reason::KustomizationRefused, &found(places, directory));
        };
        let files = [("a.yaml", "{{"), ("apps/web/kustomization.yaml", "")];
        check(&files, "apps/web/kustomization.yaml", "apps/web");
        check(&[("Kustomization", "")], "Kustomization", ".");
        let document = [("d/a.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")];
        check(&document, "d/a.yaml: document 1, line 1: the document is a kustomize Kustomization", "d");
    }

    #[test]
    fn all_problems_are_reported_up_to_a_limit() {
        refused(
            &[("a.yaml", "kind: A\n---\na: %b\n"), ("b.yaml.age", "age-encryption.org/v1"), ("c.yaml", A)],
            Reason::ManifestInvalid,
            "a.yaml: document 1, line 1: apiVersion is missing or is not a string; \
             a.yaml: document 2, line 3: not valid YAML: found character that cannot start any token while scanning for the \
             next token; \
             b.yaml.age: the file is encrypted, which is not supported yet; push it decrypted or leave it out of \
             spec.path",
        );
        let broken = "kind: A\n---\n".repeat(30);
        let error = rendered(&[("a.yaml", &broken)], &options(None)).unwrap_err();
        assert!(error.to_string().ends_with("; and 10 more"), "{error}");
    }

    #[test]
    fn an_object_that_is_there_twice_is_refused() {
        let twice = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: release}}";
        refused(
            &[("a.yaml", "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"), ("b.json", twice)],
            Reason::ManifestInvalid,
            "b.json: document 1, line 1: duplicate object ConfigMap/release/b, also in a.yaml: document 1, line 2",
        );
    }

    #[test]
    fn namespaces_are_set_where_they_belong() {
        let files = [("a.yaml", A), ("b.yaml", B)];
        assert_eq!(ids(&files, Some("target")), "ConfigMap/target/a ConfigMap/target/b");
        let scoped = "{apiVersion: v1, kind: Namespace, metadata: {name: ns, namespace: x}}";
        assert_eq!(ids(&[("a.yaml", scoped)], Some("target")), "Namespace/ns");
        assert_eq!(ids(&[("a.yaml", scoped)], None), "Namespace/ns");
        let unknown = "{apiVersion: x.io/v1, kind: X, metadata: {name: x}}";
        assert_eq!(ids(&[("a.yaml", unknown)], None), "X/release/x");
        let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n\
                          spec: {group: x.io, scope: Cluster, names: {kind: X}}\n";
        let files = [("a.yaml", unknown), ("b.yaml", definition)];
        assert_eq!(ids(&files, Some("target")), "X/x CustomResourceDefinition/x");
    }

    #[test]
    fn references_follow_into_the_target_namespace() {
        let accounts = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}\n---\n\
                        {apiVersion: v1, kind: Service, metadata: {name: hook, namespace: old}}\n";
        let check = |text: &str, pointer: &str, expected: &str| {
            let objects =
                rendered(&[("a.yaml", accounts), ("b.yaml", text)], &options(Some("target"))).unwrap();
            let found = objects[2].value().pointer(pointer).map(ToString::to_string).unwrap_or_default();
            assert_eq!(found, expected, "{text}");
        };
        let subject = |kind: &str, rest: &str, expected: &str| {
            let text = format!(
                "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: b}}, \
                 subjects: [{{kind: {kind}, {rest}}}]}}"
            );
            check(&text, "/subjects/0/namespace", expected);
        };
        subject("ServiceAccount", "name: default", "\"target\"");
        subject("ServiceAccount", "name: default, namespace: other", "\"target\"");
        subject("ServiceAccount", "name: robot", "\"target\"");
        subject("ServiceAccount", "name: robot, namespace: default", "\"target\"");
        subject("ServiceAccount", "name: robot, namespace: other", "\"other\"");
        subject("ServiceAccount", "name: stranger, namespace: other", "\"other\"");
        subject("User", "name: default", "");
        let webhook = |service: &str, expected: &str| {
            let text = format!(
                "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, \
                 metadata: {{name: w}}, webhooks: [{{clientConfig: {{service: {{{service}}}}}}}]}}"
            );
            check(&text, "/webhooks/0/clientConfig/service/namespace", expected);
        };
        webhook("name: hook, namespace: old", "\"target\"");
        webhook("name: other, namespace: old", "\"old\"");
        check(
            "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x}, \
             spec: {service: {name: s, namespace: old}}}",
            "/spec/service/namespace",
            "\"target\"",
        );
    }

    #[test]
    fn common_metadata_goes_on_the_objects_alone() {
        let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, labels: {a: old, b: b}}, \
                          spec: {template: {metadata: {labels: {b: b}}}}, status: {}}";
        let options = RenderOptions {
            labels: BTreeMap::from([("a".into(), "new".into())]),
            annotations: BTreeMap::from([("c".into(), "d".into())]),
            ..options(None)
        };
        let objects = rendered(&[("a.yaml", deployment)], &options).unwrap();
        let expected = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"c":"d"},"labels":{"a":"new","b":"b"},"name":"d","namespace":"release"},"spec":{"template":{"metadata":{"labels":{"b":"b"}}}}}"#;
        assert_eq!(objects[0].value().to_string(), expected);
    }
}
