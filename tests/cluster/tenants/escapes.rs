//! Ways by which a tenant could get more than the rights of its account. Each story also shows that the same
//! succeeds where it is allowed: what refuses is the missing right, and no mistake of the story.
//!
//! The operator may do everything itself: what it does not do, it does not do because it must not.

use http::Method;
use serde_json::{Value, json};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profile, Profiles, Signer, Story, story};

use super::people::{Person, TENANT};
use super::trial::{self, JSON};
use crate::chart::helm;
use crate::scene::{ALL_RIGHTS, CONFIG_MAPS, Scene, account, config_map, role};

const PROFILES: Profiles = Profiles::First("its operator may do everything, whatever the profile");

const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

/// A tenant and its neighbour, whose namespace the operator watches, too.
struct Neighbours {
    scene: Scene<'static>,
    other: String,
}

impl Neighbours {
    /// The tenant's account, `tenant`, has these rights in its namespace.
    async fn begin(name: &str, rights: &str) -> Neighbours {
        let story = Story::begin(name).await;
        let other = story.another_namespace(&format!("{name}-other"));
        let scene = Scene::of(story).profile(Profile::ClusterAdmin).watching(&[&other]).start();
        scene.story.apply(&(account("tenant") + &role("tenant", scene.namespace(), rights)));
        Neighbours { scene, other }
    }

    /// Makes a release of the tenant whose artifact is `yaml`.
    fn release(&self, name: &str, yaml: &str, spec: Value) {
        self.scene.push(name, "1", yaml);
        let mut whole = json!({"serviceAccountName": "tenant"});
        trial::merge(&mut whole, &spec);
        self.scene.create(name, whole);
    }

    /// As the administrator, in the namespace of the neighbour.
    fn in_other(&self, yaml: &str) {
        self.scene.story.kubectl(&["-n", &self.other, "apply", "--server-side", "-f", "-"], yaml);
    }

    /// Gives the tenant's account rights in the namespace of the neighbour.
    fn grant(&self, rules: &str) {
        self.in_other(&role("tenant", self.scene.namespace(), rules));
    }

    /// Requests of the operator, as whoever, that have to do with the neighbour's objects.
    fn of_other(&self, mark: supercargo_testbed::audit::Mark) -> Vec<String> {
        let requests = self.scene.requests(mark);
        let theirs = requests.iter().filter(|r| {
            (r.namespace == self.other || r.uri.contains(&self.other)) && r.resource != RELEASES.1
        });
        theirs.filter(|r| (200..300).contains(&r.code)).map(|r| r.summary()).collect()
    }
}

/// The rights of the tenant's account in the whole cluster, by a ClusterRole; taken away with the value.
struct Everywhere<'a>(&'a Scene<'static>);

impl<'a> Everywhere<'a> {
    fn grant(scene: &'a Scene<'static>, rules: &str) -> Everywhere<'a> {
        let namespace = scene.namespace();
        let name = format!("escape-{namespace}");
        scene.story.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: {rules}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}\n\
             subjects: [{{kind: ServiceAccount, name: tenant, namespace: {namespace}}}]\n"
        ));
        Everywhere(scene)
    }
}

impl Drop for Everywhere<'_> {
    fn drop(&mut self) {
        let name = format!("escape-{}", self.0.namespace());
        let kinds = "clusterrolebinding,clusterrole";
        drop(self.0.story.bed().try_kubectl(&["delete", kinds, &name, "--ignore-not-found"], ""));
    }
}

/// What an account needs that may also write Roles. Not all resources of the core group: the Namespace itself
/// would be one of them.
const NEARLY_ALL: &str = "[{apiGroups: [''], resources: [configmaps, secrets], verbs: ['*']}, \
    {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: [get, list, watch, create, patch, delete]}]";

