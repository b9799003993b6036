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
use super::prepared::{Prepared, Variant};
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

impl Builder {
    /// With these options. Nothing is run yet.
    pub fn new(options: BuildOptions) -> Self {
        let concurrent = options.concurrent.max(1);
        Self(Arc::new(Shared {
            cache: OutputCache::new(options.cache),
            // One tenant gets at most half of these, and there is always one for another.
            looks: Gate::new(2 * concurrent.max(2) as u64),
            // One tenant gets at most half of these: as many as there are places.
            tenants: Gate::new(2 * concurrent as u64),
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
        for Variant { key, capabilities, .. } in [&prepared.variant].into_iter().chain(&prepared.wide) {
            match shared.cache.get(key) {
                Some(Known::Output(manifests)) if manifests.len() as u64 <= most => {
                    let (identity, capabilities) = (program.identity, capabilities.clone());
                    return Ok(BuildOutput { manifests, took: None, identity, capabilities });
                }
                Some(Known::Output(_)) => return Err(too_large(&prepared, most)),
                Some(Known::MoreThan(limit)) if limit >= most => return Err(too_large(&prepared, most)),
                Some(Known::MoreThan(_)) | None => {}
            }
        }
        let _turn = shared.tenants.enter(tenant, 1).await;
        let _place = shared.places.acquire().await.map_err(|e| BuildError::Unavailable(e.to_string()))?;
        let key = prepared.variant.key;
        match self.run(program, prepared, most).await {
            Ok((output, key)) => {
                shared.cache.put(key, Known::Output(output.manifests.clone()));
                Ok(output)
            }
            Err(error) => {
                if matches!(error, BuildError::TooLarge(_)) {
                    shared.cache.put(key, Known::MoreThan(most));
                }
                Err(error)
            }
        }
    }

    /// Looks at it before anything runs. The large trees of one tenant do not take the processor from the
    /// others: each has its turns, and keeps one as long as the thread works, even when the caller is gone.
    /// These are not the turns of builds: a known output waits for no build.
    async fn look(&self, tenant: &str, source: BuildSource) -> Result<Prepared, BuildError> {
        let turn = self.0.looks.enter(tenant, 1).await;
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
        let Prepared { variant, wide, files, shown, has_secrets, is_repeated, .. } = prepared;
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
        let built = match is_repeated {
            true => attempt.steady(&path, &variant, wide.as_ref()).await,
            false => attempt.run(&path, &variant).await.map(|output| (output, &variant)),
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
    use crate::builder::Tree;

    #[tokio::test]
    async fn a_tenant_whose_trees_are_looked_at_keeps_no_other_from_it() {
        let builder = Builder::new(BuildOptions::default());
        let tree = || Tree { files: Vec::new(), directory: String::new() };
        let held = [builder.0.looks.enter("hog", 1).await, builder.0.looks.enter("hog", 1).await];
        assert!(builder.build("hog", tree(), 1).now_or_never().is_none());
        assert!(builder.build("good", tree(), 1).await.is_err());
        drop(held);
        assert!(builder.build("hog", tree(), 1).await.is_err());
        assert_eq!(builder.0.looks.taken(), 0);
    }
}
