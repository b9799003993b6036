//! From what a person wants to see to a view of it.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;

use super::entry::viewer::Viewer;
use super::listing::Query;
use super::read::detail::Detail;
use super::site::Site;
use super::view::fleet::{self, TimeSpan};
use super::view::frame::PageView;
use super::view::{release, releases, wrong};
use crate::domain::identity::ReleaseId;
use crate::domain::message::chain;

/// What a person wants to see.
#[derive(Clone, Debug)]
pub enum ViewRequest {
    /// What is wrong, at a page.
    Wrong(usize),
    /// A table of releases.
    Releases(Query),
    /// The fleet over time.
    Fleet(TimeSpan),
    /// One release.
    Release(ReleaseId),
}

/// Makes a view. The objects of a release have so much time.
///
/// # Errors
/// Why there is none.
pub async fn look(
    site: &Site,
    viewer: &Viewer,
    wanted: &ViewRequest,
    patience: Option<Duration>,
) -> Result<PageView, Box<ViewProblem>> {
    let rows = viewer.rows(&site.index);
    match wanted {
        ViewRequest::Wrong(page) => Ok(wrong::view(&rows, &site.cures, *page)),
        ViewRequest::Releases(query) => Ok(releases::view(&rows, query)),
        ViewRequest::Fleet(span) => Ok(fleet::view(&rows, *span, Timestamp::now())),
        ViewRequest::Release(id) => {
            let why = |status, title, why| Box::new(ViewProblem { status, title, why });
            let absent = || {
                let text = format!("There is no release {id}. It may have been deleted.");
                Err(why(StatusCode::NOT_FOUND, "Not found", text))
            };
            if !viewer.may_open(id, &rows) {
                return absent();
            }
            match Box::pin(Detail::read(viewer, id, patience)).await {
                Ok(Some(detail)) => Ok(release::view(&rows, id, &detail, (&site.cures, viewer.can))),
                Ok(None) => absent(),
                Err(error) if error.is_forbidden() => {
                    Err(why(StatusCode::FORBIDDEN, "Cannot be read", chain(&error)))
                }
                Err(error) => Err(why(StatusCode::BAD_GATEWAY, "Cannot be read", chain(&error))),
            }
        }
    }
}

/// Why a view cannot be shown.
#[derive(Debug)]
pub struct ViewProblem {
    /// The code of the answer.
    pub status: StatusCode,
    /// What it is.
    pub title: &'static str,
    /// Why, for the person.
    pub why: String,
}
