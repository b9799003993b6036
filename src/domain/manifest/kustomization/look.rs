//! The walk through the kustomizations of an artifact.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::rc::Rc;

use super::document::{Content, Node, documents};
use super::fields::{FIELDS, Meaning};
use super::path::{Target, follow};
use super::plugin;
use super::refusal::{KustomizationRefusal, Place};
use super::remote::{has_scheme, is_repository, is_url, shown};

/// The names that kustomize looks for, in its order.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// How deep kustomizations may name others.
const MAX_NESTING: usize = 50;

/// How much of an artifact is looked at, in bytes of text that is read and names that are followed. A
/// small text can name one thing very often, by aliases too.
const MAX_WORK: usize = 64 << 20;

/// What following one name counts, in addition to its bytes.
const NAME: usize = 64;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// How many kustomizations are part of the build.
    pub kustomizations: usize,
    /// Whether values of Secrets are part of the build.
    pub has_secrets: bool,
}

/// The kustomization of a directory of the artifact, as a file from its root.
pub fn kustomization_of<'f>(files: &BTreeMap<&'f str, &[u8]>, directory: &str) -> Option<&'f str> {
    NAMES.iter().find_map(|name| {
        let file = if directory.is_empty() { (*name).to_owned() } else { format!("{directory}/{name}") };
        files.get_key_value(file.as_str()).map(|(file, _)| *file)
    })
}

/// Two files that cannot both be in one directory tree: one name twice, or a file that is also a
/// directory.
pub fn tree_conflict<'f>(names: impl IntoIterator<Item = &'f str>) -> Option<&'f str> {
    let mut sorted: Vec<&str> = names.into_iter().collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    twice.or_else(|| {
        let all: HashSet<&str> = sorted.iter().copied().collect();
        sorted.iter().find_map(|name| {
            let parents = name.match_indices('/').map(|(at, _)| &name[..at]);
            parents.into_iter().find(|parent| all.contains(parent))
        })
    })
}

/// Looks at everything that the kustomization in a directory of the artifact names.
///
/// # Errors
/// The first that is not built, in the order of kustomize.
pub fn look(files: &BTreeMap<&str, &[u8]>, directory: &str) -> Result<Looked, KustomizationRefusal> {
    let mut walk = Walk {
        files,
        seen: HashSet::new(),
        seen_plugins: HashSet::new(),
        open: Vec::new(),
        work: Cell::new(0),
        looked: Looked::default(),
    };
    let start = Place { file: directory, line: 1, field: "path" };
    walk.kustomization(directory, start, Role::Manifests)?;
    walk.looked.has_secrets |= files.values().any(|content| has_secret(content));
    Ok(walk.looked)
}

/// What the documents of a kustomization are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Manifests,
    Plugins,
}

struct Walk<'f> {
    files: &'f BTreeMap<&'f str, &'f [u8]>,
    seen: HashSet<(String, Role)>,
    /// The files with plugins, and the directories that name them.
    seen_plugins: HashSet<(&'f str, String)>,
    /// The directories that are being looked at, the first one first.
    open: Vec<String>,
    /// See [`MAX_WORK`].
    work: Cell<usize>,
    looked: Looked,
}

impl<'f> Walk<'f> {
    fn kustomization(
        &mut self,
        directory: &str,
        from: Place<'_>,
        role: Role,
    ) -> Result<(), KustomizationRefusal> {
        if let Some(at) = self.open.iter().position(|open| open == directory) {
            let cycle = self.open[at..].iter().map(String::as_str).chain([directory]);
            let cycle: Vec<&str> = cycle.map(|name| if name.is_empty() { "." } else { name }).collect();
            return Err(from.refuse(format!("kustomizations name each other: {}", cycle.join(" → "))));
        }
        if !self.seen.insert((directory.to_owned(), role)) {
            return Ok(());
        }
        if self.open.len() >= MAX_NESTING {
            let why = format!("kustomizations are nested more than {MAX_NESTING} deep");
            return Err(from.refuse(why));
        }
        let Some(file) = kustomization_of(self.files, directory) else {
            return Err(from.refuse(format!("{} has no kustomization.yaml", dotted(directory))));
        };
        self.looked.kustomizations += 1;
        self.open.push(directory.to_owned());
        for document in self.documents(file)? {
            self.document(&document, file, directory, role)?;
        }
        self.open.pop();
        Ok(())
    }

