//! Artifacts: a tar archive of two directories.

use serde_json::Value;
use supercargo_testbed::archive::tar;

use crate::action::{Piece, Revision};
use crate::kinds::{Names, manifest};

/// The media type of the layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The layer of a revision.
pub fn layer(names: &Names, revision: &Revision) -> Vec<u8> {
    let documents = |pieces: &[Piece]| {
        pieces.iter().map(|piece| format!("---\n{}\n", yaml(&manifest(names, piece)))).collect::<String>()
    };
    let mut b = documents(&revision.b);
    if revision.broken {
        b.push_str("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: [broken\n");
    }
    tar(&[("a/objects.yaml", &documents(&revision.a)), ("b/objects.yaml", &b)])
}

/// JSON is YAML.
fn yaml(object: &Value) -> String {
    object.to_string()
}
