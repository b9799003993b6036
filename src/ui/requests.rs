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
use crate::cluster::session::Session;
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
    let id = allowed(site, viewer, is_allowed, id)?;
    let release = read(site, viewer, &viewer.session, &id).await?;
    Ok((id, release))
}

/// The name of a release in an address, for a person who may do that with releases.
fn allowed(
    site: &Site,
    viewer: &Viewer,
    is_allowed: bool,
    id: Option<ReleaseId>,
) -> Result<ReleaseId, Box<Response>> {
    let Some(id) = id else { return Err(nowhere(site, viewer).into()) };
    if !is_allowed {
        let why = "this page does not do that; use the command line";
        return Err(refused(site, viewer, StatusCode::FORBIDDEN, why).into());
    }
    Ok(id)
}

/// A release, or the answer that says why there is none.
async fn read(
    site: &Site,
    viewer: &Viewer,
    session: &Session,
    id: &ReleaseId,
) -> Result<Value, Box<Response>> {
    let refused = |status, why: &str| Err(refused(site, viewer, status, why).into());
    match session.find_release(id).await {
        Ok(Some(release)) => Ok(release),
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
    let id = match allowed(&site, &viewer, viewer.can.compare, named(namespace, name)) {
        Ok(id) => id,
        Err(refused) => return *refused,
    };
    // Nothing takes memory before its turn: releases are as large as others make them.
    let turn = match site.comparisons.take(viewer.tenant()).await {
        Ok(turn) => turn,
        Err(why) => {
            let page = of_problem("No comparison", &why);
            let page = frame::page(&viewer.place, &viewer.rows(&site.index), &page, 0);
            return (StatusCode::TOO_MANY_REQUESTS, page).into_response();
        }
    };
    let workshop = site.workshop.as_ref();
    let session = match workshop {
        Some(workshop) => viewer.session.clone().bounded(&workshop.answers),
        None => viewer.session.clone(),
    };
    let release = match read(&site, &viewer, &session, &id).await {
        Ok(release) => release,
        Err(refused) => return *refused,
    };
    let revision = |name| parameter(query.as_deref(), name).filter(|revision| !revision.is_empty());
    let revisions = revision("from").zip(revision("to"));
    let by = Comparer { session: &viewer.session, turn, workshop };
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
