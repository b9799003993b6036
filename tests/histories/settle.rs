//! Waits until the operator has come to rest, looks, and lets the model judge.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};

use crate::action::{Number, Piece, Spec};
use crate::drive::{Drive, JUDGING, empty_namespace, rendered};
use crate::kinds::Kind;
use crate::model::Id;
use crate::model::steps::Run;
use crate::snapshot::Snapshot;

/// How long the cluster may take to be as it has to be.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a release may take that nobody has to ask: what it needs, it is told by
/// watches. Generous, since the machine is busy.
const UNASKED: Duration = Duration::from_secs(40);
/// When a release is asked that is allowed to be in a pause between retries.
const EXCUSED: Duration = Duration::from_secs(2);
/// Without a request for so long, the operator is at rest.
const REST: Duration = Duration::from_millis(1200);
const POLL: Duration = Duration::from_millis(200);

impl Drive {
    /// Mends all, waits, and judges.
    pub async fn settle(&mut self) -> Result<(), Vec<String>> {
        let _no_restart = JUDGING.read().await;
        self.heal();
        let untold: Vec<Number> = self.world.untold.iter().copied().collect();
        self.ask_all(&untold).await;
        let seen = self.quiet().await?;
        let mut wrong = self.against_held(&seen).await;
        wrong.extend(self.against_bystanders().await);
        wrong.extend(self.world.against_before(&seen));
        let runs = self.runs();
        self.tally.runs += runs.len();
        wrong.extend(self.world.against_runs(runs, &seen));
        wrong.extend(self.world.against_order(&self.created()));
        self.listen();
        wrong.extend(self.trail.take_wrong());
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.tally.add(&seen);
        self.trail.count(&self.world, &seen);
        self.tally.gates = self.trail.tally;
        self.world.settled(&seen);
        self.last = self.story.bed().audit().mark();
        Ok(())
    }

    async fn ask_all(&mut self, releases: &[Number]) {
        for release in releases {
            if self.world.releases.get(release).is_some_and(|known| !known.spec.suspend) {
                self.ask(*release).await;
            }
        }
    }

