//! The format of each sender: pushes, what is ignored, and malformed bodies.

use serde_json::{Value, json};

use super::*;
use crate::domain::artifact::webhook::formats::reading::MAX_PUSHES;
use crate::domain::artifact::webhook::push::Push;

const DIGEST: &str = "sha256:4f2a6b1f9f8e8b3bb6a2f1f0c1f7d9e8c4a3b2d1e0f9a8b7c6d5e4f3a2b1c0d9";

/// The result for a body, as `host/path:tag, … | why, …`, or why it is malformed.
fn said(sender: Sender, registry: Option<&str>, body: &str) -> String {
    let registry = registry.map(|text| Host::parse(text).unwrap());
    match read(sender, registry.as_ref(), body.as_bytes()) {
        Err(error) => format!("! {error}"),
        Ok(Delivery { pushes, ignored }) => {
            let pushes: Vec<String> = pushes.iter().map(Push::to_string).collect();
            let ignored: Vec<&str> = ignored.into_iter().collect();
            format!("{} | {}", pushes.join(", "), ignored.join(", "))
        }
    }
}

fn check(sender: Sender, body: &Value, expected: &str) {
    assert_eq!(said(sender, None, &body.to_string()), expected, "{body}");
}

/// Removes one field after the other, and changes its type: nothing may panic, and the
/// fields that the sender always writes are required.
fn mutilate(sender: Sender, whole: &Value, needed: &[&str]) {
    let mut pointers = Vec::new();
    collect(whole, "", &mut pointers);
    for pointer in pointers {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut without = whole.clone();
        match without.pointer_mut(parent).unwrap() {
            Value::Object(object) => drop(object.remove(key)),
            Value::Array(array) => drop(array.remove(key.parse().unwrap())),
            _ => unreachable!(),
        }
        let answer = said(sender, None, &without.to_string());
        assert_eq!(
            answer.starts_with('!'),
            needed.contains(&pointer.as_str()),
            "without {pointer}: {answer}"
        );
        for other in [json!(null), json!(7), json!({"a": [1]}), json!([[]]), json!("\u{0}\u{fffd}\n")] {
            let mut changed = whole.clone();
            *changed.pointer_mut(&pointer).unwrap() = other;
            said(sender, None, &changed.to_string());
        }
    }
    let text = whole.to_string();
    for end in 0..text.len() {
        let answer = said(sender, None, &text[..end]);
        assert!(answer.starts_with('!'), "{answer}");
    }
}

fn collect(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(array) => array.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in below {
        let pointer = format!("{at}/{key}");
        collect(value, &pointer, pointers);
        pointers.push(pointer);
    }
}

fn event(media_type: &str, action: &str, tag: Value) -> Value {
    let mut target = json!({
        "mediaType": media_type, "digest": DIGEST, "size": 481, "length": 481, "repository": "acme/app",
        "url": format!("https://registry.example:5000/v2/acme/app/manifests/{DIGEST}"),
    });
    if !tag.is_null() {
        target["tag"] = tag;
    }
    json!({
        "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "timestamp": "2026-11-23T06:00:00.123456789Z",
        "action": action, "target": target,
        "request": {"id": "8d6f", "addr": "10.0.0.7:51234", "host": "registry.example:5000", "method": "PUT",
                    "useragent": "crane/0.20"},
        "actor": {"name": "ci"}, "source": {"addr": "registry-0:5000", "instanceID": "a1"},
    })
}

#[test]
fn distribution() {
    let envelope = |events: &[Value]| json!({"events": events});
    let check = |events: &[Value], expected: &str| check(Sender::Distribution, &envelope(events), expected);
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let push = event(oci, "push", json!("1.0"));
    check(std::slice::from_ref(&push), "registry.example:5000/acme/app:1.0 | ");
    check(&[event(MANIFEST_LIST, "push", json!(null))], "registry.example:5000/acme/app | ");
    check(&[event("application/octet-stream", "push", json!(null))], " | a pushed object is not a manifest");
    for action in ["pull", "mount", "delete"] {
        check(&[event(oci, action, json!("1.0"))], " | an event is not a push");
    }
    let several =
        [event(oci, "pull", json!("1.0")), push.clone(), push.clone(), event(oci, "push", json!("2.0"))];
    check(
        &several,
        "registry.example:5000/acme/app:1.0, registry.example:5000/acme/app:2.0 | an event is not a push",
    );
    check(&[], " | ");
    let mut without_url = push.clone();
    without_url["target"]["url"] = json!("");
    without_url["request"]["host"] = json!("10.0.0.1:5001");
    check(&[without_url], "10.0.0.1:5001/acme/app:1.0 | ");
    let internal = said(
        Sender::Distribution,
        Some("registry.example"),
        &envelope(std::slice::from_ref(&push)).to_string(),
    );
    assert_eq!(internal, "registry.example/acme/app:1.0 | ");
    let mut strange = push.clone();
    strange["target"]["repository"] = json!("../../etc");
    check(&[strange], " | a repository name is invalid");
    let many: Vec<Value> = (0..=MAX_PUSHES).map(|n| event(oci, "push", json!(format!("v{n}")))).collect();
    check(&many[..MAX_PUSHES], &said(Sender::Distribution, None, &envelope(&many[..MAX_PUSHES]).to_string()));
    check(&many, "! the body has more than 256 pushes");
    mutilate(Sender::Distribution, &envelope(&[push]), &["/events", "/events/0/action"]);
}

const MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

#[test]
fn docker_hub() {
    let hook = json!({
        "callback_url": "https://registry.hub.docker.com/u/acme/app/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
        "push_data": {"pushed_at": 1_763_877_600, "pusher": "ci", "tag": "latest", "images": []},
        "repository": {"name": "app", "namespace": "acme", "owner": "acme", "repo_name": "acme/app", "is_private": true,
                       "repo_url": "https://hub.docker.com/r/acme/app", "star_count": 0, "status": "Active"},
    });
    check(Sender::DockerHub, &hook, "docker.io/acme/app:latest | ");
    let library = json!({"repository": {"repo_name": "nginx"}, "push_data": {}});
    check(Sender::DockerHub, &library, "docker.io/library/nginx | ");
    mutilate(Sender::DockerHub, &hook, &["/push_data", "/repository", "/repository/repo_name"]);
}

#[test]
fn github() {
    let package = |kind: &str, url: &str, tag: &Value| {
        json!({
            "id": 7, "name": "App", "namespace": "Acme", "description": "", "ecosystem": kind, "package_type": kind,
            "html_url": "https://github.com/Acme/App/packages/7", "owner": {"login": "Acme", "id": 1},
            "package_version": {
                "id": 99, "version": DIGEST, "name": DIGEST, "package_url": url,
                "container_metadata": {"tag": {"name": tag, "digest": DIGEST}, "labels": {}, "manifest": {}},
            },
        })
    };
    let hook =
        |event: &str, action: &str, package: Value| json!({"action": action, event: package, "sender": {}});
    let container = || package("CONTAINER", "ghcr.io/acme/app:1.0", &json!("1.0"));
    for event in ["package", "registry_package"] {
        for action in ["published", "updated"] {
            check(Sender::GitHub, &hook(event, action, container()), "ghcr.io/acme/app:1.0 | ");
        }
    }
    let without_url = package("docker", "", &json!(""));
    check(Sender::GitHub, &hook("package", "published", without_url), "ghcr.io/acme/app | ");
    let untagged = package("container", "ghcr.io/acme/app:", &json!(null));
    check(Sender::GitHub, &hook("package", "published", untagged), "ghcr.io/acme/app | ");
    let npm = package("npm", "npm.pkg.github.com/acme/app", &json!(null));
    check(Sender::GitHub, &hook("package", "published", npm), " | a package is not a container image");
    let deleted = hook("package", "deleted", container());
    check(Sender::GitHub, &deleted, " | a package was neither published nor updated");
    check(
        Sender::GitHub,
        &json!({"zen": "Design for failure.", "hook_id": 1, "hook": {}}),
        " | it is a ping",
    );
    check(Sender::GitHub, &json!({"ref": "refs/heads/main", "commits": []}), " | it is not about a package");
    mutilate(Sender::GitHub, &hook("package", "published", container()), &["/package/name"]);
}

#[test]
fn harbor() {
    let data = json!({
        "resources": [
            {"digest": DIGEST, "tag": "1.0", "resource_url": "harbor.example/acme/app:1.0"},
            {"digest": DIGEST, "tag": DIGEST, "resource_url": format!("harbor.example:8443/acme/app@{DIGEST}")},
        ],
        "repository": {"date_created": 1_763_877_600, "name": "app", "namespace": "acme",
                       "repo_full_name": "acme/app", "repo_type": "private"},
    });
    let own =
        |kind: &str| json!({"type": kind, "occur_at": 1_763_877_600, "operator": "ci", "event_data": data});
    let cloud = json!({
        "specversion": "1.0", "id": "66e18103", "requestid": "51c0b694", "source": "/projects/2/webhook/policies/15",
        "type": "harbor.artifact.pushed", "datacontenttype": "application/json", "time": "2026-11-23T06:00:00Z",
        "data": data, "operator": "harbor-jobservice",
    });
    let both = "harbor.example/acme/app:1.0, harbor.example:8443/acme/app | ";
    check(Sender::Harbor, &own("PUSH_ARTIFACT"), both);
    check(Sender::Harbor, &cloud, both);
    check(Sender::Harbor, &own("SCANNING_COMPLETED"), " | an event is not a push");
    check(Sender::Harbor, &json!({"type": "PUSH_ARTIFACT"}), " | a push does not name an artifact");
    let needed = ["/type", "/event_data/resources/0/resource_url", "/event_data/resources/1/resource_url"];
    mutilate(Sender::Harbor, &own("PUSH_ARTIFACT"), &needed);
}

