//! Requests of a person: a comparison, a page that asks again, and the form that it sends.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::act::{Fields, word};
use super::answer::{named, of_problem, parameter, refused, unknown};
use super::entry::session::Visitor;
use super::read::compare::Comparison;
use super::site::SharedSite;
use super::view::parts::address;
use super::view::{compare as difference, confirm as ask, frame};
use crate::domain::message::chain;
use crate::reconcile::frontend::requests::{RequestError, carry_out};

/// Compares a release with its cluster, or two of its revisions.
pub async fn compare(
    State(site): State<SharedSite>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(id) = named(namespace, name) else { return unknown(State(site)).await };
    let release = match site.session.find_release(&id).await {
        Ok(Some(release)) => release,
        Ok(None) => return refused(&site, StatusCode::NOT_FOUND, &format!("there is no release {id}")),
        Err(error) => return refused(&site, StatusCode::BAD_GATEWAY, &chain(&error)),
    };
    let revision = |name| parameter(query.as_deref(), name).filter(|revision| !revision.is_empty());
    let revisions = revision("from").zip(revision("to"));
    let reading = Comparison::read(&site.session, &site.comparisons, release.clone(), revisions.clone());
    let compared = reading.await;
    let revisions = revisions.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    let view = difference::view(&id, &release, revisions, &compared);
    frame::page(&site.place, &site.index.rows(), &view, 0).into_response()
}

/// Asks whether a request is meant.
pub async fn confirm(
    State(site): State<SharedSite>,
    Extension(visitor): Extension<Visitor>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(id) = named(namespace, name) else { return unknown(State(site)).await };
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let verb = match site.session.find_release(&id).await {
        Ok(Some(release)) => fields.verb(&id, &release),
        Ok(None) => Err(format!("there is no release {id}")),
        Err(error) => Err(chain(&error)),
    };
    let (status, view) = match verb {
        Ok(verb) => {
            let user = site.session.user_name().await.ok().flatten();
            (StatusCode::OK, ask::view(&id, &verb, user.as_deref(), &visitor.form_token()))
        }
        Err(why) => (StatusCode::CONFLICT, of_problem("Not possible", &why)),
    };
    (status, frame::page(&site.place, &site.index.rows(), &view, 0)).into_response()
}

/// Makes a request that a form has confirmed.
pub async fn act(
    State(site): State<SharedSite>,
    Extension(visitor): Extension<Visitor>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Some(id) = named(namespace, name) else { return unknown(State(site)).await };
    let fields = Fields::parse(&body);
    if !visitor.has_sent(&fields.token) {
        return refused(
            &site,
            StatusCode::FORBIDDEN,
            "this form is not of this page; open the release again",
        );
    }
    let release = match site.session.find_release(&id).await {
        Ok(Some(release)) => release,
        Ok(None) => return refused(&site, StatusCode::NOT_FOUND, &format!("there is no release {id}")),
        Err(error) => return refused(&site, StatusCode::BAD_GATEWAY, &chain(&error)),
    };
    let verb = match fields.verb(&id, &release) {
        Ok(verb) => verb,
        Err(why) => return refused(&site, StatusCode::CONFLICT, &why),
    };
    match Box::pin(carry_out(&site.session, &id, &verb)).await {
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
            refused(&site, status, &chain(&error))
        }
    }
}
