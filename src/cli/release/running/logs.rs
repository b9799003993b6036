//! `supercargo logs release`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::pods::{Running, Workload};
use crate::cli::args::ClusterArgs;
use crate::cli::args::value::duration;
use crate::cli::interrupt::or_interrupted;
use crate::cli::reach::connect::connect;
use crate::cli::release::fields::text;
use crate::cli::release::find::{find, release_named};
use crate::cli::{CliError, Printer};
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::pods::{LogPlace, LogSelection, PodEvent};
use crate::cluster::session::Session;

/// Lines of a container that are printed unless flags say otherwise.
const TAIL: i64 = 10;
/// The most containers whose logs are followed at once.
const MAX_FOLLOWED: usize = 50;
/// Lines that wait for the terminal.
const WAITING: usize = 1024;

/// Print the logs of what a release runs.
///
/// Finds the pods of the Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs of a release, its own
/// Pods, and its steps, in the cluster of its objects, and prints the logs of all their containers with your own
/// rights. Each line begins with its pod and container. With --follow also the logs of pods that start later are
/// printed, such as those of an upgrade; of at most 50 containers at once. Writes nothing to the cluster.
///
/// Exit codes: 0 success; 1 when the release does not exist, or a log cannot be read; 130 when --follow is interrupted
/// by Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct LogsRelease {
    /// Name of the release.
    name: String,
    /// Wait for new lines and new pods, until Ctrl-C.
    #[arg(short = 'f', long)]
    follow: bool,
    /// Last lines of each container, -1 for all (default: 10, with --since all).
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only lines of the last time, such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Only containers of this name.
    #[arg(short = 'c', long, value_name = "NAME")]
    container: Option<String>,
    /// Logs of the container before its last restart.
    #[arg(short = 'p', long, conflicts_with = "follow")]
    previous: bool,
    /// Begin each line with its time.
    #[arg(long)]
    timestamps: bool,
    /// Begin each line with its pod and container; --prefix=false omits them.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, value_name = "true|false")]
    prefix: bool,
}

const EXAMPLES: &str = "\
Examples:
  # The last ten lines of every container
  supercargo logs release demo-app

  # Follow an upgrade, new pods included
  supercargo logs release demo-app --follow

  # Everything of the last hour of one container of each pod
  supercargo logs release demo-app --since 1h -c app

  # Why did it crash?
  supercargo logs release demo-app --previous --tail 50";

/// A line for the terminal, or why there is none.
enum LogOutput {
    Line(String),
    Warning(String),
}

/// What the tasks share.
#[derive(Clone)]
struct Follower {
    session: Session,
    discovery: Arc<ApiDiscovery>,
    pods: Arc<Resource>,
    selection: LogSelection,
    container: Option<String>,
    prefix: bool,
    lines: mpsc::Sender<LogOutput>,
    places: Arc<Semaphore>,
}

impl LogsRelease {
    /// Prints the logs of a release.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let tail = match (self.tail, self.since) {
            (Some(-1), _) | (None, Some(_)) => None,
            (Some(tail), _) if tail < 0 => return Err(CliError::Usage("--tail must be -1 or more".into())),
            (tail, _) => Some(tail.unwrap_or(TAIL).unsigned_abs()),
        };
        let Self { name, follow, since, container, previous, timestamps, prefix, .. } = self;
        let session = &connect(cluster).await?;
        let release = release_named(session, name);
        let found = find(session, &release).await?;
        let stored = session.read_inventory(&release).await?;
        let running = Running::of(session, &found, &stored.inventory).await?;
        if running.workloads.is_empty() {
            printer.say(format!("release {release} runs no pods"));
            return Ok(());
        }
        let selection = LogSelection {
            follow: *follow,
            tail,
            since_seconds: since.map(|since| since.as_secs().max(1)),
            previous: *previous,
            timestamps: *timestamps,
        };
        let (lines, output) = mpsc::channel(WAITING);
        let follower = Follower {
            pods: running.pods()?,
            session: running.session,
            discovery: running.discovery,
            selection,
            container: container.clone(),
            prefix: *prefix,
            lines,
            places: Arc::new(Semaphore::new(MAX_FOLLOWED)),
        };
        let working = print_all(follower, running.workloads, output, printer);
        if *follow { or_interrupted(working, || "stopped following".into()).await } else { working.await }
    }
}

/// Prints what the tasks send, until all have ended.
async fn print_all(
    follower: Follower,
    workloads: Vec<Workload>,
    mut output: mpsc::Receiver<LogOutput>,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    // Ends with this function.
    let mut tasks: JoinSet<Result<(), ApiError>> = JoinSet::new();
    match follower.selection.follow {
        true => {
            for workload in workloads {
                tasks.spawn(follower.clone().follow(workload));
            }
        }
        // One after the other: in the order of the release.
        false => {
            let follower = follower.clone();
            tasks.spawn(async move {
                for workload in &workloads {
                    follower.once(workload).await?;
                }
                Ok(())
            });
        }
    }
    drop(follower);
    let mut failed = 0;
    while let Some(next) = output.recv().await {
        match next {
            LogOutput::Line(line) => printer.data(line.as_bytes())?,
            LogOutput::Warning(why) => {
                failed += 1;
                printer.say(why);
            }
        }
        if printer.is_unread() {
            return Ok(());
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| CliError::Failed(format!("the logs ended: {error}")))??;
    }
    match failed {
        0 => Ok(()),
        1 => Err(CliError::Failed("cannot read 1 log".into())),
        failed => Err(CliError::Failed(format!("cannot read {failed} logs"))),
    }
}

