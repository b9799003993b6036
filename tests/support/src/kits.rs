//! The programs that tests, demo and benchmarks run, and how Go builds them.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::repository;
use crate::tools::{Tools, ToolsError};

/// Programs that are built together, by a module that lists them.
#[derive(Debug)]
pub struct Kit {
    /// The module's directory in this repository.
    pub(crate) module: &'static str,
    /// The programs.
    pub programs: &'static [Program],
    link: &'static str,
    /// Build tags.
    tags: &'static str,
    /// Go modules, and the directory in each that is kept, under both names, next to the
    /// programs.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// How long the first build takes on two cores, in minutes.
    minutes: u32,
    /// Whether the programs are static: without C.
    fixed: bool,
    /// Where its programs are, once this process has asked.
    pub(crate) found: OnceLock<Tools>,
}

/// A program, and the Go package that it is built from.
#[derive(Debug)]
pub struct Program {
    /// Its file name.
    pub name: &'static str,
    package: &'static str,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, package }
}

/// A Kubernetes, a registry and their clients: what every cluster story and the demo run on.
pub static BED: Kit = Kit {
    module: "tests/tools",
    programs: &[
        program("etcd", "go.etcd.io/etcd/server/v3"),
        program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        program("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        program("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        program("registry", "supercargo.dev/tests/tools/registry"),
        program("crane", "github.com/google/go-containerregistry/cmd/crane"),
        program("cosign", "supercargo.dev/tests/tools/cosign"),
    ],
    link: LINK,
    tags: "",
    files: &[],
    minutes: 6,
    fixed: false,
    found: OnceLock::new(),
};

/// Helm, as the image has it. It also renders the operator's own chart: for its stories, and for the
/// rights of every operator of a story.
pub static HELM: Kit = Kit {
    module: "image/programs/helm",
    programs: &[program("helm", "helm.sh/helm/v4/cmd/helm")],
    link: "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1",
    tags: "",
    files: &[],
    minutes: 1,
    fixed: true,
    found: OnceLock::new(),
};

/// The controllers of Flux and the definitions of their kinds.
pub static FLUX: Kit = Kit {
    module: "tests/tools/flux",
    programs: &[
        program("kustomize-controller", "github.com/fluxcd/kustomize-controller"),
        program("source-controller", "github.com/fluxcd/source-controller"),
    ],
    link: "-s -w",
    tags: "",
    files: &[
        ("github.com/fluxcd/kustomize-controller", "config/crd/bases"),
        ("github.com/fluxcd/source-controller", "config/crd/bases"),
    ],
    minutes: 6,
    fixed: false,
    found: OnceLock::new(),
};

/// The servers of a private Sigstore, and a registry with the referrers API.
pub static SIGSTORE: Kit = Kit {
    module: "tests/tools/sigstore",
    programs: &[
        program("ctlog", "supercargo.dev/tests/tools/sigstore/ctlog"),
        program("fulcio", "github.com/sigstore/fulcio"),
        program("referrers", "supercargo.dev/tests/tools/sigstore/referrers"),
        // Rekor names it after what it keeps its log on.
        program("rekor-server", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"),
        program("tsa", "supercargo.dev/tests/tools/sigstore/tsa"),
    ],
    link: "-s -w",
    tags: "",
    files: &[],
    minutes: 4,
    fixed: false,
    found: OnceLock::new(),
};

/// The tools by which others publish artifacts.
pub static PUBLISHERS: Kit = Kit {
    module: "tests/tools/publishers",
    programs: &[
        program("fluxpush", "supercargo.dev/tests/tools/publishers/fluxpush"),
        program("oras", "oras.land/oras/cmd/oras"),
    ],
    link: "-s -w",
    tags: "",
    files: &[],
    minutes: 1,
    fixed: false,
    found: OnceLock::new(),
};

/// An Alertmanager.
pub static ALERTMANAGER: Kit = Kit {
    module: "tests/tools/alertmanager",
    programs: &[program("alertmanager", "github.com/prometheus/alertmanager/cmd/alertmanager")],
    link: "-s -w",
    tags: "",
    files: &[],
    minutes: 2,
    fixed: false,
    found: OnceLock::new(),
};

/// A Prometheus, and what tests its rules.
pub static PROMETHEUS: Kit = Kit {
    module: "tests/tools/prometheus",
    programs: &[
        program("prometheus", "github.com/prometheus/prometheus/cmd/prometheus"),
        program("promtool", "github.com/prometheus/prometheus/cmd/promtool"),
    ],
    link: "-s -w",
    // Static targets are enough, and the libraries of all clouds are most of it.
    tags: "remove_all_sd",
    files: &[],
    minutes: 3,
    fixed: false,
    found: OnceLock::new(),
};

/// The programs of the image that build kustomizations.
pub static IMAGE: Kit = Kit {
    module: "image/programs",
    programs: &[program("kustomize", "sigs.k8s.io/kustomize/kustomize/v5")],
    link: "-s -w",
    tags: "",
    files: &[],
    minutes: 1,
    fixed: true,
    found: OnceLock::new(),
};

/// What tries to leave the sandbox of builds, and what takes the sandbox away.
pub static ESCAPE: Kit = Kit {
    module: "tests/tools/escape",
    programs: &[
        program("attempts", "supercargo.dev/tests/tools/escape/attempts"),
        program("withhold", "supercargo.dev/tests/tools/escape/withhold"),
    ],
    link: "-s -w",
    tags: "",
    files: &[],
    minutes: 1,
    fixed: true,
    found: OnceLock::new(),
};

/// The definitions of the Prometheus operator's kinds; no programs.
pub static MONITORING: Kit = Kit {
    module: "tests/tools/monitoring",
    programs: &[],
    tags: "",
    link: "",
    files: &[("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")],
    minutes: 0,
    fixed: false,
    found: OnceLock::new(),
};

/// The kustomizations that come with the programs of the test bed.
pub static OVERLAYS: Kit = Kit {
    module: "tests/tools",
    programs: &[],
    tags: "",
    link: "",
    files: &[("sigs.k8s.io/kwok", "kustomize")],
    minutes: 0,
    fixed: false,
    found: OnceLock::new(),
};

/// The kustomizations that come with the controllers of Flux.
pub static FLUX_OVERLAYS: Kit = Kit {
    module: "tests/tools/flux",
    programs: &[],
    tags: "",
    link: "",
    files: &[
        ("github.com/fluxcd/kustomize-controller", "config"),
        ("github.com/fluxcd/source-controller", "config"),
    ],
    minutes: 0,
    fixed: false,
    found: OnceLock::new(),
};

/// The charts that come with the programs of the test bed.
pub static CHARTS: Kit = Kit {
    module: "tests/tools",
    programs: &[],
    tags: "",
    link: "",
    files: &[("helm.sh/helm/v4", "pkg/cmd/testdata/testcharts"), ("sigs.k8s.io/kwok", "charts")],
    minutes: 0,
    fixed: false,
    found: OnceLock::new(),
};

// Without these the API server reports v0.0.0, and clients that look at the
// version refuse it.
const LINK: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
                    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// Where a kit's files are, next to its programs.
pub(crate) const FILES: &str = "files";

impl Program {
    /// The file name that Go gives: the last part of the package's path that is no version.
    fn built_name(&self) -> &'static str {
        let is_version = |part: &&str| {
            part.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        self.package.rsplit('/').find(|part| !is_version(part)).unwrap_or(self.package)
    }
}

impl Kit {
    pub(crate) fn is_in(&self, directory: &Path) -> bool {
        match self.programs {
            [] => directory.join(FILES).is_dir(),
            programs => programs.iter().all(|program| directory.join(program.name).is_file()),
        }
    }

    fn directory(&self) -> PathBuf {
        repository().join(self.module)
    }

    // The build depends on nothing but the kit, these two files and the module's own
    // programs (and the Go release, which go.mod fixes as far as it matters).
    pub(crate) fn key(&self) -> String {
        let mut hash = Sha256::new();
        let files = ["go.mod", "go.sum"].map(|name| self.directory().join(name));
        for file in files.into_iter().chain(self.own_programs()) {
            hash.update(fs::read(file).expect("the module has a go.mod, a go.sum and these programs"));
        }
        let Kit { module, programs, link, tags, files, .. } = self;
        hash.update(format!("{module} {programs:?} {link} {tags} {files:?}"));
        hex::encode(hash.finalize())[..16].to_owned()
    }

    // `NAME/main.go`, for the programs that the module has itself, also those of other kits.
    fn own_programs(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.directory()).into_iter().flatten().filter_map(Result::ok);
        let mut files: Vec<PathBuf> = listed.map(|entry| entry.path().join("main.go")).collect();
        files.retain(|file| file.is_file());
        files.sort();
        files
    }

    fn go(&self, go: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(go);
        command.current_dir(self.directory()).args(arguments).stdin(Stdio::null());
        if self.fixed {
            command.env("CGO_ENABLED", "0");
        }
        command
    }

    fn build_programs(&self, go: &Path, into: &Path) -> Result<(), ToolsError> {
        if self.programs.is_empty() {
            let modules = self.files.iter().map(|(module, _)| *module);
            let words: Vec<&str> = ["mod", "download"].into_iter().chain(modules).collect();
            return output(&mut self.go(go, &words)).map(drop);
        }
        let packages: Vec<&str> = self.programs.iter().map(|program| program.package).collect();
        let out = format!("{}/", into.display());
        let flags = ["-trimpath", "-tags", self.tags];
        let count = [&["list", "-deps"][..], &flags[..], &packages].concat();
        let total = output(&mut self.go(go, &count))?.split(|&byte| byte == b'\n').count();
        let build = [&["build", "-v"][..], &flags, &["-ldflags", self.link, "-o", &out], &packages].concat();
        watch(&mut self.go(go, &build), total)?;
        for program in self.programs.iter().filter(|program| program.built_name() != program.name) {
            fs::rename(into.join(program.built_name()), into.join(program.name))
                .map_err(|error| failed("naming a program", &error))?;
        }
        Ok(())
    }

    fn keep_files(&self, go: &Path, target: &Path) -> Result<(), ToolsError> {
        let failed = |error: std::io::Error| failed("keeping files", &error);
        for (module, below) in self.files {
            let listed = output(&mut self.go(go, &["list", "-m", "-f", "{{.Dir}}", module]))?;
            let directory = PathBuf::from(String::from_utf8_lossy(&listed).trim()).join(below);
            copy(&directory, &target.join(module).join(below)).map_err(failed)?;
        }
        Ok(())
    }

    // Builds into a directory of its own and moves each result into place whole, so
    // that a build that was killed leaves nothing that looks finished.
    pub(crate) fn build(&self, go: &Path, target: &Path) -> Result<(), ToolsError> {
        let parent = target.parent().expect("the target lies in the cache");
        fs::create_dir_all(parent).map_err(|error| failed("creating the cache", &error))?;
        let lock = File::create(parent.join("lock")).map_err(|error| failed("opening the lock", &error))?;
        lock.lock().map_err(|error| failed("locking the cache", &error))?;
        if self.is_in(target) {
            return Ok(()); // another process built them while this one waited
        }
        eprintln!(
            "building {} into {} (once, about {} min on two cores)",
            self.title(),
            target.display(),
            self.minutes.max(1)
        );
        let scratch = tempfile::tempdir_in(parent).map_err(|error| failed("creating a directory", &error))?;
        self.build_programs(go, scratch.path())?;
        if !self.files.is_empty() {
            self.keep_files(go, &scratch.path().join(FILES))?;
        }
        if target.exists() {
            fs::remove_dir_all(target).map_err(|error| failed("removing an unfinished build", &error))?;
        }
        fs::rename(scratch.keep(), target).map_err(|error| failed("moving the build into place", &error))
    }

    fn title(&self) -> String {
        match self.programs {
            [] => format!("the files of {}", self.module),
            programs => programs.iter().map(|program| program.name).collect::<Vec<_>>().join(", "),
        }
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            // Not fs::copy: what Go has downloaded is read-only.
            false => fs::write(target, fs::read(entry.path())?)?,
        }
    }
    Ok(())
}

