//! The files of one layer, or of several together.

use std::collections::HashMap;

use bytes::Bytes;

use super::archive::{Keep, Part, Reading};
use super::layer::read_layer;
use super::order::{EXTENSION, Form, Order, StoredLayer, Unpacked, add_top, no_manifests, path_missing};
use crate::oci::error::OciError;

/// Files by their names.
type Files = Vec<(String, Bytes)>;

/// Unpacks layers in their order, each after the one before; a file can be in one of them only. Where
/// the path has a kustomization, the files are all files: the layers are read a second time for that,
/// so that the other files of usual artifacts are not held in memory.
pub(in crate::oci) fn unpack(layers: &[StoredLayer], order: &Order) -> Result<Unpacked, OciError> {
    if let Some((files, _)) = merged(layers, order, Keep::Manifests)? {
        return Ok(Unpacked { files, form: Form::Manifests });
    }
    let (files, _) = merged(layers, order, Keep::Everything)?.unwrap_or_default();
    Ok(Unpacked { files, form: Form::Kustomization { directory: order.path.clone() } })
}

/// Unpacks all files of a chart, which is one layer.
pub(in crate::oci) fn unpack_chart(layers: &[StoredLayer], order: &Order) -> Result<Unpacked, OciError> {
    let (files, _) = unpack_everything(layers, order)?;
    Ok(Unpacked { files, form: Form::Chart })
}

/// Unpacks all files, whatever is at the path; also returns how many of them are in the first layer.
pub(in crate::oci::artifact) fn unpack_everything(
    layers: &[StoredLayer],
    order: &Order,
) -> Result<(Files, usize), OciError> {
    Ok(merged(layers, order, Keep::Everything)?.unwrap_or_default())
}