    // Waits until the model has nothing to say and the operator is at rest, and still
    // has nothing to say then.
    async fn quiet(&mut self) -> Result<Snapshot, Vec<String>> {
        let start = Instant::now();
        let (mut asked, mut late) = (false, Vec::new());
        loop {
            self.keep_alive();
            let wrong = match self.caught_up().await {
                Err(behind) => vec![behind],
                Ok(()) => {
                    let seen = self.look().await;
                    let wrong = self.judge(&seen);
                    if wrong.is_empty() {
                        self.at_rest(&seen).await?;
                        let seen = self.look().await;
                        let wrong = self.judge(&seen);
                        if wrong.is_empty() {
                            return if late.is_empty() { Ok(seen) } else { Err(late) };
                        }
                        wrong
                    } else {
                        wrong
                    }
                }
            };
            if start.elapsed() > LIMIT {
                return Err(wrong);
            }
            let patience = if self.world.excused { EXCUSED } else { UNASKED };
            if !asked && start.elapsed() > patience {
                if !self.world.excused {
                    late = wrong.iter().map(|wrong| format!("only after it was asked: {wrong}")).collect();
                }
                let all: Vec<Number> = self.world.releases.keys().copied().collect();
                self.ask_all(&all).await;
                asked = true;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn judge(&mut self, seen: &Snapshot) -> Vec<String> {
        self.listen();
        let mut wrong = self.world.judge(seen);
        wrong.extend(self.trail.judge(&self.world, seen));
        wrong
    }

    // Whether every release has seen its spec and was where it was asked to go.
    async fn caught_up(&self) -> Result<(), String> {
        let list = self.get(self.home("ociartifactreleases", "").trim_end_matches('/')).await;
        for release in list.unwrap_or_default()["items"].as_array().into_iter().flatten() {
            let (metadata, status) = (&release["metadata"], &release["status"]);
            if !metadata["deletionTimestamp"].is_null() {
                continue;
            }
            let asked = &metadata["annotations"]["supercargo.dev/reconcile-at"];
            if !asked.is_null() && *asked != status["lastHandledReconcileAt"] {
                return Err(format!("{} has not run when it was asked", metadata["name"]));
            }
            if status["observedGeneration"] != metadata["generation"] {
                return Err(format!("{} has not seen its spec", metadata["name"]));
            }
        }
        Ok(())
    }

    /// The cluster now.
    pub async fn look(&self) -> Snapshot {
        let mut seen = Snapshot::default();
        let names = self.names();
        let list = self.get(self.home("ociartifactreleases", "").trim_end_matches('/')).await;
        for mut release in items(list) {
            let name = release["metadata"]["name"].as_str().unwrap_or_default();
            if let Some(number) = name.strip_prefix('r').and_then(|n| n.parse().ok()) {
                release["metadata"]["managedFields"].take();
                seen.releases.insert(number, release);
            }
        }
        for part in items(self.get(self.home("configmaps", "").trim_end_matches('/')).await) {
            seen.add_inventory(&part);
        }
        let mut lists: HashMap<String, HashMap<String, Value>> = HashMap::new();
        for (id, (kind, name, away)) in &self.world.ever {
            let collection = names.collection(*kind, *name, names.namespace(*kind, *away));
            let object = names.object(*kind, *name);
            let found = if kind.namespaced() {
                if !lists.contains_key(&collection) {
                    let all = items(self.get(&collection).await);
                    let named = |object: Value| {
                        (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object)
                    };
                    lists.insert(collection.clone(), all.into_iter().map(named).collect());
                }
                lists[&collection].get(&object).cloned()
            } else {
                self.get(&format!("{collection}/{object}")).await
            };
            if let Some(object) = found {
                seen.objects.insert(id.clone(), object);
            }
        }
        for (release, known) in &self.world.releases {
            let Some(wanted) = self.world.wanted(*release) else { continue };
            for (id, piece) in wanted.objects {
                if let Some(reference) = self.reference(&piece, &known.spec).await {
                    seen.references.insert((*release, id), reference);
                }
            }
        }
        seen
    }

    // What `kubectl apply --server-side` makes of the manifest where there is nothing.
    // A dry run does, but where an object is written in one version and read in another.
    async fn reference(&self, piece: &Piece, spec: &Spec) -> Option<Value> {
        static KNOWN: Mutex<Option<HashMap<String, Value>>> = Mutex::new(None);
        let names = self.names();
        let manifest = rendered(names, piece, spec);
        let text = manifest.to_string();
        if let Some(known) = KNOWN.lock().expect("lock").get_or_insert_default().get(&text) {
            return Some(known.clone());
        }
        let made = if piece.kind == Kind::HorizontalPodAutoscaler {
            self.really(piece, manifest).await
        } else if piece.kind.namespaced() {
            let collection = names.collection(piece.kind, piece.name, empty_namespace());
            self.dry_run(&format!("{collection}/{}", names.object(piece.kind, piece.name)), &manifest).await
        } else {
            // Under a name that is not there.
            let (home, other) = (names.home.as_str(), format!("empty-{}", names.home));
            let manifest = serde_json::from_str(&text.replace(home, &other)).expect("it was JSON");
            let collection = names.collection(piece.kind, piece.name, "");
            let object = names.object(piece.kind, piece.name).replace(home, &other);
            let made = self.dry_run(&format!("{collection}/{object}"), &manifest).await;
            made.map(|made| {
                serde_json::from_str(&made.to_string().replace(&other, home)).expect("it was JSON")
            })
        }?;
        KNOWN.lock().expect("lock").get_or_insert_default().insert(text, made.clone());
        Some(made)
    }

    async fn dry_run(&self, path: &str, manifest: &Value) -> Option<Value> {
        let path = format!("{path}?fieldManager=kubectl&dryRun=All");
        self.send("PATCH", &path, "application/apply-patch+yaml", Some(manifest)).await.ok()
    }

    async fn really(&self, piece: &Piece, mut manifest: Value) -> Option<Value> {
        let name = format!("{}-{}", self.names().home, piece.name);
        manifest["metadata"]["name"] = json!(name);
        let version = manifest["apiVersion"].as_str().unwrap_or_default();
        let place = format!("namespaces/{}/horizontalpodautoscalers/{name}", empty_namespace());
        let path = format!("/apis/{version}/{place}?fieldManager=kubectl");
        self.send("PATCH", &path, "application/apply-patch+yaml", Some(&manifest)).await.ok()?;
        let path = format!("/apis/autoscaling/v2/{place}");
        let made = self.get(&path).await;
        drop(self.send("DELETE", &path, "", None).await);
        made
    }

    fn requests(&self, mark: Mark) -> Vec<Request> {
        let all = self.story.bed().audit().since(mark, &self.user());
        all.into_iter().filter(|r| r.resource != "leases" && r.verb != "watch").collect()
    }

    // Waits until the operator has asked for nothing for a while. It is not asked to
    // while a release has something to try again.
    async fn at_rest(&mut self, seen: &Snapshot) -> Result<(), Vec<String>> {
        if !self.world.calm(seen) {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let mark = self.story.bed().audit().mark();
            tokio::time::sleep(REST).await;
            let requests = self.requests(mark);
            if requests.is_empty() {
                return Ok(());
            }
            if start.elapsed() > LIMIT {
                let shown: Vec<String> = requests.iter().map(Request::summary).collect();
                return Err(vec![format!("the operator does not come to rest: {shown:?}")]);
            }
            self.keep_alive();
        }
    }

    /// Looks in the middle of everything for what may not be at any time. Who reads twice
    /// in a row what changes meanwhile sees what never was: only what is there for longer
    /// counts.
    pub async fn peek(&mut self) -> Result<(), Vec<String>> {
        self.listen();
        let wrong = self.trail.take_wrong();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut wrong = self.world.unlisted(&self.look().await);
        for _ in 0..3 {
            if wrong.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
            let again = self.world.unlisted(&self.look().await);
            wrong.retain(|uid, _| again.contains_key(uid));
        }
        Err(wrong.into_values().collect())
    }

    // What the operator has created since the last judgement.
    fn created(&self) -> Vec<Id> {
        let names = self.names();
        let place = |(kind, name, away): &(Kind, u8, bool)| {
            let collection = names.collection(*kind, *name, names.namespace(*kind, *away));
            format!("{collection}/{}", names.object(*kind, *name))
        };
        let ids: HashMap<String, &Id> = self.world.ever.iter().map(|(id, of)| (place(of), id)).collect();
        let requests = self.requests(self.last).into_iter();
        let created = requests.filter(|r| r.writes() && r.code == 201);
        let id = |r: Request| ids.get(r.uri.split('?').next()?).map(|id| (*id).clone());
        created.filter_map(id).collect()
    }

    // The runs of steps since the last judgement.
    fn runs(&self) -> Vec<Run> {
        let run = |request: Request| {
            let metadata = &request.sent["metadata"];
            let run = metadata["annotations"]["supercargo.dev/step-run"].as_str()?;
            let (key, attempt) = run.rsplit_once('.')?;
            let release = metadata["labels"]["supercargo.dev/name"].as_str()?.strip_prefix('r')?;
            Some(Run {
                release: release.parse().ok()?,
                id: format!("{}_{}_batch_Job", request.namespace, request.name),
                key: key.to_owned(),
                attempt: attempt.parse().ok()?,
            })
        };
        let requests = self.requests(self.last).into_iter();
        requests.filter(|r| r.writes() && r.resource == "jobs" && r.code == 201).filter_map(run).collect()
    }

    // Nothing of a release was written that may not be touched since the last judgement.
    async fn against_held(&self, seen: &Snapshot) -> Vec<String> {
        let requests = self.requests(self.last);
        let mut wrong = Vec::new();
        for (release, why) in self.world.held_all_the_time() {
            let ids = seen.inventories.get(release).cloned().unwrap_or_default();
            let others = seen.inventories.iter().filter(|(other, _)| *other != release);
            let others: Vec<&String> = others.flat_map(|(_, ids)| ids).collect();
            for id in ids.iter().filter(|id| !others.contains(id)) {
                let Some((kind, name, away)) = self.world.ever.get(id) else { continue };
                let (object, namespace) =
                    (self.names().object(*kind, *name), self.names().namespace(*kind, *away));
                let plural = kind.resource().2;
                let written = requests.iter().find(|r| {
                    r.writes() && r.resource == plural && r.name == object && r.namespace == namespace
                });
                if let Some(written) = written {
                    wrong.push(format!("r{release} {why} and {id} was written: {}", written.summary()));
                }
            }
        }
        wrong
    }

    async fn against_bystanders(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, before) in &self.bystanders {
            let now = self.get(&self.home("configmaps", name)).await;
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            if now.as_ref().map(version) != Some(version(before)) {
                wrong.push(format!("ConfigMap {name} is not the operator's and was written or deleted"));
            }
        }
        wrong
    }
}

fn items(list: Option<Value>) -> Vec<Value> {
    let Some(mut list) = list else { return Vec::new() };
    let (version, kind) = (list["apiVersion"].take(), list["kind"].take());
    let kind = kind.as_str().unwrap_or_default().trim_end_matches("List").to_owned();
    let Value::Array(items) = list["items"].take() else { return Vec::new() };
    let whole = |mut item: Value| {
        item["apiVersion"] = version.clone();
        item["kind"] = json!(kind);
        item
    };
    items.into_iter().map(whole).collect()
}
