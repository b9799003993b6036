//! What the page of one release shows: read when it is asked for, with the rights of the person.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::api::plan::PlanEntry;
use crate::api::release::KIND;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::message::chain;
use crate::domain::shown::events::last_seen;
use crate::domain::shown::fields::text;
use crate::reconcile::frontend::objects::{self, ObjectNode};
use crate::reconcile::frontend::published::{PlanView, published, view};
use crate::ui::entry::viewer::Viewer;

/// How long a page waits for the objects; a live page gets them later, and one without scripts when it asks.
pub const PATIENCE: Duration = Duration::from_millis(700);
/// The most events that are shown.
const MAX_EVENTS: usize = 40;
/// Releases that are read at a time, for all persons: their objects take memory. A static, because it is the memory of
/// the process that they share.
static TURNS: Semaphore = Semaphore::const_new(4);

/// What a page without a sign-in says of what it does not show.
const WITHHELD: &str = "this page shows only the statuses of releases";

/// The objects of a release.
#[derive(Debug)]
pub enum Objects {
    /// As they are.
    Read {
        /// In the order of the apply.
        nodes: Vec<ObjectNode>,
        /// Whether there is an inventory.
        inventory: bool,
    },
    /// They are not all read yet.
    Late,
    /// They cannot be read.
    Unreadable(String),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When, the last time.
    pub at: Option<Timestamp>,
    /// Whether it is a warning.
    pub is_warning: bool,
    /// Its reason.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// The component that reports it.
    pub by: String,
}

impl Happening {
    /// Of an event of the API server.
    fn of(event: &Value) -> Self {
        let component = ["/reportingComponent", "/source/component"];
        let by = component.iter().map(|field| text(event, field)).find(|by| !by.is_empty());
        Self {
            at: last_seen(event),
            is_warning: text(event, "/type") == "Warning",
            reason: text(event, "/reason").to_owned(),
            message: text(event, "/message").to_owned(),
            by: by.unwrap_or_default().to_owned(),
        }
    }
}

/// The newest events of many: no more than these are kept.
#[derive(Default)]
struct Newest(Vec<Happening>);

