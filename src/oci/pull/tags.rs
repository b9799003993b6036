//! The tags of a repository, page by page up to a limit.

use std::collections::HashSet;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use crate::oci::auth::{RequestContext, Sessions};
use crate::oci::error::OciError;
use crate::oci::limits::{
    MAX_STALE_TAG_PAGES, MAX_TAG_BYTES, MAX_TAG_PAGE_BYTES, MAX_TAG_PAGES, MAX_TAGS, TAG_PAGE_SIZE,
};
use crate::oci::reference::Tag;
use crate::oci::transport::{Body, Request, Transport, link};

#[derive(Deserialize)]
struct List {
    /// Null where a repository has none.
    tags: Option<Vec<String>>,
}

struct Page {
    tags: Vec<String>,
    /// The length of the answer.
    bytes: usize,
    /// The next page, as a header says.
    linked: Option<Url>,
}

/// Every tag of the repository, each once, in the registry's order.
pub(super) async fn list(
    transport: &Transport,
    sessions: &Sessions,
    context: RequestContext<'_>,
) -> Result<Vec<Tag>, OciError> {
    let whole = Transport::url(context.repository, context.access, "tags/list")?;
    let first = Transport::url(context.repository, context.access, &format!("tags/list?n={TAG_PAGE_SIZE}"))?;
    let mut url = first.clone();
    let mut found = Tags::default();
    for _ in 0..MAX_TAG_PAGES {
        let Some(Page { tags, bytes, linked }) = page(transport, sessions, context, &url).await? else {
            if url != first {
                return Err(unusable(context, "it refuses its own page of tags"));
            }
            // A registry with a smaller limit for `n`.
            url = whole.clone();
            continue;
        };
        let is_new = found.add(&tags, bytes);
        found.check().map_err(|why| too_many(context, why))?;
        let next = match (linked, tags.last()) {
            (Some(linked), _) => linked,
            // A registry that cuts the list without a Link header. One that ignores `n` and `last` sends the
            // whole list: more than was asked for, or the same once more.
            (None, Some(last)) if tags.len() == TAG_PAGE_SIZE && is_new && url != whole => {
                let mut next = first.clone();
                next.query_pairs_mut().append_pair("last", last);
                next
            }
            _ => return Ok(found.tags),
        };
        if next == url {
            return Err(unusable(context, "its tag list links back to itself"));
        }
        url = next;
    }
    Err(too_many(context, format!("it has more than {MAX_TAG_PAGES} pages of tags")))
}

/// The tags of all pages.
#[derive(Default)]
struct Tags {
    tags: Vec<Tag>,
    seen: HashSet<Tag>,
    bytes: usize,
    /// How many pages had no new tag.
    stale: usize,
}

impl Tags {
    /// Whether one of the page is new. An invalid tag could not be requested anyway.
    fn add(&mut self, page: &[String], bytes: usize) -> bool {
        let before = self.tags.len();
        for tag in page.iter().filter_map(|tag| Tag::parse(tag).ok()) {
            if self.seen.insert(tag.clone()) {
                self.tags.push(tag);
            }
        }
        let is_new = self.tags.len() > before;
        self.bytes += bytes;
        self.stale += usize::from(!is_new);
        is_new
    }

    fn check(&self) -> Result<(), String> {
        match () {
            () if self.tags.len() > MAX_TAGS => Err(format!("it has more than {MAX_TAGS} tags")),
            () if self.bytes > MAX_TAG_BYTES => {
                Err(format!("the list of its tags is longer than {MAX_TAG_BYTES} bytes"))
            }
            () if self.stale > MAX_STALE_TAG_PAGES => {
                Err(format!("more than {MAX_STALE_TAG_PAGES} pages of its tags have no new tag"))
            }
            () => Ok(()),
        }
    }
}

/// One page, and where it says that the next one is; `None` where the registry does not accept the
/// request.
async fn page(
    transport: &Transport,
    sessions: &Sessions,
    context: RequestContext<'_>,
    url: &Url,
) -> Result<Option<Page>, OciError> {
    let reply = sessions.send(transport, context, Request::new(Method::GET, url.clone())).await?;
    if reply.status == StatusCode::BAD_REQUEST && url.query().is_some() {
        return Ok(None);
    }
    if !reply.status.is_success() {
        return Err(reply.error(context.subject).await);
    }
    let linked =
        link::next(&reply.headers, url).map_err(|why| unusable(context, &format!("its tag list {why}")))?;
    let Body::Whole(body) = reply.body(MAX_TAG_PAGE_BYTES).await? else {
        return Err(too_many(
            context,
            format!("one page of its tags is longer than {MAX_TAG_PAGE_BYTES} bytes"),
        ));
    };
    let list: List =
        serde_json::from_slice(&body).map_err(|_| unusable(context, "its tag list is not JSON"))?;
    Ok(Some(Page { tags: list.tags.unwrap_or_default(), bytes: body.len(), linked }))
}

fn too_many(context: RequestContext<'_>, why: String) -> OciError {
    let why = format!("{why}; use ref.tag or ref.digest");
    OciError::TooLarge { subject: context.repository.to_string(), why }
}

fn unusable(context: RequestContext<'_>, why: &str) -> OciError {
    OciError::Unavailable { host: context.repository.registry().to_owned(), why: why.into() }
}
