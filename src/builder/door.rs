//! The door: builds, a few at a time, each tenant in its turn.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};

use super::attempt::{Attempt, more_than};
use super::cache::{BuildKey, Known, OutputCache};
use super::directory::{self, BuildRoot};
use super::error::BuildError;
use super::options::{BuildOptions, BuildSwitch};
use super::prepared::Prepared;
use super::probe::{Availability, probe};
use super::program::BuildProgram;
use super::sandbox::{Confinement, LaunchOrder};
use super::source::BuildSource;
use crate::domain::manifest::chart::ClusterCapabilities;
use crate::fair::Gate;

/// The output of a build.
#[derive(Clone, Debug)]
pub struct BuildOutput {
    /// The manifests, as a stream of YAML documents.
    pub manifests: Bytes,
    /// How long the program ran; absent where the output was known.
    pub took: Option<Duration>,
    /// What has built them, see [`Availability`].
    pub identity: String,
    /// What the cluster can, as far as the output depends on it; of a chart.
    pub capabilities: Option<Arc<ClusterCapabilities>>,
}

/// Builds kustomizations. Clones share everything.
#[derive(Clone, Debug)]
pub struct Builder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: BuildOptions,
    cache: OutputCache,
    /// Who looks at trees and charts, which is work too.
    looks: Arc<Gate>,
    tenants: Arc<Gate>,
    places: Semaphore,
    root: OnceCell<BuildRoot>,
    kustomize: OnceCell<Availability>,
    helm: OnceCell<Availability>,
}

impl Shared {
    /// What is known of the output, if anything is. The output for less than the cluster can is the
    /// answer only where a run has shown that the rest makes no difference.
    fn known(&self, prepared: &Prepared, most: u64) -> Option<Result<KnownOutput, BuildError>> {
        let (narrow, asked) = (&prepared.variant, prepared.asked());
        let (variant, known) = match self.cache.get(&asked.key)? {
            Known::As(key) if key == narrow.key => (narrow, self.cache.get(&key)?),
            known => (asked, known),
        };
        match known {
            Known::Output(manifests) if manifests.len() as u64 <= most => {
                Some(Ok((manifests, variant.capabilities.clone())))
            }
            Known::Output(_) => Some(Err(too_large(prepared, most))),
            Known::MoreThan(limit) if limit >= most => Some(Err(too_large(prepared, most))),
            Known::MoreThan(_) | Known::As(_) => None,
        }
    }
}

/// An output, and what the cluster can, as far as the output depends on it.
type KnownOutput = (Bytes, Option<Arc<ClusterCapabilities>>);

impl Builder {
    /// With these options. Nothing is run yet.
    pub fn new(options: BuildOptions) -> Self {
        let concurrent = options.concurrent.max(1);
        Self(Arc::new(Shared {
            cache: OutputCache::new(options.cache),
            // One tenant gets at most half of these, and there is always one for another.
            looks: Gate::new(2 * concurrent.max(2) as u64),
            // One tenant gets at most half of these: as many as there are places, or fewer.
            tenants: Gate::bounded(2 * concurrent as u64, options.of_one.max(1) as u64),
            places: Semaphore::new(concurrent),
            root: OnceCell::new(),
            kustomize: OnceCell::new(),
            helm: OnceCell::new(),
            options,
        }))
    }

    /// Whether builds are possible with a program. What is missing is looked for again the next time.
    pub async fn availability(&self, program: BuildProgram) -> Availability {
        let Shared { options, kustomize, helm, .. } = &*self.0;
        let (switch, ready, binary) = match program {
            BuildProgram::Kustomize => (options.kustomize, kustomize, &options.binary),
            BuildProgram::Helm => (options.helm, helm, &options.helm_binary),
        };
        if switch == BuildSwitch::Disabled {
            return Availability::Disabled;
        }
        let probed = ready.get_or_try_init(|| async {
            let root = match self.root().await {
                Ok(root) => root,
                Err(error) => return Err(Availability::NoProgram(error.to_string())),
            };
            let program = (program, binary.as_deref());
            let found = probe(&options.launcher, root, program, options.allow_unconfined).await;
            if matches!(found, Availability::Ready { .. }) { Ok(found) } else { Err(found) }
        });
        probed.await.cloned().unwrap_or_else(|found| found)
    }

