//! The archive that Helm reads a chart from.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

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
