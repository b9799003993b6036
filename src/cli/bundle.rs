//! Files, directories and stdin to one stream of documents.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::domain::identity::ObjectId;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::canonical::to_yaml;
use crate::domain::manifest::decode::{Decoded, DocumentError, Fault, Origin, decode_within};
use crate::domain::stage::order;

/// Largest input of one command, in bytes.
const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Deepest directory that is read.
const MAX_DEPTH: usize = 32;

/// How many faults of the input are told.
const MAX_FAULTS: usize = 20;

/// What was read.
pub(super) struct Bundle {
    /// `Kind/namespace/name` of every object, in order.
    pub subjects: Vec<String>,
    /// The documents, each ended by `---`.
    pub yaml: Vec<u8>,
}

/// Reads every named file, directory or stdin, in the order given.
pub(super) fn read(filenames: &[PathBuf]) -> Result<Bundle, CliError> {
    let mut files = Vec::new();
    let mut left = MAX_INPUT_BYTES;
    for filename in filenames {
        if filename.as_os_str() == "-" {
            files.push(("stdin".to_owned(), content(std::io::stdin().lock(), "stdin", &mut left)?));
            continue;
        }
        let mut paths = Vec::new();
        collect(filename, &mut paths, 0, true)?;
        for path in paths {
            let name = path.display().to_string();
            let file =
                fs::File::open(&path).map_err(|e| CliError::Input(format!("cannot read {name}: {e}")))?;
            let bytes = content(file, &name, &mut left)?;
            files.push((name, bytes));
        }
    }
    bundle(&files)
}

fn content(reader: impl Read, name: &str, left: &mut u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = reader.take(*left + 1).read_to_end(&mut bytes);
    read.map_err(|e| CliError::Input(format!("cannot read {name}: {e}")))?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| CliError::Input(format!("the input is larger than {MAX_INPUT_BYTES} bytes")))?;
    Ok(bytes)
}

/// The files below a path in lexical order; what is named is read whatever its
/// extension, what is found must look like a manifest.
fn collect(path: &Path, found: &mut Vec<PathBuf>, depth: usize, named: bool) -> Result<(), CliError> {
    let fail = |e: std::io::Error| CliError::Input(format!("cannot read {}: {e}", path.display()));
    let meta = fs::metadata(path).map_err(fail)?;
    if meta.is_dir() {
        if depth > MAX_DEPTH {
            return Err(CliError::Input(format!("{} is nested too deep", path.display())));
        }
        let entries = fs::read_dir(path).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            collect(&path, found, depth + 1, false)?;
        }
        return Ok(());
    }
    let extension = path.extension().and_then(|e| e.to_str());
    if named || matches!(extension, Some("yaml" | "yml" | "json")) {
        found.push(path.to_owned());
    }
    Ok(())
}

/// The objects of all files. Everything that is wrong with them is told at
/// once, as far as one screen holds it.
fn bundle(files: &[(String, Vec<u8>)]) -> Result<Bundle, CliError> {
    let mut budget = Budget::default();
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<ObjectId, Origin> = HashMap::new();
    for (name, bytes) in files {
        match decode_within(name, bytes, &mut budget) {
            Ok(decoded) => {
                for Decoded { object, origin } in decoded {
                    match seen.get(&object.id()) {
                        Some(first) => faults.push(format!("{origin}: {} is also in {first}", object.id())),
                        None => {
                            seen.insert(object.id(), origin);
                            objects.push(object);
                        }
                    }
                }
            }
            Err(errors) => faults.extend(errors.iter().map(explain)),
        }
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(MAX_FAULTS);
        faults.truncate(MAX_FAULTS);
        if more > 0 {
            faults.push(format!("and {more} more"));
        }
        return Err(CliError::Input(faults.join("\n")));
    }
    if objects.is_empty() {
        return Err(CliError::Input("the input holds no object".into()));
    }
    // In the order of the apply, as Kustomizer writes its artifacts.
    objects.sort_by_cached_key(|o| {
        let id = o.id();
        let (stage, rank, ..) = order(&id);
        (stage, rank, id.group, id.kind, id.namespace, id.name)
    });
    let yaml = to_yaml(&objects).map_err(|e| CliError::Input(e.to_string()))?;
    Ok(Bundle { subjects: objects.iter().map(|o| o.id().to_string()).collect(), yaml: yaml.into_bytes() })
}

fn explain(error: &DocumentError) -> String {
    match error.fault {
        Fault::Kustomization => {
            format!("{error}; build it first: kustomize build DIR | supercargo push artifact URL -f -")
        }
        Fault::Invalid | Fault::TooLarge => error.to_string(),
    }
}