impl Follower {
    /// The logs of a workload as they are.
    async fn once(&self, workload: &Workload) -> Result<(), ApiError> {
        let pods = match workload.list(&self.session, &self.pods).await {
            Err(error) if error.is_not_found() => Vec::new(),
            pods => pods?,
        };
        for pod in &pods {
            for container in containers(pod, self.container.as_deref()) {
                self.read(pod, &container.name, self.selection).await;
            }
        }
        Ok(())
    }

    /// The logs of a workload's present and future pods.
    async fn follow(self, mut workload: Workload) -> Result<(), ApiError> {
        if workload.selector.is_empty() {
            return self.once(&workload).await;
        }
        let (sender, mut seen) = mpsc::unbounded_channel();
        let (session, pods) = (self.session.clone(), Arc::clone(&self.pods));
        let (namespace, selector) = (workload.id.namespace.clone(), workload.selector.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let observe = move |event| {
                // The receiver is gone while the command ends.
                let _ = sender.send(event);
            };
            session.follow_objects(&pods, &namespace, &selector, observe).await;
        });
        let (mut followed, mut known) = (BTreeSet::new(), false);
        while let Some(event) = seen.recv().await {
            let pod = match event {
                PodEvent::Listed => {
                    known = true;
                    continue;
                }
                PodEvent::Denied => {
                    let why = format!("warning: cannot watch the pods of {}: access is denied", workload.id);
                    let _ = self.lines.send(LogOutput::Warning(why)).await;
                    return Ok(());
                }
                PodEvent::Present(pod) => pod,
                PodEvent::Listing | PodEvent::Absent(_) => continue,
            };
            if !workload.owns(&pod) {
                // Of a ReplicaSet that is new.
                workload.refresh(&self.session, &self.discovery).await?;
            }
            if !workload.owns(&pod) {
                continue;
            }
            for container in containers(&pod, self.container.as_deref()) {
                let key =
                    (text(&pod, "/metadata/uid").to_owned(), container.name.clone(), container.restarts);
                if !followed.insert(key) {
                    continue;
                }
                // What began while this command runs is printed from its beginning.
                let selection = match known {
                    true => LogSelection { tail: None, since_seconds: None, ..self.selection },
                    false => self.selection,
                };
                let (follower, pod) = (self.clone(), pod.clone());
                tasks.spawn(async move { follower.read(&pod, &container.name, selection).await });
            }
        }
        Ok(())
    }

    /// The log of one container.
    async fn read(&self, pod: &Value, container: &str, selection: LogSelection) {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let Ok(_place) = self.places.try_acquire() else {
            let why = format!(
                "warning: the log of pod {name}, container {container} is not followed: more than {MAX_FOLLOWED} \
                 containers are; name one with -c"
            );
            let _ = self.lines.send(LogOutput::Warning(why)).await;
            return;
        };
        let prefix = if self.prefix { format!("[pod/{name}/{container}] ") } else { String::new() };
        let place = LogPlace { namespace, pod: name, container };
        let line = move |line: &str| LogOutput::Line(format!("{prefix}{line}\n"));
        if let Err(error) = self.session.stream_log(place, selection, &self.lines, line).await {
            let why = format!("warning: cannot read the log of pod {name}, container {container}: {error}");
            // The receiver is gone while the command ends.
            let _ = self.lines.send(LogOutput::Warning(why)).await;
        }
    }
}

/// A container that has begun.
#[derive(Debug, PartialEq, Eq)]
struct Container {
    name: String,
    restarts: u64,
}

/// The containers of a pod that have begun, those of its initialization first.
fn containers(pod: &Value, wanted: Option<&str>) -> Vec<Container> {
    let lists =
        ["/status/initContainerStatuses", "/status/containerStatuses", "/status/ephemeralContainerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let begun = |status: &&Value| {
        ["/state/running", "/state/terminated", "/lastState/terminated"]
            .iter()
            .any(|state| status.pointer(state).is_some())
    };
    statuses
        .filter(begun)
        .map(|status| Container {
            name: text(status, "/name").to_owned(),
            restarts: status.get("restartCount").and_then(Value::as_u64).unwrap_or_default(),
        })
        .filter(|container| wanted.is_none_or(|wanted| wanted == container.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_containers_that_have_begun_have_logs() {
        let pod = json!({"status": {
            "initContainerStatuses": [{"name": "init", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "app", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {}}},
                {"name": "side", "restartCount": 0, "state": {"running": {}}},
                {"name": "late", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
            ],
        }});
        let check = |wanted: Option<&str>, expected: &[(&str, u64)]| {
            let found = containers(&pod, wanted);
            let found: Vec<(&str, u64)> = found.iter().map(|c| (c.name.as_str(), c.restarts)).collect();
            assert_eq!(found, expected);
        };
        check(None, &[("init", 0), ("app", 2), ("side", 0)]);
        check(Some("app"), &[("app", 2)]);
        check(Some("late"), &[]);
        assert!(containers(&json!({}), None).is_empty());
    }
}
