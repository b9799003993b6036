//! What the API server refuses before the operator sees it, with the words that a
//! person reads; and what it fills in.

use kube::Error;
use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Registry, Story, repository, story};

use super::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("what the API server refuses, whoever runs");

const RELEASES: &str = "ociartifactreleases";

/// What the API server answers to a release of that name whose spec is a good one
/// with `patch` merged over it. Nothing is kept.
async fn admit(story: &Story<'_>, name: &str, patch: &Value) -> Result<Value, String> {
    let mut spec = json!({"url": "oci://registry.example/app", "prune": true});
    for (key, value) in patch.as_object().expect("a patch is an object") {
        match value {
            Value::Null => drop(spec.as_object_mut().expect("an object").remove(key)),
            value => spec[key] = value.clone(),
        }
    }
    let release = json!({
        "apiVersion": "supercargo.dev/v1alpha1",
        "kind": "OCIArtifactRelease",
        "metadata": {"name": name},
        "spec": spec,
    });
    let path = format!(
        "/apis/supercargo.dev/v1alpha1/namespaces/{}/{RELEASES}?dryRun=All&fieldValidation=Strict",
        story.namespace()
    );
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(release.to_string().into_bytes()).expect("a request");
    match story.client().request::<Value>(request).await {
        Ok(admitted) => Ok(admitted),
        Err(Error::Api(status)) => Err(status.message),
        Err(error) => Err(error.to_string()),
    }
}

#[story]
async fn fields_of_delivery_are_refused_with_words() {
    let story = Story::begin("admission-delivery").await;
    let window = |cron: &str, zone: &str, duration: &str| json!({"schedule": [{"cron": cron, "timeZone": zone, "duration": duration}]});
    let after = |source: Value| json!({"promotion": {"after": [source]}});
    let five = "cron must have five fields: minute, hour, day of the month, month and day of the week";
    let zone = "timeZone must be a name of the IANA database such as Europe/Berlin";
    let length = "duration must be a duration such as 30m or 8h, from 1m to 744h";
    let age = "minimumAge must be a duration such as 30m or 8h, from 0s to 744h";
    for (patch, says) in [
        (window("0 9 * *", "UTC", "1h"), five),
        (window("0 0 9 * * *", "UTC", "1h"), five),
        (window("0 9 * * *", "Europe Berlin", "1h"), zone),
        (window("0 9 * * *", "UTC", "59s"), length),
        (window("0 9 * * *", "UTC", "745h"), length),
        (window("0 9 * * *", "UTC", "a day"), length),
        (json!({"minimumAge": "1d"}), age),
        (json!({"minimumAge": "745h"}), age),
        (json!({"promotion": {"after": []}}), "spec.promotion.after in body should have at least 1 items"),
        (
            after(json!({"name": "x", "healthyFor": "soon"})),
            "healthyFor must be a duration such as 30m or 8h, from 0s to 744h",
        ),
        (json!({"pruneGuard": {}}), "pruneGuard needs maxPercent, maxCount or protectKinds"),
        (
            json!({"pruneGuard": {"maxPercent": 101}}),
            "spec.pruneGuard.maxPercent in body should be less than or equal to 100",
        ),
        (
            json!({"pruneGuard": {"protectKinds": ["secret"]}}),
            "protectKinds must have entries such as Secret or Deployment.apps",
        ),
        (json!({"approvalTimeout": "1h"}), "approvalTimeout needs approval: Manual"),
        (json!({"historyLimit": 1}), "spec.historyLimit in body should be greater than or equal to 2"),
    ] {
        let refused = admit(&story, "x", &patch).await.expect_err(&patch.to_string());
        assert!(refused.contains(says), "{patch}: {refused}");
        assert!(!refused.contains("evaluating rule"), "{patch}: {refused}");
    }
    let whole = json!({
        "schedule": [{"cron": "0 9 * * 1-5", "duration": "8h"}, {"cron": "@daily", "duration": "1h", "deny": true}],
        "minimumAge": "24h",
        "promotion": {"after": [{"name": "staging", "namespace": "staging", "healthyFor": "30m"}]},
        "pruneGuard": {"maxPercent": 0, "maxCount": 0, "protectKinds": ["Secret", "Deployment.apps"]},
    });
    let admitted = admit(&story, "x", &whole).await.expect("a good one");
    assert_eq!(admitted["spec"]["schedule"][0]["timeZone"], "UTC");
}

