//! `supercargo status release`: the state of a release on one page.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::{condition_of, id, replica, source, text, tone, why};
use super::find::{find, release_named};
use crate::api::plan::PlanApproval;
use crate::api::status::condition;
use crate::cli::args::{ClusterArgs, PageArgs};
use crate::cli::print::color::Tone;
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::print::text::folded;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Line, Printer};
use crate::domain::age::age;
use crate::domain::artifact::digest::shortened;
use crate::domain::gate::counted;
use crate::domain::message::and_more;
use crate::reconcile::frontend::objects::{self, ObjectNode, is_good};
use crate::reconcile::frontend::published::published;

/// Show release status, including failing pods.
///
/// Reads the release, its inventory (the ConfigMap inv-NAME) and every object in it with your own
/// rights; an object that you cannot read is shown as Unknown. Objects in another cluster are read by the
/// kubeconfig in the Secret of spec.kubeConfig, if you may read that. For a workload that is not ready,
/// its ReplicaSets and pods are listed with the cause. Writes nothing to the cluster.
///
/// Exit codes: 0 for any state of the release; 1 when it does not exist or cannot be read. With
/// --exit-status also 1 when it is not Ready.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct StatusRelease {
    /// Name of the release.
    name: String,
    /// Exit with code 1 unless the release is Ready.
    #[arg(long)]
    exit_status: bool,
    /// Options of the output.
    #[command(flatten)]
    page: PageArgs,
}

const EXAMPLES: &str = "\
Examples:
  # Why is it not ready?
  supercargo status release demo-app

  # In a script: stop unless it is ready
  supercargo status release demo-app --exit-status

  # Objects that are not healthy, with jq
  supercargo status release demo-app -o json | jq -r '.objects[] | select(.health != \"Current\") | .object'";

impl StatusRelease {
    /// Shows a release and its objects.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = &connect(cluster).await?;
        let Self { name, exit_status, page } = self;
        let release = release_named(session, name);
        let found = find(session, &release).await?;
        let stored = session.read_inventory(&release).await?;
        let objects = match &stored.inventory.place {
            None => objects::read(session, &stored.inventory).await?,
            Some(place) => match objects::read_there(session, &found, &stored.inventory).await {
                Ok(objects) => objects,
                Err(why) => {
                    let why = format!("in the cluster {}, which cannot be read: {why}", place.server);
                    objects::unread(&stored.inventory, &why)
                }
            },
        };
        match &page.output {
            Some(format) => output::data(printer, format, &report(&found, &objects))?,
            None => {
                let page = Page {
                    release: &found,
                    objects: &objects,
                    now: Timestamp::now(),
                    inventory: stored.exists(),
                };
                page.print(printer)?;
            }
        }
        printer.finish()?;
        let ready = condition_of(&found, condition::READY).unwrap_or(&Value::Null);
        match *exit_status && text(ready, "/status") != "True" {
            true => Err(CliError::Failed(format!("{release} is not ready: {}", why(ready)))),
            false => Ok(()),
        }
    }
}

/// The page for programs.
fn report(release: &Value, objects: &[ObjectNode]) -> Value {
    json!({
        "namespace": text(release, "/metadata/namespace"),
        "name": text(release, "/metadata/name"),
        "source": source(release),
        "suspended": release.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
        "status": release.get("status").cloned().unwrap_or_default(),
        "objects": objects,
    })
}

struct Page<'v> {
    release: &'v Value,
    objects: &'v [ObjectNode],
    /// Whether there is an inventory in the cluster.
    inventory: bool,
    now: Timestamp,
}