    /// Counts what is read.
    fn spend(&self, bytes: usize, place: Place<'_>) -> Result<(), KustomizationRefusal> {
        let work = self.work.get().saturating_add(bytes);
        self.work.set(work);
        match work > MAX_WORK {
            true => Err(place.refuse("the kustomizations name too much to look at")),
            false => Ok(()),
        }
    }

    fn documents(&self, file: &str) -> Result<Vec<Rc<Node>>, KustomizationRefusal> {
        let content = self.files.get(file).copied().unwrap_or_default();
        self.spend(content.len(), Place { file, line: 1, field: "size" })?;
        documents(content).map_err(|problem| KustomizationRefusal {
            file: file.to_owned(),
            line: problem.line,
            message: problem.message,
        })
    }

    fn document(
        &mut self,
        document: &Node,
        file: &'f str,
        directory: &str,
        role: Role,
    ) -> Result<(), KustomizationRefusal> {
        for (key, node) in document.fields() {
            let Some((field, meaning)) = FIELDS.iter().find(|(name, _)| key.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            let place = Place { file, line: node.line, field };
            self.spend(NAME, place)?;
            let meaning = match (meaning, role) {
                (Meaning::Resources, Role::Plugins) => Meaning::Plugins,
                (meaning, _) => *meaning,
            };
            self.looked.has_secrets |= *field == "secretGenerator" && !node.is_empty();
            if meaning == Meaning::Charts && !node.is_empty() {
                return Err(place.refuse(plugin::HELM));
            }
            if meaning == Meaning::Mappings {
                let all = std::iter::once(node).chain(node.items());
                all.into_iter().try_for_each(|mapping| {
                    self.spend(NAME, place)?;
                    self.mapping(mapping, place, directory)
                })?;
                continue;
            }
            for item in node.items() {
                let Some(text) = item.text().filter(|text| !text.is_empty()) else { continue };
                let place = place.at(item.line);
                self.spend(text.len() + NAME, place)?;
                match meaning {
                    Meaning::Resources => self.resource(text, place, directory, role)?,
                    Meaning::Directories => {
                        let target = self.inside(text, place, directory)?;
                        self.kustomization(&target, place, role)?;
                    }
                    Meaning::Files => self.file(text, place, directory).map(drop)?,
                    Meaning::FilesOrDocuments if is_document(text) => {}
                    Meaning::FilesOrDocuments => self.file(text, place, directory).map(drop)?,
                    Meaning::Plugins => self.plugin(text, place, directory)?,
                    Meaning::Mappings | Meaning::Charts => {}
                }
            }
        }
        Ok(())
    }

    fn resource(
        &mut self,
        text: &str,
        place: Place<'_>,
        directory: &str,
        role: Role,
    ) -> Result<(), KustomizationRefusal> {
        let target = self.inside(text, place, directory)?;
        if self.files.contains_key(target.as_str()) {
            return Ok(());
        }
        self.exists(&target, text, place)?;
        self.kustomization(&target, place, role)
    }

    /// A mapping that names files, such as a patch or the generator of a ConfigMap.
    fn mapping(&self, mapping: &Node, place: Place<'_>, directory: &str) -> Result<(), KustomizationRefusal> {
        for (key, node) in mapping.fields() {
            let key = key.to_ascii_lowercase();
            if !matches!(key.as_str(), "path" | "paths" | "files" | "envs" | "env") {
                continue;
            }
            for value in std::iter::once(node).chain(node.items()) {
                self.spend(NAME, place)?;
                let Some(text) = value.text().filter(|text| !text.is_empty()) else { continue };
                // `key=path`, in files only.
                let path = text.split_once('=').filter(|_| key == "files").map_or(text, |(_, path)| path);
                self.file(path, place.at(value.line), directory)?;
            }
        }
        Ok(())
    }

    fn plugin(&mut self, text: &str, place: Place<'_>, directory: &str) -> Result<(), KustomizationRefusal> {
        if is_document(text) {
            let inline = documents(text.as_bytes()).map_err(|problem| place.refuse(problem.message))?;
            let checked = inline.iter().try_for_each(|document| {
                plugin::check(document, place)?;
                self.configuration(document, place, directory)
            });
            // Lines in the text are no lines of the file.
            return checked.map_err(|refusal| KustomizationRefusal { line: place.line, ..refusal });
        }
        let target = self.inside(text, place, directory)?;
        let Some((file, _)) = self.files.get_key_value(target.as_str()) else {
            self.exists(&target, text, place)?;
            return self.kustomization(&target, place, Role::Plugins);
        };
        let file: &'f str = file;
        if !self.seen_plugins.insert((file, directory.to_owned())) {
            return Ok(());
        }
        for document in self.documents(file)? {
            if document.is_empty() {
                continue;
            }
            let place = Place { file, line: document.line, ..place };
            plugin::check(&document, place)?;
            self.configuration(&document, place, directory)?;
        }
        Ok(())
    }

    /// The files that the configuration of a generator or transformer names: from the directory of
    /// the kustomization.
    fn configuration(
        &self,
        document: &Node,
        place: Place<'_>,
        directory: &str,
    ) -> Result<(), KustomizationRefusal> {
        self.mapping(document, place, directory)?;
        let replacements = document.field("replacements").map(Node::items).unwrap_or_default();
        replacements.iter().try_for_each(|item| self.mapping(item, place.of("replacements"), directory))
    }

    /// A file of the artifact.
    fn file(&self, text: &str, place: Place<'_>, directory: &str) -> Result<String, KustomizationRefusal> {
        let target = self.inside(text, place, directory)?;
        match self.files.contains_key(target.as_str()) {
            true => Ok(target),
            // What is no file may be a value by mistake.
            false if place.field == "secretGenerator" => {
                Err(place.refuse("a file that is named here is not a file of the artifact"))
            }
            false => Err(place.refuse(format!("{} is not a file of the artifact", quoted(text)))),
        }
    }

    fn exists(&self, target: &str, text: &str, place: Place<'_>) -> Result<(), KustomizationRefusal> {
        let below = format!("{target}/");
        let first = self.files.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next();
        let is_directory = target.is_empty() || first.is_some_and(|(name, _)| name.starts_with(&below));
        match is_directory {
            true => Ok(()),
            false => Err(place.refuse(format!("{} is not in the artifact", quoted(text)))),
        }
    }

    /// A path inside of the artifact, from its root.
    fn inside(&self, text: &str, place: Place<'_>, directory: &str) -> Result<String, KustomizationRefusal> {
        let remote = || {
            let address = shown(text);
            Err(place.refuse(format!(
                "{address} is on another machine, and builds have no network; put a copy into the artifact"
            )))
        };
        if is_url(text) {
            return remote();
        }
        let target = follow(directory, text);
        if let Target::Inside(path) = &target
            && self.files.contains_key(path.as_str())
        {
            return Ok(path.clone());
        }
        if is_repository(text) || has_scheme(text) {
            return remote();
        }
        match target {
            Target::Inside(path) => Ok(path),
            Target::Outside => Err(place.refuse(format!("{} is outside of the artifact", quoted(text)))),
            Target::Absolute => Err(place.refuse(format!(
                "{} is an absolute path; name files of the artifact, relative to this one",
                quoted(text)
            ))),
        }
    }
}

/// Whether a text is a document, and not the path of one.
fn is_document(text: &str) -> bool {
    text.contains('\n')
        || documents(text.as_bytes()).is_ok_and(|documents| {
            documents.first().is_some_and(|document| matches!(document.value, Content::Mapping(_)))
        })
}

/// Whether a file seems to have a Secret in it, or the generator of one: `kind: Secret`, in YAML or
/// JSON.
fn has_secret(content: &[u8]) -> bool {
    const KIND: &[u8] = b"Secret";
    fn unquoted(text: &[u8]) -> &[u8] {
        let text = text.trim_ascii_end();
        text.strip_suffix(b"\"").or_else(|| text.strip_suffix(b"'")).unwrap_or(text)
    }
    content.windows(KIND.len()).enumerate().filter(|(_, window)| *window == KIND).any(|(at, _)| {
        let after = &content[at + KIND.len()..];
        let after = after.strip_prefix(b"Generator").unwrap_or(after);
        let ends = after.first().is_none_or(|next| !next.is_ascii_alphanumeric());
        let before = unquoted(&content[..at]).trim_ascii_end();
        ends && before.strip_suffix(b":").is_some_and(|key| unquoted(key).ends_with(b"kind"))
    })
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(120).collect();
    format!("{shown:?}")
}

fn dotted(directory: &str) -> String {
    if directory.is_empty() { "the root of the artifact".to_owned() } else { directory.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(files: &[(&str, &str)], directory: &str) -> Result<Looked, String> {
        let files = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        look(&files, directory).map_err(|refusal| refusal.to_string())
    }

    const PROD: &str = "prod/kustomization.yaml";

    /// A `prod/kustomization.yaml` of this text, next to a base.
    fn check(text: &str, expected: &str) {
        let files = [
            (PROD, text),
            ("base/kustomization.yaml", "resources: [a.yaml]\n"),
            ("base/a.yaml", "kind: ConfigMap\n"),
            ("c/Kustomization", "kind: Component\n"),
            ("prod/p.yaml", "kind: Patch\n"),
            ("prod/app.env", "a=b"),
            ("loop/kustomization.yml", "resources:\n- ../prod\n"),
        ];
        let found = looked(&files, "prod").map(|_| String::new()).unwrap_or_else(|refusal| refusal);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_is_in_the_artifact_is_built() {
        for text in [
            "",
            "resources: [../base, p.yaml, ./../base/a.yaml]\ncomponents:\n- ../c\n",
            "resources: &r [../base]\nbases: *r\n",
            "patches:\n- path: p.yaml\n- patch: |-\n    - op: remove\n      path: /https://example.com\n",
            "patchesStrategicMerge:\n- p.yaml\n- |-\n  kind: A\n  metadata: {name: a}\n- '{kind: A}'\n",
            "patchesJson6902: [{target: {kind: A}, path: p.yaml}]\nreplacements: [{path: p.yaml}]\n",
            "configMapGenerator:\n- name: a\n  files: [app.env, key=app.env]\n  envs: [app.env]\n  env: app.env\n",
            "openapi: {path: p.yaml}\ncrds: [p.yaml]\nconfigurations: [p.yaml]\n",
            "transformers:\n- |-\n  apiVersion: builtin\n  kind: PrefixTransformer\n  metadata: {name: a}\n  prefix: a-\n",
            "helmCharts: []\nhelmGlobals: {}\n",
            "namePrefix: https://example.com/\ncommonAnnotations: {a: 'git::x'}\n",
            "resources: [../base, ../base]\n",
        ] {
            check(text, "");
        }
    }

    #[test]
    fn what_is_on_another_machine_is_refused_with_its_line() {
        let remote = |address: &str| {
            format!(
                "{address} is on another machine, and builds have no network; put a copy into the artifact"
            )
        };
        let found = |line: usize, field: &str, address: &str| {
            format!("prod/kustomization.yaml:{line}: {field}: {}", remote(address))
        };
        check(
            "resources:\n- ../base\n- https://user:pass@github.com/acme/config//base?ref=v1\n",
            &found(3, "resources", "https://github.com/acme/config//base"),
        );
        check("bases: ['github.com/acme/config']\n", &found(1, "bases", "github.com/acme/config"));
        check("components:\n\n- git@github.com:a/b.git\n", &found(3, "components", "git@github.com:a/b.git"));
        check("patches: [{path: 'http://e.com/p.yaml'}]\n", &found(1, "patches", "http://e.com/p.yaml"));
        check("Resources: ['oci://e.com/a']\n", &found(1, "resources", "oci://e.com/a"));
        check(
            "configMapGenerator:\n- name: a\n  files:\n  - a=https://e.com/x\n",
            &found(4, "configMapGenerator", "https://e.com/x"),
        );
        check("openapi: {path: https://e.com/o}\n", &found(1, "openapi", "https://e.com/o"));
        check(
            "x: &x {path: 'https://e.com/o'}\nopenapi: {<<: *x}\n",
            &found(1, "openapi", "https://e.com/o"),
        );
        let deep = [
            (PROD, "resources: [../base]\n"),
            ("base/kustomization.yaml", "# a base\nresources:\n- ssh://git@e.com/a/b.git\n"),
        ];
        let expected = format!("base/kustomization.yaml:3: resources: {}", remote("ssh://e.com/a/b.git"));
        assert_eq!(looked(&deep, "prod"), Err(expected));
    }

    #[test]
    fn paths_out_of_the_artifact_are_refused() {
        let found = |field: &str, text: &str, why: &str| {
            format!("prod/kustomization.yaml:1: {field}: \"{text}\" is {why}")
        };
        let outside = "outside of the artifact";
        check("resources: [../../etc]\n", &found("resources", "../../etc", outside));
        check("resources: [x/../../../base]\n", &found("resources", "x/../../../base", outside));
        let absolute = "an absolute path; name files of the artifact, relative to this one";
        check("resources: [/etc/passwd]\n", &found("resources", "/etc/passwd", absolute));
        check(
            "secretGenerator: [{name: a, files: ['t=/var/run/secrets/token']}]\n",
            &found("secretGenerator", "/var/run/secrets/token", absolute),
        );
        check("resources: [nowhere]\n", &found("resources", "nowhere", "not in the artifact"));
        check("patches: [{path: ../c}]\n", &found("patches", "../c", "not a file of the artifact"));
        check(
            "resources: [../prod/..]\n",
            "prod/kustomization.yaml:1: resources: the root of the artifact has no kustomization.yaml",
        );
    }

    #[test]
    fn what_runs_programs_is_refused() {
        let of =
            |line: usize, field: &str, why: &str| format!("prod/kustomization.yaml:{line}: {field}: {why}");
        let helm =
            "Helm charts are not rendered in a kustomization; render them in CI and push the manifests";
        check("helmCharts: [{name: a}]\n", &of(1, "helmCharts", helm));
        check(
            "\nhelmChartInflationGenerator:\n- chartName: a\n",
            &of(3, "helmChartInflationGenerator", helm),
        );
        let builtin = "apiVersion: builtin\n  kind: HelmChartInflationGenerator\n";
        check(&format!("generators:\n- |-\n  {builtin}"), &of(2, "generators", helm));
        let plugin = |name: &str| {
            format!(
                "the plugin {name} is not run, only those with apiVersion: builtin; build it in CI and push the \
                 manifests"
            )
        };
        check(
            "generators:\n- |-\n  apiVersion: someteam.example.com/v1\n  kind: Chart\n",
            &of(2, "generators", &plugin("someteam.example.com/v1/Chart")),
        );
        check(
            "transformers: ['{apiVersion: builtin, kind: Sed}']\n",
            &of(1, "transformers", &plugin("builtin/Sed")),
        );
        let function =
            "functions (containers and programs) are not run; build it in CI and push the manifests";
        let annotated = "transformers:\n- |-\n  apiVersion: builtin\n  kind: PrefixTransformer\n  metadata:\n    \
                         annotations:\n      config.kubernetes.io/function: |\n        exec: {path: ./x}\n";
        check(annotated, &of(2, "transformers", function));
        let in_a_file = [
            (PROD, "validators:\n- ../v\n"),
            ("v/kustomization.yaml", "resources: [a.yaml]\n"),
            (
                "v/a.yaml",
                "# ours\napiVersion: x/v1\nkind: V\nmetadata: {annotations: {config.kubernetes.io/function: x}}\n",
            ),
        ];
        assert_eq!(looked(&in_a_file, "prod"), Err(format!("v/a.yaml:4: resources: {function}")));
        // As a resource it is an object and no more.
        let resource = [(PROD, "resources: [../v]\n"), in_a_file[1], in_a_file[2]];
        assert_eq!(looked(&resource, "prod").map(|looked| looked.kustomizations), Ok(2));
    }

    #[test]
    fn circles_and_towers_end() {
        check(
            "resources: [../base, ../loop]\n",
            "loop/kustomization.yml:2: resources: kustomizations name each other: prod → loop → prod",
        );
        check(
            "resources: [.]\n",
            "prod/kustomization.yaml:1: resources: kustomizations name each other: prod → prod",
        );
        let tower: Vec<(String, String)> = (0..60)
            .map(|n| (format!("{n}/kustomization.yaml"), format!("resources: [../{}]\n", n + 1)))
            .collect();
        let tower: Vec<(&str, &str)> = tower.iter().map(|(name, text)| (&**name, &**text)).collect();
        let error = looked(&tower, "0").unwrap_err();
        assert!(error.ends_with("kustomizations are nested more than 50 deep"), "{error}");
        // Each of 40 floors names the next one twice: it is looked at once.
        let floors: Vec<(String, String)> = (0..40)
            .map(|n| match n {
                39 => ("39/kustomization.yaml".to_owned(), String::new()),
                _ => (format!("{n}/kustomization.yaml"), format!("resources: [../{0}, ../{0}]\n", n + 1)),
            })
            .collect();
        let floors: Vec<(&str, &str)> = floors.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(looked(&floors, "0").map(|looked| looked.kustomizations), Ok(40));
    }

    #[test]
    fn broken_and_hostile_files_are_refused() {
        check(
            "resources: [\n",
            "prod/kustomization.yaml:2: not valid YAML: did not find expected node content while parsing a flow node",
        );
        check("a: *b\n", "prod/kustomization.yaml:1: an alias refers to an undefined anchor");
        let deep = format!("a: {}", "[".repeat(200));
        let error = looked(&[(PROD, &deep)], "prod").unwrap_err();
        assert!(error.contains("nested too deeply"), "{error}");
        let bomb: String = std::iter::once("a0: &a0 {x: y}\n".to_owned())
            .chain((1..40).map(|n| format!("a{n}: &a{n} {{<<: [*a{0}, *a{0}]}}\n", n - 1)))
            .collect();
        let error = looked(&[(PROD, &bomb)], "prod").unwrap_err();
        assert!(error.ends_with("it has too many values"), "{error}");
    }

    #[test]
    fn a_small_text_that_names_one_thing_very_often_is_refused() {
        let names = "../base,".repeat(20_000);
        let again = "\nresources: *r".repeat(50_000);
        let bomb = format!("resources: &r [{names}]{again}\n");
        let plugins = format!("transformers: [{}]\n", "t.yaml,".repeat(20_000));
        let check = |text: &str, expected: Option<&str>| {
            let plugin = "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: a}\nprefix: a-\n";
            let files =
                [(PROD, text), ("base/kustomization.yaml", "resources: []\n"), ("prod/t.yaml", plugin)];
            let found = looked(&files, "prod").err();
            assert_eq!(
                found.as_deref().map(|found| found.ends_with(expected.unwrap_or_default())),
                expected.map(|_| true)
            );
        };
        check(&bomb, Some("the kustomizations name too much to look at"));
        // Each file with plugins is read once.
        check(&plugins, None);
    }

    #[test]
    fn values_in_the_place_of_files_are_not_shown() {
        check(
            "secretGenerator: [{name: a, files: ['password=hunter2']}]\n",
            "prod/kustomization.yaml:1: secretGenerator: a file that is named here is not a file of the artifact",
        );
    }

    #[test]
    fn secrets_are_noticed() {
        let check = |files: &[(&str, &str)], expected: bool| {
            assert_eq!(looked(files, "").map(|looked| looked.has_secrets), Ok(expected), "{files:?}");
        };
        check(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: ConfigMap\n")], false);
        check(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: SecretStore\n")], false);
        check(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: 'Secret'\n")], true);
        check(
            &[("kustomization.yaml", "resources: [a.json]\n"), ("a.json", "{\"kind\" : \"Secret\"}")],
            true,
        );
        check(&[("kustomization.yaml", "secretGenerator: [{name: a, literals: [a=b]}]\n")], true);
        check(&[("kustomization.yaml", "namePrefix: Secret\n")], false);
    }

    #[test]
    fn files_that_cannot_be_in_one_directory_are_found() {
        assert_eq!(tree_conflict(["a", "b/c", "b/d"]), None);
        assert_eq!(tree_conflict(["a", "b", "a"]), Some("a"));
        assert_eq!(tree_conflict(["b/c/d", "a", "b/c"]), Some("b/c"));
    }
}