    /// What has built something, if it is a program that may build it to something else than the one
    /// that is here.
    pub async fn is_other(&self, identity: &str) -> bool {
        let program = match identity.split(' ').next() {
            Some("helm") => BuildProgram::Helm,
            _ => BuildProgram::Kustomize,
        };
        match self.availability(program).await {
            Availability::Ready { identity: own, .. } => own != identity,
            // Nothing would be built now.
            Availability::Disabled | Availability::NoProgram(_) | Availability::Unconfined(_) => false,
        }
    }

    /// Builds what a tenant has to at most so many bytes. A caller that is gone ends the build.
    ///
    /// # Errors
    /// Why there is no output.
    pub async fn build(
        &self,
        tenant: &str,
        source: impl Into<BuildSource>,
        most: u64,
    ) -> Result<BuildOutput, BuildError> {
        let (shared, source) = (&*self.0, source.into());
        self.refuse_disabled(source.program())?;
        let prepared = self.look(tenant, source).await?;
        let program = self.program(prepared.program).await?;
        if let Some(known) = shared.known(&prepared, most) {
            let (manifests, capabilities) = known?;
            let identity = program.identity;
            return Ok(BuildOutput { manifests, took: None, identity, capabilities });
        }
        let _turn = shared.tenants.place(tenant).await;
        let _place = shared.places.acquire().await.map_err(|e| BuildError::Unavailable(e.to_string()))?;
        let asked = prepared.asked().key;
        match self.run(program, prepared, most).await {
            Ok((output, key)) => {
                shared.cache.put(key, Known::Output(output.manifests.clone()));
                if key != asked {
                    shared.cache.put(asked, Known::As(key));
                }
                Ok(output)
            }
            Err(error) => {
                if matches!(error, BuildError::TooLarge(_)) {
                    shared.cache.put(asked, Known::MoreThan(most));
                }
                Err(error)
            }
        }
    }

    /// Looks at it before anything runs. The large trees of one tenant do not take the processor from the
    /// others: each has its turns, and keeps one as long as the thread works, even when the caller is gone.
    /// These are not the turns of builds: a known output waits for no build.
    async fn look(&self, tenant: &str, source: BuildSource) -> Result<Prepared, BuildError> {
        let turn = self.0.looks.place(tenant).await;
        let looking = move || {
            let prepared = source.prepare();
            drop(turn);
            prepared
        };
        blocking(looking).await?
    }

    fn refuse_disabled(&self, program: BuildProgram) -> Result<(), BuildError> {
        let Shared { options, .. } = &*self.0;
        let (switch, why) = match program {
            BuildProgram::Kustomize => (
                options.kustomize,
                "the operator does not build kustomizations (--kustomize=Disabled); build it in CI and push the manifests",
            ),
            BuildProgram::Helm => (
                options.helm,
                "the operator does not render Helm charts (--helm=Disabled); render it in CI (helm template) and push \
                 the manifests",
            ),
        };
        match switch {
            BuildSwitch::Enabled => Ok(()),
            BuildSwitch::Disabled => Err(BuildError::NotAllowed(why.to_owned())),
        }
    }

    async fn program(&self, program: BuildProgram) -> Result<Program, BuildError> {
        match self.availability(program).await {
            Availability::Ready { program, identity, confined, .. } => {
                Ok(Program { path: program, identity, confined })
            }
            Availability::Disabled => Err(BuildError::NotAllowed("builds are disabled".to_owned())),
            Availability::NoProgram(why) => Err(BuildError::Unavailable(match program {
                BuildProgram::Kustomize => format!("cannot build kustomizations: {why}"),
                BuildProgram::Helm => format!("cannot render Helm charts: {why}"),
            })),
            Availability::Unconfined(why) => Err(BuildError::NotAllowed(match program {
                BuildProgram::Kustomize => format!(
                    "kustomizations are not built because builds cannot be confined here: {why} \
                     (--allow-unconfined-builds builds them nevertheless)"
                ),
                BuildProgram::Helm => format!(
                    "Helm charts are not rendered because builds cannot be confined here: {why} \
                     (--allow-unconfined-builds renders them nevertheless)"
                ),
            })),
        }
    }

    async fn root(&self) -> Result<&BuildRoot, BuildError> {
        let open = || async {
            let common = self.0.options.directory.clone().unwrap_or_else(std::env::temp_dir);
            let shown = common.display().to_string();
            let opened = blocking(move || BuildRoot::open(&common)).await?;
            opened.map_err(|e| BuildError::Unavailable(format!("cannot write to {shown} (--build-dir): {e}")))
        };
        self.0.root.get_or_try_init(open).await
    }