impl Page<'_> {
    fn print(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        self.head(printer)?;
        self.conditions(printer)?;
        self.plan(printer)?;
        self.history(printer)?;
        self.steps(printer)?;
        self.failures(printer)?;
        self.tree(printer)
    }

    fn head(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let release = self.release;
        let suspended = release.pointer("/spec/suspend") == Some(&Value::Bool(true));
        let deleting = text(release, "/metadata/deletionTimestamp");
        let mut lines: Vec<(&str, String)> = vec![
            ("Release:", id(release).to_string()),
            ("Source:", source(release)),
            ("Cluster:", text(release, "/status/cluster").into()),
            ("Replica:", replica(release).into()),
            ("Suspended:", if suspended { "yes".into() } else { String::new() }),
            ("Deleting:", if deleting.is_empty() { String::new() } else { format!("since {deleting}") }),
            ("Attempted:", text(release, "/status/lastAttemptedRevision").into()),
            ("Applied:", text(release, "/status/lastAppliedRevision").into()),
            ("Healthy:", text(release, "/status/lastHealthyRevision").into()),
            ("Pending:", self.pending()),
            ("Built from:", self.built_from()),
        ];
        let generations =
            (release.pointer("/metadata/generation"), release.pointer("/status/observedGeneration"));
        if generations.0 != generations.1 {
            lines.push(("Note:", "Latest spec not reconciled yet".into()));
        }
        for (label, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            printer.line(format!("{label:<11} {value}"))?;
        }
        Ok(())
    }

    /// The new revision that waits, since when, and until when if that is known.
    fn pending(&self) -> String {
        let part = |field: &str| text(self.release, &format!("/status/pending/{field}"));
        let (revision, since, reason, opens) =
            (part("revision"), part("since"), part("reason"), part("opensAt"));
        match (reason.is_empty(), opens.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("{revision} ({reason}, seen first at {since})"),
            (false, false) => format!("{revision} ({reason}, seen first at {since}, until {opens})"),
        }
    }

    /// Source and revision from the artifact's own annotations.
    fn built_from(&self) -> String {
        let part = |field: &str| text(self.release, &format!("/status/artifact/{field}"));
        let parts = [part("source"), part("sourceRevision")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn title(&self, printer: &mut Printer<'_>, title: &str) -> Result<(), CliError> {
        printer.line("")?;
        printer.line(Line::toned(title, Tone::Heading))
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.release.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn conditions(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        self.title(printer, "Conditions")?;
        let conditions = self.list("/status/conditions");
        if conditions.is_empty() {
            return printer.line("None yet; check that the operator is running");
        }
        let ready = condition_of(self.release, condition::READY).map_or("", |ready| text(ready, "/message"));
        let mut table = Table::new(["TYPE", "STATUS", "AGE", "REASON", "MESSAGE"]);
        for condition in conditions {
            let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
            // For these, True is bad.
            let unwanted =
                [condition::DRIFTED, condition::FETCH_FAILED, condition::RECONCILING, condition::STALLED];
            let unwanted = unwanted.contains(&kind);
            let tone = match (unwanted, kind) {
                (true, condition::RECONCILING) => Tone::Pending,
                (true, _) if status == "True" => Tone::Bad,
                (true, _) => Tone::Good,
                (false, _) => tone(status),
            };
            let since = condition.get("lastTransitionTime").and_then(Value::as_str);
            // The whole message: this is the place to read it.
            let message = match text(condition, "/message") {
                same if kind != condition::READY && same == ready => "Same as Ready".to_owned(),
                message => folded(message),
            };
            table.row([
                kind.into(),
                Cell::toned(status, tone),
                age(since, self.now).into(),
                text(condition, "/reason").into(),
                message.into(),
            ]);
        }
        table.print(printer, true)
    }

    fn plan(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Some(plan) = published(self.release).map_err(CliError::Failed)? else { return Ok(()) };
        let since = age(Some(plan.since.as_str()), self.now);
        let state = match &plan.approved {
            Some(PlanApproval { by: Some(by), .. }) => format!("approved by {by}, is being applied"),
            Some(_) => "approved, is being applied".to_owned(),
            None => format!(
                "waiting for approval for {since}; see supercargo plan release {}",
                id(self.release).name
            ),
        };
        self.title(printer, "Plan")?;
        printer.line(format!("{}: {}", plan.hash, counted(&plan.counts)))?;
        printer.line(state)
    }

    fn history(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let history = self.list("/status/history");
        if history.is_empty() {
            return Ok(());
        }
        self.title(printer, "History")?;
        let mut table = Table::new([
            "REVISION",
            "OUTCOME",
            "AGE",
            "CREATED",
            "CONFIGURED",
            "UNCHANGED",
            "PRUNED",
            "FAILED",
        ]);
        for entry in history {
            let outcome = text(entry, "/outcome");
            let tone = if outcome == "Failed" { Tone::Bad } else { Tone::Good };
            let count = |field: &str| {
                entry.pointer(&format!("/changes/{field}")).map(Value::to_string).unwrap_or_default().into()
            };
            let when = entry.get("appliedAt").and_then(Value::as_str);
            table.row([
                shortened(text(entry, "/revision")).into(),
                Cell::toned(outcome, tone),
                age(when, self.now).into(),
                count("created"),
                count("configured"),
                count("unchanged"),
                count("pruned"),
                count("failed"),
            ]);
        }
        table.print(printer, true)
    }

    fn steps(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let steps = self.list("/status/steps");
        if steps.is_empty() {
            return Ok(());
        }
        self.title(printer, "Steps")?;
        let mut table = Table::new(["STEP", "PHASE", "RUN", "OUTCOME", "AGE", "MESSAGE"]);
        for step in steps {
            let outcome = text(step, "/outcome");
            let tone = match outcome {
                "Succeeded" | "Skipped" => Tone::Good,
                "Started" => Tone::Pending,
                _ => Tone::Bad,
            };
            table.row([
                text(step, "/step").into(),
                text(step, "/phase").into(),
                step.get("attempt").map(Value::to_string).unwrap_or_default().into(),
                Cell::toned(outcome, tone),
                age(step.get("at").and_then(Value::as_str), self.now).into(),
                folded(text(step, "/message")).into(),
            ]);
        }
        table.print(printer, true)
    }

    fn failures(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let failures = self.list("/status/failures");
        if failures.is_empty() {
            return Ok(());
        }
        self.title(printer, "Failures of the last run")?;
        for failure in failures {
            let object = Line::toned(text(failure, "/object"), Tone::Bad);
            let message = folded(text(failure, "/message"));
            printer.line(object.and(format!(": {}: {message}", text(failure, "/reason")), None))?;
        }
        let more = self.release.pointer("/status/moreFailures").and_then(Value::as_u64);
        let more = usize::try_from(more.unwrap_or_default()).unwrap_or(usize::MAX);
        and_more(more).map_or(Ok(()), |more| printer.line(more))
    }

    fn tree(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let bad = self.objects.iter().filter(|node| !is_good(node.health)).count();
        let title = match (self.objects.len(), bad) {
            (all, 0) => format!("Objects ({all})"),
            (all, bad) => format!("Objects ({all}, {bad} not ready)"),
        };
        self.title(printer, &title)?;
        if self.objects.is_empty() {
            let none = if self.inventory { "None" } else { "None; no inventory yet" };
            return printer.line(none);
        }
        let mut rows = Vec::new();
        branches(self.objects, "", &mut rows, true);
        let width = rows.iter().map(|(subject, _)| subject.width()).max().unwrap_or_default();
        for (subject, node) in rows {
            let blanks = " ".repeat(width - subject.width() + 3);
            printer.line(state(subject.and(blanks, None), node))?;
        }
        Ok(())
    }
}

fn state(subject: Line, node: &ObjectNode) -> Line {
    let tone = match node.health {
        health if is_good(health) => Tone::Good,
        "Failed" | "NotFound" => Tone::Bad,
        _ => Tone::Pending,
    };
    let line = subject.and(node.health, Some(tone));
    match node.message.is_empty() {
        true => line,
        false => line.and(format!(": {}", folded(&node.message)), None),
    }
}

/// Every node with the lines that lead to it.
fn branches<'n>(nodes: &'n [ObjectNode], before: &str, rows: &mut Vec<(Line, &'n ObjectNode)>, top: bool) {
    for (n, node) in nodes.iter().enumerate() {
        let last = n + 1 == nodes.len();
        let (here, below) = match (top, last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        rows.push((format!("{before}{here}{}", node.object).into(), node));
        branches(&node.children, &format!("{before}{below}"), rows, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(object: &str, health: &'static str, message: &str, children: Vec<ObjectNode>) -> ObjectNode {
        ObjectNode {
            object: object.into(),
            api_version: "v1".into(),
            health,
            message: message.into(),
            children,
        }
    }

    #[test]
    fn a_page_leads_from_the_release_to_the_pod() {
        let release = json!({
            "metadata": {"namespace": "apps", "name": "web", "generation": 2},
            "spec": {"url": "oci://r/web", "suspend": true},
            "status": {
                "observedGeneration": 1,
                "lastAppliedRevision": "1@sha256:a",
                "conditions": [{"type": "Ready", "status": "False", "reason": "HealthTimeout",
                    "message": "not healthy\nin time", "lastTransitionTime": "1969-12-31T23:59:00Z"},
                    {"type": "Reconciling", "status": "True", "reason": "HealthTimeout",
                    "message": "not healthy\nin time", "lastTransitionTime": "1969-12-31T23:59:00Z"}],
                "history": [{"revision": "1@sha256:a", "digest": "sha256:a", "outcome": "Failed", "appliedAt": "1969-12-31T23:59:00Z",
                    "changes": {"created": 2, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}}],
                "failures": [{"object": "Deployment/apps/web", "reason": "HealthTimeout", "message": "0 of 1"}],
                "moreFailures": 2,
            },
        });
        let pods = vec![
            node("Pod/apps/web-1-a", "Failed", "container main keeps crashing", vec![]),
            node("Pod/apps/web-1-b", "InProgress", "is starting", vec![]),
        ];
        let objects = [
            node("ConfigMap/apps/web", "Current", "", vec![]),
            node(
                "Deployment/apps/web",
                "InProgress",
                "0 of 1",
                vec![node("ReplicaSet/apps/web-1", "InProgress", "0 of 1", pods)],
            ),
        ];
        let page = Page { release: &release, objects: &objects, inventory: true, now: Timestamp::UNIX_EPOCH };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        page.print(&mut Printer::new(&mut out, &mut err)).unwrap();
        let expected = "\
Release:    apps/web
Source:     oci://r/web:latest
Suspended:  yes
Applied:    1@sha256:a
Note:       Latest spec not reconciled yet

Conditions
TYPE          STATUS   AGE   REASON          MESSAGE
Ready         False    60s   HealthTimeout   not healthy in time
Reconciling   True     60s   HealthTimeout   Same as Ready

History
REVISION     OUTCOME   AGE   CREATED   CONFIGURED   UNCHANGED   PRUNED   FAILED
1@sha256:a   Failed    60s   2         0            0           0        0

Failures of the last run
Deployment/apps/web: HealthTimeout: 0 of 1
and 2 more

Objects (2, 1 not ready)
ConfigMap/apps/web         Current
Deployment/apps/web        InProgress: 0 of 1
└─ ReplicaSet/apps/web-1   InProgress: 0 of 1
   ├─ Pod/apps/web-1-a     Failed: container main keeps crashing
   └─ Pod/apps/web-1-b     InProgress: is starting
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
