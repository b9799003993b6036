//! Artifacts: a tar archive of two directories.

use serde_json::Value;

use crate::action::{Piece, Revision};
use crate::kinds::{Names, manifest};

/// The media type of the layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The layer of a revision.
pub fn layer(names: &Names, revision: &Revision) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let documents = |pieces: &[Piece]| {
        pieces.iter().map(|piece| format!("---\n{}\n", yaml(&manifest(names, piece)))).collect::<String>()
    };
    let mut b = documents(&revision.b);
    if revision.broken {
        b.push_str("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: [broken\n");
    }
    for (path, text) in [("a/objects.yaml", documents(&revision.a)), ("b/objects.yaml", b)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, text.as_bytes()).expect("an archive in memory");
    }
    archive.into_inner().expect("an archive in memory")
}

/// JSON is YAML.
fn yaml(object: &Value) -> String {
    object.to_string()
}
