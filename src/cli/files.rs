//! Files, directories and stdin as bytes.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::CliError;

/// Largest input of one command, in bytes.
pub(super) const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Largest file of keys, certificates or credentials, in bytes.
const MAX_SMALL_BYTES: u64 = 1 << 20;
/// Deepest directory that is read.
const MAX_DEPTH: usize = 32;

/// Reads every named file, directory or stdin, in the order given: names and
/// contents.
pub(super) fn read(filenames: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    if filenames.iter().filter(|f| f.as_os_str() == "-").count() > 1 {
        return Err(CliError::Usage("stdin can be read once; name - once".into()));
    }
    let mut files = Vec::new();
    let mut left = MAX_INPUT_BYTES;
    for filename in filenames {
        if filename.as_os_str() == "-" {
            files.push(("stdin".to_owned(), content(io::stdin().lock(), "stdin", &mut left)?));
            continue;
        }
        let mut paths = Vec::new();
        collect(filename, &mut paths, 0, true)?;
        if paths.is_empty() {
            let shown = filename.display();
            return Err(CliError::Input(format!("{shown} holds no .yaml, .yml or .json file")));
        }
        for path in paths {
            let name = path.display().to_string();
            let file =
                fs::File::open(&path).map_err(|e| CliError::Input(format!("cannot read {name}: {e}")))?;
            let bytes = content(file, &name, &mut left)?;
            files.push((name, bytes));
        }
    }
    Ok(files)
}

/// A file of a few lines, such as keys, certificates or credentials.
///
/// # Errors
/// Those of the file system; or it is larger than [`MAX_SMALL_BYTES`].
pub(super) fn small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        let why = format!("it is larger than {MAX_SMALL_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
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
    let fail = |e: io::Error| CliError::Input(format!("cannot read {}: {e}", path.display()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        let error = small(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1048576 bytes");
    }
}
