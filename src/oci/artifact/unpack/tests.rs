//! Archives from untrusted sources.

use std::io::Write;

use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::{Form, Order, StoredLayer, Unpacked, normal_path};
use crate::api::reason::Reason;
use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;

const YAML: &[u8] = b"kind: ConfigMap\n";

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// Puts a name into a header without the checks of the tar crate.
fn raw(name: &[u8], kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = header(kind, content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn ended(mut blocks: Vec<u8>) -> Vec<u8> {
    blocks.resize(blocks.len() + 1024, 0);
    blocks
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    ended(
        files.iter().flat_map(|(name, content)| raw(name.as_bytes(), EntryType::Regular, content)).collect(),
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn order(path: &str) -> Order {
    let limits = ContentLimits {
        layer: 1 << 20,
        unpacked: 1 << 20,
        file: 64 << 10,
        entries: 100,
        name: 200,
        depth: 5,
    };
    Order { path: normal_path(path).unwrap(), checksum: None, limits, is_merged: false }
}

fn unpack(layer: &[u8], order: &Order) -> Result<Unpacked, OciError> {
    super::unpack(&[StoredLayer::alone(layer.to_vec().into())], order)
}

fn names(layer: &[u8], path: &str) -> String {
    let files = unpack(layer, &order(path)).unwrap().files;
    files.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

fn refused(layer: &[u8], path: &str) -> (Reason, String) {
    let error = unpack(layer, &order(path)).unwrap_err();
    (error.reason(), error.to_string())
}

#[test]
fn what_is_below_the_path_and_named_like_a_manifest_is_kept() {
    let tar = archive(&[
        ("./a.yaml", YAML),
        ("deploy/b.yml", YAML),
        ("deploy/c.json", YAML),
        ("deploy/x/Kustomization", YAML),
        ("deploy/x/secret.yaml.age", YAML),
        ("deploy/README.md", b"# hello"),
        ("deployment.yaml", YAML),
    ]);
    let check = |path: &str, expected: &str| assert_eq!(names(&tar, path), expected, "{path:?}");
    check(
        "./",
        "a.yaml deploy/b.yml deploy/c.json deploy/x/Kustomization deploy/x/secret.yaml.age deployment.yaml",
    );
    check(
        "",
        "a.yaml deploy/b.yml deploy/c.json deploy/x/Kustomization deploy/x/secret.yaml.age deployment.yaml",
    );
    check("./deploy", "deploy/b.yml deploy/c.json deploy/x/Kustomization deploy/x/secret.yaml.age");
    check("deploy/b.yml", "deploy/b.yml");
}

#[test]
fn a_path_with_a_kustomization_takes_all_files_whatever_their_order() {
    let check = |files: &[&str], path: &str, expected: Option<&str>| {
        let files: Vec<_> = files.iter().map(|name| (*name, YAML)).collect();
        let Unpacked { files: kept, form } = unpack(&archive(&files), &order(path)).unwrap();
        let found = match form {
            Form::Kustomization { directory } => Some(directory),
            Form::Manifests | Form::Chart => None,
        };
        assert_eq!(found.as_deref(), expected, "{files:?} {path:?}");
        if expected.is_some() {
            assert_eq!(kept.len(), files.len(), "{files:?} {path:?}");
        }
    };
    let tree =
        ["base/a.yaml", "base/app.properties", "prod/kustomization.yaml", "README.md", "x/Kustomization"];
    check(&tree, "./prod/", Some("prod"));
    check(&tree, "x", Some("x"));
    check(&tree, "base", None);
    check(&tree, "", None);
    check(&tree, "prod/kustomization.yaml", None);
    check(&["kustomization.yml", "a.txt"], "", Some(""));
    check(&["a.txt", "kustomization.yaml.age"], "./", Some(""));
    check(&["kustomization.yaml/a.yaml"], "", None);
    check(&["Kustomization.yaml", "kustomization", "a.yaml"], "", None);
    // The limits are those of any archive.
    let large = vec![b'#'; (64 << 10) + 1];
    let (reason, message) = refused(&archive(&[("kustomization.yaml", YAML), ("a.bin", &large)]), "");
    assert_eq!(reason, Reason::ArtifactTooLarge, "{message}");
}

#[test]
fn compression_is_recognised_by_its_first_bytes() {
    let tar = archive(&[("a.yaml", YAML)]);
    assert_eq!(names(&tar, ""), "a.yaml");
    assert_eq!(names(&gzip(&tar), ""), "a.yaml");
    assert_eq!(names(&zstd::encode_all(tar.as_slice(), 3).unwrap(), ""), "a.yaml");
    assert_eq!(names(YAML, ""), "all.yaml");
    assert_eq!(names(&gzip(YAML), ""), "all.yaml");
    assert_eq!(names(&[YAML, &[b'#'; 2000]].concat(), ""), "all.yaml");
}

#[test]
fn an_empty_archive_is_an_artifact_without_files() {
    assert_eq!(names(&ended(Vec::new()), ""), "");
}

#[test]
fn what_configuration_does_not_need_is_refused() {
    let check = |layer: Vec<u8>, path: &str, reason: Reason, says: &str| {
        let (found, message) = refused(&layer, path);
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    let invalid = |layer: Vec<u8>, says: &str| check(layer, "", Reason::ArtifactInvalid, says);
    let large = |layer: Vec<u8>, says: &str| check(layer, "", Reason::ArtifactTooLarge, says);
    let file = |name: &[u8]| ended(raw(name, EntryType::Regular, YAML));
    let special = |kind: EntryType| ended(raw(b"bin", kind, b""));

    invalid(file(b"../a.yaml"), "points outside of the archive");
    invalid(file(b"a/../../b.yaml"), "points outside of the archive");
    invalid(file(b"/etc/a.yaml"), "absolute name");
    invalid(file(b"a\\b.yaml"), "backslash");
    invalid(file(b"a\nb.yaml"), "control character");
    invalid(file(b"a\xff.yaml"), "not UTF-8");
    invalid(file(b"1/2/3/4/5/6.yaml"), "nested too deep");
    invalid(special(EntryType::Symlink), "entry \"bin\" is a symbolic link");
    invalid(special(EntryType::Link), "hard link");
    invalid(special(EntryType::Char), "device");
    invalid(special(EntryType::Fifo), "named pipe");
    invalid(archive(&[("a.yaml", YAML), ("./a.yaml", YAML)]), "occurs twice");
    invalid(archive(&[("usr/bin/env", b"\x7fELF"), ("etc/passwd", b"root")]), "container image");
    invalid(Vec::new(), "empty");
    invalid(b"\x00\x01\x02binary".to_vec(), "neither an archive nor YAML");
    check(
        archive(&[("a/b.yaml", YAML), ("c.yaml", YAML)]),
        "./x",
        Reason::ArtifactInvalid,
        "it contains: a, c.yaml",
    );

    let many: Vec<u8> =
        (0..101).flat_map(|n| raw(format!("{n}").as_bytes(), EntryType::Regular, b"")).collect();
    large(ended(many), "more than 100 entries");
    large(archive(&[("a.yaml", &[b'#'; (64 << 10) + 1])]), "larger than 65536 bytes");
    large([b'#'; (64 << 10) + 1].to_vec(), "larger than 65536 bytes");
    let zeros = vec![0u8; 4 << 20];
    large(gzip(&archive(&[("dropped", &zeros)])), "more than 1048576 bytes when unpacked");
    large(zstd::encode_all(archive(&[("dropped", &zeros)]).as_slice(), 3).unwrap(), "when unpacked");
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
    {
        large(gzip(&ended(raw(b"././@LongLink", kind, &zeros))), "header of more than 65536 bytes");
    }
    let long =
        [raw(b"././@LongLink", EntryType::GNULongName, &[b'n'; 300]), raw(b"n", EntryType::Regular, YAML)];
    invalid(ended(long.concat()), "too long a name");
}

#[test]
fn streams_that_readers_would_disagree_about_are_refused() {
    let tar = archive(&[("a.yaml", YAML)]);
    let check = |layer: Vec<u8>, says: &str| {
        let (reason, message) = refused(&layer, "");
        assert_eq!(reason, Reason::ArtifactInvalid, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    check([gzip(&tar), gzip(&tar)].concat(), "after the end of its gzip stream");
    check([gzip(&tar), b"more".to_vec()].concat(), "after the end of its gzip stream");
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    check([zstd, b"more".to_vec()].concat(), "cannot be unpacked");
    check([tar.clone(), tar.clone()].concat(), "after the end of its archive");
    let whole = gzip(&tar);
    check(whole[..whole.len() - 6].to_vec(), "cannot be unpacked");
    check(tar[..512 + 5].to_vec(), "ends within entry");
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&tar).unwrap();
    check(wide.finish().unwrap(), "cannot be unpacked");
}

/// One PAX record, with its length.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..).find(|n| n.to_string().len() + rest == *n).unwrap();
    format!("{length} {key}={value}\n")
}

#[test]
fn extensions_name_an_entry_and_nothing_else() {
    let file = |before: Vec<u8>| ended([before, raw(b"short", EntryType::Regular, YAML)].concat());
    let pax = |records: &str| raw(b"pax", EntryType::XHeader, records.as_bytes());
    let long = format!("{}/a.yaml", "d".repeat(120));
    let check = |layer: Vec<u8>, expected: &str| assert_eq!(names(&layer, ""), expected);
    check(file(raw(b"././@LongLink", EntryType::GNULongName, format!("{long}\0").as_bytes())), &long);
    check(file(pax(&(record("mtime", "1.5") + &record("path", &long) + &record("uname", "x")))), &long);
    check(file(pax(&record("path", "\u{fc}.yaml"))), "\u{fc}.yaml");
    let comment = raw(b"pax_global_header", EntryType::XGlobalHeader, record("comment", "commit").as_bytes());
    check(file([comment, pax(&record("path", "a.yaml"))].concat()), "a.yaml");
    // The name holds for one entry only.
    let two =
        [file(pax(&record("path", "a.yaml")))[..4 * 512].to_vec(), raw(b"b.yaml", EntryType::Regular, YAML)];
    check(ended(two.concat()), "a.yaml b.yaml");

    // RUSTSEC-2026-0068: a header that says 0 and an extension that says more
    // hide an archive within the content.
    let refuse = |layer: Vec<u8>, says: &str| {
        let (reason, message) = refused(&layer, "");
        assert_eq!(reason, Reason::ArtifactInvalid, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    refuse(file(pax(&record("size", "1024"))), "size of an entry twice");
    refuse(file(pax(&record("GNU.sparse.major", "1"))), "sparse");
    refuse(file(pax(&record("path", "../a.yaml"))), "points outside of the archive");
    let global = raw(b"g", EntryType::XGlobalHeader, record("path", "a.yaml").as_bytes());
    refuse(file(global), "one name for all");
    for malformed in
        ["x", "9 a=b\n", "3 a", "99999999999999999999 a=b\n", "0 a=b\n", "6 ab\n", " a=b\n", "7 a=b\nx"]
    {
        refuse(file(pax(malformed)), "malformed PAX");
    }
}

#[test]
fn the_checksum_is_over_all_files() {
    let tar = archive(&[("a.yaml", YAML), ("b.txt", b"more")]);
    let sum = |content: &[u8]| Some(hex::encode(Sha256::digest(content)));
    let right = Order { checksum: sum(&[YAML, b"more"].concat()), ..order("") };
    assert_eq!(unpack(&tar, &right).unwrap().files.len(), 1);
    let wrong = Order { checksum: sum(YAML), ..order("") };
    assert!(unpack(&tar, &wrong).unwrap_err().to_string().contains("checksum mismatch"));
    let single = Order { checksum: sum(b"other"), ..order("") };
    assert!(unpack(YAML, &single).unwrap_err().to_string().contains("checksum mismatch"));
}

#[test]
fn paths_stay_in_the_artifact() {
    for path in ["..", "../x", "a/../../b", "/etc", "a\\b"] {
        assert_eq!(normal_path(path).unwrap_err().reason(), Reason::InvalidSpec, "{path}");
    }
    assert_eq!(normal_path("././a//b/").unwrap(), "a/b");
}

/// Malformed entries of an archive, each with its reason.
#[test]
fn names_and_kinds_that_mislead_are_refused() {
    let pax = |records: &str| raw(b"pax", EntryType::XHeader, records.as_bytes());
    let gnu = |name: &[u8]| raw(b"././@LongLink", EntryType::GNULongName, name);
    let named = |before: Vec<u8>| ended([before, raw(b"short.yaml", EntryType::Regular, YAML)].concat());
    let check = |layer: Vec<u8>, reason: Reason, says: &str| {
        let (found, message) = refused(&layer, "");
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    let invalid = |layer: Vec<u8>, says: &str| check(layer, Reason::ArtifactInvalid, says);

    invalid(ended(raw(b"bin", EntryType::Block, b"")), "device");
    invalid(ended(raw(b"bin", EntryType::GNUSparse, b"")), "sparse file");
    invalid(ended(raw(b"bin", EntryType::new(b'V'), b"")), "unsupported type");
    // A link whose target is a link: the first one already ends it.
    let link = |name: &[u8], target: &str| {
        let mut header = header(EntryType::Symlink, 0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_link_name(target).unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let through = raw(b"a/passwd.yaml", EntryType::Regular, YAML);
    invalid(ended([link(b"a", "b"), link(b"b", "/etc"), through].concat()), "entry \"a\" is a symbolic link");
    invalid(ended(link(b"environ.yaml", "/proc/self/environ")), "symbolic link");

    // A name that one reader ends at its NUL and another does not.
    invalid(named(gnu(b"a.yaml\0/../../b.yaml")), "NUL");
    invalid(named(pax(&record("path", "a.yaml\0b"))), "control character");
    invalid(named(pax(&record("path", "a\\b.yaml"))), "backslash");
    invalid(named(pax(&record("path", "/a.yaml"))), "absolute");
    invalid(named(pax(&record("path", "a.yaml\u{1b}[2J"))), "control character");
    let long = "n".repeat(64 << 10);
    invalid(named(gnu(long.as_bytes())), "too long a name");
    check(named(pax(&record("path", &long))), Reason::ArtifactTooLarge, "header of more than 65536 bytes");
    // The second path of one header, and the same file under two spellings.
    invalid(named(pax(&(record("path", "a.yaml") + &record("path", "b.yaml")))), "names an entry twice");
    let twice =
        [named(gnu(b"./short.yaml"))[..4 * 512].to_vec(), raw(b"short.yaml", EntryType::Regular, YAML)];
    invalid(ended(twice.concat()), "occurs twice");
    // A size beyond everything, in the form that only GNU tar knows.
    let mut header = header(EntryType::Regular, 0);
    header.set_path("a.yaml").unwrap();
    header.as_gnu_mut().unwrap().size = [0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    header.set_cksum();
    check(ended(header.as_bytes().to_vec()), Reason::ArtifactTooLarge, "larger than 65536 bytes");
}

#[test]
fn headers_of_entries_are_no_entries() {
    let most = order("").limits.entries;
    let pax = |n: usize| raw(b"pax", EntryType::XHeader, record("path", &format!("{n}.yaml")).as_bytes());
    let file = |n: usize| [pax(n), raw(b"x", EntryType::Regular, YAML)].concat();
    let files = |count: usize| ended((0..count).flat_map(file).collect());
    assert_eq!(names(&files(most), "").split(' ').count(), most);
    assert!(unpack(&files(most + 1), &order("")).unwrap_err().to_string().contains("more than 100 entries"));
}

/// Nothing is written by an entry's name, so that names that differ in case alone
/// are two files, as they are where they were packed.
#[test]
fn names_that_differ_in_case_are_two_files() {
    assert_eq!(names(&archive(&[("a.yaml", YAML), ("A.yaml", YAML)]), ""), "a.yaml A.yaml");
}

/// A zstd frame of so many zeros, of four bytes for each 128 KiB (RFC 8878 §3.1.1).
fn zeros(count: u64) -> Vec<u8> {
    const BLOCK: u64 = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68];
    for n in 1..=count / BLOCK {
        let last = u64::from(n == count / BLOCK);
        let header = (last | 1 << 1 | BLOCK << 3).to_le_bytes();
        frame.extend_from_slice(&[header[0], header[1], header[2], 0]);
    }
    frame
}

#[test]
fn promise_7_bombs_end_at_the_default_limits() {
    let order = Order { limits: ContentLimits::default(), ..order("") };
    let check = |layer: &[u8], says: &str| {
        let error = unpack(layer, &order).unwrap_err();
        assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
    };
    // 10 GB of zeros in 320 KB: to an archive they are its end, and padding.
    let bomb = zeros(10 << 30);
    assert!(bomb.len() < 400 << 10, "{}", bomb.len());
    check(&bomb, "more than 100663296 bytes when unpacked");
    // The head of a million empty files.
    let block = raw(b"0000000", EntryType::Regular, b"");
    let mut many = Vec::new();
    for n in 0..=ContentLimits::default().entries {
        let mut file = block.clone();
        let name = format!("{n:07}");
        file[..7].copy_from_slice(name.as_bytes());
        let mut header = Header::from_byte_slice(<&[u8; 512]>::try_from(file.as_slice()).unwrap()).clone();
        header.set_cksum();
        many.extend_from_slice(header.as_bytes());
    }
    check(&gzip(&many), "more than 20000 entries");
}
