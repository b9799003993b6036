//! The agreement with cosign: each artifact is judged by real `cosign verify` and
//! by ours, as the operator asks and as `supercargo verify artifact` does. Ours accepts nothing that cosign refuses; where
//! it refuses what cosign accepts, the case says why ([`Expect::Stricter`]).
//!
//! cosign signs one artifact once with each key; the cases put copies of those
//! signatures, whole or edited, beside the same artifact in repositories of their
//! own, on a registry with the referrers API and on one without.

use supercargo_testbed::{Profiles, story};

const PROFILES: Profiles = Profiles::First("what is trusted is decided before any right is used");

mod keyless;
mod keys;
mod material;
mod older;
mod ours;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use material::Material;
use serde_json::{Value, json};
use supercargo_testbed::Registry;
use supercargo_testbed::evidence::{BUNDLE, SigLayer};

/// cosign mostly waits for the disk and its own start.
const WORKERS: usize = 4;
/// Fewer would mean that cases have been lost.
const LEAST_CASES: usize = 60;

/// One artifact, what lies beside it, and what is to come of it.
struct Case {
    name: String,
    beside: Beside,
    /// What the evidence lies beside.
    at: Place,
    /// What is verified.
    verified: Place,
    with: With,
    expect: Expect,
    /// Whether it runs on both registries; else on one or the other.
    everywhere: bool,
}

/// What lies beside an artifact, in the order in which it was put there.
#[derive(Default, Clone)]
struct Beside {
    sigs: Vec<SigLayer>,
    /// Referrers: their type, and the bytes of their layer.
    referrers: Vec<(&'static str, Vec<u8>)>,
}

/// The digests of a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    App,
    /// An index that lists the app.
    Index,
}

/// Whose signature is asked for.
#[derive(Clone)]
enum With {
    Key {
        file: PathBuf,
        /// What cosign has to be told about it.
        hash: &'static str,
    },
    Identity {
        identity: String,
        issuer: String,
        root: PathBuf,
        /// What cosign has to be told about the root and the signature.
        cosign: &'static [&'static str],
    },
}

/// What is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// Both accept.
    Accepted,
    /// Both refuse.
    Refused,
    /// cosign accepts it and we do not, for this reason.
    Stricter(&'static str),
}
use Expect::{Accepted, Refused, Stricter};

impl Beside {
    fn sig(layer: SigLayer) -> Self {
        Beside { sigs: vec![layer], ..Beside::default() }
    }

    fn bundle(bundle: &Value) -> Self {
        Beside { referrers: vec![(BUNDLE, bundle.to_string().into_bytes())], ..Beside::default() }
    }

    /// This, and that after it.
    fn and(mut self, other: Beside) -> Self {
        self.sigs.extend(other.sigs);
        self.referrers.extend(other.referrers);
        self
    }
}

impl Case {
    fn new(name: impl Into<String>, beside: Beside, with: &With, expect: Expect) -> Self {
        let (at, verified) = (Place::App, Place::App);
        Case { name: name.into(), beside, at, verified, with: with.clone(), expect, everywhere: false }
    }

    fn at(self, at: Place, verified: Place) -> Self {
        Case { at, verified, ..self }
    }

    fn everywhere(self) -> Self {
        Case { everywhere: true, ..self }
    }

    // Puts it into a repository of its own, and returns its reference.
    fn stage(&self, registry: &Registry, number: usize) -> String {
        let repository = format!("case-{number}");
        let digests = material::push_subjects(registry, &repository);
        let digest = |place| if place == Place::App { &digests.app } else { &digests.index };
        if !self.beside.sigs.is_empty() {
            registry.push_sig_layers(&repository, digest(self.at), &self.beside.sigs);
        }
        for (kind, bytes) in &self.beside.referrers {
            registry.attach(&repository, digest(self.at), kind, bytes, &json!({}));
        }
        format!("{}/{repository}@{}", registry.host(), digest(self.verified))
    }

    // Whether cosign accepts it, in one of its two formats (where it finds a bundle it
    // does not look for an older signature by itself), and what it said.
    fn cosign(&self, registry: &Registry, reference: &str) -> (bool, String) {
        let mut said = String::new();
        for format in ["true", "false"] {
            if format == "false" && self.beside.sigs.is_empty() {
                continue;
            }
            let format = format!("--new-bundle-format={format}");
            let mut arguments = vec!["verify".to_owned(), "--allow-http-registry".to_owned(), format];
            arguments.extend(self.with.cosign_flags());
            arguments.push(reference.to_owned());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = registry.run("cosign", &arguments);
            if output.status.success() {
                return (true, String::new());
            }
            said += &String::from_utf8_lossy(&output.stderr);
        }
        (false, said)
    }

    // What is wrong with the verdicts on it.
    fn judge(&self, registry: &Registry, number: usize) -> Option<String> {
        let reference = self.stage(registry, number);
        let (theirs, said) = self.cosign(registry, &reference);
        let expected = self.expect != Refused;
        if theirs != expected {
            return Some(format!("cosign accepts: {theirs}\n{said}"));
        }
        let (ours, said) = ours::verdict(&reference, &self.with);
        if ours::command(&reference, &self.with) != ours {
            return Some(format!("the command says otherwise than: {ours}\n{said}"));
        }
        (ours != (self.expect == Accepted)).then(|| format!("we accept: {ours}\n{said}"))
    }
}

impl With {
    fn cosign_flags(&self) -> Vec<String> {
        let flags: Vec<&str> = match self {
            With::Key { file, hash } => {
                vec!["--insecure-ignore-tlog", "--signature-digest-algorithm", hash, "--key", text(file)]
            }
            With::Identity { identity, issuer, root, cosign } => {
                let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer];
                let root = ["--trusted-root", text(root)];
                [&who[..], &root, cosign].concat()
            }
        };
        flags.into_iter().map(str::to_owned).collect()
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path of the test bed is text")
}

#[story]
fn we_accept_nothing_that_cosign_refuses() {
    let registries = [Registry::plain(), Registry::with_referrers()];
    let material = Material::make(&registries[0]);
    let mut cases = keys::cases(&material);
    cases.extend(keyless::cases(&material));
    cases.extend(older::cases(&material));
    assert!(cases.len() >= LEAST_CASES, "{} cases", cases.len());
    let mut runs: Vec<(&Case, &Registry)> = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let registries = registries.iter().enumerate();
        let its = registries.filter(|(which, _)| case.everywhere || number % 2 == *which);
        runs.extend(its.map(|(_, registry)| (case, registry)));
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    // Taken once: it is also the name of the case's repository.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((case, registry)) = runs.get(number) else { break };
                    if let Some(what) = case.judge(registry, number) {
                        let api = if registry.has_referrers() { "referrers API" } else { "referrers tag" };
                        let line = format!("{} ({api}, {:?}): {what}", case.name, case.expect);
                        wrong.lock().expect("lock").push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("lock");
    assert!(wrong.is_empty(), "{} of {} verdicts are wrong:\n{}", wrong.len(), runs.len(), wrong.join("\n"));
}
