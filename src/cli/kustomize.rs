//! Overlays, built by the official kustomize: it knows all its fields, and we
//! do not pretend to.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::CliError;
use super::files::MAX_INPUT_BYTES;

/// The programs that build, and their arguments before the directory. Files
/// outside of the directory are read, as Kustomizer and Flux do.
const BUILDERS: [(&str, &[&str]); 2] = [
    ("kustomize", &["build", "--load-restrictor", "LoadRestrictionsNone"]),
    ("kubectl", &["kustomize", "--load-restrictor", "LoadRestrictionsNone"]),
];

/// Builds the overlay in a directory.
pub(super) fn build(directory: &Path) -> Result<Vec<u8>, CliError> {
    let shown = directory.display();
    let files = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    if !files.iter().any(|f| directory.join(f).is_file()) {
        let why = if directory.is_dir() { "has no kustomization.yaml" } else { "is not a directory" };
        return Err(CliError::Input(format!("{shown} {why}; -f reads plain manifests")));
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
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(CliError::Input(format!("cannot run {program}: {e}"))),
        }
    }
    Err(CliError::Input(format!(
        "{shown} needs kustomize or kubectl on PATH to be built, and neither is there; build it elsewhere and \
         pass the result with -f -"
    )))
}

fn output(mut child: std::process::Child, program: &str, shown: &str) -> Result<Vec<u8>, CliError> {
    let fail = |e: std::io::Error| CliError::Input(format!("cannot read what {program} writes: {e}"));
    // Both at once, or a full pipe would hold it up.
    let talk = child.stderr.take();
    let talk = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(talk) = talk {
            // What is not text is not worth telling.
            let _ = talk.take(64 << 10).read_to_string(&mut text);
        }
        text
    });
    let mut built = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(MAX_INPUT_BYTES + 1).read_to_end(&mut built).map_err(fail)?;
    }
    if built.len() as u64 > MAX_INPUT_BYTES {
        // It may be gone already.
        let _ = child.kill();
        let _ = child.wait();
        return Err(CliError::Input(format!("{shown} builds more than {MAX_INPUT_BYTES} bytes")));
    }
    let talk = talk.join().unwrap_or_default();
    let status = child.wait().map_err(fail)?;
    if !status.success() {
        let why = talk.trim().trim_start_matches("error: ").trim_start_matches("Error: ");
        return Err(CliError::Input(format!("{program} cannot build {shown}: {why}")));
    }
    Ok(built)
}
