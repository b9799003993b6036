//! Answers that several addresses give, and how an address is read.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::delta::OpenPage;
use super::entry::viewer::Viewer;
use super::look::{ViewRequest, look};
use super::site::{SharedSite, Site};
use super::view::frame::{self, PageView, Tab};
use super::view::{confirm, problem};
use crate::domain::identity::ReleaseId;

/// Answers with a view. The objects of a release have so much time; `done` is what was requested before, and
/// whether there is no event about it.
pub async fn show(
    site: &Site,
    viewer: &Viewer,
    wanted: ViewRequest,
    patience: Option<Duration>,
    done: Option<(String, bool)>,
) -> Response {
    let (status, mut view) = match look(site, viewer, &wanted, patience).await {
        Ok(view) => (StatusCode::OK, view),
        Err(problem) => (problem.status, of_problem(problem.title, &problem.why)),
    };
    view.notice = done.and_then(|(done, is_unreported)| confirm::notice(&done, is_unreported));
    let seen = OpenPage::digest(&view.lists);
    (status, frame::page(&viewer.place, &viewer.rows(&site.index), &view, seen)).into_response()
}

/// A view that says why something cannot be shown.
pub fn of_problem(title: &str, why: &str) -> PageView {
    let content = problem::content(title, why);
    PageView {
        title: title.to_owned(),
        tab: Tab::Releases,
        live: String::new(),
        lists: Vec::new(),
        content,
        notice: None,
    }
}

/// Answers that nothing was changed.
pub fn refused(site: &Site, viewer: &Viewer, status: StatusCode, why: &str) -> Response {
    let view = of_problem("Nothing was changed", why);
    (status, frame::page(&viewer.place, &viewer.rows(&site.index), &view, 0)).into_response()
}

/// Answers that there is no such page.
pub async fn unknown(State(site): State<SharedSite>, Extension(viewer): Extension<Viewer>) -> Response {
    nowhere(&site, &viewer)
}

/// The same.
pub fn nowhere(site: &Site, viewer: &Viewer) -> Response {
    let view = of_problem("Not found", "There is no such page.");
    let page = frame::page(&viewer.place, &viewer.rows(&site.index), &view, 0);
    (StatusCode::NOT_FOUND, page).into_response()
}

/// The release of an address; none for what cannot be a name, before it becomes part of a path.
pub fn named(namespace: String, name: String) -> Option<ReleaseId> {
    let is_name = |text: &str| {
        let fine = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        !text.is_empty() && text.len() <= 253 && text.bytes().all(fine) && !text.starts_with(['.', '-'])
    };
    (is_name(&namespace) && is_name(&name)).then_some(ReleaseId { namespace, name })
}

/// A parameter of a query.
pub fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    field(query.unwrap_or_default().as_bytes(), name)
}

/// The value of a field of a form that was sent.
pub fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_release_or_nothing() {
        let check = |namespace: &str, name: &str, expected: bool| {
            assert_eq!(named(namespace.into(), name.into()).is_some(), expected, "{namespace} {name}");
        };
        check("apps", "web-1.2", true);
        check("..", "web", false);
        check("apps", "a/../../secrets", false);
        check("apps", "", false);
        check("apps", "a?x", false);
        check("apps", &"a".repeat(300), false);
    }
}
