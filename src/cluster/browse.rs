//! What the command line reads of releases and their objects: whole, as they are in the
//! cluster, in any form.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::sync::mpsc;

use super::collections::pages::{self, Listing};
use super::collections::watch::{Event, ListSelection, State, run, run_with_interruptions};
use super::error::ApiError;
use super::kinds::resource::{Resource, escape};
use super::session::{Call, Session};
use crate::api::release::{GROUP, KIND, PLURAL, VERSION};
use crate::domain::health::Reports;
use crate::domain::identity::ReleaseId;

/// Selects the ConfigMaps of inventories.
const INVENTORIES: &str = "app.kubernetes.io/component=inventory,app.kubernetes.io/created-by=supercargo";
/// The label with the name of an inventory.
const NAME: &str = "/metadata/labels/app.kubernetes.io~1name";
/// Objects requested in the first page.
const PAGE: usize = 250;
/// The most objects that one call reads.
const MAX_OBJECTS: usize = 20_000;
/// The field manager of changes that a person makes to a release.
const FIELD_MANAGER: &str = "supercargo-cli";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What a watch of the command line reports.
#[derive(Debug)]
pub enum WatchEvent {
    /// A list begins: a release that is not reported before [`WatchEvent::Listed`] does not exist any more.
    Listing,
    /// A release as it is.
    Present(Value),
    /// The release is gone.
    Absent(Value),
    /// Everything that existed has been reported.
    Listed,
    /// There is no news for now: the API server gives no answer.
    Interrupted,
    /// The news continue after an interruption.
    Resumed,
    /// The watch failed.
    Failed(String),
}

