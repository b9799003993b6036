//! Trees of files: as artifacts, in a directory, and for a builder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use supercargo::builder::{BuildOptions, Builder, Tree};
use supercargo_testbed::archive::tar;
use supercargo_testbed::tools::Tools;

use crate::scene::{BINARY, Scene, SceneBuilder};

/// Files by their paths.
pub type Files<'a> = &'a [(&'a str, &'a str)];

/// The flag that names the kustomize of the image.
pub fn kustomize() -> String {
    format!("--kustomize-binary={}", Tools::image().path("kustomize").display())
}

/// A scene whose operator has that kustomize.
pub async fn builder(name: &str) -> SceneBuilder<'static> {
    Scene::builder(name).await.argument(&kustomize())
}

/// Publishes a tree under a tag of a release's repository.
pub fn push(scene: &Scene<'_>, release: &str, tag: &str, files: Files<'_>) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar(files)).expect("compress");
    let layer = encoder.finish().expect("compress");
    let (registry, repository) = (scene.registry(), scene.repository(release));
    let part = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": registry.push_blob(&repository, bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": part("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [part("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    });
    registry.push_manifest(&repository, tag, &manifest)
}

/// Writes the files into a directory.
pub fn write(directory: &Path, files: Files<'_>) {
    for (name, content) in files {
        let path: PathBuf = directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        fs::write(path, content).expect("write a file");
    }
}

/// The tree of a builder.
pub fn tree(directory: &str, files: Files<'_>) -> Tree {
    let files =
        files.iter().map(|(name, content)| ((*name).to_owned(), Bytes::copy_from_slice(content.as_bytes())));
    Tree { files: files.collect(), directory: directory.to_owned() }
}

/// The options of a builder in this process, which starts the product's binary.
pub fn options(program: &Path) -> BuildOptions {
    BuildOptions {
        binary: Some(program.to_path_buf()),
        launcher: BINARY.into(),
        memory: 128 << 20,
        ..BuildOptions::default()
    }
}

/// A builder with the kustomize of the image.
pub fn with_kustomize() -> Builder {
    Builder::new(options(Tools::image().path("kustomize")))
}
