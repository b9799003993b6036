//! ServiceAccounts of operators, with the rights that the chart gives them, and
//! whose rights the releases of a story have.

use std::sync::OnceLock;

use crate::tools::Tools;
use crate::{Bed, bed, processes, repository};

/// What the chart is rendered for once; a test puts its namespace in its place.
const PLACEHOLDER: &str = "story-namespace";
/// The account of releases that name none, under [`Profile::Least`].
const DEPLOYER: &str = "deployer";

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// The templates of an operator's account and rights.
const RIGHTS: &[&str] = &[
    "--set=serviceAccount.name=supercargo",
    "--show-only=templates/rbac-controller.yaml",
    "--show-only=templates/rbac-leader-election.yaml",
    "--show-only=templates/service-account.yaml",
];

/// With which rights an operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The chart as it comes. A release that names no account acts as `deployer` of
    /// its namespace, which may do anything; the operator may not.
    Least,
    /// With `clusterAdmin: true`: such a release acts as the operator itself.
    ClusterAdmin,
}

impl Profile {
    /// The one that all stories run under that do not need a certain one:
    /// `SUPERCARGO_TEST_PROFILE`, `least` (the default) or `cluster-admin`.
    pub fn of_run() -> Profile {
        match std::env::var("SUPERCARGO_TEST_PROFILE").as_deref() {
            Err(_) | Ok("" | "least") => Profile::Least,
            Ok("cluster-admin") => Profile::ClusterAdmin,
            Ok(other) => panic!("SUPERCARGO_TEST_PROFILE is least or cluster-admin, not {other:?}"),
        }
    }

    /// What its operators get as `--default-service-account`.
    pub fn default_account(self) -> Option<&'static str> {
        (self == Profile::Least).then_some(DEPLOYER)
    }

    /// What an administrator makes in a namespace before there are releases, as
    /// YAML documents.
    pub fn preparation(self, namespace: &str) -> String {
        let Some(name) = self.default_account() else { return String::new() };
        format!(
            "---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}
  namespace: {namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {name}-{namespace}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]
"
        )
    }

    /// What no namespace takes with it of that, as a path of the API.
    pub fn leftovers(self, namespace: &str) -> Option<String> {
        self.default_account().map(|name| format!("{BINDINGS}/{name}-{namespace}"))
    }

    fn chart_arguments(self) -> &'static [&'static str] {
        match self {
            Profile::Least => &[],
            Profile::ClusterAdmin => {
                &["--set=clusterAdmin=true", "--show-only=templates/rbac-cluster-admin.yaml"]
            }
        }
    }

    /// The operator's account and its rights, as the chart has them.
    fn rendered(self) -> &'static str {
        static RENDERED: [OnceLock<String>; 2] = [const { OnceLock::new() }; 2];
        RENDERED[usize::from(self == Profile::ClusterAdmin)]
            .get_or_init(|| render(&[RIGHTS, self.chart_arguments()].concat()))
    }
}

/// Under which profiles the stories of a file run. Each file of tests/cluster with a
/// [`story`](macro@crate::story) says it, as `const PROFILES`.
#[derive(Debug, Clone, Copy)]
pub enum Profiles {
    /// Under both: a story that goes another way with other rights would show it.
    Both,
    /// Under the first only, and why: no right matters to it, or it names its own.
    First(&'static str),
}

impl Profiles {
    /// Whether they run under the profile of this run.
    pub fn have_that_of_the_run(self) -> bool {
        match (self, Profile::of_run()) {
            (Profiles::First(reason), Profile::ClusterAdmin) => {
                eprintln!("not run as cluster-admin: {reason}");
                false
            }
            _ => true,
        }
    }
}

/// `helm template` of the chart for the placeholder.
fn render(arguments: &[&str]) -> String {
    let directory = processes::directory("chart");
    let mut command = processes::command(Tools::helm().path("helm"));
    command
        .arg("template")
        .arg(format!("supercargo-{PLACEHOLDER}"))
        .arg(repository().join("charts/supercargo"))
        .arg(format!("--namespace={PLACEHOLDER}"))
        .args(arguments)
        .env("HOME", &directory)
        .env("KUBECONFIG", "/nonexistent");
    let output = bed::run(&mut command, "");
    assert!(output.status.success(), "helm template: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The operator's ServiceAccount in a namespace of its own test, so that the audit
/// log tells its requests from those of others.
#[derive(Debug, Clone)]
pub struct Account {
    namespace: String,
    kubeconfig: String,
    lease: String,
    profile: Profile,
}

impl Account {
    /// The account `supercargo` in `namespace`, which exists, with the rights that the
    /// chart gives it there.
    pub fn create(bed: &Bed, namespace: &str, profile: Profile) -> Account {
        Account::apply(bed, namespace, profile, profile.rendered())
    }

    /// The same under [`Profile::Least`] with other values of the chart (`--set=…`), whose
    /// other objects are made by the test.
    pub fn with_values(bed: &Bed, namespace: &str, values: &[String]) -> Account {
        let values: Vec<&str> = RIGHTS.iter().copied().chain(values.iter().map(String::as_str)).collect();
        Account::apply(bed, namespace, Profile::Least, &render(&values))
    }

    fn apply(bed: &Bed, namespace: &str, profile: Profile, manifests: &str) -> Account {
        bed.admin().apply(&manifests.replace(PLACEHOLDER, namespace));
        let lease = format!("supercargo-{namespace}-controller");
        Account { lease, profile, ..Account::existing(bed, namespace) }
    }

    /// The account `supercargo` of a namespace, with the rights that it has, and the
    /// lease of an operator that is not told of another.
    pub fn existing(bed: &Bed, namespace: &str) -> Account {
        let token = bed.service_account_token(namespace, "supercargo");
        let kubeconfig = bed.kubeconfig_for_token(&token);
        let lease = "supercargo-controller".to_owned();
        Account { namespace: namespace.to_owned(), kubeconfig, lease, profile: Profile::ClusterAdmin }
    }

    /// Its name in the audit log.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:supercargo", self.namespace)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The lease that it may hold there.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// A kubeconfig with its token.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// What it was made for.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Removes what no namespace takes with it.
    pub fn remove(&self, bed: &Bed) {
        let name = format!("supercargo-{}", self.namespace);
        bed.admin().delete(&format!("{BINDINGS}/{name}-controller"));
        bed.admin().delete(&format!("{ROLES}/{name}-controller"));
        if self.profile == Profile::ClusterAdmin {
            bed.admin().delete(&format!("{BINDINGS}/{name}-cluster-admin"));
        }
    }
}
