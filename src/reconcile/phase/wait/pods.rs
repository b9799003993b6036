//! The pods of the workloads that are waited for: watched while the wait lasts, with the release's
//! own rights, because they say sooner than their workload why it does not become healthy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::pods::{LogPlace, PodEvent};
use crate::cluster::session::Session;
use crate::domain::health::Board;
use crate::domain::health::early::owned::{CurrentPods, FailureBudget, PodSelection, Workload};
use crate::domain::health::early::report::{PodReports, PodsVerdict, log_line};
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::outcome::ObjectFailure;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::scope::Scope;

/// How long a wait lasts before pods are watched: most workloads that were not changed are
/// healthy before, and cost nothing more.
const BEGIN: Duration = Duration::from_millis(500);
/// How many workloads of a release are watched at a time.
const MAX_WORKLOADS: usize = 16;
/// How many pods are read where no watch has seen them.
const PODS: usize = 20;
/// How many ReplicaSets of a Deployment are read.
const REPLICA_SETS: usize = 250;
/// Before the quoted line of a log.
const LAST_LOG_LINE: &str = "; last log line: ";

/// The watches of one wait. They end with it.
pub struct PodWatches<'a> {
    scope: &'a Scope<'a>,
    session: &'a Session,
    discovery: &'a ApiDiscovery,
    /// When they begin; absent once they have.
    begins: Option<Instant>,
    watches: BTreeMap<ObjectId, PodWatch>,
    news: Arc<Notify>,
}

