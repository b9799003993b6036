//! What people expect of a command line next to kubectl: its output formats, completion of names in
//! their shell, and the names of what was made.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::{Profiles, Registry, Signer, Story, processes, story};

use crate::scene::{BINARY, Scene, config_map, message};
use crate::shell::{Said, Shell};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

#[story]
async fn templates_and_names_print_what_kubectl_prints() {
    let scene = Scene::begin("cli-jsonpath").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    scene.install("web", &config_map("b", "<&>"), json!({})).await;
    scene.annotate("web", "supercargo.dev/why", "a & <b>");
    let person = Shell::admin(&scene.story);
    let same = |arguments: &[&str]| {
        let ours = person.run(&[&["get"], arguments].concat());
        let theirs = person.kubectl(&[&["get"], arguments].concat());
        assert_eq!((ours.code, &ours.out), (theirs.code, &theirs.out), "{arguments:?}: {ours:?} {theirs:?}");
        ours.out
    };
    for template in [
        "{.metadata.name}",
        "{.metadata.name}{\"\\n\"}",
        "{.kind}: {.spec.url}\\n",
        "{ .spec.ref.tag }",
        "{$.metadata.name} {@.kind}",
        "{.spec}",
        "{.spec.prune} {.metadata.generation}",
        "{.metadata.annotations}",
        "{.metadata.annotations.supercargo\\.dev/why}",
        "{.metadata['name','namespace']}",
        "{.status.conditions[*].type}",
        "{.status.conditions[0].type} {.status.conditions[-1:].type}",
        "{.status.conditions[0:2].reason}",
        "{.status.conditions[?(@.type==\"Ready\")].status}",
        "{.status.conditions[?(@.type=='Ready')]}",
        "{range .status.conditions[*]}{.type}={.status}{\"\\t\"}{end}done",
        "{.status.history[*].changes.created}",
        "{.status.nothing.there}",
        "{'quoted'}{\"\\\"\"}",
        "{.metadata .name}",
    ] {
        same(&["oar", "web", "-o", &format!("jsonpath={template}")]);
    }
    for template in [
        "{.items[*].metadata.name}",
        "{range .items[*]}{.metadata.name}{\" \"}{range .status.conditions[*]}{.type} {end}{\"\\n\"}{end}",
        "{.items[?(@.metadata.name==\"web\")].spec.url}",
        "{.kind} {.apiVersion}",
    ] {
        same(&["oar", "-o", &format!("jsonpath={template}")]);
    }
    assert_eq!(
        same(&["oar", "-o", "name"]),
        "ociartifactrelease.supercargo.dev/app\nociartifactrelease.supercargo.dev/web\n"
    );
    // kubectl takes the names of all.
    let names = person.run(&["get", "inventories", "-n", scene.namespace(), "-o", "name"]).done();
    assert_eq!(names, "configmap/inv-app\nconfigmap/inv-web\n");
    for name in names.lines() {
        assert_eq!(person.kubectl(&["get", name, "-o", "name"]).done(), format!("{name}\n"));
    }
    let file = person.home().join("a.yaml");
    std::fs::write(&file, config_map("a", "one")).expect("write a file");
    let built = ["build", "-f", file.to_str().expect("text"), "-o"];
    assert_eq!(person.run(&[&built[..], &["name"]].concat()).done(), "configmap/a\n");
    assert_eq!(person.run(&[&built[..], &["jsonpath={.items[*].data.key}"]].concat()).done(), "one");
    let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    assert_eq!(person.run(&["status", "release", "web", "-o", ready]).done(), "True");
    let refused = |arguments: &[&str], why: &str| {
        let said = person.run(arguments);
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    };
    refused(
        &["get", "releases", "-o", "jsonpath=.metadata.name"],
        "needs braces around a path; write jsonpath='{.metadata.name}'",
    );
    refused(&["get", "releases", "-o", "jsonpath={.a"], "{.a has no closing brace");
    refused(&["status", "release", "web", "-o", "name"], "must be one of json, yaml, jsonpath=TEMPLATE");
}

