//! The tags of a repository, page by page and not for ever.

use http::header::LINK;
use http::{HeaderMap, Method};
use reqwest::Url;
use serde::Deserialize;

use super::limits::{MAX_TAG_PAGE_BYTES, MAX_TAG_PAGES, MAX_TAGS, TAG_PAGE_SIZE};
use super::reply::Body;
use super::token::{Asker, Sessions};
use super::transport::{Request, Transport};
use super::{OciError, Tag};

#[derive(Deserialize)]
struct Page {
    /// Null where a repository has none.
    tags: Option<Vec<String>>,
}

/// Every tag of the repository, in the registry's order.
pub(super) async fn list(
    transport: &Transport,
    sessions: &Sessions,
    asker: Asker<'_>,
) -> Result<Vec<Tag>, OciError> {
    let first = Transport::url(asker.repository, asker.access, &format!("tags/list?n={TAG_PAGE_SIZE}"))?;
    let mut url = first.clone();
    let mut found: Vec<Tag> = Vec::new();
    for _ in 0..MAX_TAG_PAGES {
        let (tags, linked) = page(transport, sessions, asker, &url).await?;
        // What is no tag could not be asked for anyway.
        found.extend(tags.iter().filter_map(|tag| Tag::parse(tag).ok()));
        if found.len() > MAX_TAGS {
            return Err(too_many(asker, format!("it has more than {MAX_TAGS} tags")));
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
            return Err(unusable(asker, "its tag list leads back to itself"));
        }
        url = next;
    }
    Err(too_many(asker, format!("it has more than {MAX_TAG_PAGES} pages of tags")))
}

/// One page, and where it says that the next one is.
async fn page(
    transport: &Transport,
    sessions: &Sessions,
    asker: Asker<'_>,
    url: &Url,
) -> Result<(Vec<String>, Option<Url>), OciError> {
    let reply = sessions.send(transport, asker, Request::new(Method::GET, url.clone())).await?;
    if !reply.status.is_success() {
        return Err(reply.error(asker.subject).await);
    }
    let linked = linked(&reply.headers, url).map_err(|why| unusable(asker, why))?;
    let Body::Whole(body) = reply.body(MAX_TAG_PAGE_BYTES).await? else {
        return Err(too_many(
            asker,
            format!("one page of its tags is longer than {MAX_TAG_PAGE_BYTES} bytes"),
        ));
    };
    let page: Page =
        serde_json::from_slice(&body).map_err(|_| unusable(asker, "its tag list is not JSON"))?;
    Ok((page.tags.unwrap_or_default(), linked))
}

fn too_many(asker: Asker<'_>, why: String) -> OciError {
    let why = format!("{why}; use ref.tag or ref.digest");
    OciError::TooLarge { subject: asker.repository.to_string(), why }
}

/// The target of `Link: <…>; rel="next"` (RFC 8288), which has to stay on the
/// host.
fn linked(headers: &HeaderMap, page: &Url) -> Result<Option<Url>, &'static str> {
    let values = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
    let Some(target) = values.flat_map(|value| value.split('<').skip(1)).find_map(next_target) else {
        return Ok(None);
    };
    let url = page.join(target).map_err(|_| "its tag list has a malformed Link header")?;
    if url.origin() != page.origin() || !url.path().starts_with("/v2/") {
        return Err("its tag list leads to another host");
    }
    Ok(Some(url))
}

/// The target of one link after its `<`, if its relation is `next`.
fn next_target(link: &str) -> Option<&str> {
    let (target, parameters) = link.split_once('>')?;
    let next = |p: &str| {
        let (key, value) = p.split_once('=').unwrap_or((p, ""));
        key.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split([';', ',']).any(next).then_some(target)
}

fn unusable(asker: Asker<'_>, why: &str) -> OciError {
    OciError::Unavailable { host: asker.repository.registry().to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_link_that_says_so() {
        let page = Url::parse("https://h.io/v2/a/tags/list?n=2").unwrap();
        let check = |values: &[&str], expected: Result<Option<&str>, ()>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LINK, value.parse().unwrap());
            }
            let found = linked(&headers, &page).map(|url| url.map(|u| u.to_string())).map_err(drop);
            assert_eq!(found, expected.map(|url| url.map(str::to_owned)), "{values:?}");
        };
        let next = Ok(Some("https://h.io/v2/a/tags/list?last=x"));
        check(&[], Ok(None));
        check(&["</v2/a/tags/list?last=x>; rel=\"next\""], next);
        check(&["</v2/a/tags/list?last=x>;rel=next"], next);
        check(&["<list?last=x>; title=\"a\"; REL=NEXT"], next);
        check(&["</v2/a>; rel=\"prev\", <https://h.io/v2/a/tags/list?last=x>; rel=\"next\""], next);
        check(&["</v2/a>; rel=\"prev\"", "</v2/a/tags/list?last=x>; rel=\"next\""], next);
        check(&["</v2/next>; rel=\"prev\""], Ok(None));
        check(&["</v2/a; rel=\"next\""], Ok(None));
        check(&["<//evil.com/v2/a>; rel=\"next\""], Err(()));
        check(&["<http://h.io/v2/a>; rel=\"next\""], Err(()));
        check(&["<https://[>; rel=\"next\""], Err(()));
    }
}