#[story]
async fn an_artifact_does_nothing_that_its_account_may_not() {
    let neighbours = Neighbours::begin("escape-artifact", NEARLY_ALL).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    let own = scene.namespace();
    let rbac = "apiVersion: rbac.authorization.k8s.io/v1\nkind:";
    let subject = format!("subjects: [{{kind: ServiceAccount, name: tenant, namespace: {own}}}]");
    let to_admin = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}";
    // What it is, and what is said of it.
    let cases = [
        (
            "binding",
            format!("{rbac} RoleBinding\nmetadata: {{name: more}}\n{to_admin}\n{subject}\n"),
            "attempting to grant RBAC permissions not currently held".to_owned(),
        ),
        (
            "role",
            format!(
                "{rbac} Role\nmetadata: {{name: more}}\nrules: [{{apiGroups: [policy], resources: [poddisruptionbudgets], verbs: ['*']}}]\n"
            ),
            "attempting to grant RBAC permissions not currently held".to_owned(),
        ),
        (
            "everywhere",
            format!("{rbac} ClusterRoleBinding\nmetadata: {{name: more-{own}}}\n{to_admin}\n{subject}\n"),
            "ClusterRoleBinding/more-".to_owned(),
        ),
        (
            "security",
            format!(
                "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}, labels: {{pod-security.kubernetes.io/enforce: privileged}}}}\n"
            ),
            format!("Namespace/{own}"),
        ),
        (
            "nested",
            format!(
                "apiVersion: {}\nkind: OCIArtifactRelease\nmetadata: {{name: nested, namespace: {other}}}\n\
                 spec: {{url: 'oci://registry.invalid/app', prune: true, serviceAccountName: default}}\n",
                RELEASES.0
            ),
            format!("OCIArtifactRelease/{other}/nested"),
        ),
        (
            "inventory",
            config_map("inv-theirs", "x").replace("{name:", &format!("{{namespace: {other}, name:")),
            format!("ConfigMap/{other}/inv-theirs"),
        ),
    ];
    let mark = scene.mark();
    for (name, yaml, says) in &cases {
        // Beside what it may write, of which nothing is written either.
        neighbours.release(name, &(config_map(name, "one") + yaml), json!({}));
        let release = scene.wait_message(name, "False", says).await;
        let reason = condition(&release, "Ready").expect("a condition").reason;
        assert!(["AccessDenied", "PreflightFailed"].contains(&reason.as_str()), "{name}: {reason}");
    }
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    // With the rights of an administrator all of it is possible.
    let _rights = Everywhere::grant(scene, ALL_RIGHTS);
    for (name, ..) in &cases {
        scene.ask(name, "granted");
        scene.story.wait_ready(name, "1@").await;
    }
    // Deleted with the rights that it has then.
    scene.story.kubectl(&["delete", "oar", "everywhere", "nested", "--timeout=60s"], "");
}

#[story]
async fn nothing_that_changes_an_object_moves_it_into_another_namespace() {
    let neighbours = Neighbours::begin("escape-moved", ALL_RIGHTS).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    let target = json!({"kind": "ConfigMap"});
    let patch = format!("- {{op: add, path: /metadata/namespace, value: {other}}}");
    let cases = [
        (
            "patched",
            json!({"patches": [{"target": target, "patch": patch, "options": {"allowNameChange": true}}]}),
        ),
        ("variable", json!({"postBuild": {"substitute": {"place": other}}})),
        ("target", json!({"targetNamespace": other})),
    ];
    let mark = scene.mark();
    for (name, spec) in &cases {
        let yaml = match *name {
            "variable" => config_map(name, "one").replace("{name:", "{namespace: '${place}', name:"),
            _ => config_map(name, "one"),
        };
        neighbours.release(name, &yaml, spec.clone());
        let says = format!("ConfigMap/{other}/{name}");
        let release = scene.wait_message(name, "False", &says).await;
        assert_eq!(condition(&release, "Ready").expect("a condition").reason, "AccessDenied", "{name}");
    }
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    neighbours.grant(CONFIG_MAPS);
    for (name, _) in &cases {
        scene.ask(name, "granted");
        scene.story.wait_ready(name, "1@").await;
        let moved = scene.story.object_in(Some(other), "v1", "configmaps", name).await;
        assert!(moved.is_some(), "{name}");
    }
}

