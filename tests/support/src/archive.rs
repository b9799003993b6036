//! Archives in memory.

/// A tar of files, each with its path and content.
///
/// # Panics
/// When a path does not fit into an archive.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).expect("append a file");
    }
    archive.into_inner().expect("an archive")
}