/// What bash offers for the last word of a line.
fn completed(person: &Shell, kubeconfig: Option<&str>, line: &str) -> (Vec<String>, Said) {
    let path = std::env::var("PATH").unwrap_or_default();
    let bin = person.home().join("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
    let program = bin.join("supercargo");
    if !program.exists() {
        std::os::unix::fs::symlink(BINARY, &program).expect("a link");
    }
    // What readline does: it sets the words, and calls the function of the first.
    let script = "source <(supercargo completion bash) || exit 9\nread -ra COMP_WORDS <<<\"$LINE\"\n\
                  [[ $LINE == *' ' ]] && COMP_WORDS+=('')\nCOMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))\n\
                  _clap_complete_supercargo supercargo \"${COMP_WORDS[COMP_CWORD]}\" x\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\" | tr '\\013' '\\n'\n";
    let mut command = person.program("bash".as_ref(), &["-c", script]);
    command.env("PATH", format!("{}:{path}", bin.display())).env("LINE", line);
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let said = Shell::finish(&mut command);
    (said.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(), said)
}

#[story]
async fn a_shell_completes_names_of_the_cluster() {
    let scene = Scene::begin("cli-complete").await;
    scene.install("shop", &config_map("a", "one"), json!({})).await;
    scene.install("shed", &config_map("b", "one"), json!({})).await;
    let other = scene.story.another_namespace("cli-complete-other");
    let person = Shell::admin(&scene.story);
    let check = |line: &str, expected: &[&str]| {
        let (offered, said) = completed(&person, None, line);
        let offered: Vec<&str> =
            offered.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
        assert_eq!((offered.as_slice(), said.err.as_str()), (expected, ""), "{line}");
    };
    check("supercargo status release ", &["shed", "shop"]);
    check("supercargo status release sho", &["shop"]);
    check("supercargo get releases sh", &["shed", "shop"]);
    check("supercargo reconcile release shop sh", &["shed", "shop"]);
    check("supercargo inspect inventory sho", &["shop"]);
    check("supercargo delete -i sho", &["shop"]);
    check(&format!("supercargo -n {other} status release "), &[]);
    check(&format!("supercargo status release -n {}", &other[..other.len() - 1]), &[&other]);
    check("supercargo get releases --context te", &["testbed"]);
    check("supercargo sta", &["status"]);
    check("supercargo get releases -o wi", &["wide"]);
    // Somebody who may not list them.
    let nobody = Shell::with(&scene.story.bed().kubeconfig_for_user("nobody", None), scene.namespace());
    let (offered, said) = completed(&nobody, None, "supercargo status release s");
    assert!(offered.is_empty() && said.err.is_empty(), "{said:?}");
    // No cluster, and one that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    let hanging = person.home().join("hanging");
    let config = scene.story.bed().admin_kubeconfig();
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    std::fs::write(&hanging, config.to_string()).expect("write a file");
    for kubeconfig in ["/nonexistent", hanging.to_str().expect("text")] {
        let began = Instant::now();
        let (offered, said) = completed(&person, Some(kubeconfig), "supercargo status release s");
        assert!(offered.is_empty() && said.err.is_empty(), "{said:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

/// The hash of a key in a table.
fn fingerprint(table: &str) -> &str {
    table.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("a hash in parentheses").0
}

#[story]
async fn a_push_names_what_it_has_made_and_a_list_who_signed_it() {
    let story = Story::begin("cli-push-name").await;
    let person = Shell::admin(&story);
    let (registry, signer) = (Registry::plain(), Signer::new(Algorithm::P256));
    let repository = format!("{}/shop/config", registry.host());
    let file = person.home().join("a.yaml");
    std::fs::write(&file, config_map("a", "one")).expect("write a file");
    let file = file.to_str().expect("text");
    let push = |tag: &str, more: &[&str]| {
        let url = format!("oci://{repository}:{tag}");
        person.run(
            &[&["push", "artifact", &url, "-f", file, "--created", "2026-01-02T03:04:05Z"], more].concat(),
        )
    };
    let quiet = push("1.0.0", &["--quiet"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
    let digest = registry.crane(&["digest", &format!("{repository}:1.0.0")]);
    let name = format!("{repository}@{}", digest.trim());
    assert_eq!(quiet.out, format!("{name}\n"));
    assert_eq!(push("1.0.0", &["-o", "name"]).done(), format!("{name}\n"));
    assert_eq!(push("1.0.0", &["-o", "jsonpath={.digest}"]).done(), digest.trim());
    assert_eq!(push("1.0.0", &["-q", "-o", "json"]).code, 2);
    // cosign takes it.
    signer.sign(&registry, quiet.out.trim(), Format::Sig, &[]);
    std::fs::write(file, config_map("a", "two")).expect("write a file");
    push("1.1.0", &["-q"]).done();
    let url = format!("oci://{repository}");
    let list = |more: &[&str]| person.run(&[&["list", "artifacts", &url], more].concat()).done();
    assert_eq!(list(&["-o", "name"]), format!("{url}:1.1.0\n{url}:1.0.0\n"));
    assert_eq!(list(&["--limit", "1", "--no-headers"]).lines().count(), 1);
    let rows = |table: &str| -> Vec<Vec<String>> {
        table
            .lines()
            .map(|line| {
                line.split("   ").map(|cell| cell.trim().to_owned()).filter(|c| !c.is_empty()).collect()
            })
            .collect()
    };
    let other = registry.crane(&["digest", &format!("{repository}:1.1.0")]).trim().to_owned();
    let created = "2026-01-02T03:04:05Z";
    let expected = |header: &str, of_new: &str, of_old: &str| {
        [
            vec!["VERSION".to_owned(), "DIGEST".into(), "CREATED".into(), header.into(), "URL".into()],
            vec!["1.1.0".into(), other.clone(), created.into(), of_new.into(), format!("{url}:1.1.0")],
            vec!["1.0.0".into(), digest.trim().into(), created.into(), of_old.into(), format!("{url}:1.0.0")],
        ]
    };
    assert_eq!(rows(&list(&["-o", "wide"])), expected("SIGNATURES", "none", "1 (not verified)"));
    let key = signer.public().display().to_string();
    let verified = list(&["-o", "wide", "--key", &key]);
    let by_key = format!("key {key} ({})", fingerprint(&verified));
    assert_eq!(rows(&verified), expected("SIGNER", "none trusted", &by_key), "{verified}");
    // A key that has signed nothing.
    let stranger = Signer::new(Algorithm::P256).public().display().to_string();
    assert_eq!(
        rows(&list(&["-o", "wide", "--key", &stranger])),
        expected("SIGNER", "none trusted", "none trusted")
    );
    let listed: Value = serde_json::from_str(&list(&["-o", "json", "--limit", "1"])).expect("JSON");
    assert_eq!(
        listed,
        json!([{"version": "1.1.0", "url": format!("{url}:1.1.0"), "digest": other, "created": created, "signatures": 0}])
    );
    let refused = person.run(&["list", "artifacts", &url, "--key", &key]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (2, "error: signers are shown only with -o wide, json, yaml or jsonpath\n")
    );
}

#[story]
async fn only_the_command_line_uses_plain_http_without_being_told() {
    let scene = Scene::begin("cli-http").await;
    let person = Shell::admin(&scene.story);
    let file = person.home().join("a.yaml");
    std::fs::write(&file, config_map("a", "one")).expect("write a file");
    // A registry on this machine: the command line finds out what it speaks.
    let url = scene.url("app");
    person.run(&["push", "artifact", &format!("{url}:1"), "-f", file.to_str().expect("text")]).done();
    scene.create("app", json!({"insecure": false}));
    scene.story.wait_condition("app", "Ready", "False", "RegistryUnavailable").await;
    let release = scene.story.release("app").await.expect("it is there");
    let said = message(&release, "Ready");
    assert!(said.contains("speaks plain HTTP; set spec.insecure: true"), "{said}");
    scene.change("app", json!({"insecure": true}));
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn the_name_of_a_plugin_completes_too() {
    let story = Story::begin("cli-plugin-complete").await;
    let person = Shell::admin(&story);
    let link = processes::directory("plugin").join("kubectl-supercargo");
    std::os::unix::fs::symlink(BINARY, &link).expect("a link");
    let mut command = Command::new(&link);
    command
        .args(["--", "kubectl-supercargo", "sta"])
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "1");
    command.env("HOME", person.home()).stdin(Stdio::null());
    let said = Shell::finish(&mut command);
    assert_eq!((said.code, said.out.trim()), (0, "status"), "{said:?}");
}