/// A spec for each field that names a Secret or a ConfigMap; `NAME` is the name.
fn naming(name: &str) -> Vec<Value> {
    let keyless = json!([{"issuer": "^https://a$", "subject": "^b$"}]);
    vec![
        json!({"secretRef": {"name": name}}),
        json!({"certSecretRef": {"name": name}}),
        json!({"proxySecretRef": {"name": name}}),
        json!({"verify": {"secretRef": {"name": name}}}),
        json!({"verify": {"matchOIDCIdentity": keyless, "trustedRootSecretRef": {"name": name}}}),
        json!({"verify": {"authorities": [{"name": "a", "secretRef": {"name": name}}]}}),
        json!({"verify": {"secretRef": {"name": "keys"}, "images": {"policies": [{"match": "a.b/*", "secretRef": {"name": name}}]}}}),
        json!({"decryption": {"secretRef": {"name": name}}}),
        json!({"helm": {"valuesFrom": [{"kind": "Secret", "name": name}]}}),
        json!({"helm": {"valuesFrom": [{"kind": "ConfigMap", "name": name}]}}),
        json!({"postBuild": {"substituteFrom": [{"kind": "Secret", "name": name}]}}),
        json!({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": name}]}}),
        json!({"kubeConfig": {"secretRef": {"name": name}}}),
        json!({"kubeConfig": {"configMapRef": {"name": name}}}),
    ]
}

#[story]
async fn no_field_names_an_object_of_another_namespace() {
    let neighbours = Neighbours::begin("escape-named", ALL_RIGHTS).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    neighbours
        .in_other("apiVersion: v1\nkind: Secret\nmetadata: {name: theirs}\nstringData: {value: hidden}\n");
    neighbours.in_other(&config_map("theirs", "hidden"));
    // The account may read them, and the operator too: the field cannot say them.
    neighbours.grant("[{apiGroups: [''], resources: [secrets, configmaps], verbs: [get, list, watch]}]");
    let mark = scene.mark();
    let path = format!("/apis/{}/namespaces/{}/{}", RELEASES.0, scene.namespace(), RELEASES.1);
    let admin = Person::admin(&scene.story);
    let mut judged = 0;
    for (n, form) in
        [format!("{other}/theirs"), format!("../../{other}/secrets/theirs"), format!("{other}%2Ftheirs")]
            .iter()
            .enumerate()
    {
        for (m, spec) in naming(form).into_iter().enumerate() {
            let name = format!("r{n}-{m}");
            let release = scene.release(&name, spec.clone());
            // Refused at once, or by the operator.
            match admin.send(Method::POST, &path, JSON, &release).await {
                Err(said) => {
                    assert!(said.contains("is invalid") || said.contains("must be"), "{spec}: {said}")
                }
                Ok(_) => {
                    let message = scene.wait_reason(&name, "Ready", "False", "InvalidSpec").await;
                    assert!(message.contains("is not a valid name"), "{spec}: {message}");
                }
            }
            judged += 1;
        }
    }
    assert_eq!(judged, 42);
    assert_eq!(neighbours.of_other(mark), Vec::<String>::new());
    // The same fields do name what is in the namespace of the release.
    scene.push("app", "1", &config_map("a", "one"));
    for (m, spec) in naming("theirs").into_iter().enumerate() {
        let name = format!("own-{m}");
        scene.push(&name, "1", &config_map(&name, "one"));
        scene.create(&name, spec.clone());
        let what = format!("{spec} is looked for");
        let looked = async || {
            let release = scene.story.release(&name).await?;
            let ready = condition(&release, "Ready").filter(|ready| ready.status == "False")?;
            ready.message.contains("theirs").then_some(())
        };
        // A chart's values are of no use to an artifact that is no chart, nor keys of images to one without.
        let unused = spec.get("helm").is_some() || spec.pointer("/verify/images").is_some();
        if !unused {
            scene.story.wait_for(&what, looked).await;
        }
    }
}

#[story]
async fn whether_an_object_of_others_exists_is_told_only_to_who_may_read_it() {
    let neighbours = Neighbours::begin("escape-oracle", CONFIG_MAPS).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    neighbours.in_other(&config_map("there", "one"));
    let check = |name: &str| json!({"healthChecks": [{"kind": "ConfigMap", "name": name, "namespace": other}], "timeout": "5s"});
    for name in ["there", "absent"] {
        neighbours.release(name, &config_map(&format!("of-{name}"), "one"), check(name));
    }
    let told = async |name: &str| {
        let release = scene.wait_message(name, "False", &format!("ConfigMap/{other}/{name}")).await;
        let ready = condition(&release, "Ready").expect("a condition");
        (ready.reason, ready.message.replace(name, "NAME"))
    };
    // The reasons of a wait that goes on are not those of one that has ended.
    let alike = async || {
        let (there, absent) = (told("there").await, told("absent").await);
        (there == absent && there.1.contains("forbidden")).then_some(there)
    };
    scene.story.wait_for("both are told alike", alike).await;
    neighbours.grant(CONFIG_MAPS);
    scene.ask("there", "granted");
    scene.story.wait_ready("there", "1@").await;
    assert_ne!(told("absent").await.0, "AccessDenied");
}

#[story]
async fn labels_of_another_release_in_an_artifact_make_nobody_its_owner() {
    let neighbours = Neighbours::begin("escape-labels", ALL_RIGHTS).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    neighbours.in_other(&(account("neighbour") + &role("neighbour", other, ALL_RIGHTS)));
    scene.push("victim", "1", &config_map("a", "theirs"));
    let mut victim = scene.release("victim", json!({"serviceAccountName": "neighbour"}));
    victim["metadata"]["namespace"] = other.as_str().into();
    scene.story.kubectl(&["-n", other, "create", "-f", "-"], &victim.to_string());
    let theirs = async || scene.story.object_in(Some(other), "v1", "configmaps", "a").await;
    let before = scene.story.wait_for("the neighbour's object", async || theirs().await).await;
    // Labels and inventory as if the object were the neighbour's, and theirs this release's.
    let labels = format!("labels: {{supercargo.dev/name: victim, supercargo.dev/namespace: {other}}}");
    let forged = config_map("mine", "one").replace("{name:", &format!("{{{labels}, name:"));
    neighbours.release("app", &forged, json!({}));
    scene.story.wait_ready("app", "1@").await;
    let mine = scene.config_map("mine").await.expect("it is applied");
    assert_eq!(mine["metadata"]["labels"]["supercargo.dev/name"], "app", "{mine:#}");
    let mut listed = scene.inventory("app").await;
    listed
        .push(json!({"id": format!("{other}_a__ConfigMap"), "ver": "v1", "uid": before["metadata"]["uid"]}));
    scene.patch(
        "v1",
        "configmaps",
        "inv-app",
        json!({"data": {"resources": Value::from(listed).to_string()}}),
    );
    scene.upgrade("app", "2", &config_map("mine", "two"));
    // With the account's rights it is not even seen; the tenant has only stopped its own release.
    let message = scene.wait_reason("app", "Ready", "False", "PruneFailed").await;
    assert!(message.contains(&format!("ConfigMap/{other}/a")) && message.contains("forbidden"), "{message}");
    // With rights in the other namespace, it is known to be another release's.
    neighbours.grant(CONFIG_MAPS);
    scene.ask("app", "granted");
    scene.story.wait_ready("app", "2@").await;
    scene.wait_event("app", "OwnershipConflict", &[&format!("ConfigMap/{other}/a is not deleted")]).await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "mine").await;
    assert_eq!(theirs().await.expect("it stays")["metadata"]["uid"], before["metadata"]["uid"]);
    // The neighbour's own release deletes it, so the operator could.
    scene.story.kubectl(&["-n", other, "delete", "oar", "victim", "--timeout=60s"], "");
    assert!(theirs().await.is_none());
}

#[story]
async fn a_digest_that_one_tenant_trusts_is_not_trusted_for_another() {
    let neighbours = Neighbours::begin("escape-trust", ALL_RIGHTS).await;
    let (scene, other) = (&neighbours.scene, &neighbours.other);
    neighbours.in_other(&(account("tenant") + &role("tenant", other, ALL_RIGHTS)));
    let (tenants, neighbour) = (Signer::new(Algorithm::P256), Signer::new(Algorithm::P256));
    let digest = scene.push("app", "1", &config_map("a", "one"));
    let reference = format!("{}/{}@{digest}", scene.registry().host(), scene.repository("app"));
    tenants.sign(scene.registry(), &reference, Format::Bundle, &[]);
    let keys = |signer: &Signer| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"a.pub": signer.public_pem()}})
            .to_string()
    };
    scene.story.apply(&keys(&tenants));
    neighbours.in_other(&keys(&neighbour));
    let spec = json!({"serviceAccountName": "tenant", "verify": {"secretRef": {"name": "keys"}}});
    scene.create("app", spec.clone());
    scene.story.wait_ready("app", "1@").await;
    let mut theirs = scene.release("app", spec);
    theirs["metadata"]["namespace"] = other.as_str().into();
    scene.story.kubectl(&["-n", other, "create", "-f", "-"], &theirs.to_string());
    let ready = async |status: &str| {
        let release = scene.story.object_in(Some(other), RELEASES.0, RELEASES.1, "app").await?;
        condition(&release, "Ready").filter(|ready| ready.status == status)
    };
    let refused = scene.story.wait_for("it is refused", async || ready("False").await).await;
    assert_eq!(refused.reason, "SignerUntrusted", "{refused:?}");
    assert!(scene.story.object_in(Some(other), "v1", "configmaps", "a").await.is_none());
    // Trusted by its own Secret, it is applied.
    neighbours.in_other(&keys(&tenants).replace("\"a.pub\"", "\"b.pub\""));
    scene.story.wait_for("it is trusted", async || ready("True").await).await;
}

