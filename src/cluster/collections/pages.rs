//! A collection, page by page. Its objects can come from anyone, so a page may be longer
//! than the limit: then fewer objects are requested at a time, and a single object that
//! is too large is skipped.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::escape;
use crate::cluster::session::{ApiResponse, Call, Session};
use crate::observe::labels::Verb;

/// The longest page that is read. An object has at most 1.5 MiB in etcd, and six times
/// as much where it consists of characters that JSON escapes.
pub(in crate::cluster) const MAX_PAGE: usize = 16 << 20;
/// The most pages of one list: a server that names another page without end would be read forever.
pub(in crate::cluster) const MAX_PAGES: usize = 10_000;
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Listing<'a> {
    /// Path of the collection.
    pub path: &'a str,
    /// Selectors, as the escaped part of a query.
    pub query: &'a str,
    /// Whether only metadata is wanted.
    pub metadata_only: bool,
    /// Objects requested in one page.
    pub page: usize,
}

/// What a page says of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct ListMetadata {
    #[serde(default)]
    pub resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name {
    namespace: String,
    name: String,
}

/// Lists all objects and returns the version to watch from. `observe` gets each as
/// text, and its error ends the list.
///
/// # Errors
/// When the API server does not list them.
pub(in crate::cluster) async fn each(
    session: &Session,
    listing: Listing<'_>,
    mut observe: impl FnMut(&str) -> Result<(), ApiError>,
) -> Result<String, ApiError> {
    let (mut next, mut limit) = (String::new(), listing.page);
    for _ in 0..MAX_PAGES {
        let answer = match fitting(session, &listing, &mut limit, &next).await {
            Err(ApiError::TooLong(_)) => pass_over(session, &listing, &next).await?,
            answer => answer?,
        };
        let list: List = answer.json()?;
        for item in list.items.into_iter().flatten() {
            observe(item.get())?;
        }
        if list.metadata.next.is_empty() {
            return Ok(list.metadata.resource_version);
        }
        // Where objects are small again, more are requested.
        limit = wider(limit, answer.body.len(), listing.page);
        next = list.metadata.next;
    }
    Err(endless())
}

/// The error of a list with too many pages.
pub(in crate::cluster) fn endless() -> ApiError {
    ApiError::answer(format!("a list has more than {MAX_PAGES} pages"))
}

/// Lists only the first page: as many objects as fit into it.
///
/// # Errors
/// When the API server does not list them.
pub(in crate::cluster) async fn first<T: DeserializeOwned>(
    session: &Session,
    listing: Listing<'_>,
) -> Result<Vec<T>, ApiError> {
    let mut limit = listing.page;
    let answer = fitting(session, &listing, &mut limit, "").await?;
    let list: List = answer.json()?;
    let items = list.items.into_iter().flatten();
    items.map(|item| serde_json::from_str(item.get()).map_err(ApiError::answer)).collect()
}

/// How many objects to request in the next page, after one of this many bytes.
fn wider(limit: usize, bytes: usize, most: usize) -> usize {
    if bytes < MAX_PAGE / 4 { (limit * 2).min(most) } else { limit }
}

/// A page of as many objects as fit into it.
async fn fitting(
    session: &Session,
    listing: &Listing<'_>,
    limit: &mut usize,
    next: &str,
) -> Result<ApiResponse, ApiError> {
    loop {
        match page(session, listing, *limit, next).await {
            Err(ApiError::TooLong(_)) if *limit > 1 => *limit /= 2,
            answer => return answer,
        }
    }
}

async fn page(
    session: &Session,
    listing: &Listing<'_>,
    limit: usize,
    next: &str,
) -> Result<ApiResponse, ApiError> {
    let Listing { path, query, metadata_only, .. } = listing;
    // Without a resource version: with one of 0 the API server ignores the limit, which
    // bounds the memory.
    let from = if next.is_empty() { String::new() } else { format!("&continue={}", escape(next)) };
    let call = Call::get(format!("{path}?{query}&limit={limit}{from}"));
    let accept = if *metadata_only { METADATA } else { call.accept };
    session.call(Call { accept, verb: Verb::List, most: MAX_PAGE, ..call }).await
}

/// The next object is too large: its page without it, and its name for the log.
async fn pass_over(session: &Session, listing: &Listing<'_>, next: &str) -> Result<ApiResponse, ApiError> {
    let alone = Listing { metadata_only: true, ..*listing };
    let answer = page(session, &alone, 1, next).await?;
    let list: List = answer.json()?;
    for item in list.items.into_iter().flatten() {
        let Named { metadata } = serde_json::from_str(item.get()).map_err(ApiError::answer)?;
        tracing::warn!(
            collection = listing.path,
            namespace = metadata.namespace,
            name = metadata.name,
            "skipped an object that is too large to read; make it smaller or delete it"
        );
    }
    let ListMetadata { resource_version, next } = list.metadata;
    let rest = serde_json::json!({"metadata": {"resourceVersion": resource_version, "continue": next}});
    Ok(ApiResponse { body: rest.to_string().into_bytes().into(), ..answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_grow_again_where_objects_are_small() {
        assert_eq!(wider(1, 100, 500), 2);
        assert_eq!(wider(400, 100, 500), 500);
        assert_eq!(wider(4, MAX_PAGE / 2, 500), 4);
    }
}
