//! Which releases this replica works on: all of them while it leads, or its share.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::engine::{Coordination, Engine};
use super::error::ControllerError;
use super::options::{Options, Shards};
use super::parts::{registry, report_builds};
use super::replicas::{LeaseCandidate, Loss, Members, ReplicaLease, label_of};
use super::specs::Specs;
use crate::builder::Builder;
use crate::cluster::events::instance;
use crate::cluster::session::Session;
use crate::domain::capacity::Capacity;
use crate::notify::Notifier;
use crate::observe::metrics::Metrics;
use crate::observe::server::Readiness;
use crate::reconcile::env::TrustSettings;
use crate::reconcile::env::input_room::InputRoom;

/// What the work needs.
pub struct Work<'a> {
    /// The flags.
    pub options: &'a Options,
    /// How much memory artifacts may take.
    pub capacity: Capacity,
    /// The API server.
    pub session: Session,
    /// The metrics.
    pub metrics: &'a Arc<Metrics>,
    /// The builds.
    pub builder: Builder,
    /// The receivers of notifications.
    pub news: Notifier,
    /// Whether the process is ready.
    pub readiness: &'a Readiness,
}

/// How the work ended.
enum Ended {
    /// The process was asked to end, and all runs have ended.
    Asked,
    /// The same, but some runs have not ended.
    Undrained,
    /// Another replica may work on the releases.
    Lost(Loss),
}