#[story]
async fn rules_of_health_are_refused_with_words() {
    let story = Story::begin("admission-health").await;
    let rule = |rule: Value| json!({"healthCheckExprs": [rule]});
    for (patch, says) in [
        (
            rule(json!({"apiVersion": "a.b/v1"})),
            "a health check needs exactly one of current and ignore: true",
        ),
        (
            rule(json!({"apiVersion": "a.b/v1", "current": "true", "ignore": true})),
            "a health check needs exactly one of current and ignore: true",
        ),
        (
            rule(json!({"apiVersion": "a.b/v1", "ignore": true, "failed": "true"})),
            "failed and inProgress need current",
        ),
        (
            rule(json!({"apiVersion": "a.b/v1", "current": "a".repeat(2049)})),
            "may not be more than 2048 bytes",
        ),
        (
            json!({"healthCheckExprs": [{"apiVersion": "a.b/v1", "kind": "A", "current": "true"},
                {"apiVersion": "a.b/v2", "kind": "A", "current": "true"}]}),
            "healthCheckExprs must have different groups and kinds",
        ),
        (
            json!({"rollback": {"mode": "OnFailure"}}),
            "rollback.mode needs wait or healthChecks: without them no revision is known to be healthy",
        ),
        (json!({"wait": true, "rollback": {"mode": "Always"}}), "rollback.mode"),
        (json!({"historyLimit": 1}), "historyLimit"),
        (
            json!({"healthChecks": [{"kind": "Secret", "name": "a", "namespace": "A_"}]}),
            "healthChecks.namespace must be the name of a namespace, or not set",
        ),
    ] {
        let refused = admit(&story, "x", &patch).await.expect_err(&patch.to_string());
        assert!(refused.contains(says), "{patch}: {refused}\ndoes not say: {says}");
    }
    let whole = json!({"healthChecks": [{"kind": "Secret", "name": "a"}], "healthCheckExprs": [
        {"apiVersion": "v1", "kind": "Secret", "current": "true"}, {"apiVersion": "a.b/v1", "current": "true"},
        {"apiVersion": "a.b/v1", "kind": "A", "inProgress": "false", "failed": "false", "current": "true"},
        {"apiVersion": "a.c/v1", "ignore": true}]});
    let admitted = admit(&story, "x", &whole).await.expect("a good one");
    assert_eq!(admitted["spec"]["healthChecks"][0]["apiVersion"], "v1");
}

