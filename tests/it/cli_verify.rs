//! Whose signatures the command line is told to look for: what makes no sense is
//! refused before anybody is asked.

use std::fs;
use std::path::Path;

use crate::cli::run;

const URL: &str = "oci://127.0.0.1:1/team/app:1.0";
const KEYS: [&str; 2] = [
    "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5x3/06053zgijXBQvJy/qKK68KDQ
aEEhnOCLTEl74ssEb1Oh2JrYdX8ypP7hIqPvZGP0NF12doJqJvEwLi2ohA==
-----END PUBLIC KEY-----
",
    "-----BEGIN PUBLIC KEY-----
-----END PUBLIC KEY-----
",
];

/// Checks that every verb that verifies refuses the flags in the same words.
#[track_caller]
fn refused(flags: &[&str], code: i32, expected: &str) {
    let expected = (code, String::new(), format!("error: {expected}\n"));
    assert_eq!(run(&[&["verify", "artifact", URL], flags].concat()), expected, "{flags:?}");
    for verb in [&["pull", "artifact", URL][..], &["inspect", "artifact", URL]] {
        let told = run(&[verb, flags].concat());
        let expected = expected.2.replace("verify artifact needs", "--verify needs");
        assert_eq!(told, (code, String::new(), expected), "{verb:?} {flags:?}");
    }
    let (told, _, err) = run(&[&["diff", "artifact", URL, URL], flags].concat());
    let expected = expected.2.replace("verify artifact needs", "--verify needs");
    assert_eq!((told, err), (2, expected), "diff {flags:?}");
}

#[test]
fn signers_have_to_make_sense() {
    let directory = tempfile::tempdir().unwrap();
    let key = |name: &str| file(directory.path(), name, KEYS[0]);
    let (one, same) = (key("one.pub"), key("same.pub"));
    let nobody = "verify artifact needs a signer: set --key FILE, or \
                  --certificate-identity with --certificate-oidc-issuer";
    refused(&["--match-reference"], 2, nobody);
    refused(&["--trusted-root", "root.json"], 2, nobody);
    refused(&["--threshold", "1"], 2, nobody);
    assert_eq!(run(&["verify", "artifact", URL]).2, format!("error: {nobody}\n"));
    let without = run(&["pull", "artifact", URL, "--verify"]).2;
    assert_eq!(without, format!("error: {}\n", nobody.replace("verify artifact", "--verify")));
    let (who, whom) = ("--certificate-identity", "--certificate-oidc-issuer");
    refused(
        &["--key", &one, who, "a", whom, "b"],
        2,
        "--key and --certificate-identity cannot be combined; set one of them",
    );
    let no_issuer = "--certificate-identity needs an issuer; set --certificate-oidc-issuer, such as \
                     https://token.actions.githubusercontent.com";
    refused(&[who, "a@example.com"], 2, no_issuer);
    refused(&["--certificate-identity-regexp", ".*@example.com"], 2, no_issuer);
    refused(
        &[whom, "https://a.io"],
        2,
        "--certificate-oidc-issuer needs an identity; set --certificate-identity",
    );
    refused(
        &[who, "a", "--certificate-identity-regexp", "a", whom, "b"],
        2,
        "--certificate-identity and --certificate-identity-regexp cannot be combined; set one of them",
    );
    refused(
        &[who, "a", whom, "b", "--certificate-oidc-issuer-regexp", "b"],
        2,
        "--certificate-oidc-issuer and --certificate-oidc-issuer-regexp cannot be combined; set one of them",
    );
    refused(
        &["--certificate-identity-regexp", "(", whom, "b"],
        2,
        "--certificate-identity-regexp: \"(\" is not a valid regular expression, or is too large",
    );
    refused(
        &["--key", &one, "--trusted-root", "root.json"],
        2,
        "--trusted-root cannot be combined with --key; it is for --certificate-identity",
    );
    refused(
        &[who, "a", whom, "b", "--threshold", "1"],
        2,
        "--threshold cannot be combined with --certificate-identity; it counts keys",
    );
    refused(&["--key", &one, "--threshold", "2"], 2, "--threshold cannot be 2: --key is set 1 time(s)");
    refused(&["--key", &one, "--threshold", "0"], 2, "--threshold cannot be 0: --key is set 1 time(s)");
    refused(
        &["--key", &one, "--key", &same, "--threshold", "2"],
        2,
        &format!("--threshold counts different keys: {one} and {same} contain the same key"),
    );
}

#[test]
fn files_of_signers_have_to_be_what_they_are_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| file(directory.path(), name, content);
    let check = |flags: &[&str], expected: &str| {
        let expected = (1, String::new(), format!("error: {expected}\n"));
        assert_eq!(run(&[&["verify", "artifact", URL], flags].concat()), expected, "{flags:?}");
    };
    let missing = directory.path().join("none").display().to_string();
    let none = format!("cannot read {missing}: No such file or directory (os error 2)");
    check(&["--key", &missing], &none);
    check(&["--cosign-key", &missing], &none);
    check(&["--key", "/dev/zero"], "cannot read /dev/zero: larger than 1048576 bytes");
    let private = file(
        "cosign.key",
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nYQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
    );
    check(
        &["--key", &private],
        &format!("{private} is a private key: use the public key (cosign public-key --key FILE)"),
    );
    let junk = file("junk.pub", "ssh-ed25519 AAAA me@here\n");
    check(
        &["--key", &junk],
        &format!("{junk} is not PEM: a public key starts with -----BEGIN PUBLIC KEY-----"),
    );
    let empty = file("empty.pub", KEYS[1]);
    check(&["--key", &empty], &format!("{empty} is not a public key: its content is damaged"));
    let identity = ["--certificate-identity", "a", "--certificate-oidc-issuer", "b", "--trusted-root"];
    check(&[&identity[..], &[&missing]].concat(), &none);
}

#[test]
fn flags_that_mean_nothing_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let key = file(directory.path(), "one.pub", KEYS[0]);
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let (told, out, err) = run(arguments);
        assert_eq!((told, out.as_str()), (code, ""), "{arguments:?} {err}");
        assert!(err.contains(expected), "{arguments:?} {err}");
    };
    let verify = ["verify", "artifact", URL, "--key", &key];
    check(&[&verify[..], &["--image-exempt", "a/*"]].concat(), 2, "--images");
    let pattern =
        "error: --image-exempt \"ghcr.io/a/b:1\" has a tag or digest; a pattern matches repositories\n";
    check(&[&verify[..], &["--images", "--image-exempt", "ghcr.io/a/b:1"]].concat(), 2, pattern);
    check(&["verify", "artifact", URL, "--certificate-identity", ""], 2, "a value is required");
    let map = file(directory.path(), "map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n");
    let unsigned = "error: no artifact to verify; only artifacts have signatures, add one with -a\n";
    check(&["build", "inventory", "x", "-f", &map, "--key", &key], 2, unsigned);
}

fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}
