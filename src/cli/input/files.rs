//! Files, directories and stdin as bytes.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cli::CliError;

/// Largest input of one command, in bytes.
pub(in crate::cli) const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Largest file of keys, certificates or credentials, in bytes.
const MAX_SMALL_BYTES: u64 = 1 << 20;
/// Deepest directory that is read.
const MAX_DEPTH: usize = 32;
/// The most files and directories that are visited in one directory and below.
const MAX_ENTRIES: usize = 100_000;

/// Reads every named file, directory or stdin, in the order given: names and
/// contents.
pub(in crate::cli) fn read(filenames: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    stdin_once(filenames.iter())?;
    let mut files = Vec::new();
    let mut left = MAX_INPUT_BYTES;
    for filename in filenames {
        if filename.as_os_str() == "-" {
            files.push(("stdin".to_owned(), content(io::stdin().lock(), "stdin", &mut left)?));
            continue;
        }
        let paths = Found::below(filename, MAX_ENTRIES)?;
        if paths.is_empty() {
            let shown = filename.display();
            return Err(CliError::Input(format!("{shown} contains no .yaml, .yml or .json file")));
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
pub(in crate::cli) fn small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        let why = format!("larger than {MAX_SMALL_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

/// The same for a file named by an argument.
///
/// # Errors
/// Says why it cannot be read.
pub(in crate::cli) fn read_small(path: &Path) -> Result<Vec<u8>, CliError> {
    small(path).map_err(|e| CliError::Input(format!("cannot read {}: {e}", path.display())))
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

/// Refuses to read stdin twice.
///
/// # Errors
/// Says so.
pub(in crate::cli) fn stdin_once<'a>(filenames: impl Iterator<Item = &'a PathBuf>) -> Result<(), CliError> {
    if filenames.filter(|f| f.as_os_str() == "-").count() > 1 {
        return Err(CliError::Usage("stdin can be read only once; pass - only once".into()));
    }
    Ok(())
}

/// The files below a path.
struct Found {
    paths: Vec<PathBuf>,
    /// How many more entries can be visited.
    left: usize,
}

impl Found {
    /// In lexical order; a named file is read with any extension, a file that is
    /// found must have the extension of a manifest.
    fn below(path: &Path, most: usize) -> Result<Vec<PathBuf>, CliError> {
        let mut found = Self { paths: Vec::new(), left: most };
        match fs::metadata(path).map_err(|e| unreadable(path, &e))?.is_dir() {
            true => found.collect(path, 0)?,
            false => found.paths.push(path.to_owned()),
        }
        Ok(found.paths)
    }

    /// A link to a directory is not followed: it can lead anywhere, and back. A link
    /// to a file is followed.
    fn collect(&mut self, directory: &Path, depth: usize) -> Result<(), CliError> {
        let shown = directory.display();
        if depth > MAX_DEPTH {
            return Err(CliError::Input(format!("{shown}: more than {MAX_DEPTH} nested directories")));
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).map_err(|e| unreadable(directory, &e))? {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                CliError::Input(format!("{shown}: more than {MAX_ENTRIES} files; select fewer"))
            })?;
            entries.push(entry.map_err(|e| unreadable(directory, &e))?);
        }
        entries.sort_by_key(fs::DirEntry::path);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
            if kind.is_dir() {
                // Such as .git or .terraform: files of a tool, not of a person.
                if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                    self.collect(&path, depth + 1)?;
                }
                continue;
            }
            let extension = path.extension().and_then(|e| e.to_str());
            let is_manifest = matches!(extension, Some("yaml" | "yml" | "json"));
            if is_manifest && !fs::metadata(&path).map_err(|e| unreadable(&path, &e))?.is_dir() {
                self.paths.push(path);
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::Input(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_not_read_to_it() {
        let error = small(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "larger than 1048576 bytes");
    }

    #[test]
    fn a_directory_is_read_to_its_bounds_and_not_beyond() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::write(outside.path().join("far.yaml"), "").unwrap();
        for directory in ["in/deep", ".git/refs", "in/.terraform"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for name in [
            ".git/x.yaml",
            ".git/refs/x.yaml",
            "in/.terraform/x.json",
            "b.yaml",
            "a.json",
            "c.txt",
            "in/d.yml",
            "in/deep/e.yaml",
        ] {
            fs::write(at(name), "").unwrap();
        }
        let link = |to: &Path, name: &str| std::os::unix::fs::symlink(to, at(name)).unwrap();
        link(outside.path(), "elsewhere");
        link(outside.path(), "named.yaml");
        link(root.path(), "in/back");
        link(&at("c.txt"), "in/linked.yaml");
        let found = Found::below(root.path(), MAX_ENTRIES).unwrap();
        let found: Vec<_> = found.iter().map(|p| p.strip_prefix(root.path()).unwrap()).collect();
        let expected = ["a.json", "b.yaml", "in/d.yml", "in/deep/e.yaml", "in/linked.yaml"];
        assert_eq!(found, expected.map(Path::new));
        // What is named may be a link.
        assert_eq!(Found::below(&at("elsewhere"), MAX_ENTRIES).unwrap(), [at("elsewhere/far.yaml")]);
        // And hidden, whether by its name or as where one is.
        assert_eq!(
            Found::below(&at(".git"), MAX_ENTRIES).unwrap(),
            [at(".git/refs/x.yaml"), at(".git/x.yaml")]
        );
        assert!(matches!(Found::below(root.path(), 9), Err(CliError::Input(_))));
    }

    #[test]
    fn stdin_is_read_once() {
        let check = |names: &[&str], expected: bool| {
            let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            assert_eq!(stdin_once(names.iter()).is_ok(), expected, "{names:?}");
        };
        check(&["-", "a"], true);
        check(&["-", "a", "-"], false);
    }
}