impl Newest {
    fn add(&mut self, event: &Value) {
        self.0.push(Happening::of(event));
        if self.0.len() >= MAX_EVENTS * 4 {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.0.sort_by_key(|happening| std::cmp::Reverse(happening.at));
        self.0.truncate(MAX_EVENTS);
    }

    /// The newest first.
    fn all(mut self) -> Vec<Happening> {
        self.shorten();
        self.0
    }
}

/// One release.
#[derive(Debug)]
pub struct Detail {
    /// The release as it is in the cluster.
    pub release: Value,
    /// Its plan with all changes, if one waits or is being applied.
    pub plan: Result<Option<PlanView>, String>,
    /// Its objects.
    pub objects: Objects,
    /// Its events, the newest first.
    pub events: Result<Vec<Happening>, String>,
}

impl Detail {
    /// Reads it; none when it does not exist. The objects have so much time.
    ///
    /// # Errors
    /// When the release itself cannot be read.
    pub async fn read(
        viewer: &Viewer,
        id: &ReleaseId,
        patience: Option<Duration>,
    ) -> Result<Option<Self>, ApiError> {
        let session = &viewer.session;
        let Some(release) = session.find_release(id).await? else { return Ok(None) };
        if !viewer.can.read {
            let (objects, events) = (Objects::Unreadable(WITHHELD.to_owned()), Err(WITHHELD.to_owned()));
            return Ok(Some(Self { plan: counted_plan(&release), objects, events, release }));
        }
        let objects = async {
            let reading = Box::pin(async {
                // Never closed.
                let _turn = TURNS.acquire().await;
                objects(viewer, id, &release).await
            });
            match patience {
                Some(patience) => tokio::time::timeout(patience, reading).await.unwrap_or(Objects::Late),
                None => reading.await,
            }
        };
        let events = async {
            let mut newest = Newest::default();
            let read =
                session.each_event_about(&id.namespace, KIND, &id.name, |event| newest.add(&event)).await;
            read.map(|()| newest.all()).map_err(|error| chain(&error))
        };
        let (objects, events, plan) = tokio::join!(objects, events, plan(session, id, &release));
        Ok(Some(Self { plan, objects, events, release }))
    }
}

async fn plan(session: &Session, id: &ReleaseId, release: &Value) -> Result<Option<PlanView>, String> {
    let Some(plan) = published(release)? else { return Ok(None) };
    view(session, id, plan).await.map(Some).map_err(|error| chain(&error))
}

/// The plan in the status without the contents of its objects.
fn counted_plan(release: &Value) -> Result<Option<PlanView>, String> {
    let Some(plan) = published(release)? else { return Ok(None) };
    let bare = |entry| PlanEntry { fields: Vec::new(), more_fields: None, detail: None, ..entry };
    Ok(Some(PlanView {
        revision: plan.revision,
        hash: plan.hash,
        since: Some(plan.since),
        counts: plan.counts,
        changes: plan.changes.into_iter().map(bare).collect(),
        more_changes: plan.more_changes.and_then(|more| usize::try_from(more).ok()),
        changed_since: None,
        approved: plan.approved,
    }))
}

/// The objects that the inventory names, with the pods of those that are not ready.
async fn objects(viewer: &Viewer, id: &ReleaseId, release: &Value) -> Objects {
    let session = &viewer.session;
    let stored = match session.read_inventory(id).await {
        Ok(stored) => stored,
        Err(error) => return Objects::Unreadable(chain(&error)),
    };
    let read = match &stored.inventory.place {
        None => objects::read(session, &stored.inventory).await.map_err(|error| chain(&error)),
        // A person may name any server, and this process may reach some that they do not.
        Some(place) if !viewer.can.reach_clusters => Err(format!(
            "they are in the cluster {}: see them with supercargo status release {} -n {}",
            place.server, id.name, id.namespace
        )),
        Some(place) => objects::read_there(session, release, &stored.inventory)
            .await
            .map_err(|why| format!("they are in the cluster {}, which cannot be read: {why}", place.server)),
    };
    match read {
        Ok(nodes) => Objects::Read { nodes, inventory: stored.exists() },
        Err(why) => Objects::Unreadable(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_without_its_contents_has_the_names_of_what_changes() {
        let release = json!({"status": {"plan": {"revision": "2", "hash": "abc", "since": "", "counts": {"created": 0,
            "configured": 1, "recreated": 0, "pruned": 0, "handedOver": 0, "run": 0, "unknown": 0},
            "changes": [{"object": "ConfigMap/a/b", "action": "configured", "digest": "d", "detail": "secret-word",
                "fields": [{"path": "data.key", "before": "secret-word", "after": "secret-word"}]}]}}});
        let plan = format!("{:?}", counted_plan(&release).unwrap().unwrap());
        assert!(plan.contains("ConfigMap/a/b") && !plan.contains("secret-word"), "{plan}");
        assert!(counted_plan(&json!({})).unwrap().is_none());
    }

    #[test]
    fn events_of_both_kinds_have_a_time_and_the_newest_is_first() {
        let events = [
            json!({"type": "Normal", "reason": "Old", "message": "a", "lastTimestamp": "2026-01-01T00:00:00Z",
                "source": {"component": "kubelet"}}),
            json!({"type": "Warning", "reason": "New", "message": "b", "eventTime": "2026-01-01T00:00:01.000001Z",
                "reportingComponent": "supercargo.dev/controller", "lastTimestamp": null}),
            json!({}),
        ];
        let mut all = Newest::default();
        events.iter().for_each(|event| all.add(event));
        let newest = all.all();
        let shown = |at: usize| (newest[at].reason.as_str(), newest[at].by.as_str(), newest[at].is_warning);
        assert_eq!(shown(0), ("New", "supercargo.dev/controller", true));
        assert_eq!(shown(1), ("Old", "kubelet", false));
        assert_eq!(shown(2), ("", "", false));
        let mut many = Newest::default();
        for n in 0..1000 {
            many.add(&json!({"reason": n.to_string(), "lastTimestamp": format!("2026-01-01T00:{:02}:{:02}Z", n / 60, n % 60)}));
            assert!(many.0.len() <= MAX_EVENTS * 4);
        }
        let many = many.all();
        assert_eq!((many.len(), many[0].reason.as_str(), many[39].reason.as_str()), (40, "999", "960"));
    }
}
