//! The image, assembled without a container engine, and its program inside of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::{processes, repository};

// A container as far as the kernel alone makes one: the image's files and nothing
// else, read-only; one volume, at the path that it has outside; /proc and /dev; and a
// user that is nobody. $1: the root; $2: the volume; then the program and its arguments.
const CONTAINER: &str = r#"
set -e
root=$1; volume=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$volume" "$root$volume"
for path in /proc /dev; do mount --rbind "$path" "$root$path"; done
mount -o remount,bind,ro,nosuid,nodev "$root"
exec unshare --user --map-user=65532 --map-group=65532 --root="$root" --wd=/ "$@"
"#;

// Where the programs of that script are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// An image of this repository's program, as `make image` makes it.
pub struct Image {
    directory: PathBuf,
}

impl Image {
    /// The one that the tests of this process share.
    pub fn shared() -> &'static Image {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(Image::assemble)
    }

    /// Assembles another one. The program is the one of `cargo build` but for its last step,
    /// so this takes seconds where the tests are compiled.
    pub fn assemble() -> Image {
        let directory = processes::directory("image");
        let mut command = processes::command("make");
        command
            .current_dir(repository())
            .args(["--silent", "image"])
            .env("PROFILE", "dev")
            .env("IMAGE_DIR", &directory)
            .env("SOURCE_DATE_EPOCH", "1700000000")
            // Of the make that runs the tests, if one does.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL");
        let output = command.output().expect("run make");
        assert!(output.status.success(), "make image: {}", String::from_utf8_lossy(&output.stderr));
        Image { directory }
    }

    /// The OCI image layout.
    pub fn layout(&self) -> PathBuf {
        self.directory.join("layout")
    }

    /// The same as one file.
    pub fn archive(&self) -> PathBuf {
        self.directory.join("supercargo.tar")
    }

    /// The configuration of the image.
    pub fn config(&self) -> Value {
        let manifest = self.blob(&self.index()["manifests"][0]);
        self.blob(&manifest["config"])
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> String {
        self.index()["manifests"][0]["digest"].as_str().expect("a digest").to_owned()
    }

    fn index(&self) -> Value {
        read(&self.layout().join("index.json"))
    }

    fn blob(&self, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().expect("a digest");
        read(&self.layout().join("blobs").join(digest.replace(':', "/")))
    }

    /// Its files, in a directory of their own, with what a container runtime puts
    /// there: `/proc`, `/dev`, and the files for names.
    pub fn root(&self, resolv_conf: &str) -> PathBuf {
        let root = processes::directory("root");
        let files = self.directory.join("rootfs/.");
        let copied = Command::new("cp").arg("-a").args([&files, &root]).status().expect("run cp");
        assert!(copied.success(), "cp {}", files.display());
        for directory in ["proc", "dev"] {
            std::fs::create_dir(root.join(directory)).expect("create a directory");
        }
        std::fs::write(root.join("etc/resolv.conf"), resolv_conf).expect("write a file");
        std::fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").expect("write a file");
        root
    }
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program of these files, with a volume, and nothing else of this machine but its
/// network. Fails where users may not have namespaces of their own.
pub(crate) fn contained(root: &Path, volume: &Path, program: &Path) -> Command {
    let mount_point = root.join(volume.strip_prefix("/").expect("it is absolute"));
    std::fs::create_dir_all(&mount_point).expect("create a directory");
    let mut command = processes::command("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", CONTAINER, "sh"])
        .args([root, volume, program])
        .env_clear()
        .env("PATH", PATH);
    command
}
