//! Overlays, built by the official kustomize: it supports all fields, and we
//! do not.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::files::MAX_INPUT_BYTES;
use crate::cli::print::printer::eprint_early;
use crate::cli::{CliError, Lines};

/// How much of a build's stderr is shown, in bytes.
const MAX_STDERR_BYTES: u64 = 64 << 10;

/// The build programs, and their arguments before the directory. Files
/// outside of the directory are read, as Kustomizer and Flux do.
const BUILDERS: [(&str, &[&str]); 2] = [
    ("kustomize", &["build", "--load-restrictor", "LoadRestrictionsNone"]),
    ("kubectl", &["kustomize", "--load-restrictor", "LoadRestrictionsNone"]),
];

/// Builds the overlay in a directory.
pub(in crate::cli) fn build(directory: &Path) -> Result<Vec<u8>, CliError> {
    let shown = directory.display();
    let files = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    if !files.iter().any(|f| directory.join(f).is_file()) {
        let why = if directory.is_dir() { "has no kustomization.yaml" } else { "is not a directory" };
        return Err(CliError::Input(format!("{shown} {why}; use -f for plain manifests")));
    }
    for (program, arguments) in BUILDERS {
        let spawned = Command::new(program)
            .args(arguments)
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match spawned {
            Ok(child) => return output(child, program, &shown.to_string()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(CliError::Input(format!("cannot run {program}: {e}"))),
        }
    }
    Err(CliError::Input(format!(
        "cannot build {shown}: neither kustomize nor kubectl is on PATH; build it elsewhere and pass the result \
         with -f -"
    )))
}

fn output(mut child: std::process::Child, program: &str, shown: &str) -> Result<Vec<u8>, CliError> {
    let fail = |e: io::Error| CliError::Input(format!("cannot read the output of {program}: {e}"));
    // Both at once, or a full pipe would block the build.
    let talk = child.stderr.take();
    let talk = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut talk) = talk {
            // Unreadable text is not shown; the rest is read, or the build
            // would fail without a reader.
            let _ = talk.by_ref().take(MAX_STDERR_BYTES).read_to_end(&mut text);
            let _ = io::copy(&mut talk, &mut io::sink());
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut built = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(MAX_INPUT_BYTES + 1).read_to_end(&mut built).map_err(fail)?;
    }
    if built.len() as u64 > MAX_INPUT_BYTES {
        // It may be gone already.
        let _ = child.kill();
        let _ = child.wait();
        return Err(CliError::Input(format!("{shown} builds to more than {MAX_INPUT_BYTES} bytes")));
    }
    let talk = talk.join().unwrap_or_default();
    let status = child.wait().map_err(fail)?;
    if !status.success() {
        let why = talk.trim().trim_start_matches("error: ").trim_start_matches("Error: ");
        let mut why = why.lines();
        let first = why.next().unwrap_or_default();
        let mut lines = Lines::from(format!("{program} cannot build {shown}: {first}"));
        why.for_each(|line| lines.push(format!("  {line}")));
        return Err(CliError::Several(lines));
    }
    // Warnings, such as about deprecated fields.
    talk.lines().filter(|line| !line.trim().is_empty()).for_each(eprint_early);
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<Vec<u8>, CliError> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        output(shell.spawn().unwrap(), "sh", "x")
    }

    #[test]
    fn a_build_may_say_more_than_is_shown() {
        let much = "head -c 300000 /dev/zero | tr '\\0' '\\n' >&2; echo built";
        assert_eq!(run(much).unwrap(), b"built\n");
        let error = run("printf 'Error: \\377 is no field' >&2; exit 1").unwrap_err();
        assert_eq!(error.to_string(), "sh cannot build x: \u{fffd} is no field");
    }
}