/// The files, and how many of them are in the first layer. `None` where only manifests are asked for
/// and the path has a kustomization.
fn merged(layers: &[StoredLayer], order: &Order, keep: Keep) -> Result<Option<(Files, usize)>, OciError> {
    let is_merged = order.is_merged;
    let mut left = order.limits;
    let (mut all, mut first) = (Part::default(), 0);
    let mut places: HashMap<String, &str> = HashMap::new();
    let mut is_named = false;
    for (n, layer) in layers.iter().enumerate() {
        let checksum = order.checksum.as_deref().filter(|_| n == 0);
        let reading = Reading { order, checksum, left, keep };
        let part = read_layer(layer, &reading);
        let part = part.map_err(|error| if is_merged { error.within(&layer.name) } else { error })?;
        left.unpacked = left.unpacked.saturating_sub(part.unpacked);
        left.entries = left.entries.saturating_sub(part.entries);
        is_named |= !part.names.is_empty();
        for name in part.names.into_iter().filter(|_| is_merged) {
            // An encrypted file is the file of the name that it has in clear.
            let plain = name.strip_suffix(EXTENSION).unwrap_or(&name).to_owned();
            if let Some(earlier) = places.insert(plain.clone(), &layer.name) {
                return Err(OciError::invalid(format!(
                    "file {plain:?} is in {earlier} and in {}; with layers: All, a file can be in one layer only",
                    layer.name
                )));
            }
        }
        all.below |= part.below;
        all.tree |= part.tree;
        part.tops.iter().for_each(|top| add_top(&mut all.tops, top));
        all.files.extend(part.files);
        if n == 0 {
            first = all.files.len();
        }
    }
    if all.tree {
        return Ok(None);
    }
    if !order.path.is_empty() && !all.below {
        return Err(path_missing(&order.path, &all.tops));
    }
    if all.files.is_empty() && is_named && order.path.is_empty() {
        return Err(no_manifests(&all.tops));
    }
    Ok(Some((all.files, first)))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::api::reason::Reason;
    use crate::oci::artifact::unpack::{LayerHint, is_blank, normal_path};
    use crate::oci::limits::ContentLimits;

    const LIMITS: ContentLimits = ContentLimits {
        layer: 1 << 20,
        unpacked: 64 << 10,
        file: 32 << 10,
        entries: 20,
        name: 200,
        depth: 5,
    };

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let content = format!("file: {name}\n");
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn file(title: Option<&str>, bytes: &[u8]) -> StoredLayer {
        StoredLayer { title: title.map(str::to_owned), ..StoredLayer::alone(bytes.to_vec().into()) }
    }

    fn numbered(layers: Vec<StoredLayer>) -> Vec<StoredLayer> {
        let named = |(n, layer): (usize, StoredLayer)| StoredLayer {
            name: format!("layer {}", n + 1),
            position: n + 1,
            ..layer
        };
        layers.into_iter().enumerate().map(named).collect()
    }

    fn names(layers: Vec<StoredLayer>, path: &str) -> Result<String, (Reason, String)> {
        let is_merged = layers.len() > 1;
        let order = Order { path: normal_path(path).unwrap(), checksum: None, limits: LIMITS, is_merged };
        let unpacked = unpack(&numbered(layers), &order).map_err(|e| (e.reason(), e.to_string()))?;
        let names: Vec<String> = unpacked.files.into_iter().map(|(name, _)| name).collect();
        let tree = if unpacked.form == Form::Manifests { "" } else { "tree: " };
        Ok(tree.to_owned() + &names.join(" "))
    }

    #[test]
    fn layers_follow_each_other_in_their_order() {
        let check = |layers: Vec<StoredLayer>, path: &str, expected: &str| {
            assert_eq!(names(layers, path).unwrap(), expected, "{path:?}");
        };
        let plain = |names: &[&str]| file(None, &archive(names));
        let pressed = |names: &[&str]| file(None, &gzip(&archive(names)));
        let zstd = |names: &[&str]| file(None, &zstd::encode_all(archive(names).as_slice(), 1).unwrap());
        check(
            vec![plain(&["b.yaml"]), pressed(&["a.yaml", "x.txt"]), zstd(&["c.yaml"])],
            "",
            "b.yaml a.yaml c.yaml",
        );
        let yaml = |title: &str| file(Some(title), b"kind: A\n");
        check(vec![yaml("b.yaml"), yaml("deploy/a.yaml"), yaml("./c.yml")], "", "b.yaml deploy/a.yaml c.yml");
        check(vec![yaml("b.yaml"), yaml("deploy/a.yaml")], "deploy", "deploy/a.yaml");
        check(vec![file(None, b"a: 1\n"), file(None, b"b: 1\n")], "", "layer-1.yaml layer-2.yaml");
        // Files that are no manifests may be among them, also those that are not text.
        let other = || file(Some("logo.png"), b"\x89PNG\0");
        check(vec![other(), yaml("a.yaml"), plain(&["README.md"])], "", "a.yaml");
        check(vec![file(None, &archive(&[])), yaml("a.yaml")], "", "a.yaml");
        // The path has to be in one of them.
        check(vec![plain(&["x/a.yaml"]), plain(&["y/b.yaml"])], "y", "y/b.yaml");
        // A kustomization in one takes all files of all.
        let overlay = || plain(&["base/a.yaml", "base/a.txt"]);
        check(
            vec![overlay(), yaml("prod/kustomization.yaml")],
            "prod",
            "tree: base/a.yaml base/a.txt prod/kustomization.yaml",
        );
        check(vec![other(), plain(&["kustomization.yaml"])], "", "tree: logo.png kustomization.yaml");
        check(vec![overlay(), yaml("prod/kustomization.yaml")], "base", "base/a.yaml");
        // The lock of a bundle is not for a cluster.
        check(vec![plain(&[".imgpkg/images.yml", "config/a.yaml"])], "", "config/a.yaml");
        check(vec![plain(&[".imgpkg/images.yml"])], ".imgpkg", ".imgpkg/images.yml");
        // An empty file is one, and so is an archive that has the name of another file.
        let empty = |title: &str| file(Some(title), b"");
        check(vec![empty(".gitkeep"), yaml("a.yaml"), empty("b.yaml")], "", "a.yaml b.yaml");
        let hinted = |title: Option<&str>, hint: LayerHint, bytes: Vec<u8>| StoredLayer {
            hint,
            ..file(title, &bytes)
        };
        let other = |title: &str, bytes: Vec<u8>| hinted(Some(title), LayerHint::OtherFile, bytes);
        let packed = gzip(&archive(&["x.yaml"]));
        check(vec![other("chart.tgz", packed.clone()), yaml("a.yaml")], "", "a.yaml");
        check(vec![other("chart.tar", archive(&["x.yaml"])), yaml("a.yaml")], "", "a.yaml");
        let tree = vec![other("chart.tgz", packed), yaml("kustomization.yaml")];
        check(tree, "", "tree: chart.tgz kustomization.yaml");
        // What the media type calls manifests is never left out.
        let typed = |title: Option<&str>| hinted(title, LayerHint::Manifests, b"kind: A\n".to_vec());
        check(vec![typed(Some("app.conf")), typed(Some("b.yml"))], "", "app.conf.yaml b.yml");
        check(vec![typed(Some("deploy/app")), typed(None)], "deploy", "deploy/app.yaml");
        // One layer is named as ever.
        check(vec![yaml("deploy/a.yaml")], "", "a.yaml");
        check(vec![file(None, b"a: 1\n")], "", "all.yaml");
    }

    #[test]
    fn layers_that_contradict_each_other_are_refused() {
        let check = |layers: Vec<StoredLayer>, path: &str, reason: Reason, says: &str| {
            let (found, message) = names(layers, path).unwrap_err();
            assert!(found == reason && message.contains(says), "{found} {message:?} does not say {says:?}");
        };
        let invalid = |layers: Vec<StoredLayer>, says: &str| check(layers, "", Reason::ArtifactInvalid, says);
        let large = |layers: Vec<StoredLayer>, says: &str| check(layers, "", Reason::ArtifactTooLarge, says);
        let plain = |names: &[&str]| file(None, &archive(names));
        let yaml = |title: &str| file(Some(title), b"kind: A\n");
        let twice =
            "file \"a.yaml\" is in layer 1 and in layer 3; with layers: All, a file can be in one layer only";
        invalid(vec![plain(&["a.yaml"]), plain(&["b.yaml"]), plain(&["./a.yaml"])], twice);
        invalid(vec![plain(&["a.yaml"]), yaml("b.yaml"), yaml("./a.yaml")], twice);
        // In clear and encrypted.
        invalid(
            vec![plain(&["a.yaml"]), plain(&["b.yaml"]), yaml("a.yaml.age")],
            "file \"a.yaml\" is in layer 1 and in layer 3",
        );
        invalid(vec![yaml("a.yaml.age"), plain(&["a.yaml"])], "file \"a.yaml\" is in layer 1 and in layer 2");
        // The same layer twice, and a file that no manifest is.
        invalid(vec![plain(&["a.yaml"]), plain(&["a.yaml"])], "is in layer 1 and in layer 2");
        invalid(vec![plain(&["a.yaml", "x.txt"]), plain(&["x.txt"])], "file \"x.txt\"");
        invalid(
            vec![plain(&["a.yaml"]), plain(&["x/.wh.a.yaml"])],
            "layer 2: entry \"x/.wh.a.yaml\" deletes a file",
        );
        invalid(vec![plain(&["a.yaml"]), plain(&[".wh..wh..opq"])], "(squash the image)");
        for title in
            ["../a.yaml", "/etc/a.yaml", "a\\b.yaml", "a\nb.yaml", "a/b/c/d/e/f.yaml", &"n".repeat(201)]
        {
            invalid(vec![plain(&["a.yaml"]), yaml(title)], "layer 2: entry ");
        }
        invalid(vec![plain(&["a.yaml"]), file(Some("b.yaml"), b"\0\x01")], "layer 2: its layer is neither");
        invalid(
            vec![plain(&["a.yaml"]), file(None, b"\x7fELF\0")],
            "layer 2: its layer is neither an archive nor YAML",
        );
        invalid(vec![plain(&["a.yaml"]), file(None, b"")], "layer 2: its layer is empty");
        invalid(
            vec![plain(&["usr/x"]), plain(&["etc/y", "usr/z"])],
            "no YAML or JSON file (is it a container image?); it contains usr, etc",
        );
        check(
            vec![plain(&["a.yaml"]), plain(&["b/c.yaml"])],
            "x",
            Reason::ArtifactInvalid,
            "path ./x is not in the artifact; it contains: a.yaml, b",
        );
        // The limits are for all of them together.
        let many = |from: usize| {
            let names: Vec<String> = (from..from + 11).map(|n| format!("{n}.yaml")).collect();
            plain(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(names(vec![many(0)], "").unwrap().split(' ').count(), 11);
        large(vec![many(0), many(11)], "layer 2: its layers have more than 20 entries");
        let zeros = |title: &str| file(Some(title), &gzip(&[b'#'; 25 << 10]));
        assert!(names(vec![zeros("a.yaml"), zeros("b.yaml")], "").is_ok());
        large(
            vec![zeros("a.yaml"), zeros("b.yaml"), zeros("c.yaml")],
            "layer 3: its layers hold more than 65536 bytes",
        );
        let most = |n: usize| file(Some(&format!("{n}.yaml")), b"a: 1\n");
        large((0..2000).map(most).collect(), "entries");
    }

    #[test]
    fn one_layer_of_all_is_read_as_one_of_several_is() {
        let names = |layer: StoredLayer| {
            let order = Order { path: String::new(), checksum: None, limits: LIMITS, is_merged: true };
            let unpacked = unpack(&numbered(vec![layer]), &order).map_err(|error| error.to_string())?;
            Ok::<_, String>(unpacked.files.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(file(Some("deploy/a.yaml"), b"kind: A\n")), Ok("deploy/a.yaml".into()));
        assert_eq!(names(file(None, b"kind: A\n")), Ok("layer-1.yaml".into()));
        let deleted = names(file(None, &archive(&["x/.wh.a.yaml"]))).unwrap_err();
        assert!(deleted.contains("layer 1: entry \"x/.wh.a.yaml\" deletes a file"), "{deleted}");
        let tgz =
            StoredLayer { hint: LayerHint::OtherFile, ..file(Some("a.tgz"), &gzip(&archive(&["x.yaml"]))) };
        assert!(names(tgz).unwrap_err().contains("it contains no YAML or JSON file"));
    }

    #[test]
    fn a_layer_without_files_is_blank() {
        let check = |layer: &[u8], expected: bool| {
            assert_eq!(is_blank(&StoredLayer::alone(layer.to_vec().into()), &LIMITS), expected);
        };
        let directories = |count: usize| {
            let mut tar = tar::Builder::new(Vec::new());
            for n in 0..count {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                tar.append_data(&mut header, format!("{}{n}", "long".repeat(30)), &[][..]).unwrap();
            }
            tar.into_inner().unwrap()
        };
        for pack in [|bytes: &[u8]| bytes.to_vec(), gzip, |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap()]
        {
            check(&pack(&directories(1)), true);
            check(&pack(&directories(5)), true);
            check(&pack(&archive(&[])), true);
            check(&pack(&archive(&["a.yaml"])), false);
            check(&pack(&archive(&["README"])), false);
            check(&pack(b"kind: A\n"), false);
            check(&pack(b""), true);
            // Beyond the limits, reading it all says why.
            check(&pack(&directories(21)), false);
            check(&pack(&directories(2)[..700]), false);
        }
        check(&[0x1f, 0x8b, 1], false);
    }

    #[test]
    fn the_checksum_is_of_the_first_layer() {
        let layers = || vec![file(None, &archive(&["a.yaml"])), file(None, &archive(&["b.yaml"]))];
        let sum = |content: &str| Some(hex::encode(Sha256::digest(content)));
        let check = |checksum: Option<String>, expected: bool| {
            let order = Order { path: String::new(), checksum, limits: LIMITS, is_merged: true };
            assert_eq!(unpack(&numbered(layers()), &order).is_ok(), expected);
        };
        check(sum("file: a.yaml\n"), true);
        check(sum("file: a.yaml\nfile: b.yaml\n"), false);
        check(None, true);
    }
}
