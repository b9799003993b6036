//! Where the credentials for a registry are: the files of docker and podman,
//! and the helpers that docker's files name.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::CliError;
use crate::oci::{HelperCall, Keyring, Repository};

/// Longest answer of a helper, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// How much of a helper's complaint is told.
const MAX_COMPLAINT: usize = 200;
/// What a helper says when it has nothing; all of docker's say it so.
const NONE: &str = "credentials not found";

/// The credentials for the repository, from the first file that has some; none
/// at all is no error.
pub(super) fn find(repository: &Repository) -> Result<Keyring, CliError> {
    for path in files() {
        let config = match fs::read(&path) {
            Ok(config) => config,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(CliError::Input(format!("cannot read {}: {e}", path.display()))),
        };
        let keyring = read(&config, repository, &path)?;
        if keyring.covers(repository) {
            return Ok(keyring);
        }
    }
    Ok(Keyring::default())
}

/// The files, in the order in which they are asked: podman's where it is named
/// outright, docker's, then podman's own places.
fn files() -> Vec<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = env::home_dir();
    let below = |path: &str| home.as_ref().map(|home| home.join(path));
    let auth = |dir: PathBuf| dir.join("containers/auth.json");
    let files = [
        named("REGISTRY_AUTH_FILE"),
        named("DOCKER_CONFIG").or_else(|| below(".docker")).map(|dir| dir.join("config.json")),
        named("XDG_RUNTIME_DIR").map(auth),
        named("XDG_CONFIG_HOME").or_else(|| below(".config")).map(auth),
    ];
    files.into_iter().flatten().collect()
}

/// What one file has for the repository. A helper goes before what stands in
/// the file itself.
fn read(config: &[u8], repository: &Repository, path: &Path) -> Result<Keyring, CliError> {
    let about = |e: &dyn std::fmt::Display| CliError::Input(format!("{}: {e}", path.display()));
    let mut keyring = Keyring::default();
    keyring.add(config).map_err(|e| about(&e))?;
    let Some(call) = HelperCall::of(config, repository).map_err(|e| about(&e))? else {
        return Ok(keyring);
    };
    match run(&call).map_err(|why| about(&why))? {
        Some(answer) => {
            let found = call.read(&answer, repository).map_err(|e| about(&e))?;
            Ok(if found.is_empty() { keyring } else { found })
        }
        None => Ok(keyring),
    }
}

/// Runs a helper; `None` when it has nothing for the registry.
fn run(call: &HelperCall) -> Result<Option<Vec<u8>>, String> {
    let HelperCall { program, server } = call;
    let fail = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => format!(
            "the credentials for {server} are with {program}, which is not on PATH; install it, or give --creds"
        ),
        _ => format!("cannot run {program}: {e}"),
    };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A helper may have to ask a person.
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it has its reasons.
        let _ = stdin.write_all(server.as_bytes());
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).map_err(fail)?;
    }
    let status = child.wait().map_err(fail)?;
    if status.success() {
        return Ok(Some(answer));
    }
    // A helper that fails prints why, where it would print the credentials.
    let complaint = String::from_utf8_lossy(&answer);
    if complaint.contains(NONE) {
        return Ok(None);
    }
    let line = complaint.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().take(MAX_COMPLAINT).collect();
    let why = if line.is_empty() { status.to_string() } else { line };
    Err(format!("{program} has failed for {server}: {why}"))
}
