//! A build that is about to run: once, or as often as it takes to know that its output is steady.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::error::BuildError;
use super::options::BuildOptions;
use super::prepared::{Repeats, Variant};
use super::process::{Ended, Watch, run};
use super::program::{BuildProgram, is_out_of_memory, is_too_deep, said};
use super::sandbox::{LaunchOrder, REFUSED};
use crate::domain::manifest::chart::difference;

/// How far in the next second a run begins.
const TICK: Duration = Duration::from_millis(2);

/// A build that is about to run.
pub(super) struct Attempt<'a> {
    /// The limits.
    pub options: &'a BuildOptions,
    /// The program.
    pub program: BuildProgram,
    /// What the launcher does.
    pub order: LaunchOrder,
    /// What is run, for messages.
    pub shown: String,
    /// Whether values of Secrets may be in its messages.
    pub has_secrets: bool,
    /// The most bytes of output.
    pub most: u64,
}

impl Attempt<'_> {
    /// The output, if it is the same each time, and the variant that it depends on: the narrow one if the
    /// wide one makes no difference.
    pub async fn steady<'v>(
        &self,
        path: &Path,
        (narrow, wide): (&'v Variant, Option<&'v Variant>),
        repeats: Repeats,
    ) -> Result<(Vec<u8>, &'v Variant), BuildError> {
        let first = self.run(path, wide.unwrap_or(narrow)).await?;
        if repeats.later {
            another_second().await;
        }
        let second = self.run(path, narrow).await?;
        let (output, variant) = match (difference(&first, &second), wide) {
            (None, _) => (second, narrow),
            (Some(different), None) => return Err(self.unsteady(&different)),
            (Some(_), Some(wide)) => {
                self.same(path, narrow, &second).await?;
                self.same(path, wide, &first).await?;
                (first, wide)
            }
        };
        for _ in 0..repeats.more {
            self.same(path, variant, &output).await?;
        }
        Ok((output, variant))
    }

    /// Runs it once more, to the same output.
    async fn same(&self, path: &Path, variant: &Variant, before: &[u8]) -> Result<(), BuildError> {
        let again = self.run(path, variant).await?;
        difference(before, &again).map_or(Ok(()), |different| Err(self.unsteady(&different)))
    }

    /// Runs it once, in the directory with its files.
    pub async fn run(&self, path: &Path, variant: &Variant) -> Result<Vec<u8>, BuildError> {
        let Self { options, program, order, shown, has_secrets, most } = self;
        let BuildOptions { launcher, memory, time, .. } = options;
        let order = &LaunchOrder { arguments: variant.arguments.clone(), ..order.clone() };
        let ended = run(launcher, order, Watch { output: *most, time: *time }).await;
        let name = program.name();
        let ended = ended.map_err(|e| BuildError::Unavailable(format!("cannot run {name}: {e}")))?;
        let (status, output, messages) = match ended {
            Ended::Exited { status, output, messages } => (status, output, messages),
            Ended::TooMuchOutput => return Err(more_than(*program, *most)),
            Ended::OutOfCpu => {
                let seconds = order.cpu_seconds;
                let why = format!("{shown} needs more than {seconds} seconds of processor time");
                return Err(BuildError::Failed(why));
            }
            Ended::OutOfTime => {
                let why = format!("{shown} has not ended within {}s", time.as_secs());
                return Err(BuildError::Unavailable(why));
            }
        };
        match status.code() {
            Some(0) => Ok(output),
            Some(code) if code == i32::from(REFUSED) => {
                let why = said(&messages, path);
                Err(BuildError::Unavailable(format!("cannot run {name}: {why}")))
            }
            _ if is_out_of_memory(&messages) => {
                Err(BuildError::Failed(format!("{shown} needs more than {} MiB of memory", memory >> 20)))
            }
            _ if is_too_deep(&messages) => {
                Err(BuildError::Failed(format!("{shown} failed: its templates call each other without end")))
            }
            // Killed from outside, most likely by the kernel when the pod's memory was used up.
            None => Err(BuildError::Unavailable(format!("{shown} was ended: {status}"))),
            Some(_) if *has_secrets => Err(BuildError::Failed(format!(
                "{shown} failed (message hidden: it may contain Secret values); run it on your machine to see why"
            ))),
            Some(_) => Err(BuildError::Failed(format!("{shown} failed: {}", said(&messages, path)))),
        }
    }

    /// Why two outputs for the same input are refused.
    fn unsteady(&self, different: &str) -> BuildError {
        BuildError::Failed(format!(
            "{} gives another output each time: {different}; set the value that the chart makes by chance or by the time, or let \
             it refer to a Secret that exists",
            self.shown
        ))
    }
}

/// Waits until the second is another one than now.
async fn another_second() {
    let now = Timestamp::now().subsec_nanosecond().unsigned_abs();
    tokio::time::sleep(Duration::from_nanos(u64::from(1_000_000_000 - now % 1_000_000_000)) + TICK).await;
}

/// Its output is larger than that.
pub(super) fn more_than(program: BuildProgram, most: u64) -> BuildError {
    BuildError::TooLarge(match program {
        BuildProgram::Kustomize => format!("the kustomization builds to more than {most} bytes"),
        BuildProgram::Helm => format!("the Helm chart renders to more than {most} bytes"),
    })
}