/// What has names that a shell completes.
#[derive(Clone, Copy, Debug)]
pub enum NameSource<'a> {
    /// The releases of a namespace.
    Releases(&'a str),
    /// The ConfigMaps of the inventories of a namespace.
    Inventories(&'a str),
    /// The namespaces.
    Namespaces,
}

fn releases() -> Resource {
    Resource {
        group: GROUP.into(),
        version: VERSION.into(),
        kind: KIND.into(),
        plural: PLURAL.into(),
        namespaced: true,
        reports: Reports::Unknown,
    }
}

fn core(kind: &str, plural: &str, namespaced: bool) -> Resource {
    let (group, version) = (String::new(), "v1".into());
    Resource {
        group,
        version,
        kind: kind.into(),
        plural: plural.into(),
        namespaced,
        reports: Reports::Unknown,
    }
}

/// Events as `kubectl events` reads them: they can be selected by their object.
fn events() -> Resource {
    core("Event", "events", true)
}

fn about(kind: &str, name: &str) -> String {
    format!("fieldSelector={}", escape(&format!("involvedObject.kind={kind},involvedObject.name={name}")))
}

/// The API server answers 404 for an unknown path and for a missing object alike.
fn not_served(error: ApiError) -> ApiError {
    match error.status() {
        Some(status) if status.code == 404 && status.reason.is_empty() => {
            ApiError::NoSuchKind { api_version: format!("{GROUP}/{VERSION}"), kind: KIND.into() }
        }
        _ => error,
    }
}

fn selecting(selector: Option<&str>) -> String {
    selector.map(|s| format!("labelSelector={}", escape(s))).unwrap_or_default()
}

impl Session {
    /// The releases of a namespace or of all that match a label selector.
    ///
    /// # Errors
    /// [`ApiError::NoSuchKind`] where supercargo is not installed; otherwise when
    /// the API server does not list them.
    pub async fn list_releases(
        &self,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        self.list_objects(&releases(), namespace, selector).await.map_err(not_served)
    }

    /// Whether the releases of a namespace, or of all, can be listed: reads one at most.
    ///
    /// # Errors
    /// As [`Session::list_releases`].
    pub async fn first_release(&self, namespace: Option<&str>) -> Result<(), ApiError> {
        let uri = format!("{}?limit=1", releases().collection(namespace));
        self.call(Call::get(uri)).await.map(|_| ()).map_err(not_served)
    }

    /// A release; `None` when none has that name.
    ///
    /// # Errors
    /// As [`Session::list_releases`].
    pub async fn find_release(&self, release: &ReleaseId) -> Result<Option<Value>, ApiError> {
        let uri = releases().object(&release.namespace, &release.name);
        found(self.call(Call::get(uri)).await.and_then(|answer| answer.json()))
    }

    /// Changes a release by a merge patch and returns the result; `None` when none has
    /// that name.
    ///
    /// # Errors
    /// As [`Session::list_releases`], and when the API server refuses the change.
    pub async fn change_release(
        &self,
        release: &ReleaseId,
        patch: &Value,
    ) -> Result<Option<Value>, ApiError> {
        let path = releases().object(&release.namespace, &release.name);
        let uri = format!("{path}?fieldManager={FIELD_MANAGER}");
        let body = Bytes::from(patch.to_string());
        let call = Call::with_body(Method::PATCH, uri, MERGE_PATCH, body);
        found(self.call(call).await.and_then(|answer| answer.json()))
    }

    /// The objects of a kind, in a namespace or all, that match a label selector.
    ///
    /// # Errors
    /// When the API server does not list them, or there are too many.
    pub async fn list_objects(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        let (path, query) = (resource.collection(namespace), selecting(selector));
        let listing = Listing { path: &path, query: &query, metadata_only: false, page: PAGE };
        let mut objects = Vec::new();
        pages::each(self, listing, |object| {
            if objects.len() == MAX_OBJECTS {
                let why = format!("found more than {MAX_OBJECTS} {}", resource.plural);
                return Err(ApiError::answer(why));
            }
            objects.push(serde_json::from_str(object).map_err(ApiError::answer)?);
            Ok(())
        })
        .await?;
        Ok(objects)
    }

    /// Goes through the same objects page by page, and keeps none of them. Each has its API version
    /// and kind, as if it were read alone.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn each_object(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: Option<&str>,
        mut observe: impl FnMut(Value),
    ) -> Result<(), ApiError> {
        let (path, query) = (resource.collection(namespace), selecting(selector));
        let listing = Listing { path: &path, query: &query, metadata_only: false, page: PAGE };
        pages::each(self, listing, |object| {
            let mut object: Value = serde_json::from_str(object).map_err(ApiError::answer)?;
            if let Some(object) = object.as_object_mut() {
                // Those of built-in kinds are listed without.
                object.insert("apiVersion".to_owned(), resource.api_version().into());
                object.insert("kind".to_owned(), resource.kind.clone().into());
            }
            observe(object);
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// The events about an object, those of both kinds of recorders.
    ///
    /// # Errors
    /// When the API server does not list them, or there are too many.
    pub async fn events_about(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
    ) -> Result<Vec<Value>, ApiError> {
        self.events(namespace, &about(kind, name)).await
    }

    /// The same, one after another: a caller that keeps few of them has few in memory.
    ///
    /// # Errors
    /// As [`Session::events_about`].
    pub async fn each_event_about(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        observe: impl FnMut(Value),
    ) -> Result<(), ApiError> {
        self.each_event(namespace, &about(kind, name), observe).await
    }

    /// All events of a namespace.
    ///
    /// # Errors
    /// When the API server does not list them, or there are too many.
    pub async fn events_in(&self, namespace: &str) -> Result<Vec<Value>, ApiError> {
        self.events(namespace, "").await
    }

    async fn events(&self, namespace: &str, query: &str) -> Result<Vec<Value>, ApiError> {
        let mut found: Vec<Value> = Vec::new();
        self.each_event(namespace, query, |event| found.push(event)).await?;
        Ok(found)
    }

    async fn each_event(
        &self,
        namespace: &str,
        query: &str,
        mut observe: impl FnMut(Value),
    ) -> Result<(), ApiError> {
        let path = events().collection(Some(namespace));
        let listing = Listing { path: &path, query, metadata_only: false, page: PAGE };
        let mut count = 0;
        pages::each(self, listing, |event| {
            if count == MAX_OBJECTS {
                return Err(ApiError::answer(format!("found more than {MAX_OBJECTS} events")));
            }
            count += 1;
            let mut event: Value = serde_json::from_str(event).map_err(ApiError::answer)?;
            if let Some(event) = event.as_object_mut() {
                event.insert("apiVersion".to_owned(), "v1".into());
                event.insert("kind".to_owned(), "Event".into());
            }
            observe(event);
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Watches the events about an object, until the future is dropped.
    pub async fn follow_events_about(
        self,
        namespace: String,
        kind: &str,
        name: String,
        seen: mpsc::UnboundedSender<WatchEvent>,
    ) {
        let path = events().collection(Some(&namespace));
        let selection = ListSelection { path, query: about(kind, &name), metadata_only: false };
        run(self, selection, reporting(seen, "events")).await;
    }

    /// The names of the releases of a namespace, of the inventories there, or of all namespaces: a
    /// first page, for a shell that completes one.
    ///
    /// # Errors
    /// When the API server does not list them.
    pub async fn names(&self, of: NameSource<'_>) -> Result<Vec<String>, ApiError> {
        let (resource, namespace, query) = match of {
            NameSource::Releases(namespace) => (releases(), Some(namespace), ""),
            NameSource::Inventories(namespace) => {
                (core("ConfigMap", "configmaps", true), Some(namespace), INVENTORIES)
            }
            NameSource::Namespaces => (core("Namespace", "namespaces", false), None, ""),
        };
        let found = self.first_metadata(&resource, namespace, query, PAGE).await?;
        let pointer = if matches!(of, NameSource::Inventories(_)) { NAME } else { "/metadata/name" };
        let name = |object: &Value| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let mut names: Vec<String> = found.iter().filter_map(name).collect();
        // A large inventory has several parts.
        names.dedup();
        Ok(names)
    }

    /// Watches the releases of a namespace or of all that match a label selector, until
    /// the future is dropped.
    pub async fn follow_releases(
        self,
        namespace: Option<String>,
        selector: Option<String>,
        seen: mpsc::UnboundedSender<WatchEvent>,
    ) {
        let selection = ListSelection {
            path: releases().collection(namespace.as_deref()),
            query: selecting(selector.as_deref()),
            metadata_only: false,
        };
        run_with_interruptions(self, selection, reporting(seen, "releases")).await;
    }
}

/// An observer of a watch that reports to a command.
fn reporting(seen: mpsc::UnboundedSender<WatchEvent>, what: &'static str) -> impl FnMut(Event<'_>) + Send {
    move |event| {
        let found = match event {
            Event::Following => Some(WatchEvent::Resumed),
            Event::Listing => Some(WatchEvent::Listing),
            Event::Present(text) => serde_json::from_str(text).ok().map(WatchEvent::Present),
            Event::Absent(text) => serde_json::from_str(text).ok().map(WatchEvent::Absent),
            Event::Listed => Some(WatchEvent::Listed),
            Event::Failed(State::Syncing) => Some(WatchEvent::Interrupted),
            Event::Failed(State::Denied(why)) => Some(WatchEvent::Failed(why)),
            Event::Failed(_) => Some(WatchEvent::Failed(format!("{what} are no longer served"))),
        };
        if let Some(found) = found {
            // The receiver is gone while the process ends.
            let _ = seen.send(found);
        }
    }
}

fn found(read: Result<Value, ApiError>) -> Result<Option<Value>, ApiError> {
    match read.map_err(not_served) {
        Ok(release) => Ok(Some(release)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::error::Status;

    #[test]
    fn a_kind_that_is_not_served_differs_from_a_missing_object() {
        let check = |code: u16, reason: &str, expected: bool| {
            let status = Status { code, reason: reason.into(), ..Status::default() };
            let error = not_served(ApiError::Status(Box::new(status)));
            assert_eq!(matches!(error, ApiError::NoSuchKind { .. }), expected, "{code} {reason}");
        };
        check(404, "", true);
        check(404, "NotFound", false);
        check(403, "", false);
    }

    #[test]
    fn a_selector_cannot_leave_its_place_in_the_query() {
        assert_eq!(selecting(Some("a in (b,c)&watch=1")), "labelSelector=a%20in%20%28b%2Cc%29%26watch%3D1");
        assert_eq!(selecting(None), "");
    }
}
