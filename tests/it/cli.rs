//! The command line without a cluster or a registry: what is typed, what is
//! printed, and how it ends.

use std::process::{Command, Stdio};

/// The program in an environment of which nothing is known.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supercargo"));
    command.args(arguments).stdin(Stdio::null());
    let variables = [
        "CI",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "SUPERCARGO_CREDS",
        "SOURCE_DATE_EPOCH",
        "REGISTRY_AUTH_FILE",
        "DOCKER_CONFIG",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
    ];
    for variable in variables {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent");
    command
}

/// Exit code, stdout and stderr.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_version_is_told_to_people_and_programs() {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let (code, out, err) = run(&["version"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with(&format!("supercargo {version} ")) && out.ends_with(&format!("{platform}\n")),
        "{out}"
    );
    let parsed: serde_json::Value = serde_json::from_str(&run(&["version", "-o", "json"]).1).unwrap();
    assert_eq!((&parsed["version"], &parsed["platform"]), (&version.into(), &platform.into()));
    assert!(run(&["version", "-o", "yaml"]).1.contains(&format!("version: \"{version}\"\n")));
    assert_eq!(run(&["--version"]).1, format!("supercargo {version}\n"));
}

#[test]
fn what_cannot_be_watched_is_said_before_the_cluster_is_asked() {
    for command in ["get releases", "get releases -A", "events release app"] {
        let arguments: Vec<&str> = command.split(' ').chain(["--watch", "-o", "json"]).collect();
        let (code, out, err) = run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{command}");
        assert!(err.contains("--watch supports only table output"), "{command}: {err}");
    }
    let (code, _, err) = run(&["get", "releases", "a", "-A"]);
    assert!(code == 2 && err.contains("names cannot be combined with -A"), "{err}");
}

#[test]
fn every_shell_gets_a_script() {
    for (shell, sign) in [
        ("bash", "complete -o nospace -o bashdefault -o nosort -F _clap_complete_supercargo supercargo"),
        ("zsh", "#compdef supercargo"),
        ("fish", "complete --keep-order --exclusive --command supercargo"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[supercargo]"),
    ] {
        let (code, out, err) = run(&["completion", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        assert!(out.contains(sign) && out.contains("COMPLETE"), "{shell}: {out}");
    }
    assert_eq!(run(&["completion", "cmd"]).0, 2);
}

#[test]
fn arguments_that_make_no_sense_end_with_two() {
    for arguments in [
        ["get"].as_slice(),
        &["get", "nothing"],
        &["reconcile", "release"],
        &["reconcile", "release", "a", "--all"],
        &["reconcile", "release", "a", "--timeout", "soon"],
        &["status", "release"],
        &["status", "release", "a", "-o", "wide"],
        &["suspend", "release", "a", "--wait"],
        &["get", "releases", "--color", "sometimes"],
        &["unknown"],
        &[],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        let told = err.starts_with("error: ") || err.contains("Usage: supercargo");
        assert!(told && !err.contains("panicked"), "{arguments:?}: {err}");
    }
}

#[test]
fn help_is_at_hand_and_short_help_is_one_screen() {
    for arguments in [
        ["help", "get", "releases"].as_slice(),
        &["help", "status", "release"],
        &["help", "apply"],
        &["help", "push", "artifact"],
        &["help", "controller"],
    ] {
        let (code, long, _) = run(arguments);
        assert_eq!(code, 0, "{arguments:?}");
        assert!(long.contains("Exit codes: ") && long.contains("Examples:\n  "), "{arguments:?}: {long}");
        let short: Vec<&str> = arguments[1..].iter().copied().chain(["-h"]).collect();
        let (_, short, _) = run(&short);
        assert!(!short.contains("Examples:"), "{short}");
        assert!(short.lines().count() <= 60, "{arguments:?}: {} lines", short.lines().count());
    }
}

#[test]
fn without_a_cluster_nothing_is_waited_for() {
    let expected = "error: no cluster is configured: set KUBECONFIG or --kubeconfig to a kubeconfig file, or \
                    create ~/.kube/config\n";
    for verb in [["get", "releases"].as_slice(), &["status", "release", "a"], &["resume", "release", "--all"]]
    {
        assert_eq!(run(verb), (1, String::new(), expected.into()), "{verb:?}");
    }
    let (code, _, err) = run(&["get", "releases", "--kubeconfig", "/nonexistent/config"]);
    assert_eq!(code, 1);
    assert!(err.starts_with("error: cannot read the kubeconfig /nonexistent/config: "), "{err}");
}

#[test]
fn errors_are_coloured_when_that_is_asked_for() {
    let check = |arguments: &[&str], variable: Option<(&str, &str)>, expected: bool| {
        let mut command = program(arguments);
        command.envs(variable);
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            err.contains("\u{1b}[31merror:\u{1b}[0m"),
            expected,
            "{arguments:?} {variable:?}: {err:?}"
        );
        assert_eq!(err.contains('\u{1b}'), expected);
    };
    check(&["get", "releases"], None, false);
    check(&["get", "releases", "--color=always"], None, true);
    check(&["get", "releases", "--color=always"], Some(("NO_COLOR", "1")), true);
    check(&["get", "releases"], Some(("CLICOLOR_FORCE", "1")), true);
    check(&["--color", "never", "get", "releases"], Some(("CLICOLOR_FORCE", "1")), false);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = program(&["crd"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_controller_that_could_not_judge_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let check = |flag: &str, path: &str, says: &str| {
        let (code, out, err) = run(&["controller", flag, path]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(says), "{err}");
    };
    let junk = file("junk", "{}");
    check("--trusted-root", &junk, &format!("cannot use the trusted root: {junk} "));
    check("--trusted-root", "/nonexistent", "cannot use the trusted root: cannot read /nonexistent");
    check("--trust-policy", &junk, "cannot use the trust policy");
    check("--trust-policy", "/nonexistent", "cannot use the trust policy: cannot read /nonexistent");
}