/// The pods of one workload.
struct PodWatch {
    workload: Workload,
    seen: Arc<Mutex<SeenPods>>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct SeenPods {
    reports: PodReports,
    unseen: BTreeSet<String>,
    /// What they say together, once all are known.
    verdict: Option<PodsVerdict>,
    /// Whether the reports are of all pods.
    listed: bool,
    /// The right that the account does not have.
    lacks: Option<&'static str>,
}

/// Why the pods of a workload cannot be watched.
enum Unselected {
    /// The account does not have this right.
    Lacks(&'static str),
    /// There was no answer.
    Unknown,
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl SeenPods {
    /// Notes an event. Returns whether the verdict is another.
    fn note(&mut self, selection: &PodSelection, budget: FailureBudget, event: &PodEvent) -> bool {
        let name = |pod: &Value| {
            pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let is_news = match event {
            PodEvent::Listing => {
                self.unseen = self.reports.names().cloned().collect();
                false
            }
            PodEvent::Present(pod) => {
                self.unseen.remove(&name(pod));
                self.reports.note(selection, pod)
            }
            PodEvent::Absent(pod) => self.reports.forget(&name(pod)),
            PodEvent::Listed => {
                for name in std::mem::take(&mut self.unseen) {
                    self.reports.forget(&name);
                }
                (self.listed, self.lacks) = (true, None);
                true
            }
            // What was seen before would count for ever.
            PodEvent::Denied => {
                *self = Self { lacks: Some("list and watch on pods"), ..Self::default() };
                true
            }
        };
        if !is_news {
            return false;
        }
        let verdict = self.reports.verdict(budget).filter(|_| self.listed);
        let is_other = self.verdict != verdict;
        self.verdict = verdict;
        is_other
    }
}

impl<'a> PodWatches<'a> {
    /// None yet.
    pub fn new(scope: &'a Scope<'a>, session: &'a Session, discovery: &'a ApiDiscovery) -> Self {
        let begins = Some(Instant::now() + BEGIN);
        Self { scope, session, discovery, begins, watches: BTreeMap::new(), news: Arc::default() }
    }

    /// When they begin.
    pub fn begins(&self) -> Option<Instant> {
        self.begins
    }

    /// Waits until a pod says something else.
    pub async fn changed(&self) {
        self.news.notified().await;
    }

    /// Watches the pods of the workloads that are not healthy and of no others, and notes what
    /// they say. Returns whether that is new.
    pub async fn follow(&mut self, board: &mut Board) -> bool {
        if self.begins.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let mut is_news = false;
        self.begins = None;
        let wanted: BTreeMap<ObjectId, Workload> = board
            .workloads()
            .take(MAX_WORKLOADS)
            .map(|(id, workload)| (id.clone(), workload.clone()))
            .collect();
        let is_over = |(id, watch): &(&ObjectId, &PodWatch)| wanted.get(id) != Some(&watch.workload);
        let ended: Vec<ObjectId> = self.watches.iter().filter(is_over).map(|(id, _)| id.clone()).collect();
        for id in ended {
            self.watches.remove(&id);
            is_news |= board.pods_say(&id, None, Timestamp::now());
        }
        let missing = wanted.into_iter().filter(|(id, _)| !self.watches.contains_key(id));
        let (session, discovery) = (self.session, self.discovery);
        let mut selected = unordered(missing.map(|(id, workload)| async move {
            let selected = select(session, discovery, &id, &workload).await;
            (id, workload, selected)
        }));
        while let Some((id, workload, selected)) = selected.next().await {
            let watch = match selected {
                Ok(Some(selection)) => self.watch(&id, workload, selection),
                Err(Unselected::Lacks(right)) => {
                    let seen = SeenPods { lacks: Some(right), ..SeenPods::default() };
                    PodWatch { workload, seen: Arc::new(Mutex::new(seen)), task: None }
                }
                // It is tried again when the wait looks next.
                Ok(None) | Err(Unselected::Unknown) => continue,
            };
            self.watches.insert(id, watch);
        }
        for (id, watch) in &self.watches {
            let seen = watch.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = seen.verdict.clone();
            drop(seen);
            is_news |= board.pods_say(id, verdict, Timestamp::now());
        }
        is_news
    }

    /// Starts to watch.
    fn watch(&self, id: &ObjectId, workload: Workload, selection: PodSelection) -> PodWatch {
        let seen = Arc::<Mutex<SeenPods>>::default();
        let pods = self.discovery.preferred(&GroupKind::new("", "Pod"));
        let task = pods.map(|pods| {
            let (gate, tenant) =
                (Arc::clone(self.session.pod_watches()), self.scope.release.id.namespace.clone());
            let (session, namespace) = (self.session.clone(), id.namespace.clone());
            let (seen, news, budget) = (Arc::clone(&seen), Arc::clone(&self.news), workload.budget);
            tokio::spawn(async move {
                let _share = gate.place(&tenant).await;
                let selector = selection.selector.clone();
                let observe = move |event: PodEvent| {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if seen.note(&selection, budget, &event) {
                        news.notify_one();
                    }
                };
                session.follow_objects(&pods, &namespace, &selector, observe).await;
            })
        });
        PodWatch { workload, seen, task }
    }

    /// Adds to the first unhealthy workload what its pods say, or which right is missing to know
    /// that, and the last line of a log where its manifest asks for that.
    pub async fn explain(&self, board: &Board, failures: &mut [ObjectFailure]) {
        let workloads: BTreeMap<&ObjectId, &Workload> = board.workloads().collect();
        let Some(failure) = failures.iter_mut().find(|failure| workloads.contains_key(&failure.id)) else {
            return;
        };
        let Some(workload) = workloads.get(&failure.id) else { return };
        let verdict = match board.pods_of(&failure.id) {
            Some(verdict) => Some(verdict.clone()),
            // The command line prints each object on its own line.
            None if !self.scope.policy.repeats => None,
            None => match self.read(&failure.id, workload).await {
                Ok(verdict) => {
                    if let Some(verdict) = &verdict {
                        failure.message =
                            format!("{}; one of its pods: {}", failure.message, verdict.message);
                    }
                    verdict
                }
                Err(Unselected::Lacks(right)) => {
                    let who = self.session.identity();
                    failure.message = format!("{}; grant {who} {right} to see why", failure.message);
                    None
                }
                Err(Unselected::Unknown) => None,
            },
        };
        if let Some(verdict) = verdict.filter(|_| board.shows_log(&failure.id)) {
            self.quote_log(failure, &verdict).await;
        }
    }

    /// What the pods of a workload say now, where no watch has seen them.
    async fn read(&self, id: &ObjectId, workload: &Workload) -> Result<Option<PodsVerdict>, Unselected> {
        if let Some(watch) = self.watches.get(id) {
            let seen = watch.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match seen.lacks {
                Some(right) => return Err(Unselected::Lacks(right)),
                None if seen.listed => return Ok(None),
                None => {}
            }
        }
        let Some(selection) = select(self.session, self.discovery, id, workload).await? else {
            return Ok(None);
        };
        let Some(pods) = self.discovery.preferred(&GroupKind::new("", "Pod")) else { return Ok(None) };
        let listed = self.session.first_objects(&pods, &id.namespace, &selection.selector, PODS).await;
        let mut reports = PodReports::default();
        for pod in listed.map_err(|error| unselected(&error, "list and watch on pods"))? {
            reports.note(&selection, &pod);
        }
        Ok(reports.verdict(workload.budget))
    }

    /// Quotes the last line that the crashed container has logged. The line that a status has
    /// quoted for the same cause stays: the next attempt logs another time of day.
    async fn quote_log(&self, failure: &mut ObjectFailure, verdict: &PodsVerdict) {
        let before = self.scope.status();
        let (object, begin) = (failure.id.to_string(), format!("{}{LAST_LOG_LINE}", failure.message));
        let same = before.failures.iter().find(|f| f.object == object && f.message.starts_with(&begin));
        if let Some(same) = same {
            failure.message.clone_from(&same.message);
            return;
        }
        let Some((pod, container)) = &verdict.crashed else { return };
        let place = LogPlace { namespace: &failure.id.namespace, pod, container };
        let line = self.session.last_log(place).await.ok().and_then(|log| log_line(&log));
        if let Some(line) = line {
            failure.message = format!("{begin}{line}");
        }
    }
}

fn unselected(error: &ApiError, right: &'static str) -> Unselected {
    if error.is_forbidden() { Unselected::Lacks(right) } else { Unselected::Unknown }
}

/// The pods of a workload's current revision; `None` while there are none. One request, for a
/// Deployment only.
async fn select(
    session: &Session,
    discovery: &ApiDiscovery,
    id: &ObjectId,
    workload: &Workload,
) -> Result<Option<PodSelection>, Unselected> {
    let kind = GroupKind::new("apps", "ReplicaSet");
    let sets = match (&workload.current, discovery.preferred(&kind)) {
        (CurrentPods::OfReplicaSet(_), Some(sets)) => {
            let found = session.first_metadata(&sets, Some(&id.namespace), &workload.selector, REPLICA_SETS);
            found.await.map_err(|error| unselected(&error, "list on replicasets"))?
        }
        _ => Vec::new(),
    };
    Ok(workload.pods(&sets))
}