impl Work<'_> {
    /// Works until the process is stopped.
    ///
    /// # Errors
    /// Why it cannot start or continue.
    pub async fn lead(
        self,
        trust: TrustSettings,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ControllerError> {
        self.metrics.leader(false);
        match self.options.shards {
            Shards::Off => self.lead_alone(trust, stopped).await,
            Shards::Auto => self.share(trust, stopped).await,
        }
    }

    fn lease(&self) -> (String, String) {
        let namespace = self.options.leader_election_namespace.clone();
        let namespace = namespace.unwrap_or_else(|| self.session.default_namespace().to_owned());
        (namespace, self.options.leader_election_name.clone())
    }

    fn members(&self) -> Arc<Members> {
        Arc::new(Members::new(self.session.clone(), self.lease(), self.options.lease))
    }

    fn engine(&self, trust: TrustSettings, coordination: Coordination) -> Engine {
        let Self { options, capacity, session, metrics, builder, .. } = self;
        let specs = Specs::new(capacity.specs, capacity.of_one(capacity.specs));
        let inputs = InputRoom::bounded(capacity.inputs, capacity.of_one(capacity.inputs));
        let read = (specs, inputs, self.news.clone());
        let registry = registry(options, *capacity, metrics);
        tokio::spawn(report_builds(builder.clone()));
        Engine::start(
            session.clone(),
            (registry, builder.clone()),
            trust,
            read,
            Arc::clone(metrics),
            coordination,
            options,
        )
    }

    /// Works on all releases while it holds the lease of the leader.
    async fn lead_alone(
        self,
        trust: TrustSettings,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ControllerError> {
        let (pod, times) = (pod(), self.options.lease);
        let mut candidate = LeaseCandidate::new(self.session.clone(), self.lease(), pod, times);
        let (_changed, never) = watch::channel(());
        tokio::select! {
            // A standby is ready: it serves its endpoints.
            () = candidate.acquire(never, || self.readiness.set(true)) => {}
            () = until(stopped.clone()) => return Ok(()),
        }
        self.metrics.leader(true);
        self.metrics.works(true);
        tracing::info!(lease = candidate.name(), "leads");
        let (_leads, leads) = watch::channel(true);
        let (_membership, membership) = watch::channel(None);
        let coordination = Coordination { holder: None, leads, membership, members: self.members() };
        let engine = self.engine(trust, coordination);
        let name = candidate.name();
        let ended = self.run(engine, stopped, candidate.hold()).await;
        self.metrics.leader(false);
        self.metrics.works(false);
        match ended {
            Ended::Asked => {
                candidate.release().await;
                Ok(())
            }
            // The lease ends by itself.
            Ended::Undrained => Ok(()),
            Ended::Lost(loss) => Err(lost(loss, name)),
        }
    }

    /// Works on its share, and on the releases without an owner while it leads.
    async fn share(
        self,
        trust: TrustSettings,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ControllerError> {
        let times = self.options.lease;
        self.session.limit_writes(times);
        let (namespace, leader) = self.lease();
        let pod = pod();
        let joining = ReplicaLease::join(self.session.clone(), (namespace.clone(), &leader), &pod, times);
        let mut own = tokio::select! {
            own = joining => own,
            () = until(stopped.clone()) => return Ok(()),
        };
        let (me, name) = (own.replica(), own.title());
        let (leads, is_leader) = watch::channel(false);
        let (reported, membership) = watch::channel(None);
        let (elections, elected) = watch::channel(());
        let draining = CancellationToken::new();
        let members = self.members();
        let mut known = membership.clone();
        let coordination = Coordination {
            holder: Some(me.holder.clone()),
            leads: is_leader,
            membership,
            members: Arc::clone(&members),
        };
        let mut candidate = LeaseCandidate::new(self.session.clone(), self.lease(), me.holder.clone(), times)
            .labelled(label_of(&leader));
        let election_name = candidate.name();
        let following = members.follow(me, || draining.is_cancelled(), &reported, &elections);
        let election = async {
            candidate.acquire(elected, || {}).await;
            self.metrics.leader(true);
            tracing::info!(lease = candidate.name(), "leads");
            leads.send_replace(true);
            candidate.hold().await
        };
        let work = async {
            tokio::select! {
                found = known.wait_for(Option::is_some) => if found.is_err() { return true },
                () = until(stopped.clone()) => return true,
            }
            self.metrics.works(true);
            let engine = self.engine(trust, coordination);
            let ready = self.readiness.clone();
            let stop = async {
                until(stopped.clone()).await;
                draining.cancel();
            };
            engine.run(stop, move || ready.set(true)).await
        };
        let ended = {
            let keeping = own.keep(&draining, || members.note_unanswered());
            tokio::select! {
                is_drained = work => Ok(is_drained),
                loss = election => Err(lost(loss, election_name)),
                () = keeping => Err(ControllerError::LostLease(name)),
                denied = following => match denied {
                    Ok(()) => Ok(true),
                    Err(why) => Err(ControllerError::Leases { namespace, why }),
                },
            }
        };
        self.metrics.leader(false);
        self.metrics.works(false);
        // Otherwise the lease ends by itself: what was begun may not be over yet.
        if !ended? {
            return Ok(());
        }
        if *leads.borrow() {
            candidate.release().await;
        }
        own.leave().await;
        Ok(())
    }

    /// Runs until the process is stopped, or the lease is lost. The lease is kept until the last run has
    /// ended.
    async fn run(
        &self,
        engine: Engine,
        stopped: watch::Receiver<bool>,
        holding: impl Future<Output = Loss>,
    ) -> Ended {
        let (lost, losing) = watch::channel(false);
        let ready = self.readiness.clone();
        let stop = async move {
            tokio::select! {
                () = until(stopped) => {}
                () = until(losing) => {}
            }
        };
        let mut running = std::pin::pin!(engine.run(stop, move || ready.set(true)));
        let mut holding = std::pin::pin!(holding);
        let mut loss = None;
        let is_drained = loop {
            tokio::select! {
                is_drained = &mut running => break is_drained,
                how = &mut holding, if loss.is_none() => {
                    loss = Some(how);
                    lost.send_replace(true);
                }
            }
        };
        match loss {
            Some(loss) => Ended::Lost(loss),
            None if is_drained => Ended::Asked,
            None => Ended::Undrained,
        }
    }
}

fn lost(loss: Loss, lease: String) -> ControllerError {
    match loss {
        Loss::Taken => ControllerError::LostLease(lease),
        Loss::NotRenewed => ControllerError::LeaseNotRenewed(lease),
    }
}

/// Our name among the replicas: the pod's name survives a restart of its container; a host name
/// could be shared.
fn pod() -> String {
    match std::env::var("POD_NAME") {
        Ok(pod) if !pod.is_empty() => pod,
        _ => format!("{}-{:08x}", instance(), fastrand::u32(..)),
    }
}

/// Waits until the flag is set.
pub async fn until(mut flag: watch::Receiver<bool>) {
    // It also ends when the sender is gone.
    let _ = flag.wait_for(|is_set| *is_set).await;
}
