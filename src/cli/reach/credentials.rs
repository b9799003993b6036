//! Where the credentials for a registry are: the files of docker and podman,
//! and the helpers that docker's files name.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::CliError;
use crate::cli::input::files;
use crate::cli::print::printer::eprint_early;
use crate::oci::{HelperCall, Keyring, Repository};

/// Longest answer of a helper, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// How much of a helper's error message is shown.
const MAX_ERROR: usize = 200;

/// How long a helper can take, which may have to ask a person.
#[derive(Clone, Copy)]
struct Timeouts {
    /// Until a message names the helper.
    quiet: Duration,
    /// Until it is killed.
    most: Duration,
}

const TIMEOUTS: Timeouts = Timeouts { quiet: Duration::from_secs(5), most: Duration::from_secs(120) };
/// How often it is checked whether a helper has exited after its output.
const POLL: Duration = Duration::from_millis(10);

/// The credentials for the repository, from the first file that has some; having
/// none is not an error.
pub(in crate::cli) fn find(repository: &Repository) -> Result<Keyring, CliError> {
    for path in places() {
        let config = match files::small(&path) {
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

/// The files, in the order in which they are read: podman's where it is named
/// explicitly, docker's, then podman's default places.
fn places() -> Vec<PathBuf> {
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

/// The credentials for the repository in one file. A helper takes precedence over
/// entries in the file.
fn read(config: &[u8], repository: &Repository, path: &Path) -> Result<Keyring, CliError> {
    let about = |e: &dyn std::fmt::Display| CliError::Input(format!("{}: {e}", path.display()));
    let mut keyring = Keyring::default();
    keyring.add(config).map_err(|e| about(&e))?;
    let Some(call) = HelperCall::of(config, repository).map_err(|e| about(&e))? else {
        return Ok(keyring);
    };
    match run(&call, TIMEOUTS).map_err(|why| about(&why))? {
        Some(answer) => {
            let found = call.read(&answer, repository).map_err(|e| about(&e))?;
            Ok(if found.is_empty() { keyring } else { found })
        }
        None => Ok(keyring),
    }
}

/// Runs a helper; `None` when it has nothing for the registry.
fn run(call: &HelperCall, timeouts: Timeouts) -> Result<Option<Vec<u8>>, String> {
    let HelperCall { program, server } = call;
    let fail = |e: io::Error| match e.kind() {
        ErrorKind::NotFound => {
            format!("credential helper {program} for {server} is not on PATH; install it, or pass --creds")
        }
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
        // A helper need not read it.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (answer, status) = match answer(&mut child, call, timeouts) {
        Some(ended) => ended.map_err(fail)?,
        None => {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!(
                "{program} did not answer for {server} within {} s and was stopped; unlock or repair it, or pass --creds",
                timeouts.most.as_secs()
            ));
        }
    };
    if status.success() {
        return Ok(Some(answer));
    }
    // A helper that fails prints why, where it would print the credentials.
    let output = String::from_utf8_lossy(&answer);
    if has_none(&output) {
        return Ok(None);
    }
    let line = output.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().take(MAX_ERROR).collect();
    // Credentials are printed as JSON: never show it.
    let why = if line.is_empty() || line.starts_with('{') { status.to_string() } else { line };
    Err(format!("{program} failed for {server}: {why}"))
}

/// Whether a helper has no credentials for the server. The protocol has no exit code for
/// it: docker's own client looks for this text, which every helper prints on stdout
/// (docker/docker-credential-helpers, credentials/error.go).
fn has_none(output: &str) -> bool {
    output.contains("credentials not found")
}

/// What the helper printed and how it ended; `None` when it takes too long.
fn answer(
    child: &mut Child,
    call: &HelperCall,
    timeouts: Timeouts,
) -> Option<io::Result<(Vec<u8>, ExitStatus)>> {
    let (begun, stdout) = (Instant::now(), child.stdout.take());
    let (sender, receiver) = mpsc::channel();
    // It ends with the helper, or with us.
    thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer));
        // Nobody may be waiting any more.
        let _ = sender.send(read.map(|_| answer));
    });
    let read = receiver.recv_timeout(timeouts.quiet).or_else(|_| {
        eprint_early(&format!(
            "waiting for {} to return the credentials for {}...",
            call.program, call.server
        ));
        receiver.recv_timeout(timeouts.most.saturating_sub(begun.elapsed()))
    });
    let answer = match read.ok()? {
        Ok(answer) => answer,
        Err(e) => return Some(Err(e)),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(Ok((answer, status))),
            Ok(None) if begun.elapsed() >= timeouts.most => return None,
            Ok(None) => thread::sleep(POLL),
            Err(e) => return Some(Err(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_without_credentials_says_so() {
        assert!(has_none("credentials not found in native keychain\n"));
        assert!(!has_none("the keychain is locked"));
        assert!(!has_none("no credentials server URL"));
    }

    #[test]
    fn a_helper_is_not_waited_for_for_ever() {
        let begun = Instant::now();
        let timeouts = Timeouts { quiet: Duration::from_millis(1), most: Duration::from_millis(100) };
        let directory = tempfile::tempdir().unwrap();
        let check = |name: &str, script: &str, expected: &str| {
            let path = directory.path().join(name);
            write_program(&path, script);
            let call = HelperCall { program: path.display().to_string(), server: "r.io".into() };
            let error = run(&call, timeouts).unwrap_err();
            let error = error.strip_prefix(directory.path().to_str().unwrap()).unwrap().to_owned();
            assert_eq!(error, expected);
        };
        let late = "did not answer for r.io within 0 s and was stopped; unlock or repair it, or pass --creds";
        check("silent", "exec sleep 60", &format!("/silent {late}"));
        check("lasting", "exec sleep 60 >&-", &format!("/lasting {late}"));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_helper_that_fails_gives_nothing_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("torn");
        write_program(&path, "echo '{\"Username\":\"a\",\"Secret\":\"hunter2\"}'; exit 3");
        let call = HelperCall { program: path.display().to_string(), server: "r.io".into() };
        let error = run(&call, TIMEOUTS).unwrap_err();
        assert!(error.ends_with("failed for r.io: exit status: 3"), "{error}");
    }

    /// A shell writes it: while another test starts a program, a file that this
    /// process has written may still be open in it, and cannot be run.
    fn write_program(path: &Path, script: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", script]);
        assert!(shell.arg(path).status().unwrap().success());
    }
}
