//! The tags of a repository, page by page up to a limit.

use http::Method;
use reqwest::Url;
use serde::Deserialize;

use crate::oci::auth::{RequestContext, Sessions};
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_TAG_PAGE_BYTES, MAX_TAG_PAGES, MAX_TAGS, TAG_PAGE_SIZE};
use crate::oci::reference::Tag;
use crate::oci::transport::{Body, Request, Transport, link};

#[derive(Deserialize)]
struct Page {
    /// Null where a repository has none.
    tags: Option<Vec<String>>,
}

/// Every tag of the repository, in the registry's order.
pub(super) async fn list(
    transport: &Transport,
    sessions: &Sessions,
    context: RequestContext<'_>,
) -> Result<Vec<Tag>, OciError> {
    let first = Transport::url(context.repository, context.access, &format!("tags/list?n={TAG_PAGE_SIZE}"))?;
    let mut url = first.clone();
    let mut found: Vec<Tag> = Vec::new();
    for _ in 0..MAX_TAG_PAGES {
        let (tags, linked) = page(transport, sessions, context, &url).await?;
        // An invalid tag could not be requested anyway.
        found.extend(tags.iter().filter_map(|tag| Tag::parse(tag).ok()));
        if found.len() > MAX_TAGS {
            return Err(too_many(context, format!("it has more than {MAX_TAGS} tags")));
        }
        let next = match (linked, tags.last()) {
            (Some(linked), _) => linked,
            // A registry that cuts the list without a Link header.
            (None, Some(last)) if tags.len() >= TAG_PAGE_SIZE => {
                let mut next = first.clone();
                next.query_pairs_mut().append_pair("last", last);
                next
            }
            _ => return Ok(found),
        };
        if next == url {
            return Err(unusable(context, "its tag list links back to itself"));
        }
        url = next;
    }
    Err(too_many(context, format!("it has more than {MAX_TAG_PAGES} pages of tags")))
}

/// One page, and where it says that the next one is.
async fn page(
    transport: &Transport,
    sessions: &Sessions,
    context: RequestContext<'_>,
    url: &Url,
) -> Result<(Vec<String>, Option<Url>), OciError> {
    let reply = sessions.send(transport, context, Request::new(Method::GET, url.clone())).await?;
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
    let page: Page =
        serde_json::from_slice(&body).map_err(|_| unusable(context, "its tag list is not JSON"))?;
    Ok((page.tags.unwrap_or_default(), linked))
}

fn too_many(context: RequestContext<'_>, why: String) -> OciError {
    let why = format!("{why}; use ref.tag or ref.digest");
    OciError::TooLarge { subject: context.repository.to_string(), why }
}

fn unusable(context: RequestContext<'_>, why: &str) -> OciError {
    OciError::Unavailable { host: context.repository.registry().to_owned(), why: why.into() }
}
