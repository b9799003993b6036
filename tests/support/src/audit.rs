//! The API server's audit log: who asked for what.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::admin::Admin;
use crate::within;

/// The log of one API server. Shared by tests that run at the same time, so
/// every question names a user: give each operator an account of its own.
pub struct AuditLog {
    path: PathBuf,
    // Of the admin, for the request that shows how far the log is.
    admin: Arc<Admin>,
}

/// A place in the log: what was answered later comes after it.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// One request that was answered, or a watch that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// Who sent it.
    pub user: String,
    /// As whom.
    pub impersonated: Option<String>,
    /// The path and the query.
    pub uri: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name; empty for a path that is no resource.
    pub resource: String,
    /// `status`, `token`, …; empty when there is none.
    pub subresource: String,
    /// Empty when the request names none.
    pub namespace: String,
    /// Empty when the request names none.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// The client's `User-Agent`.
    pub agent: String,
    /// What was sent; null but for what service accounts write to Jobs, Leases and the status of releases.
    pub sent: Value,
}

impl Request {
    /// Whether it may have changed something: no read, and no dry run.
    pub fn writes(&self) -> bool {
        let reads = matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options");
        !reads && !self.uri.contains("dryRun=All") && !self.is_review()
    }

    // Questions to the authorizer are POSTs that change nothing.
    fn is_review(&self) -> bool {
        matches!(self.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
    }

    /// The pod of the replica that sent it, as the `User-Agent` says; empty when that says none.
    pub fn pod(&self) -> &str {
        self.agent.split(['(', ')']).nth(1).unwrap_or_default()
    }

    /// `verb resource/subresource namespace/name`, for the message of a failure.
    pub fn summary(&self) -> String {
        let as_whom = self.impersonated.as_deref().map(|user| format!(" as {user}")).unwrap_or_default();
        format!("{} {} {}{as_whom}", self.verb, self.uri, self.code)
    }
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf, admin: Arc<Admin>) -> Self {
        AuditLog { path, admin }
    }

    /// Now: what has been answered is before it.
    pub fn mark(&self) -> Mark {
        let before = self.length();
        self.catch_up(before);
        Mark(self.length())
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    // A client may have its answer a moment before the line is in the file. Sends
    // a request of its own and waits for the line of that.
    fn catch_up(&self, from: u64) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = format!("/version?mark={}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        if self.admin.get(&path).is_some() {
            let logged = || self.lines(from).any(|line| line.contains(&path));
            assert!(within(Duration::from_secs(10), logged), "the audit log does not go on");
        }
    }

    fn lines(&self, from: u64) -> impl Iterator<Item = String> + use<> {
        let file = File::open(&self.path).ok().map(|mut file| {
            file.seek(SeekFrom::Start(from)).expect("seek in the audit log");
            BufReader::new(file).lines().map_while(Result::ok)
        });
        file.into_iter().flatten()
    }

    /// The requests that `user` sent and that were answered after `mark`, in the
    /// order of the answers. `user` is a whole user name:
    /// `system:serviceaccount:NAMESPACE:NAME` for an account.
    pub fn since(&self, mark: Mark, user: &str) -> Vec<Request> {
        self.catch_up(mark.0);
        self.settled(mark.0, user).into_iter().filter_map(Event::answered).collect()
    }

    /// How many watches of a resource that `user` had have ended after `mark`.
    pub fn watches_ended(&self, mark: Mark, user: &str, resource: &str) -> usize {
        self.catch_up(mark.0);
        let events = self.events(mark.0, user);
        let is_end = |event: &Event| event.verb == "watch" && event.stage == "ResponseComplete";
        events.filter(|event| is_end(event) && event.object_ref.resource == resource).count()
    }

    // What a request has done can be seen a moment before its answer is in the log, and a busy
    // server takes its time for that. Waits for the answers to what has been received by now.
    fn settled(&self, from: u64, user: &str) -> Vec<Event> {
        let read = || self.events(from, user).collect::<Vec<Event>>();
        let mut events = read();
        let requests = events.iter().filter(|event| event.verb != "watch" && event.is_received());
        let pending: BTreeSet<String> = requests.map(|event| event.audit_id.clone()).collect();
        let all_answered = || {
            let answers = events.iter().filter(|event| !event.is_received());
            let answered: BTreeSet<&str> = answers.map(|event| event.audit_id.as_str()).collect();
            let all = pending.iter().all(|id| answered.contains(id.as_str()));
            if !all {
                events = read();
            }
            all
        };
        // One whose server was killed is never answered.
        within(Duration::from_secs(5), all_answered);
        events
    }

    // Most lines belong to other tests: a search in the text is much cheaper
    // than decoding them.
    fn events(&self, from: u64, user: &str) -> impl Iterator<Item = Event> + use<> {
        let needle = format!("\"user\":{{\"username\":\"{user}\"");
        // One that is still being written is no JSON.
        let whole = |line: String| serde_json::from_str(&line).ok();
        self.lines(from).filter(move |line| line.contains(&needle)).filter_map(whole)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    uri: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    request_object: Value,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
}

impl Event {
    fn is_received(&self) -> bool {
        self.stage == "RequestReceived"
    }

    // None for what is not answered yet, and for the end of a watch, whose beginning is there.
    fn answered(self) -> Option<Request> {
        let ends_a_watch =
            self.verb == "watch" && self.stage != "ResponseStarted" && self.response_status.code == 200;
        if self.is_received() || ends_a_watch {
            return None;
        }
        Some(Request {
            verb: self.verb,
            user: self.user.username,
            impersonated: self.impersonated_user.map(|user| user.username),
            uri: self.uri,
            group: self.object_ref.api_group,
            resource: self.object_ref.resource,
            subresource: self.object_ref.subresource,
            namespace: self.object_ref.namespace,
            name: self.object_ref.name,
            code: self.response_status.code,
            agent: self.user_agent,
            sent: self.request_object,
        })
    }
}