#[test]
fn quay() {
    let hook = |tags: Value| {
        json!({
            "name": "app", "repository": "acme/app", "namespace": "acme", "docker_url": "quay.example/acme/app",
            "homepage": "https://quay.example/repository/acme/app", "updated_tags": tags,
        })
    };
    check(
        Sender::Quay,
        &hook(json!(["1.0", "latest"])),
        "quay.example/acme/app:1.0, quay.example/acme/app:latest | ",
    );
    check(Sender::Quay, &hook(json!({"latest": "b750fe79"})), "quay.example/acme/app:latest | ");
    check(Sender::Quay, &hook(json!([])), "quay.example/acme/app | ");
    let build = json!({"docker_url": "quay.example/acme/app", "build_id": "x", "docker_tags": ["latest"]});
    check(Sender::Quay, &build, " | an event is not a push");
    mutilate(Sender::Quay, &hook(json!(["1.0"])), &["/docker_url"]);
}

#[test]
fn acr() {
    let hook = |action: &str| {
        json!({
            "id": "cb8c3971", "timestamp": "2026-11-23T06:00:00.123456789Z", "action": action,
            "target": {"mediaType": MANIFEST_LIST, "size": 524, "digest": DIGEST, "length": 524,
                       "repository": "acme/app", "tag": "1.0"},
            "request": {"id": "3cbb", "host": "acme.azurecr.io", "method": "PUT", "useragent": "docker/28"},
        })
    };
    check(Sender::Acr, &hook("push"), "acme.azurecr.io/acme/app:1.0 | ");
    check(Sender::Acr, &hook("delete"), " | an event is not a push");
    check(Sender::Acr, &hook("chart_push"), " | an event is not a push");
    check(Sender::Acr, &json!({"id": "x", "action": "ping"}), " | it is a ping");
    mutilate(Sender::Acr, &hook("push"), &["/action"]);
}

#[test]
fn generic() {
    let one = json!({"repository": "oci://registry.example/acme/app", "tag": "1.0", "digest": DIGEST});
    check(Sender::Generic, &one, "registry.example/acme/app:1.0 | ");
    check(Sender::Generic, &json!({"repository": "registry.example/app"}), "registry.example/app | ");
    check(
        Sender::Generic,
        &json!([one, {"repository": "oci://h.io/b"}]),
        "h.io/b, registry.example/acme/app:1.0 | ",
    );
    check(Sender::Generic, &json!([]), " | ");
    check(Sender::Generic, &json!({"repository": "app"}), " | a repository name is invalid");
    let extra = said(Sender::Generic, None, r#"{"repository": "h.io/a", "Tag": "1"}"#);
    assert!(extra.starts_with("! the body is not a valid generic payload"), "{extra}");
    mutilate(Sender::Generic, &one, &["/repository"]);
}

#[test]
fn hostile_bodies_are_refused_and_never_quoted() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_inside = format!("{{\"events\": {deep}, \"action\": {deep}, \"repository\": {deep}}}");
    let long = format!("{{\"repository\": \"h.io/{}\"}}", "a".repeat(500_000));
    let secret = r#"{"events": "hunter2", "action": 7, "type": 7, "repository": 7, "docker_url": 7, "package": "hunter2"}"#;
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"7",
        b"\xff\xfe",
        b"{}x",
        b"\"x\"",
        deep.as_bytes(),
        deep_inside.as_bytes(),
        secret.as_bytes(),
    ];
    for (sender, name) in Sender::ALL {
        for body in bodies {
            let answer = read(sender, None, body).unwrap_err().to_string();
            assert!(answer.contains(name) && !answer.contains("hunter2"), "{name}: {answer}");
        }
        assert!(
            read(sender, None, long.as_bytes()).is_err()
                || sender == Sender::Generic
                || sender == Sender::GitHub
        );
    }
    assert_eq!(said(Sender::Generic, None, &long), " | a repository name is invalid");
}
