//! Finds the real servers and clients, or builds them once.
//!
//! In this order: the directory `KUBEBUILDER_ASSETS` names (the convention of
//! controller-runtime's envtest), the user's cache, a build of `tests/tools` with
//! Go into that cache, and without Go what `PATH` has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::kits::{
    ALERTMANAGER, BED, CHARTS, ESCAPE, FILES, FLUX, FLUX_OVERLAYS, HELM, IMAGE, Kit, MONITORING, OVERLAYS,
    PROMETHEUS, PUBLISHERS, SIGSTORE,
};

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
        Tools::of(&BED)
    }

    /// Helm, found or built once.
    pub fn helm() -> &'static Tools {
        Tools::of(&HELM)
    }

    /// The programs of the image, found or built once.
    pub fn image() -> &'static Tools {
        Tools::of(&IMAGE)
    }

    /// What tries to leave the sandbox of builds, built once.
    pub fn escape() -> &'static Tools {
        Tools::of(&ESCAPE)
    }

    /// Flux's, found or built once.
    pub fn flux() -> &'static Tools {
        Tools::of(&FLUX)
    }

    /// The private Sigstore's, found or built once.
    pub fn sigstore() -> &'static Tools {
        Tools::of(&SIGSTORE)
    }

    /// The tools of other publishers, found or built once.
    pub fn publishers() -> &'static Tools {
        Tools::of(&PUBLISHERS)
    }

    /// The Prometheus operator's definitions, found or downloaded once.
    pub fn monitoring() -> &'static Tools {
        Tools::of(&MONITORING)
    }

    /// The charts that come with the programs of the test bed.
    pub fn charts() -> &'static Tools {
        Tools::of(&CHARTS)
    }

    /// The directories of the kustomizations that come with the programs of the test bed.
    pub fn overlays() -> Vec<PathBuf> {
        let kits = [&OVERLAYS, &FLUX_OVERLAYS].into_iter();
        let trees = kits.flat_map(|kit| kit.files.iter().map(move |(module, below)| (kit, module, below)));
        trees.map(|(kit, module, below)| Tools::of(kit).built.join(FILES).join(module).join(below)).collect()
    }

    /// Prometheus and promtool, found or built once.
    pub fn prometheus() -> &'static Tools {
        Tools::of(&PROMETHEUS)
    }

    /// Alertmanager, found or built once.
    pub fn alertmanager() -> &'static Tools {
        Tools::of(&ALERTMANAGER)
    }

    fn of(kit: &'static Kit) -> &'static Tools {
        let find = || Tools::find(kit, &Environment::current()).unwrap_or_else(|error| panic!("{error}"));
        kit.found.get_or_init(find)
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
        for name in kit.programs.iter().map(|program| program.name) {
            let places = environment.assets.iter().chain([&built]).map(|dir| dir.join(name));
            match places.into_iter().find(|file| file.is_file()).or_else(|| environment.on_path(name)) {
                Some(path) => drop(paths.insert(name, path)),
                None => missing.push(name),
            }
        }
        if kit.programs.is_empty() && !kit.is_in(&built) {
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
    /// The files that the kit keeps beside its programs, in the order of their paths.
    pub fn files(&self) -> Vec<PathBuf> {
        files_below(self.built.join(FILES))
    }
}

/// The files below a directory, in the order of their paths.
pub fn files_below(directory: PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory];
    while let Some(directory) = directories.pop() {
        let listed = fs::read_dir(directory).into_iter().flatten();
        for path in listed.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
