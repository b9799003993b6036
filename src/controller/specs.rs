//! The parsed specs of releases: parsed once for each change, and within a memory limit for all of
//! them. With aliases a patch of a kilobyte can take megabytes, and a user who can write releases
//! can write many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use crate::domain::manifest::substitute::Redaction;
use crate::domain::observed::ObservedRelease;
use crate::domain::patch::allowance::Allowance;
use crate::domain::release::{InvalidSpec, Release, id_of};
use crate::fair::{Gate, Share};
use crate::reconcile::scope::slot::{RunPlace, WorkerPool};

/// The memory for all large specs together.
pub struct Specs {
    gate: Arc<Gate>,
}

type ParsedSpec = Result<Arc<Release>, InvalidSpec>;

/// The spec of one release, as parsed last.
#[derive(Default)]
pub struct Spec {
    last: Option<Box<(Version, ParsedSpec)>>,
}

/// What a parsed release depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Spec {
    /// The release is at rest: it is parsed again for its next run. What has to be corrected in it is kept.
    pub fn settle(&mut self) {
        self.last.take_if(|last| last.1.is_ok());
    }

    /// Whether something is kept that is not needed at rest.
    pub fn is_unsettled(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.1.is_ok())
    }
}

impl Version {
    fn of(seen: &ObservedRelease) -> Self {
        let metadata = &seen.resource.metadata;
        Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            annotations: metadata.annotations.clone(),
        }
    }
}

/// A parsed release. A large one frees its memory when this is dropped.
pub struct Parsed {
    /// The release.
    pub release: Arc<Release>,
    share: Option<Share>,
}

impl Parsed {
    /// Whether a release, as its run has completed it, is what its spec says, so that nothing of it has to be kept
    /// between its runs. A large spec takes long to parse.
    pub fn is_all_of(&self, complete: &Arc<Release>) -> bool {
        self.share.is_none() && Arc::ptr_eq(complete, &self.release)
    }

    /// The release, as its run has completed it, for the time between its runs: without its large
    /// parts, if it has any, and without what its inputs contain.
    pub fn at_rest(&self, complete: &Arc<Release>, redaction: &Arc<Redaction>) -> Arc<Release> {
        let has_inputs = complete.inputs.objects().next().is_some() || !complete.redaction.is_empty();
        let complete = match has_inputs {
            false => Arc::clone(complete),
            true => Arc::new(complete.without_inputs(Arc::clone(redaction))),
        };
        match self.share {
            None => complete,
            Some(_) => Arc::new(complete.without_rendering()),
        }
    }
}

impl Specs {
    /// With this limit for all large specs, and this one for those of one namespace.
    pub fn new(bytes: u64, most: u64) -> Self {
        Self { gate: Gate::bounded(bytes, most) }
    }

    /// The same as [`Specs::read`], for a run that has a place among those that have begun. While others
    /// have the memory, it gives its place to another run.
    ///
    /// # Errors
    /// What has to be corrected in the spec.
    pub async fn read_for_run(
        &self,
        spec: &mut Spec,
        seen: &Arc<ObservedRelease>,
        pool: &WorkerPool,
        place: &mut Option<RunPlace>,
    ) -> Result<Parsed, InvalidSpec> {
        let read = self.read(spec, seen, || *place = None).await;
        if place.is_none() {
            *place = Some(pool.begin(&id_of(&seen.resource).namespace).await);
        }
        read
    }

