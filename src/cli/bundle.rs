//! Files, directories and stdin to one stream of documents.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::CliError;

/// Largest input of one command, in bytes.
const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Deepest directory that is read.
const MAX_DEPTH: usize = 32;

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

/// The documents of all files. The names of objects are read from the
/// unindented lines; the decoder of manifests will take this over.
fn bundle(files: &[(String, Vec<u8>)]) -> Result<Bundle, CliError> {
    let mut bundle = Bundle { subjects: Vec::new(), yaml: Vec::new() };
    for (name, bytes) in files {
        let text = std::str::from_utf8(bytes).map_err(|_| CliError::Input(format!("{name} is not UTF-8")))?;
        let mut document = String::new();
        for line in text.lines().chain(["---"]) {
            if !(line == "---" || line.starts_with("--- ")) {
                document.push_str(line);
                document.push('\n');
                continue;
            }
            if document.lines().any(|l| !l.trim().is_empty() && !l.starts_with('#')) {
                let subject = subject(&document);
                let why = || CliError::Input(format!("{name}: a document has no kind or metadata.name"));
                bundle.subjects.push(subject.ok_or_else(why)?);
                bundle.yaml.extend_from_slice(document.as_bytes());
                bundle.yaml.extend_from_slice(b"---\n");
            }
            document.clear();
        }
    }
    if bundle.subjects.is_empty() {
        return Err(CliError::Input("the input holds no object".into()));
    }
    Ok(bundle)
}

fn subject(document: &str) -> Option<String> {
    let field = |prefix: &str, text: &str| {
        text.strip_prefix(prefix).map(|v| v.trim().trim_matches(['"', '\'']).to_owned())
    };
    let kind = document.lines().find_map(|l| field("kind:", l))?;
    let metadata: Vec<&str> = document
        .lines()
        .skip_while(|l| l.trim_end() != "metadata:")
        .skip(1)
        .take_while(|l| l.starts_with(' '))
        .collect();
    let at = |key: &str| metadata.iter().find_map(|l| field(key, l));
    let name = at("  name:")?;
    Some(match at("  namespace:") {
        Some(namespace) => format!("{kind}/{namespace}/{name}"),
        None => format!("{kind}/{name}"),
    })
}
