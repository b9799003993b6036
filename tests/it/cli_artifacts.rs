//! The verbs on artifacts when something is wrong: what is printed, and how they
//! end.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::json;
use supercargo::oci::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use crate::cli::{program, run};
use crate::liar::{Liar, manifest, reply};

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
const POD: &str =
    "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: IMAGE}]}}\n";

/// Checks that a command prints nothing but why it fails.
#[track_caller]
fn fails(arguments: &[&str], code: i32, expected: &str) {
    assert_eq!(run(arguments), (code, String::new(), format!("{expected}\n")), "{arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses() {
    let liar = Liar::start().await;
    liar.lie(|_| Some(reply(403, &[], r#"{"errors":[{"code":"DENIED"}]}"#)));
    let host = &liar.host;
    let url = format!("oci://{host}/team/app:1.0");
    let denied = "access denied: HOST answered 403; check the credentials and that the repository exists";
    let denied = format!("{host}/team/app:1.0: {}", denied.replace("HOST", host));
    fails(&["pull", "artifact", &url], 1, &format!("error: {denied}"));
    fails(&["diff", "artifact", &url, &url], 2, &format!("error: {denied}"));
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, MAP).unwrap();
    let (good, bad) = (file.display().to_string(), file.join("b").display().to_string());
    let expected = format!("error: cannot read {bad}: Not a directory (os error 20)");
    let push = ["push", "artifact", "oci://127.0.0.1:1/team/app:1.0"];
    let (code, _, err) = run(&[&push[..], &["-f", &bad]].concat());
    assert_eq!((code, err), (1, format!("building manifests...\n{expected}\n")));
    fails(&[&push[..], &["-f", &good, "--age-recipients", &bad]].concat(), 1, &expected);
    fails(&["pull", "artifact", "oci://127.0.0.1:1/a:1", "--ca-file", &bad], 1, &expected);
    let huge = "error: cannot read /dev/zero: larger than 1048576 bytes";
    fails(&["pull", "artifact", "oci://127.0.0.1:1/a:1", "--age-identities", "/dev/zero"], 1, huge);
}

/// A registry that is gone when an upload begins.
async fn leave(listener: TcpListener) -> Option<()> {
    'connections: loop {
        let (mut stream, _) = listener.accept().await.ok()?;
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    // The first byte of TLS is no letter.
                    Ok(byte) if !head.is_empty() || byte.is_ascii_alphabetic() => head.push(byte),
                    _ => continue 'connections,
                }
            }
            if head.starts_with(b"POST") {
                break 'connections;
            }
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        }
    }
    Some(())
}

/// A socket with an address of its own.
fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_goes_away_during_a_push() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, MAP).unwrap();
    // It keeps the address and does not listen, so that nobody else answers there later.
    let kept = bound("127.0.0.1:0".parse().unwrap());
    let address = kept.local_addr().unwrap();
    let host = address.to_string();
    let server = tokio::spawn(leave(bound(address).listen(16).unwrap()));
    let url = format!("oci://{host}/team/app:1.0");
    let (code, out, err) = run(&["push", "artifact", &url, "-f", file.to_str().unwrap()]);
    let expected = format!(
        "building manifests...\npushing image {host}/team/app:1.0\nerror: {host}/team/app:1.0 was not published; the \
         tag is unchanged: registry {host} is unavailable: cannot connect: Connection refused (os error 111)\n"
    );
    assert_eq!((code, out.as_str(), err), (1, "ConfigMap/a\n", expected));
    assert!(server.await.unwrap().is_some());
    drop(kept);
}

#[test]
fn one_broken_document_of_fifty() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let mut text = String::new();
    for n in 1..=50 {
        let kind = if n == 37 { "kind ConfigMap" } else { "kind: ConfigMap" };
        writeln!(text, "apiVersion: v1\n{kind}\nmetadata:\n  name: a{n}\n---").unwrap();
    }
    fs::write(&file, text).unwrap();
    let (code, out, err) =
        run(&["push", "artifact", "oci://127.0.0.1:1/team/app:1.0", "-f", file.to_str().unwrap()]);
    let expected = format!(
        "building manifests...\nerror: {}: document 37, line 183: not valid YAML: could not find \
         expected ':' while scanning a simple key\n",
        file.display()
    );
    assert_eq!((code, out.as_str(), err), (1, "", expected));
}

#[test]
fn arguments_that_would_do_harm() {
    let (a, b) = ("oci://127.0.0.1:1/a:1", "oci://127.0.0.1:2/b:1");
    let several = "error: --creds (SUPERCARGO_CREDS) is for one registry, but the URLs name 127.0.0.1:1 and 127.0.0.1:2; log in \
                   to them with docker or podman instead";
    fails(&["diff", "artifact", a, b, "--creds", "u:p"], 2, several);
    for key in ["supercargo.dev/checksum", "kustomizer.dev/encrypted", "org.opencontainers.image.revision"] {
        let reserved =
            format!("error: --annotation {key:?} is reserved; use --source, --revision or --created");
        fails(&["push", "artifact", a, "-f", "-", "--annotation", &format!("{key}=x")], 2, &reserved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_built_is_not_read() {
    let liar = Liar::start().await;
    for name in ["Kustomization", "kustomization.yaml"] {
        let yaml = "resources: [a.yaml]\n";
        let mut manifest = manifest(&liar.blob(yaml.as_bytes()), yaml.len());
        manifest["layers"][0]["annotations"] = json!({"org.opencontainers.image.title": name});
        let digest: Digest = liar.manifest("1.0", &manifest);
        let expected = format!(
            "error: {}/team/app@{digest}: kustomize files are not built where other manifests are read: {name}; \
             select the directory of the kustomization (spec.path: .), or leave them out",
            liar.host
        );
        let url = format!("oci://{}/team/app:1.0", liar.host);
        fails(&["inspect", "artifact", &url], 1, &expected);
        fails(&["pull", "artifact", &url], 1, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_fit_for_a_script() {
    let liar = Liar::start().await;
    let url = format!("oci://{}/team/app:1.0", liar.host);
    for image in ["--key=x", "a b", "a\\u001b[2J"] {
        liar.artifact("1.0", &POD.replace("IMAGE", &format!("\"{image}\"")));
        let shown = image.replace("\\u001b", "\\u{1b}");
        let expected = format!("error: invalid image name \"{shown}\" in a manifest");
        fails(&["inspect", "artifact", &url, "--container-images"], 1, &expected);
        let (code, out, _) = run(&["inspect", "artifact", &url]);
        assert!(code == 0 && !out.contains('\u{1b}'), "{out:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_that_nobody_reads_are_differences() {
    let liar = Liar::start().await;
    liar.artifact("1", MAP);
    liar.artifact("2", &format!("{MAP}---\n{}", MAP.replace("name: a", "name: b")));
    let url = |tag: &str| format!("oci://{}/team/app:{tag}", liar.host);
    for more in [&[][..], &["-o", "json"]] {
        let (one, two) = (url("1"), url("2"));
        let mut command = program(&[&["diff", "artifact", &one, &two][..], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
    }
}