    /// Parses the spec of a release, if that was not done yet. A large one waits until there is
    /// memory for it, and is parsed on a blocking thread. May be dropped at any time. `waits` is called
    /// if others have the memory now.
    ///
    /// # Errors
    /// What has to be corrected in the spec.
    pub async fn read(
        &self,
        spec: &mut Spec,
        seen: &Arc<ObservedRelease>,
        waits: impl FnOnce(),
    ) -> Result<Parsed, InvalidSpec> {
        let version = Version::of(seen);
        if let Some((_, known)) = spec.last.as_deref().filter(|(of, _)| *of == version) {
            return known.clone().map(|release| Parsed { release, share: None });
        }
        spec.last = None;
        let mut allowance = Allowance::small();
        let parsed = seen.parse_within(&mut allowance).map(Arc::new);
        if !allowance.exhausted() {
            spec.last = Some(Box::new((version, parsed.clone())));
            return parsed.map(|release| Parsed { release, share: None });
        }
        // With a budget of the administrator, one spec gets no more than all of its namespace together.
        let most = self.gate.budget().unwrap_or(Allowance::MOST).min(Allowance::MOST);
        let namespace = id_of(&seen.resource).namespace;
        let mut entering = std::pin::pin!(self.gate.enter(&namespace, most));
        let entered = match futures::poll!(entering.as_mut()) {
            Poll::Ready(entered) => entered,
            Poll::Pending => {
                waits();
                entering.await
            }
        };
        let Ok(share) = entered else { return parsed.map(|release| Parsed { release, share: None }) };
        let large = Arc::clone(seen);
        // Its memory is reserved as long as the thread works, even when the caller is gone.
        let parsing = tokio::task::spawn_blocking(move || {
            let mut allowance = Allowance::within(most);
            let parsed = large.parse_within(&mut allowance).map(Arc::new);
            share.shrink(allowance.spent());
            let is_bounded = allowance.exhausted() && most < Allowance::MOST;
            (parsed.map_err(|error| if is_bounded { bounded(error, most) } else { error }), share)
        });
        let (parsed, share) = match parsing.await {
            Ok(parsed) => parsed,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match parsed {
            Ok(release) => Ok(Parsed { release, share: Some(share) }),
            Err(error) => {
                spec.last = Some(Box::new((version, Err(error.clone()))));
                Err(error)
            }
        }
    }
}

/// The error of a spec that needs more memory than its namespace has.
fn bounded(InvalidSpec { field, problem }: InvalidSpec, most: u64) -> InvalidSpec {
    let problem = format!(
        "{problem}; the patches of a release get at most {} KiB of memory, because the operator runs with \
         --max-memory-per-namespace",
        most >> 10
    );
    InvalidSpec { field, problem }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::domain::fair::admits;
    use crate::observe::metrics::Metrics;

    fn seen(namespace: &str, generation: i64, patches: &[String]) -> Arc<ObservedRelease> {
        let patches: Vec<_> = patches.iter().map(|patch| json!({"patch": patch})).collect();
        let resource = json!({
            "metadata": {"name": "app", "namespace": namespace, "uid": "u", "generation": generation},
            "spec": {"url": "oci://r.example/app", "ref": {"tag": "1"}, "prune": true, "interval": "5m",
                "patches": patches},
        });
        Arc::new(ObservedRelease::read(&resource.to_string()).expect("a release"))
    }

    /// A patch of so many mappings, which take ten times their text.
    fn patch(mappings: usize) -> String {
        let many: String = (0..mappings).map(|n| format!("k{n}: {{}}\n")).collect();
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{many}")
    }

    /// Patches that come to some megabytes.
    fn large() -> Vec<String> {
        vec![patch(4500)]
    }

    #[tokio::test]
    async fn a_spec_is_parsed_once_for_each_change() {
        let specs = Specs::new(64 << 20, 32 << 20);
        let mut spec = Spec::default();
        let patch = &[patch(3)];
        let mut read = async |seen: &Arc<ObservedRelease>| {
            specs.read(&mut spec, seen, || ()).await.expect("it is valid").release
        };
        let first = read(&seen("apps", 1, patch)).await;
        assert!(Arc::ptr_eq(&first, &read(&seen("apps", 1, patch)).await));
        assert!(!Arc::ptr_eq(&first, &read(&seen("apps", 2, patch)).await));
        assert_eq!(specs.gate.taken(), 0);
    }

    #[tokio::test]
    async fn large_specs_take_turns_and_are_not_kept() {
        let specs = Specs::new(64 << 20, 32 << 20);
        let (mut first, mut second, mut other) = (Spec::default(), Spec::default(), Spec::default());
        let large = large();
        let parsed = specs.read(&mut first, &seen("apps", 1, &large), || ()).await.expect("it is valid");
        let taken = specs.gate.taken();
        assert!((1 << 20..Allowance::MOST).contains(&taken), "{taken}");
        assert!(
            parsed.at_rest(&parsed.release, &Arc::default()).patches.is_empty()
                && !parsed.release.patches.is_empty()
        );
        let mut held = vec![parsed];
        while admits(64 << 20, specs.gate.taken(), specs.gate.taken(), Allowance::MOST) {
            held.push(specs.read(&mut second, &seen("apps", 1, &large), || ()).await.expect("it is valid"));
        }
        assert!(specs.read(&mut second, &seen("apps", 1, &large), || ()).now_or_never().is_none());
        // One tenant that holds on to all it gets leaves room for another.
        drop(specs.read(&mut other, &seen("other", 1, &large), || ()).await.expect("it is valid"));
        drop(held);
        assert_eq!(specs.gate.taken(), 0);
        drop(specs.read(&mut second, &seen("apps", 1, &large), || ()).await.expect("there is room again"));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_not_parsed_again() {
        let specs = Specs::new(64 << 20, 32 << 20);
        let mut spec = Spec::default();
        let huge = vec![patch(5000); 10];
        let error =
            specs.read(&mut spec, &seen("apps", 1, &huge), || ()).await.err().expect("it is too large");
        assert!(error.to_string().contains("too large"), "{error}");
        assert!(spec.last.is_some());
        assert_eq!(specs.gate.taken(), 0);
    }

    #[tokio::test]
    async fn one_that_waits_for_memory_gives_its_place_to_another_run() {
        let specs = Specs::new(64 << 20, 32 << 20);
        let pool = WorkerPool::new(1, &Arc::new(Metrics::new("1.2.3").unwrap()));
        let (mut spec, mut place, large) = (Spec::default(), Some(pool.begin("apps").await), large());
        let held = specs.gate.enter("apps", 32 << 20).await.unwrap();
        let mut others = Vec::new();
        while let Some(place) = pool.begin("apps").now_or_never() {
            others.push(place);
        }
        {
            let large = seen("apps", 1, &large);
            let mut reading = std::pin::pin!(specs.read_for_run(&mut spec, &large, &pool, &mut place));
            assert!(futures::poll!(reading.as_mut()).is_pending());
            others.push(pool.begin("apps").now_or_never().expect("another run begins meanwhile"));
            drop(held);
            others.pop();
            assert!(reading.await.is_ok());
        }
        assert!(place.is_some());
    }

    #[tokio::test]
    async fn one_that_waits_says_so_and_one_that_the_budget_never_holds_says_whose_limit_it_is() {
        let specs = Specs::new(64 << 20, 4 << 20);
        let (mut first, mut second) = (Spec::default(), Spec::default());
        let (mut waited, large) = (false, vec![patch(1200)]);
        let read = specs.read(&mut first, &seen("apps", 1, &large), || waited = true).await;
        let held = specs.gate.taken();
        assert!(held > 0 && held < 4 << 20, "{held}");
        assert!(specs.read(&mut second, &seen("apps", 1, &large), || waited = true).now_or_never().is_none());
        assert!(waited);
        drop(read);
        let refused = specs.read(&mut second, &seen("apps", 1, &vec![patch(5000); 2]), || ()).await;
        let message = refused.err().expect("it is too large").to_string();
        let says = "the patches of a release get at most 4096 KiB of memory, because the operator runs with \
                    --max-memory-per-namespace";
        assert!(message.ends_with(says), "{message}");
        assert_eq!(specs.gate.taken(), 0);
    }
}