    /// Runs it, and again if its output could be another one each time. Also returns the key of the
    /// output.
    async fn run(
        &self,
        program: Program,
        prepared: Prepared,
        most: u64,
    ) -> Result<(BuildOutput, BuildKey), BuildError> {
        let disk = |e: std::io::Error| {
            BuildError::Unavailable(format!("cannot write the files of the build (--build-dir): {e}"))
        };
        let place = self.root().await?.place().map_err(disk)?;
        let path = place.path().to_path_buf();
        let Prepared { variant, wide, files, shown, has_secrets, repeats, .. } = prepared;
        let attempt = Attempt {
            options: &self.0.options,
            program: prepared.program,
            order: LaunchOrder {
                program: program.path.display().to_string(),
                arguments: Vec::new(),
                directory: path.display().to_string(),
                memory: self.0.options.memory,
                cpu_seconds: self.0.options.cpu.as_secs(),
                confinement: if program.confined { Confinement::Required } else { Confinement::BestEffort },
                parent: std::process::id(),
            },
            shown,
            has_secrets,
            most,
        };
        let write = move || directory::write(place.path(), &files).map(|()| place);
        let place = blocking(write).await?.map_err(disk)?;
        let started = Instant::now();
        let built = match repeats {
            Some(repeats) => attempt.steady(&path, (&variant, wide.as_ref()), repeats).await,
            None => attempt.run(&path, &variant).await.map(|output| (output, &variant)),
        };
        let took = started.elapsed();
        // Removing many files takes time.
        drop(tokio::task::spawn_blocking(move || drop(place)));
        let (output, variant) = built?;
        let capabilities = variant.capabilities.clone();
        let identity = program.identity;
        let output = BuildOutput { manifests: output.into(), took: Some(took), identity, capabilities };
        Ok((output, variant.key))
    }
}

/// What builds.
struct Program {
    path: PathBuf,
    identity: String,
    confined: bool,
}

fn too_large(prepared: &Prepared, most: u64) -> BuildError {
    more_than(prepared.program, most)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BuildError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|e| BuildError::Unavailable(format!("the build was aborted: {e}")))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::builder::{Chart, Tree};
    use crate::domain::manifest::chart::ChartInputs;

    #[test]
    fn an_output_for_less_is_the_answer_only_where_it_was_proven() {
        let files = [("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")];
        let files = files.map(|(name, text)| (name.to_owned(), Bytes::from_static(text.as_bytes())));
        let prepared = |version: &str| {
            let all =
                ClusterCapabilities { kube_version: "v1.36.3".into(), api_versions: vec![version.into()] };
            let capabilities = Some(Arc::new(all));
            let inputs = ChartInputs { release_name: "web".into(), ..ChartInputs::default() };
            Chart { files: files.to_vec(), inputs, capabilities, ..Chart::default() }.prepare().unwrap()
        };
        let (here, there) = (prepared("apps/v1"), prepared("example.com/v1"));
        let narrow = &here.variant;
        assert_eq!(narrow.key, there.variant.key);
        let shared = Builder::new(BuildOptions { cache: 1 << 20, ..BuildOptions::default() }).0;
        shared.cache.put(narrow.key, Known::Output(Bytes::from_static(b"narrow")));
        shared.cache.put(here.asked().key, Known::As(narrow.key));
        let (manifests, capabilities) = shared.known(&here, 100).unwrap().unwrap();
        assert_eq!((&manifests[..], capabilities), (&b"narrow"[..], narrow.capabilities.clone()));
        assert!(shared.known(&here, 1).unwrap().is_err());
        assert!(shared.known(&there, 100).is_none());
        shared.cache.put(there.asked().key, Known::Output(Bytes::from_static(b"wide")));
        let (manifests, capabilities) = shared.known(&there, 100).unwrap().unwrap();
        assert_eq!((&manifests[..], capabilities), (&b"wide"[..], there.asked().capabilities.clone()));
    }

    #[tokio::test]
    async fn a_tenant_whose_trees_are_looked_at_keeps_no_other_from_it() {
        let builder = Builder::new(BuildOptions::default());
        let tree = || Tree { files: Vec::new(), directory: String::new() };
        let held = [builder.0.looks.place("hog").await, builder.0.looks.place("hog").await];
        assert!(builder.build("hog", tree(), 1).now_or_never().is_none());
        assert!(builder.build("good", tree(), 1).await.is_err());
        drop(held);
        assert!(builder.build("hog", tree(), 1).await.is_err());
        assert_eq!(builder.0.looks.taken(), 0);
    }
}
