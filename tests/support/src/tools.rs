//! Finds the real servers and clients, or builds them once.
//!
//! In this order: the directory `KUBEBUILDER_ASSETS` names (the convention of
//! controller-runtime's envtest), the user's cache, a build of `tests/tools` with
//! Go into that cache, and without Go what `PATH` has.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::repository;

/// Programs that are built together, by a module that lists them.
#[derive(Debug)]
pub struct Kit {
    /// The module's directory in this repository.
    module: &'static str,
    /// The programs, by file name.
    pub names: &'static [&'static str],
    /// What Go calls a program, and what everybody else does.
    renames: &'static [(&'static str, &'static str)],
    link: &'static str,
    /// Build tags.
    tags: &'static str,
    /// Go modules, and the directory in each whose files are kept beside the
    /// programs.
    files: &'static [(&'static str, &'static str)],
}

/// Every program of the test bed.
pub const BED: Kit = Kit {
    module: "tests/tools",
    names: &[
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "kwok",
        "registry",
        "crane",
        "cosign",
        "helm",
    ],
    renames: &[("server", "etcd")],
    link: LINK,
    tags: "",
    files: &[],
};

/// The controllers of Flux and the definitions of their kinds.
pub const FLUX: Kit = Kit {
    module: "tests/tools/flux",
    names: &["kustomize-controller", "source-controller"],
    renames: &[],
    link: "-s -w",
    tags: "",
    files: &[
        ("github.com/fluxcd/kustomize-controller", "config/crd/bases"),
        ("github.com/fluxcd/source-controller", "config/crd/bases"),
    ],
};

/// The servers of a private Sigstore, and a registry with the referrers API.
pub const SIGSTORE: Kit = Kit {
    module: "tests/tools/sigstore",
    names: &["ctlog", "fulcio", "referrers", "rekor-server", "tsa"],
    // Rekor's is named after what it keeps its log on.
    renames: &[("posix", "rekor-server")],
    link: "-s -w",
    tags: "",
    files: &[],
};

/// A Prometheus, and what tests its rules.
pub const PROMETHEUS: Kit = Kit {
    module: "tests/tools/prometheus",
    names: &["prometheus", "promtool"],
    renames: &[],
    link: "-s -w",
    // Static targets are enough, and the libraries of all clouds are most of it.
    tags: "remove_all_sd",
    files: &[],
};

/// The definitions of the Prometheus operator's kinds; no programs.
pub const MONITORING: Kit = Kit {
    module: "tests/tools/monitoring",
    names: &[],
    renames: &[],
    tags: "",
    link: "",
    files: &[("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")],
};

// Without these the API server reports v0.0.0, and clients that look at the
// version refuse it.
const LINK: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
                    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// Where a kit's files are, beside its programs.
const FILES: &str = "files";

/// Where each program is.
#[derive(Debug)]
pub struct Tools {
    paths: BTreeMap<&'static str, PathBuf>,
    built: PathBuf,
}

/// The parts of the environment that decide where the programs come from.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `KUBEBUILDER_ASSETS`.
    pub assets: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
    /// The directory of this project in the user's cache.
    pub cache: PathBuf,
}

/// Why there is no test bed.
#[derive(Debug)]
pub enum ToolsError {
    /// These programs are nowhere, and there is no Go to build them.
    Missing(Vec<&'static str>),
    /// The build with Go failed; the text is the end of what it said.
    Build(String),
}

impl fmt::Display for ToolsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolsError::Missing(names) => write!(
                f,
                "these tests run on a real Kubernetes and a real registry, and some of their programs are not here: {}.\n\
                 Either install Go 1.26 or newer (https://go.dev/dl): the programs are then built once from tests/tools, \
                 in six minutes or so, into the user's cache.\n\
                 Or put these programs into one directory and let KUBEBUILDER_ASSETS name it.",
                names.join(", ")
            ),
            ToolsError::Build(text) => {
                write!(f, "building the programs of the test bed from tests/tools failed:\n{text}")
            }
        }
    }
}

impl Environment {
    /// As this process sees it.
    pub fn current() -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = var("XDG_CACHE_HOME")
            .or_else(|| var("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        Environment {
            assets: var("KUBEBUILDER_ASSETS"),
            path: std::env::var_os("PATH").unwrap_or_default(),
            cache: cache.join("supercargo"),
        }
    }

    fn on_path(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).map(|dir| dir.join(name)).find(|file| file.is_file())
    }
}

