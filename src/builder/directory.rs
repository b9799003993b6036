//! The directories of builds: one for each, removed after it.
//!
//! A process has a directory of its own in the common one, with a lock. What processes have left
//! there that were killed has no lock any more, and is removed at the start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

const PREFIX: &str = "builds-";
const LOCK: &str = "lock";

/// The directory of this process.
#[derive(Debug)]
pub(super) struct BuildRoot {
    own: TempDir,
    _lock: File,
}

impl BuildRoot {
    /// Opens it in the common directory, and removes what is left there of others.
    pub fn open(common: &Path) -> io::Result<Self> {
        fs::create_dir_all(common)?;
        // The program gets this path.
        let common = common.canonicalize()?;
        remove_abandoned(&common);
        let own = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&common)?;
        let lock = File::create(own.path().join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { own, _lock: lock })
    }

    /// An empty directory for a build.
    pub fn place(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("build-").tempdir_in(self.own.path())
    }
}

fn remove_abandoned(common: &Path) {
    let listed = fs::read_dir(common).into_iter().flatten().flatten();
    let ours = listed.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for path in ours.map(|entry| entry.path()) {
        let free = File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if free {
            // What cannot be removed takes space, and no more.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Writes the files, which only this user can read. Blocks.
pub(super) fn write(directory: &Path, files: &[(String, Bytes)]) -> io::Result<()> {
    let mut last = PathBuf::new();
    for (name, content) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        if parent != last {
            fs::create_dir_all(parent)?;
            last = parent.to_path_buf();
        }
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(&path)?;
        file.write_all(content)?;
    }
    Ok(())
}

/// The files as an archive: exactly those that were looked at. Helm reads an archive without the rules of
/// `.helmignore`, which were applied when the chart was packaged.
pub(super) fn packed(files: &[(String, Bytes)]) -> std::io::Result<Bytes> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o444);
        archive.append_data(&mut header, name, &content[..])?;
    }
    let mut compressed = archive.into_inner()?;
    compressed.flush()?;
    Ok(compressed.finish()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_others_use_stays() {
        let common = tempfile::tempdir().unwrap();
        let used = BuildRoot::open(common.path()).unwrap();
        let abandoned = common.path().join("builds-old");
        fs::create_dir_all(abandoned.join("build-1/a")).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        fs::create_dir(common.path().join("other")).unwrap();
        let second = BuildRoot::open(common.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(used.own.path().exists() && second.own.path().exists());
        assert!(common.path().join("other").exists());
    }

    #[test]
    fn files_are_written_with_their_directories() {
        let directory = tempfile::tempdir().unwrap();
        let files = [("a.yaml", "a"), ("b/c/d.txt", "d"), ("b/e", "e")];
        let files = files.map(|(name, content)| (name.to_owned(), Bytes::from_static(content.as_bytes())));
        write(directory.path(), &files).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("b/c/d.txt")).unwrap(), "d");
    }
}
