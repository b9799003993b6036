//! What a story waits for. Each waits up to the deadline of
//! [`Story::wait_for`](supercargo_testbed::Story::wait_for), which is also for what
//! has no function here. The story itself waits for a condition, for Ready, and until
//! an object is gone.

use serde_json::Value;
use supercargo_testbed::story::condition;

use super::build::Scene;
use super::look::message;

impl Scene<'_> {
    /// Waits for a condition's status and reason, and returns its message.
    pub async fn wait_reason(&self, release: &str, kind: &str, status: &str, reason: &str) -> String {
        let release = self.story.wait_condition(release, kind, status, reason).await;
        message(&release, kind)
    }

    /// Waits until Ready has a status and a message that contains `says`. Returns the
    /// release.
    pub async fn wait_message(&self, release: &str, status: &str, says: &str) -> Value {
        let what = format!("{release} has Ready={status} and says {says:?}");
        self.story
            .wait_for(&what, async || {
                let release = self.story.release(release).await?;
                let ready = condition(&release, "Ready")?;
                (ready.status == status && ready.message.contains(says)).then_some(release)
            })
            .await
    }

    /// Waits until the message of a condition contains all of `says`.
    pub async fn wait_says(&self, release: &str, kind: &str, says: &[&str]) {
        let what = format!("{kind} of {release} says {says:?}");
        self.story
            .wait_for(&what, async || {
                let told = self.condition(release, kind).await?.message;
                says.iter().all(|part| told.contains(part)).then_some(())
            })
            .await;
    }

    /// Waits until the status is about the present generation of the spec.
    pub async fn wait_observed(&self, release: &str) {
        self.story
            .wait_for(&format!("the present spec of {release} is seen"), async || {
                let release = self.story.release(release).await?;
                (release["status"]["observedGeneration"] == release["metadata"]["generation"]).then_some(())
            })
            .await;
    }

    /// Waits until a run that was asked for is over. Returns the release.
    pub async fn wait_handled(&self, release: &str, value: &str) -> Value {
        self.story
            .wait_for(&format!("{release} has handled {value}"), async || {
                let release = self.story.release(release).await?;
                (release["status"]["lastHandledReconcileAt"] == value).then_some(release)
            })
            .await
    }

    /// Asks for a run that is refused once more: it says the same of every object.
    pub async fn is_refused_alike(&self, release: &str, refused: &Value) {
        let again = self.reconcile(release, "again").await;
        let failures = |release: &Value| release["status"]["failures"].clone();
        assert_eq!(failures(&again), failures(refused), "the same from one retry to the next");
    }

    /// Waits until a release has an event with a reason whose note contains all of
    /// `says`. Returns the note.
    pub async fn wait_event(&self, release: &str, reason: &str, says: &[&str]) -> String {
        let what = format!("an event {reason} of {release} that says {says:?}");
        self.story
            .wait_for(&what, async || {
                let events = self.events(release).await;
                events.into_iter().find(|(r, note)| r == reason && says.iter().all(|s| note.contains(s)))
            })
            .await
            .1
    }

    /// Waits until a release's inventory names these objects and no other.
    pub async fn wait_named(&self, release: &str, names: &[&str]) {
        let what = format!("the inventory of {release} names {names:?}");
        self.story.wait_for(&what, async || (self.named_if_any(release).await? == names).then_some(())).await;
    }

    /// Waits until a ConfigMap of [`config_map`](super::config_map) has that value.
    pub async fn wait_data(&self, name: &str, expected: &str) {
        self.wait_field("v1", "configmaps", name, "/data/key", &Value::from(expected)).await;
    }

    /// Waits until a field of an object, named by a JSON pointer, is `expected`; a
    /// field that is not there is `null`.
    pub async fn wait_field(&self, version: &str, plural: &str, name: &str, field: &str, expected: &Value) {
        self.story
            .wait_for(&format!("{plural} {name}: {field} is {expected}"), async || {
                let object = self.story.object(version, plural, name).await?;
                (object.pointer(field).unwrap_or(&Value::Null) == expected).then_some(())
            })
            .await;
    }
}