#[story]
async fn no_request_goes_where_only_a_cloud_answers() {
    let neighbours = Neighbours::begin("escape-metadata", ALL_RIGHTS).await;
    let scene = &neighbours.scene;
    for (name, url) in [
        ("address", "oci://169.254.169.254/latest/meta-data"),
        ("name", "oci://metadata.google.internal/computemetadata/v1"),
        ("six", "oci://[fd00:ec2::254]/latest"),
    ] {
        scene.create(name, json!({"url": url, "insecure": true, "serviceAccountName": "tenant"}));
        let message = scene.wait_reason(name, "Ready", "False", "RegistryUnavailable").await;
        let says = "a link-local, metadata or reserved address, which is no address of a registry";
        assert!(message.contains(says), "{message}");
    }
    neighbours.release("app", &config_map("a", "one"), json!({}));
    scene.story.wait_ready("app", "1@").await;
}

/// Rules of a ClusterRole of the chart, as a Role has them.
fn rules_of(name: &str) -> Vec<Value> {
    let objects = helm::rendered("supercargo-system", "");
    let role = helm::find(&objects, "ClusterRole", name).expect("a role of the chart");
    role["rules"].as_array().expect("rules").clone()
}

#[story]
async fn who_may_edit_releases_can_neither_write_a_status_nor_pass_for_the_operator() {
    let neighbours = Neighbours::begin("escape-status", CONFIG_MAPS).await;
    let scene = &neighbours.scene;
    neighbours.release("app", &config_map("a", "one"), json!({"approval": "Manual"}));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "ApprovalRequired").await;
    let rules = [rules_of("supercargo-edit"), rules_of("supercargo-view")].concat();
    let rules = format!(" {}", Value::from(rules));
    let editor = Person::with(&scene.story, "editor", &rules).await;
    let path = format!("/apis/{}/namespaces/{}/{}/app/status", RELEASES.0, scene.namespace(), RELEASES.1);
    let forged = json!({"status": {"plan": {"approved": waiting["status"]["plan"]["hash"]}}});
    let merge = "application/merge-patch+json";
    let said = editor.send(Method::PATCH, &path, merge, &forged).await.expect_err("no right to the status");
    assert!(said.contains("ociartifactreleases/status"), "{said}");
    for (verb, resource) in [
        ("approve", "ociartifactreleases"),
        ("set-source", "ociartifactreleases"),
        ("impersonate", "serviceaccounts"),
    ] {
        let ask = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {
            "namespace": scene.namespace(), "verb": verb, "resource": resource,
            "group": if resource == "serviceaccounts" { "" } else { "supercargo.dev" }}}});
        let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = editor.send(Method::POST, review, JSON, &ask).await.expect("an answer");
        assert_eq!(answer["status"]["allowed"], false, "{verb} {resource}");
    }
    assert!(scene.config_map("a").await.is_none());
    // Who has that right can.
    let mighty = Person::with(&scene.story, "mighty", TENANT).await;
    let untouched = json!({"status": {"failures": []}});
    mighty.send(Method::PATCH, &path, merge, &untouched).await.expect("the right to the status");
}