fn failed(what: &str, error: &std::io::Error) -> ToolsError {
    ToolsError::Build(format!("{what}: {error}"))
}

fn output(command: &mut Command) -> Result<Vec<u8>, ToolsError> {
    let output = command.output().map_err(|error| failed("running go", &error))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(ToolsError::Build(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

/// Runs a `go build -v`, which names each package that it compiles, and shows how far it is
/// of `total` packages. What the cache has is not named, so it can end early.
fn watch(command: &mut Command, total: usize) -> Result<(), ToolsError> {
    let start = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| failed("running go", &error))?;
    let (mut compiled, mut shown) = (0, 0);
    let mut last = VecDeque::new();
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).split(b'\n');
    for line in lines.map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if !line.contains([' ', ':']) {
            compiled += 1;
            let tenth = (compiled * 10 / total.max(1)).min(10);
            if tenth > shown {
                shown = tenth;
                eprintln!("  {compiled} of {total} packages after {} s", start.elapsed().as_secs());
            }
        }
        last.push_back(line);
        if last.len() > 40 {
            last.pop_front();
        }
    }
    match child.wait().map_err(|error| failed("running go", &error))?.success() {
        true => Ok(()),
        false => Err(ToolsError::Build(Vec::from(last).join("\n"))),
    }
}
