//! Whether builds are possible here: the program runs, and can be confined.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::directory::BuildRoot;
use super::limits::LEAST_MEMORY;
use super::process::{Ended, Watch, run};
use super::program::{BuildProgram, said};
use super::sandbox::{Confinement, LaunchOrder, REFUSED};

/// How long the program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether builds are possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// They are.
    Ready {
        /// The program.
        program: PathBuf,
        /// What the program says about its version.
        version: String,
        /// Distinguishes it from one that may build the same files to something else: its name and its
        /// version, with a hash of a program that is no release.
        identity: String,
        /// Whether it is confined completely.
        confined: bool,
    },
    /// The administrator has disabled them.
    Disabled,
    /// The program is not here or does not run; why.
    NoProgram(String),
    /// This kernel, or the container's runtime, has no sandbox; why.
    Unconfined(String),
}

/// Runs the program once, confined, and then as far as possible.
pub(super) async fn probe(
    launcher: &Path,
    root: &BuildRoot,
    (kind, program): (BuildProgram, Option<&Path>),
    unconfined: bool,
) -> Availability {
    let program = match find(kind, program) {
        Ok(program) => program,
        Err(why) => return Availability::NoProgram(why),
    };
    match version(launcher, root, (kind, &program), Confinement::Required).await {
        Ok(version) => ready(kind, program, version, true),
        Err(Trouble::Confinement(why)) if !unconfined => Availability::Unconfined(why),
        Err(Trouble::Program(why)) if !unconfined => Availability::NoProgram(why),
        Err(_) => match version(launcher, root, (kind, &program), Confinement::BestEffort).await {
            Ok(version) => ready(kind, program, version, false),
            Err(Trouble::Program(why) | Trouble::Confinement(why)) => Availability::NoProgram(why),
        },
    }
}

fn ready(kind: BuildProgram, program: PathBuf, version: String, confined: bool) -> Availability {
    let name = kind.name();
    let identity = match is_release(&version) {
        true => format!("{name} {version}"),
        false => {
            // It has just been run, so it can be read.
            let hash = std::fs::read(&program).map(|bytes| hex::encode(&Sha256::digest(bytes)[..16]));
            format!("{name} {}", hash.unwrap_or_default())
        }
    };
    Availability::Ready { program, version, identity, confined }
}

/// Whether a version is that of a release, such as `v5.8.1`.
fn is_release(version: &str) -> bool {
    let parts: Vec<&str> = version.strip_prefix('v').unwrap_or_default().split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(is_number)
}

enum Trouble {
    /// The launcher has not become the program.
    Confinement(String),
    /// The program does not work.
    Program(String),
}

async fn version(
    launcher: &Path,
    root: &BuildRoot,
    (kind, program): (BuildProgram, &Path),
    confinement: Confinement,
) -> Result<String, Trouble> {
    let failed = |why: String| Trouble::Program(format!("cannot run {}: {why}", program.display()));
    let place = root.place().map_err(|e| failed(e.to_string()))?;
    let order = LaunchOrder {
        program: program.display().to_string(),
        arguments: kind.version().iter().map(|argument| (*argument).to_owned()).collect(),
        directory: place.path().display().to_string(),
        memory: LEAST_MEMORY,
        cpu_seconds: PATIENCE.as_secs(),
        confinement,
        parent: std::process::id(),
    };
    let watch = Watch { output: 4096, time: PATIENCE };
    let ended = run(launcher, &order, watch).await.map_err(|e| failed(e.to_string()))?;
    let Ended::Exited { status, output, messages } = ended else {
        return Err(failed("it does not say its version".to_owned()));
    };
    match status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output).trim().to_owned()),
        Some(code) if code == i32::from(REFUSED) => {
            let why = said(&messages, place.path());
            match why.starts_with("cannot execute ") {
                true => Err(Trouble::Program(format!("{why}; it has to be a static executable"))),
                false => Err(Trouble::Confinement(why)),
            }
        }
        _ => Err(failed(format!("{status} {}", said(&messages, place.path())).trim().to_owned())),
    }
}

/// The program: where it was named, or on PATH.
fn find(kind: BuildProgram, named: Option<&Path>) -> Result<PathBuf, String> {
    let absolute = |path: &Path| path.canonicalize().ok().filter(|path| path.is_file());
    if let Some(named) = named {
        return absolute(named).ok_or_else(|| format!("{} is not a file", named.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find_map(|directory| absolute(&directory.join(kind.name())));
    found.ok_or_else(|| format!("{} is not on PATH", kind.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_may_build_something_else_have_other_identities() {
        let directory = tempfile::tempdir().unwrap();
        let identity = |version: &str, content: &str| {
            let program = directory.path().join("kustomize");
            std::fs::write(&program, content).unwrap();
            let Availability::Ready { identity, .. } =
                ready(BuildProgram::Kustomize, program, version.to_owned(), true)
            else {
                return None;
            };
            Some(identity)
        };
        assert_eq!(identity("v5.8.1", "a").as_deref(), Some("kustomize v5.8.1"));
        assert_eq!(identity("v5.8.1", "a"), identity("v5.8.1", "b"));
        for own in ["(devel)", "v5.8.1-dirty", "v5", ""] {
            assert_eq!(identity(own, "a"), identity(own, "a"));
            assert_ne!(identity(own, "a"), identity(own, "b"), "{own}");
        }
    }
}