#[story]
async fn every_refusal_says_what_is_wrong_and_what_to_write() {
    let story = Story::begin("admission").await;
    let check = async |patch: Value, says: &str| {
        let refused = admit(&story, "x", &patch).await.expect_err(&patch.to_string());
        assert!(refused.contains(says), "{patch}: {refused}\ndoes not say: {says}");
        // Nobody should have to read a pattern.
        assert!(!refused.contains("should match"), "{patch}: {refused}");
        assert!(!refused.contains("evaluating rule"), "{patch}: {refused}");
    };
    let url = async |url: &str, says: &str| check(json!({"url": url}), says).await;
    let form = "url must be oci://host[:port]/path, the path in lower case letters, digits and separators";
    url(
        "https://r.example/app",
        "spec.url: Invalid value: \"https://r.example/app\": url must start with oci://",
    )
    .await;
    url("ghcr.io/acme/app", "url must start with oci://").await;
    url("", "url must start with oci://").await;
    url("oci://r.example/app:1.0", "url must not contain a tag, use ref.tag").await;
    url("oci://r.example:5000/app:1.0", "url must not contain a tag, use ref.tag").await;
    let digest = format!("oci://r.example/app@sha256:{}", "a".repeat(64));
    url(&digest, "url must not contain a digest or credentials, use ref.digest and secretRef").await;
    url("oci://user:password@r.example/app", "use ref.digest and secretRef").await;
    for bad in [
        "oci://r.example",
        "oci://r.example/",
        "oci://r.example/App",
        "oci://r.example/a//b",
        "oci://r.example/app/",
        "oci://r.example/app?x=1",
        "oci://r.example/ app",
        "oci://r.example/ap\u{fc}",
        "oci://-x/app",
        "oci:///app",
    ] {
        url(bad, form).await;
    }
    url(
        &format!("oci://r.example/{}", "a".repeat(512)),
        "spec.url: Too long: may not be more than 512 bytes",
    )
    .await;

    let fields = [("interval", "10s"), ("retryInterval", "1s"), ("timeout", "1s")];
    for (field, least) in fields {
        let bounds = format!("{field} must be between {least} and 24h");
        for out in ["0s", "500ms", "25h", "24h1s", "999999999h", "99999999999999999999h"] {
            check(json!({field: out}), &bounds).await;
        }
        let form = format!("{field} must be a duration such as 30s, 5m or 1h30m");
        for bad in ["1x", "-5m", "", "5", "5 m", "1d", "PT5M", "1h-5m"] {
            check(json!({field: bad}), &form).await;
        }
        check(json!({field: 30}), &format!("spec.{field} in body must be of type string")).await;
    }
    check(
        json!({"interval": "5s"}),
        "spec.interval: Invalid value: \"5s\": interval must be between 10s and 24h",
    )
    .await;

    check(json!({"ref": {"semverFilter": "^1"}}), "ref.semverFilter needs ref.semver").await;
    check(json!({"ref": {"semver": ""}}), "spec.ref.semver in body should be at least 1 chars long").await;
    for bad in ["", "a b", "-x", ".x", "1.0+build"] {
        check(json!({"ref": {"tag": bad}}), "ref.tag must be at most 128 letters, digits, '_', '.' and '-'")
            .await;
    }
    let (tag, hex) = ("a".repeat(129), "a".repeat(64));
    check(json!({"ref": {"tag": tag}}), "ref.tag must be at most 128 letters").await;
    check(json!({"ref": {"tag": "a".repeat(201)}}), "spec.ref.tag: Too long: may not be more than 200 bytes")
        .await;
    let with_digest = "the digest in ref.tag must be sha256: and 64 hexadecimal digits in lower case";
    for bad in ["", "sha256:", "sha256:abc", "latest", &format!("sha512:{hex}"), &format!("sha256:{hex}@")] {
        check(json!({"ref": {"tag": format!("1.0.0@{bad}")}}), with_digest).await;
    }
    let pinned = format!("1.0.0@sha256:{hex}");
    let alone = "ref.tag with a digest must not be combined with ref.semver or ref.digest";
    check(json!({"ref": {"tag": pinned, "semver": "1.x"}}), alone).await;
    check(json!({"ref": {"tag": pinned, "digest": format!("sha256:{hex}")}}), alone).await;
    let digest = "ref.digest must be sha256: and 64 hexadecimal digits in lower case";
    check(json!({"ref": {"digest": "sha256:abc"}}), digest).await;
    check(json!({"ref": {"digest": format!("sha512:{}", "a".repeat(64))}}), digest).await;
    check(json!({"ref": {"digest": format!("sha256:{}", "A".repeat(64))}}), digest).await;

    for bad in ["..", "../x", "a/../b", "a/..", "/abs", "/"] {
        check(json!({"path": bad}), "path must be relative to the artifact and must not contain '..'").await;
    }
    check(json!({"layerSelector": {}}), "spec.layerSelector.mediaType: Required value").await;

    let account = "serviceAccountName must be the name of a ServiceAccount, or not set";
    check(json!({"serviceAccountName": ""}), account).await;
    check(json!({"serviceAccountName": "system:admin"}), account).await;
    let namespace = "targetNamespace must be the name of a namespace, or not set";
    check(json!({"targetNamespace": ""}), namespace).await;
    check(json!({"targetNamespace": "Apps"}), namespace).await;
    for field in ["secretRef", "certSecretRef"] {
        check(json!({field: {}}), &format!("spec.{field}.name: Required value")).await;
        check(
            json!({field: {"name": ""}}),
            &format!("spec.{field}.name in body should be at least 1 chars long"),
        )
        .await;
    }

    let ignore = async |paths: Value, says: &str| {
        check(json!({"drift": {"ignore": [{"paths": paths}]}}), says).await;
    };
    ignore(json!([]), "spec.drift.ignore[0].paths in body should have at least 1 items").await;
    ignore(json!(["spec/replicas"]), "paths must be JSON pointers such as /spec/replicas").await;
    ignore(json!(["/"]), "paths must be JSON pointers such as /spec/replicas").await;
    ignore(json!(["/a~b"]), "within a key, write ~ as ~0 and / as ~1").await;
    for whole in ["/metadata", "/metadata/labels", "/metadata/name", "/kind", "/apiVersion"] {
        ignore(json!([whole]), "apiVersion, kind, name and namespace cannot be ignored, nor metadata and metadata.labels as a whole").await;
    }
    ignore(json!(["/metadata/labels/supercargo.dev~1name"]), "labels of supercargo.dev/ cannot be ignored")
        .await;
    check(json!({"drift": {"ignore": [{}]}}), "spec.drift.ignore[0].paths: Required value").await;
    check(
        json!({"drift": {"mode": "Fix"}}),
        r#"spec.drift.mode: Unsupported value: "Fix": supported values: "Correct", "Report", "Off""#,
    )
    .await;
    check(
        json!({"deletionPolicy": "Keep"}),
        r#"spec.deletionPolicy: Unsupported value: "Keep": supported values: "MirrorPrune", "Delete", "WaitForTermination", "Orphan", "WaitForApproval""#,
    )
    .await;

    let common = async |kind: &str, values: Value, says: &str| {
        check(json!({"commonMetadata": {kind: values}}), says).await;
    };
    common("labels", json!({"supercargo.dev/name": "x"}), "labels of supercargo.dev/ are set by supercargo")
        .await;
    common("labels", json!({"a": "b c"}), "values of labels must be letters, digits, '-', '_' and '.'").await;
    common(
        "labels",
        json!({"a": "b".repeat(64)}),
        "spec.commonMetadata.labels.a: Too long: may not be more than 63 bytes",
    )
    .await;
    common(
        "annotations",
        json!({"a": "b".repeat(4097)}),
        "spec.commonMetadata.annotations.a: Too long: may not be more than 4096 bytes",
    )
    .await;
    for kind in ["labels", "annotations"] {
        for key in ["a b", "", "/a", "a/", "A.example/x", &"a".repeat(64)] {
            common(kind, json!({key: "x"}), &format!("keys of {kind} must be NAME or DOMAIN/NAME")).await;
        }
        let many: Value =
            (0..65).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
        common(kind, many, &format!("spec.commonMetadata.{kind}: Too many: 65: must have at most 64 items"))
            .await;
    }

    check(json!({"url": null}), "spec.url: Required value").await;
    check(json!({"prune": null}), "spec.prune: Required value").await;
    check(json!({"prune": "yes"}), "spec.prune in body must be of type boolean").await;
    check(json!({"sourceRef": {}}), r#"unknown field "spec.sourceRef""#).await;
    check(json!({"verify": {"key": {}}}), r#"unknown field "spec.verify.key""#).await;
    let one_of = "verify needs exactly one of secretRef, matchOIDCIdentity and authorities";
    let identity = json!({"issuer": "https://a", "subject": "b"});
    check(json!({"verify": {"provider": "cosign"}}), one_of).await;
    check(json!({"verify": {"secretRef": {"name": "a"}, "matchOIDCIdentity": [identity]}}), one_of).await;
    check(json!({"verify": {"matchOIDCIdentity": []}}), one_of).await;
    check(json!({"verify": {"matchOIDCIdentity": [{"issuer": "a"}]}}), "subject: Required value").await;
    let root = json!({"secretRef": {"name": "a"}, "trustedRootSecretRef": {"name": "a"}});
    check(json!({"verify": root}), "verify.trustedRootSecretRef needs matchOIDCIdentity").await;
    let threshold = json!({"authorities": [{"name": "a", "secretRef": {"name": "a"}}], "threshold": 2});
    check(
        json!({"verify": threshold}),
        "verify.threshold must not be greater than the number of authorities",
    )
    .await;
    let empty = json!({"authorities": [{"name": "a"}]});
    check(json!({"verify": empty}), "an authority needs exactly one of secretRef and matchOIDCIdentity")
        .await;
    let twice = json!({"name": "a", "secretRef": {"name": "a"}});
    check(json!({"verify": {"authorities": [twice, twice]}}), "verify.authorities must have different names")
        .await;
}

#[story]
async fn a_name_is_a_label() {
    let story = Story::begin("admission-name").await;
    let label = "metadata.name must be a DNS label: at most 63 lower case letters, digits or '-'";
    for bad in ["a.b", &"a".repeat(64), "A", "1_2"] {
        let refused = admit(&story, bad, &json!({})).await.expect_err(bad);
        assert!(refused.contains(label), "{refused}");
    }
    for good in ["a", "1", "a-b", &"a".repeat(63)] {
        admit(&story, good, &json!({})).await.expect(good);
    }
}

#[story]
async fn what_is_unusual_and_right_is_admitted() {
    let story = Story::begin("admission-good").await;
    for good in [
        json!({"url": "oci://r.example:5000/a/b-c/d_e/f.g/h__i"}),
        json!({"url": "oci://[::1]:5000/app"}),
        json!({"url": "oci://localhost/app"}),
        json!({"interval": "10s", "retryInterval": "1s", "timeout": "1s"}),
        json!({"interval": "24h", "retryInterval": "24h", "timeout": "24h"}),
        json!({"interval": "1h30m", "retryInterval": "1.5m", "timeout": "1500ms"}),
        json!({"ref": {}}),
        json!({"ref": {"tag": "v1.0_2-rc.1"}}),
        json!({"ref": {"semver": ">=1.0.0 <2.0.0", "semverFilter": "^[0-9.]+$"}}),
        json!({"ref": {"tag": "1", "semver": "*", "digest": format!("sha256:{}", "0".repeat(64))}}),
        json!({"path": "a..b/c"}),
        json!({"commonMetadata": {"labels": {"app.kubernetes.io/part-of": "", "a": "b"}, "annotations": {"a/b": "c d\n"}}}),
        json!({"drift": {"ignore": [{"paths": ["/metadata/annotations/a~1b", "/spec/replicas"], "target": {"kind": "Deploy.*"}}]}}),
        json!({"serviceAccountName": "de.ployer-1"}),
        json!({"verify": {"secretRef": {"name": "keys"}}}),
        json!({"verify": {"matchOIDCIdentity": [{"issuer": "https://a", "subject": ".*@b"}],
            "trustedRootSecretRef": {"name": "root"}}}),
        json!({"verify": {"threshold": 1, "authorities": [
            {"name": "a", "secretRef": {"name": "a"}},
            {"name": "b", "matchOIDCIdentity": [{"issuer": "https://a", "subject": "b"}]},
        ]}}),
        json!({"verify": {"secretRef": {"name": "keys"}, "images": {"policies": [{"match": "*"}]}}}),
        json!({"decryption": {"secretRef": {"name": "keys"}}}),
    ] {
        admit(&story, "x", &good).await.unwrap_or_else(|refused| panic!("{good}: {refused}"));
    }
}

#[story]
async fn defaults_are_filled_in() {
    let story = Story::begin("admission-defaults").await;
    let admitted = admit(&story, "x", &json!({})).await.expect("admitted");
    let expected = json!({
        "url": "oci://registry.example/app",
        "prune": true,
        "ref": {"tag": "latest", "allowDowngrade": false},
        "interval": "5m",
        "retryInterval": "30s",
        "timeout": "5m",
        "suspend": false,
        "insecure": false,
        "provider": "generic",
        "layers": "First",
        "path": "./",
        "wait": false,
        "force": false,
        "historyLimit": 5,
        "rollback": {"mode": "Off"},
        "drift": {"mode": "Correct"},
        "approval": "Automatic",
        "deletionPolicy": "MirrorPrune",
    });
    assert_eq!(admitted["spec"], expected);
}

#[story]
async fn the_definition_installs_without_a_warning_and_its_columns_are_shown() {
    let story = Story::begin("admission-crd").await;
    let crds = repository().join("config/crd");
    let crds = crds.to_str().expect("text");
    // As the documentation says: a plain apply, whose annotation has a limit.
    let output =
        story.bed().try_kubectl(&["apply", "--dry-run=server", "--warnings-as-errors", "-f", crds], "");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    // This one is about the test bed's own way to apply it.
    let err: Vec<&str> = err.lines().filter(|line| !line.contains("last-applied-configuration")).collect();
    assert!(err.is_empty(), "{err:?}");

    story.apply(
        "{apiVersion: supercargo.dev/v1alpha1, kind: OCIArtifactRelease, metadata: {name: shown},
          spec: {url: 'oci://registry.example/app', prune: true, suspend: true}}",
    );
    let status = json!({"status": {
        "conditions": [{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded", "message": "applied 2 objects",
            "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Verified", "status": "Unknown", "reason": "NotVerified", "message": "nobody asks",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "lastAppliedRevision": "1.0.0@sha256:abc",
        "shortRevision": "1.0.0@abc",
        "inventory": {"name": "inv-shown", "entries": 2},
    }});
    story.kubectl(
        &["patch", "oar", "shown", "--subresource=status", "--type=merge", "-p", &status.to_string()],
        "",
    );
    let words = |text: String| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split("  ").filter(|w| !w.is_empty()).map(|w| w.trim().to_owned()).collect())
            .collect()
    };
    let table = words(story.kubectl(&["get", "oar"], ""));
    assert_eq!(table[0], ["NAME", "READY", "REASON", "REVISION", "SUSPENDED", "AGE", "MESSAGE"]);
    assert_eq!(table[1][..5], ["shown", "True", "ReconciliationSucceeded", "1.0.0@abc", "true"]);
    assert_eq!(table[1][6], "applied 2 objects");
    let table = words(story.kubectl(&["get", "supercargo", "-o", "wide"], ""));
    assert_eq!(table[0][6..], ["LAST APPLIED", "DRIFTED", "VERIFIED", "SOURCE", "CLUSTER", "MESSAGE"]);
    assert_eq!(
        table[1][6..],
        ["1.0.0@sha256:abc", "Unknown", "oci://registry.example/app", "applied 2 objects"]
    );
    // The API server publishes what is explained a moment after the kind.
    let explained = async || {
        let output = story.bed().try_kubectl(&["explain", "oar.spec.prune"], "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("Deletes objects that are no longer in the artifact.").then_some(())
    };
    story.wait_for("the fields are explained", explained).await;
}

#[story]
async fn what_admission_cannot_see_stalls_with_what_to_change() {
    let scene =
        Scene::builder("admission-stalled").await.own_registry(Registry::plain()).slow_retries().start();
    let check = async |name: &str, spec: Value, says: &str| {
        scene.create(name, spec);
        let release = scene.story.wait_condition(name, "Stalled", "True", "InvalidSpec").await;
        let ready = condition(&release, "Ready").expect("a condition");
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "InvalidSpec"));
        assert!(ready.message.contains(says), "{}", ready.message);
    };
    check("range", json!({"ref": {"semver": "nonsense"}}), "spec.ref.semver: ").await;
    check("filter", json!({"ref": {"semver": "*", "semverFilter": "("}}), "spec.ref.semverFilter: ").await;
    let ignore = json!({"drift": {"ignore": [{"target": {"kind": "("}, "paths": ["/spec/replicas"]}]}});
    check(
        "target",
        ignore,
        "spec.drift.ignore[0].target: kind: \"(\" is not a valid regular expression, or is too large",
    )
    .await;
    // A better spec ends it, without waiting for anything.
    scene.push("range", "1", &config_map("good", "b"));
    scene.change("range", json!({"ref": {"semver": null, "tag": "1"}}));
    let release = scene.story.wait_ready("range", "1@").await;
    assert_eq!(condition(&release, "Stalled"), None);
}

/// Every release in the pages, as a reader would apply it.
#[story]
async fn the_releases_of_the_pages_are_admitted() {
    let story = Story::begin("admission-pages").await;
    let mut seen = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(repository().join("docs")).expect("read docs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = std::fs::read_to_string(&path).expect("read a page");
        let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        for text in blocks.flat_map(|block| block.split("\n---\n")) {
            if !text.contains("kind: OCIArtifactRelease\n")
                || text.contains('\u{2026}')
                || text.contains("status:")
            {
                continue;
            }
            let place = format!("{} in\n{text}", path.display());
            let mut release: Value =
                serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {place}"));
            let name = release["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let spec = release["spec"].take();
            admit(&story, &name, &spec).await.unwrap_or_else(|refused| panic!("{refused}: {place}"));
            *seen.entry(path.file_stem().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    let of = |page: &str| seen.get(std::ffi::OsStr::new(page)).copied().unwrap_or_default();
    assert!(of("delivery") >= 6 && of("dependencies") >= 2, "{seen:?}");
}
