//! Requests of a person: a comparison, a page that asks again, and the form that it sends.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::act::{Fields, word};
use super::answer::{named, nowhere, of_problem, parameter, refused};
use super::entry::viewer::Viewer;
use super::read::compare::{Comparer, Comparison};
use super::site::{SharedSite, Site};
use super::view::parts::address;
use super::view::{compare as difference, confirm as ask, frame};
use crate::domain::identity::ReleaseId;
use crate::domain::message::chain;
use crate::reconcile::frontend::requests::{RequestError, carry_out};

/// The release that an address names, for a person who may do that with it.
async fn found(
    site: &Site,
    viewer: &Viewer,
    is_allowed: bool,
    id: Option<ReleaseId>,
) -> Result<(ReleaseId, Value), Box<Response>> {
    let Some(id) = id else { return Err(nowhere(site, viewer).into()) };
    let refused = |status, why: &str| Err(refused(site, viewer, status, why).into());
    if !is_allowed {
        return refused(StatusCode::FORBIDDEN, "this page does not do that; use the command line");
    }
    match viewer.session.find_release(&id).await {
        Ok(Some(release)) => Ok((id, release)),
        Ok(None) => refused(StatusCode::NOT_FOUND, &format!("there is no release {id}")),
        Err(error) if error.is_forbidden() => refused(StatusCode::FORBIDDEN, &chain(&error)),
        Err(error) => refused(StatusCode::BAD_GATEWAY, &chain(&error)),
    }
}

/// Compares a release with its cluster, or two of its revisions.
pub async fn compare(
    State(site): State<SharedSite>,
    Extension(viewer): Extension<Viewer>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let (id, release) = match found(&site, &viewer, viewer.can.compare, named(namespace, name)).await {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let revision = |name| parameter(query.as_deref(), name).filter(|revision| !revision.is_empty());
    let revisions = revision("from").zip(revision("to"));
    let (session, tenant) = (&viewer.session, viewer.tenant());
    let by = Comparer { session, tenant, turns: &site.comparisons, workshop: site.workshop.as_ref() };
    let compared = Comparison::read(by, release.clone(), revisions.clone(), difference::MAX_LINES).await;
    let revisions = revisions.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    let view = difference::view(&id, &release, (revisions, viewer.can), &compared);
    frame::page(&viewer.place, &viewer.rows(&site.index), &view, 0).into_response()
}

/// Asks whether a request is meant.
pub async fn confirm(
    State(site): State<SharedSite>,
    Extension(viewer): Extension<Viewer>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let (id, release) = match found(&site, &viewer, viewer.can.act, named(namespace, name)).await {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (status, view) = match fields.verb(&id, &release) {
        Ok(verb) => {
            let user = viewer.session.user_name().await.ok().flatten();
            (StatusCode::OK, ask::view(&id, &verb, user.as_deref(), &viewer.form_token()))
        }
        Err(why) => (StatusCode::CONFLICT, of_problem("Not possible", &why)),
    };
    (status, frame::page(&viewer.place, &viewer.rows(&site.index), &view, 0)).into_response()
}

/// Makes a request that a form has confirmed.
pub async fn act(
    State(site): State<SharedSite>,
    Extension(viewer): Extension<Viewer>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let fields = Fields::parse(&body);
    if viewer.can.act && !viewer.has_sent(&fields.token) {
        let why = "this form is not of this page; open the release again";
        return refused(&site, &viewer, StatusCode::FORBIDDEN, why);
    }
    let (id, release) = match found(&site, &viewer, viewer.can.act, named(namespace, name)).await {
        Ok(found) => found,
        Err(refused) => return *refused,
    };
    let verb = match fields.verb(&id, &release) {
        Ok(verb) => verb,
        Err(why) => return refused(&site, &viewer, StatusCode::CONFLICT, &why),
    };
    match Box::pin(carry_out(&viewer.session, &id, &verb)).await {
        Ok(carried) => {
            let unreported = if carried.unreported.is_some() { "&event=no" } else { "" };
            let to = format!("{}?done={}{unreported}", address(&id), word(&verb));
            (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
        }
        Err(error) => {
            let status = match &error {
                RequestError::Absent(_) => StatusCode::NOT_FOUND,
                RequestError::Outdated(_) => StatusCode::CONFLICT,
                RequestError::Api(error) if error.is_forbidden() => StatusCode::FORBIDDEN,
                RequestError::Api(_) => StatusCode::BAD_GATEWAY,
            };
            refused(&site, &viewer, status, &chain(&error))
        }
    }
}