impl Tools {
    /// The programs of this process: found, or built, once.
    pub fn get() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(&BED))
    }

    /// Flux's, found or built once.
    pub fn flux() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(&FLUX))
    }

    /// The private Sigstore's, found or built once.
    pub fn sigstore() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(&SIGSTORE))
    }

    /// The Prometheus operator's definitions, found or downloaded once.
    pub fn monitoring() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(&MONITORING))
    }

    /// Prometheus and promtool, found or built once.
    pub fn prometheus() -> &'static Tools {
        static TOOLS: OnceLock<Tools> = OnceLock::new();
        TOOLS.get_or_init(|| Tools::of(&PROMETHEUS))
    }

    fn of(kit: &Kit) -> Tools {
        Tools::find(kit, &Environment::current()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Finds or builds them as the module's documentation says.
    pub fn find(kit: &Kit, environment: &Environment) -> Result<Tools, ToolsError> {
        let built = environment.cache.join("tools").join(kit.key());
        if !kit.is_in(&built) {
            match environment.on_path("go") {
                Some(go) if !environment.assets.as_deref().is_some_and(|dir| kit.is_in(dir)) => {
                    kit.build(&go, &built)?;
                }
                _ => {}
            }
        }
        let mut paths = BTreeMap::new();
        let mut missing = Vec::new();
        for name in kit.names.iter().copied() {
            let places = environment.assets.iter().chain([&built]).map(|dir| dir.join(name));
            match places.into_iter().find(|file| file.is_file()).or_else(|| environment.on_path(name)) {
                Some(path) => drop(paths.insert(name, path)),
                None => missing.push(name),
            }
        }
        if kit.names.is_empty() && !kit.is_in(&built) {
            missing.push(kit.module);
        }
        if missing.is_empty() { Ok(Tools { paths, built }) } else { Err(ToolsError::Missing(missing)) }
    }

    /// The path of one of the kit's names.
    pub fn path(&self, name: &str) -> &Path {
        self.paths.get(name).unwrap_or_else(|| panic!("{name} is not a program of the test bed"))
    }
}

impl Tools {
    /// The files that the kit keeps beside its programs.
    pub fn files(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.built.join(FILES)).into_iter().flatten();
        listed.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

impl Kit {
    fn is_in(&self, directory: &Path) -> bool {
        match self.names {
            [] => directory.join(FILES).is_dir(),
            names => names.iter().all(|name| directory.join(name).is_file()),
        }
    }

    fn directory(&self) -> PathBuf {
        repository().join(self.module)
    }

    // The build depends on nothing but these two files and the module's own programs
    // (and the Go release, which go.mod fixes as far as it matters).
    fn key(&self) -> String {
        let mut hash = Sha256::new();
        let files = ["go.mod", "go.sum"].map(|name| self.directory().join(name));
        for file in files.into_iter().chain(self.own_programs()) {
            hash.update(fs::read(file).expect("the module has a go.mod, a go.sum and these programs"));
        }
        hex::encode(hash.finalize())[..16].to_owned()
    }

    // `NAME/main.go`, for the programs that the module has itself.
    fn own_programs(&self) -> impl Iterator<Item = PathBuf> {
        let places = self.names.iter().map(|name| self.directory().join(name).join("main.go"));
        places.filter(|file| file.is_file())
    }

    fn go(&self, go: &Path, arguments: &[&OsStr]) -> Result<Vec<u8>, ToolsError> {
        let output = Command::new(go)
            .current_dir(self.directory())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| ToolsError::Build(format!("running go: {error}")))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(ToolsError::Build(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    fn build_programs(&self, go: &Path, into: &Path) -> Result<(), ToolsError> {
        if self.names.is_empty() {
            let modules = self.files.iter().map(|(module, _)| *module);
            let words: Vec<&OsStr> = ["mod", "download"].into_iter().chain(modules).map(OsStr::new).collect();
            return self.go(go, &words).map(drop);
        }
        let mut out = into.as_os_str().to_owned();
        out.push("/");
        let flags = ["build", "-trimpath", "-tags", self.tags, "-ldflags", self.link, "-o"].map(OsStr::new);
        self.go(go, &flags.into_iter().chain([out.as_os_str(), OsStr::new("tool")]).collect::<Vec<_>>())
            .map(drop)
    }

    fn keep_files(&self, go: &Path, target: &Path) -> Result<(), ToolsError> {
        let failed = |error: std::io::Error| ToolsError::Build(format!("keeping files: {error}"));
        fs::create_dir_all(target).map_err(failed)?;
        for (module, below) in self.files {
            let listed = self.go(go, &["list", "-m", "-f", "{{.Dir}}", module].map(OsStr::new))?;
            let directory = PathBuf::from(String::from_utf8_lossy(&listed).trim()).join(below);
            for file in fs::read_dir(directory).map_err(failed)? {
                let file = file.map_err(failed)?;
                // Not fs::copy: what Go has downloaded is read-only.
                let content = fs::read(file.path()).map_err(failed)?;
                fs::write(target.join(file.file_name()), content).map_err(failed)?;
            }
        }
        Ok(())
    }

    // Builds into a directory of its own and moves the result into place whole, so
    // that a build that was killed leaves nothing that looks finished.
    fn build(&self, go: &Path, target: &Path) -> Result<(), ToolsError> {
        let failed = |what: &str, error: std::io::Error| ToolsError::Build(format!("{what}: {error}"));
        let parent = target.parent().expect("the target lies in the cache");
        fs::create_dir_all(parent).map_err(|error| failed("creating the cache", error))?;
        let lock = File::create(parent.join("lock")).map_err(|error| failed("opening the lock", error))?;
        lock.lock().map_err(|error| failed("locking the cache", error))?;
        if self.is_in(target) {
            return Ok(()); // another process built them while this one waited
        }
        eprintln!(
            "building the test bed's programs into {} (once, six minutes or so on two cores)",
            target.display()
        );
        let scratch = tempfile::tempdir_in(parent).map_err(|error| failed("creating a directory", error))?;
        self.build_programs(go, scratch.path())?;
        let built = scratch.path();
        for (from, to) in self.renames {
            fs::rename(built.join(from), built.join(to))
                .map_err(|error| failed("naming a program", error))?;
        }
        self.keep_files(go, &built.join(FILES))?;
        if target.exists() {
            fs::remove_dir_all(target).map_err(|error| failed("removing an unfinished build", error))?;
        }
        fs::rename(scratch.keep(), target).map_err(|error| failed("moving the build into place", error))
    }
}
